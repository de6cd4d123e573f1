"""The commands about runs."""

from pathlib import Path
from typing import Annotated

import typer

from rgbt_bench.printing import console
from rgbt_bench.printing import scores as shown

from .options import Device, Json, Preset, Settings, emit


def run(
    name: Annotated[str, typer.Argument(help="A recipe's name, or a recipe file.")],
    dataset: Annotated[str | None, typer.Option("--dataset", help="Another set than the recipe's.")] = None,
    preset: Preset = "paper",
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Another seed than the recipe's.")] = None,
    settings: Settings = None,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Another folder for runs.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Train what is missing, predict, score and write one result; finished runs are reused."""
    from rgbt_bench.datasets.store import open_dataset
    from rgbt_bench.recipes import load_recipe
    from rgbt_bench.runs import in_order, plan_run

    recipe = load_recipe(name, preset)
    opened = open_dataset(dataset or recipe.dataset)
    planned = plan_run(name, opened, preset, seed, tuple(settings or ()), out)
    plan = [{"recipe": one.recipe.name, "state": one.state, "folder": str(one.folder)} for one in in_order(planned)]
    from rgbt_bench.harness import check, execute

    if dry_run:
        check(planned, opened, device)
        emit(as_json, {"plan": plan}, lambda: console.rows(plan))
        return

    with console.progress() as report:
        result = execute(planned, opened, device, report)
    content = {"folder": str(planned.folder), "plan": plan, "result": result.model_dump(mode="json")}
    emit(as_json, content, lambda: shown.result(result, planned.folder, planned.sheet))

"""The commands about runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgbt_bench.errors import UsageError
from rgbt_bench.printing import console
from rgbt_bench.printing import runs as printed
from rgbt_bench.printing import scores as shown
from rgbt_bench.torchrun import is_main, started_together

from .options import Device, Json, Preset, Settings, emit

if TYPE_CHECKING:
    from rgbt_bench.datasets.store import Dataset
    from rgbt_bench.runs import Run

Out = Annotated[Path | None, typer.Option(help="Another folder for runs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


def run(
    name: Annotated[str, typer.Argument(help="A recipe's name, or a recipe file.")],
    dataset: Annotated[str | None, typer.Option("--dataset", help="Another set than the recipe's.")] = None,
    preset: Preset = "paper",
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Another seed than the recipe's.")] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="This many seeds in a row, each with all it requires; mean and sd of all.")
    ] = 1,
    settings: Settings = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Train nothing, use these: hub:OWNER/NAME@REVISION, or a safetensors file."),
    ] = None,
    device: Device = "auto",
    out: Out = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a run that another process works on.")] = False,
    key: Annotated[str | None, typer.Option(hidden=True, help="Refuse any run but the one with this key.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train what is missing, predict, score and write one result; finished runs are reused."""
    from rgbt_bench.given import plan_given
    from rgbt_bench.harness import check, execute
    from rgbt_bench.opening import open_dataset
    from rgbt_bench.recipes import load_recipe
    from rgbt_bench.runs import plan_seeds, require_key

    if weights is not None and (seed is not None or seeds > 1):
        raise UsageError("--weights: nothing is trained, so there is no seed to choose; leave out --seed and --seeds")
    recipe = load_recipe(name, preset)
    opened = open_dataset(dataset or recipe.dataset)
    if weights is None:
        planned = plan_seeds(name, opened, preset, seed, seeds, tuple(settings or ()), out)
    else:
        planned = [plan_given(name, opened, weights, preset, tuple(settings or ()), out)]
    if key is not None:
        require_key(planned[0], key)
    plan = _plan_rows(planned)
    hint = planned[0].given.hint if planned[0].given else ""
    if dry_run:
        check(planned[0], opened, device)
        emit(as_json, {"plan": plan} | ({"hint": hint} if hint else {}), lambda: printed.plan(plan, hint))
        return
    if len(planned) > 1:
        _run_seeds(planned, opened, device, wait, plan, as_json)
        return

    with console.progress() as report:
        result = execute(planned[0], opened, device, report, wait)
    if not is_main():
        return
    content = {"folder": str(planned[0].folder), "plan": plan, "result": result.model_dump(mode="json")}
    content |= {"hint": hint} if hint else {}
    emit(as_json, content, lambda: shown.result(result, planned[0].folder, planned[0].sheet, hint))


def _plan_rows(planned: "list[Run]") -> list[dict[str, Any]]:
    from rgbt_bench.runs import in_order

    return [
        {"recipe": one.recipe.name, "seed": one.seed, "state": one.state, "folder": str(one.folder)}
        | ({"seed": one.given.seed, "weights_from": one.given.origin} if one.given else {})
        for first in planned
        for one in in_order(first)
    ]


def _run_seeds(
    planned: "list[Run]", dataset: "Dataset", device: str, wait: bool, plan: list[dict[str, Any]], as_json: bool
) -> None:
    from rgbt_bench.harness import execute
    from rgbt_bench.seeds import report as report_of

    results = {}
    with console.progress() as report:
        for one in planned:
            named = lambda stage, done, total, seed=one.seed: report(f"seed {seed}: {stage}", done, total)  # noqa: E731
            results[one.seed] = (one.folder, execute(one, dataset, device, named, wait))
    if not is_main():
        return
    content = {"plan": plan, **report_of(results)}
    emit(as_json, content, lambda: printed.seeds(content))


def sweep(
    target: Annotated[str, typer.Argument(help="A sweep file (YAML), or PAPER/TABLE: every row with a recipe.")],
    dataset: Annotated[str | None, typer.Option("--dataset", help="This set for all runs.")] = None,
    preset: Annotated[str | None, typer.Option(help="This preset for all runs: paper or quick.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="This many seeds in a row of each.")] = None,
    device: Device = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="How many runs at once, each in a process of its own.")] = 1,
    out: Out = None,
    keep_going: Annotated[bool, typer.Option("--keep-going/--fail-fast", help="What follows a failure.")] = True,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Do every run that has no result yet; started again, it does the rest."""
    from rgbt_bench.launching import LocalLauncher
    from rgbt_bench.sweeping import ended_rows, exit_code, plan_sweep, planned_rows, run_sweep

    if started_together() > 1:
        raise UsageError("a sweep starts processes of its own; start it without torchrun (WORLD_SIZE is set)")
    steps = plan_sweep(target, dataset, preset, seeds, out, device)
    if dry_run:
        plan = planned_rows(steps)
        emit(as_json, {"plan": plan}, lambda: printed.plan(plan))
        return
    with console.progress() as report:
        launcher = LocalLauncher(threads=1 if jobs > 1 else None)
        outcomes = run_sweep(steps, launcher, jobs, keep_going, device, report)
    ended = ended_rows(outcomes)
    emit(as_json, {"runs": ended}, lambda: printed.sweep(ended))
    printed.failures(ended)
    if code := exit_code(outcomes):
        raise typer.Exit(code)

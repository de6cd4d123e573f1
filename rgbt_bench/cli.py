"""The command line: one thin function a command; nothing is computed here and torch is never imported by it."""

import json
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from rgbt_bench import __version__, printing
from rgbt_bench.errors import BadInputError, BenchError, UsageError, unknown_name

app = typer.Typer(
    name="rgbt-bench",
    help="The benchmark that makes numbers in RGB-thermal vision comparable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)

_INTERRUPTED = 130
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; everything else goes to stderr.")]
Preset = Annotated[str, typer.Option(help="paper (the recipe as it is) or quick (small, never ranks).")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="PATH=VALUE over the recipe, or RECIPE:PATH=VALUE over one it requires. Repeatable."),
]
DatasetName = Annotated[str, typer.Option("--dataset", help="A converted set: NAME, NAME@SPLIT, or its folder.")]
PartName = Annotated[str, typer.Option("--part", help="The part of the split to use.")]


def main() -> None:
    """Run the command line; every failure the user can mend becomes one message and a stable exit code."""
    as_json = "--json" in sys.argv
    if isinstance(sys.stdout, TextIOWrapper):  # a file name that is not UTF-8 must not end the program
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(prog_name="rgbt-bench", standalone_mode=False) or 0
    except BenchError as error:
        message, code = str(error), error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        message, code = "", _INTERRUPTED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        message, code = f"{place}{error.strerror or error}", BadInputError.exit_code
    except Exception as error:
        if not hasattr(error, "format_message"):
            printing.crash(error, as_json)
            raise
        # A mistyped command or option. Typer's own class for it has moved between its versions.
        message, code = _usage(error), UsageError.exit_code
    else:
        message = ""
    if code == _INTERRUPTED:  # Typer turns Ctrl-C into this code
        message = "interrupted; the same command goes on where it stopped"
    if message:
        printing.error(message, code, as_json)
    raise SystemExit(code)


def _usage(error: Any) -> str:
    message = str(error.format_message())  # empty where Typer has printed the help already
    context = getattr(error, "ctx", None)
    if not (message and context):
        return message
    message = message.replace("?.", "?").rstrip(".")
    end = "" if message.endswith("?") else "."
    return f"{message}{end} Try '{context.command_path} --help'."


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None: ...


def _emit(as_json: bool, content: Any, show: Callable[[], None]) -> None:
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=False, allow_nan=False))
    else:
        show()


@app.command()
def convert(
    dataset: Annotated[str, typer.Argument(help="Which dataset; `rgbt-bench list datasets` names them.")],
    path: Annotated[
        Path | None, typer.Argument(help="The original archive's folder; without it: how to get it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; default: the datasets folder, by name.")] = None,
    on_error: Annotated[
        str, typer.Option(help="fail (after every fault was named), or skip the faulty samples.")
    ] = "fail",
    force: Annotated[bool, typer.Option("--force", help="Replace a set that is there already.")] = False,
    as_json: Json = False,
) -> None:
    """Convert a dataset's original archive into the RGB-T schema, with its digests."""
    from rgbt_bench import paths
    from rgbt_bench.converting import convert as run_conversion
    from rgbt_bench.registry import load_converter

    converter = load_converter(dataset)()
    if path is None and converter.needs_path:
        instructions = converter.instructions()
        _emit(as_json, {"dataset": dataset, "instructions": instructions}, lambda: typer.echo(instructions))
        return
    if on_error not in ("fail", "skip"):
        raise unknown_name("--on-error", on_error, ("fail", "skip"))
    folder = out or paths.datasets_home() / dataset
    with printing.progress() as show:
        report = run_conversion(converter, path, folder, "skip" if on_error == "skip" else "fail", force, show)
    _emit(as_json, report.to_dict(), lambda: printing.conversion(report.to_dict()))


@app.command()
def inspect(
    dataset: Annotated[str, typer.Argument(help="A converted set: NAME, NAME@SPLIT, or its folder.")],
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet of pairs with boxes to this PNG.")] = None,
    sheet_pairs: Annotated[int, typer.Option(min=1, help="How many pairs are on the sheet.")] = 12,
    part: Annotated[
        str | None, typer.Option("--part", help="The part the sheet is drawn from; default: the last.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count a dataset by part, class, illumination and box size, and show its digests."""
    from rgbt_bench.datasets.inspecting import inspect_dataset
    from rgbt_bench.datasets.store import open_dataset
    from rgbt_bench.harness import official_note

    opened = open_dataset(dataset)
    content = inspect_dataset(opened)
    for name, found in content["parts"].items():
        found["official"] = official_note(opened.info.name, name, found["digests"]["label_digest"])
    if sheet is not None:
        from rgbt_bench.harness import draw_labels

        draw_labels(sheet, opened.part(part or opened.parts[-1]), sheet_pairs)
        content["sheet"] = str(sheet)
    _emit(as_json, content, lambda: printing.inspection(content))


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="datasets, submissions, metrics or tables.")],
    as_json: Json = False,
) -> None:
    """List what is registered."""
    from rgbt_bench import listing

    content = listing.listing(what)
    _emit(as_json, {what: content}, lambda: printing.rows(content))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A recipe's name, or a recipe file.")],
    preset: Preset = "paper",
    settings: Annotated[list[str] | None, typer.Option("--set", help="PATH=VALUE over the recipe. Repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Show a recipe with the origin of each of its figures."""
    from rgbt_bench.recipes import load_recipe, origins_in_use, recipe_path

    path = recipe_path(name)
    given = tuple(settings or ())
    recipe = load_recipe(name, preset, given)
    origins = origins_in_use(path, preset, given)
    content = {"recipe": recipe.model_dump(mode="json"), "digest": recipe.digest, "origins": origins}
    _emit(as_json, content, lambda: printing.recipe(path, recipe.digest, preset, settings))


@app.command()
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
        _emit(as_json, {"plan": plan}, lambda: printing.rows(plan))
        return

    with printing.progress() as report:
        result = execute(planned, opened, device, report)
    content = {"folder": str(planned.folder), "plan": plan, "result": result.model_dump(mode="json")}
    _emit(as_json, content, lambda: printing.result(result, planned.folder, planned.sheet))


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="A JSON list in COCO's results format, with sample ids.")],
    dataset: DatasetName,
    part: PartName = "test",
    task: Annotated[str, typer.Option(help="detection-rgbt, detection-rgb or detection-thermal.")] = "detection-rgbt",
    evaluator: Annotated[
        str, typer.Option(help="hotcoco, or pycocotools (the oracle; the figures are the same).")
    ] = "hotcoco",
    out: Annotated[Path | None, typer.Option(help="Write the result to this JSON file.")] = None,
    as_json: Json = False,
) -> None:
    """Score anybody's predictions on a converted set."""
    from rgbt_bench.datasets.store import open_dataset
    from rgbt_bench.harness import score_file

    tasks = ("detection-rgbt", "detection-rgb", "detection-thermal")
    if task not in tasks:
        raise unknown_name("task", task, tasks)
    if evaluator not in ("hotcoco", "pycocotools"):
        raise unknown_name("evaluator", evaluator, ("hotcoco", "pycocotools"))
    engine = "pycocotools" if evaluator == "pycocotools" else "hotcoco"
    result = score_file(predictions, open_dataset(dataset).part(part), task, engine)  # type: ignore[arg-type]
    if out is not None:
        result.write(out)
    _emit(as_json, result.model_dump(mode="json"), lambda: printing.result(result, out))


@app.command()
def latency(
    name: Annotated[str, typer.Argument(help="A recipe; its teacher, if it has one, is timed in the same process.")],
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch size; repeatable. Default: 1 and 32.")] = None,
    preset: Preset = "paper",
    passes: Annotated[int, typer.Option(min=100, help="Timed passes.")] = 100,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Torch threads on a CPU; default: torch's own choice.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Time a recipe's network, and the ratio to its teacher, by the latency protocol."""
    from rgbt_bench.timing import measure_latency

    with printing.progress() as report:
        measured, path = measure_latency(name, tuple(batch or (1, 32)), preset, passes, threads, device, report)
    content = {"file": str(path), "latency": measured.model_dump(mode="json")}
    _emit(as_json, content, lambda: printing.latency(measured, path))


@app.command()
def reproduce(
    table: Annotated[str, typer.Argument(help="PAPER/TABLE, such as ffkd/table-2; `list tables` names them.")],
    style: Annotated[str, typer.Option("--format", help="md or latex.")] = "md",
    preset: Preset = "paper",
    dataset: Annotated[str | None, typer.Option("--dataset", help="Show measured figures on this set instead.")] = None,
    as_json: Json = False,
) -> None:
    """Print a paper's table beside what was measured here; what nobody measured stays empty."""
    from rgbt_bench.leaderboard.reproduce import as_text, digits_of
    from rgbt_bench.leaderboard.reproduce import reproduce as read_table
    from rgbt_bench.recipes import require_preset

    require_preset(preset)
    content = read_table(table, preset, dataset)
    text = as_text(content, style, digits_of(table))
    _emit(as_json, content, lambda: printing.table(content, text, style))

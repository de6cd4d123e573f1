"""A paper's table beside what was measured here; a cell nobody measured stays empty."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from rgbt_bench import paths
from rgbt_bench.datasets.splits import dataset_name
from rgbt_bench.errors import BenchError, UsageError, unknown_name
from rgbt_bench.files import read_json
from rgbt_bench.latency import LatencyReport
from rgbt_bench.leaderboard.papers import Column, Table, find_table
from rgbt_bench.recipes import load_recipe
from rgbt_bench.registry import load_converter, load_submission, recipe_files
from rgbt_bench.results import RESULT_FILE, ModelProvenance, Result, read_result
from rgbt_bench.runs import finished_runs
from rgbt_bench.timing import LATENCY_FOLDER

FORMATS = ("md", "latex")
Measured = dict[str, float | None]


@dataclass
class Measurements:
    """Our figures by recipe, where each came from, and what a reader has to know of them."""

    values: dict[str, Measured] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    device_note: str = ""


def reproduce(name: str, preset: str = "paper", dataset: str | None = None) -> dict[str, Any]:
    """Return a paper's table as JSON-ready data: every cell with the paper's figure and ours, None where unmeasured.

    Under the preset `paper` a detection cell is filled only by a run of that preset on the track's official labels.
    Another preset or dataset shows measured figures alone: the paper's figures never stand beside them.

    Raises:
        UsageError: no such paper or table.
    """
    paper, key, table = find_table(name)
    if dataset is not None:
        _require_dataset(table, dataset)
    comparable = preset == "paper" and dataset is None
    measured = _measure(table, preset, dataset)
    where = f" on {dataset or table.dataset}" if dataset or table.dataset else ""
    return {
        "table": f"{paper.key}/{key}",
        "paper": paper.title,
        "source": paper.source,
        "title": table.title if comparable else f"its rows, measured with preset {preset}{where}",
        "preset": preset,
        "dataset": dataset,
        "columns": [column.name for column in table.columns],
        "rows": [
            {
                "name": row_name,
                "recipe": row.recipe,
                "labels": row.labels,
                "paper": list(row.figures) if comparable else [None] * len(row.figures),
                "measured": [_cell(column, measured.values.get(row.recipe or "", {})) for column in table.columns],
                "from": measured.sources.get(row.recipe or ""),
            }
            for row_name, row in table.rows.items()
        ],
        "notes": [*filter(None, [measured.device_note]), *(table.notes if comparable else ()), *measured.notes],
    }


def as_text(content: dict[str, Any], style: str, digits: Iterable[int]) -> str:
    """Return a reproduced table as Markdown or LaTeX, the paper's figure and ours side by side.

    Raises:
        UsageError: an unknown format.
    """
    from tabulate import tabulate

    if style not in FORMATS:
        raise unknown_name("format", style, FORMATS)
    comparable = any(figure is not None for row in content["rows"] for figure in row["paper"])
    labels = list(dict.fromkeys(name for row in content["rows"] for name in row["labels"]))
    headers = ["row", *labels]
    for column in content["columns"]:
        headers += [f"{column} (paper)", f"{column} (measured)"] if comparable else [column]
    body = []
    for row in content["rows"]:
        cells = [row["name"], *(row["labels"].get(name, "") for name in labels)]
        for reported, ours, places in zip(row["paper"], row["measured"], digits, strict=True):
            shown = "" if ours is None else f"{ours:.{places}f}"
            cells += ["" if reported is None else str(reported), shown] if comparable else [shown]
        body.append(cells)
    style = "github" if style == "md" else "latex"
    texts = 1 + len(labels)
    align = [*["left"] * texts, *["right"] * (len(headers) - texts)]
    return str(tabulate(body, headers, tablefmt=style, disable_numparse=True, colalign=align))


def digits_of(name: str) -> list[int]:
    """Return how many decimals each column of a table is printed with."""
    return [column.digits for column in find_table(name)[2].columns]


def _require_dataset(table: Table, dataset: str) -> None:
    """Refuse a dataset that nothing was run on, or for a table that does not depend on one."""
    if table.kind != "detection":
        raise UsageError(f"--dataset {dataset}: a table of {table.kind} does not depend on a dataset")
    known = {folder.parents[1].name for folder in finished_runs()}
    if dataset not in known:
        raise unknown_name("dataset among the finished runs", dataset, known)


def _cell(column: Column, measured: Measured) -> float | None:
    value = measured.get(column.measured or "")
    return None if value is None else value * column.scale


def _measure(table: Table, preset: str, dataset: str | None) -> Measurements:
    recipes = [row.recipe for row in table.rows.values() if row.recipe]
    if table.kind == "parameters":
        return Measurements({recipe: _parameters(recipe, preset) for recipe in recipes})
    if table.kind == "detection":
        return _detection(table, recipes, preset, dataset)
    if table.kind == "latency":
        return _latency(table, recipes, preset)
    return Measurements()


def _parameters(recipe_name: str, preset: str) -> Measured:
    """Count the parameters of the network that the recipe builds, for the dataset that the recipe names."""
    recipe = load_recipe(recipe_name, preset)
    info = load_converter(recipe.dataset).info
    return dict(load_submission(recipe.submission)(recipe, info).parameters())


def _detection(table: Table, recipes: list[str], preset: str, dataset: str | None) -> Measurements:
    """Take each recipe's newest fitting result."""
    found = Measurements()
    for folder in finished_runs():
        path = folder / RESULT_FILE
        try:
            result = read_result(path)
        except BenchError as error:
            found.notes.append(f"left out: {error}")
            continue
        if result.model is None or not _fits(result, result.model, table, recipes, preset, dataset):
            continue
        name = result.model.recipe
        if name not in found.sources or result.created > found.sources[name]["created"]:
            found.values[name] = dict(result.metrics.figures)
            found.sources[name] = {"file": str(path), "seed": result.model.seed, "created": result.created}
    return found


def _fits(
    result: Result, model: ModelProvenance, table: Table, recipes: list[str], preset: str, dataset: str | None
) -> bool:
    """Tell whether a result may fill a cell: unchanged recipe, this preset, official labels unless a set is named."""
    if model.recipe not in recipes or model.preset != preset or model.recipe not in recipe_files():
        return False
    if model.recipe_digest != load_recipe(model.recipe, preset).digest:
        return False
    if dataset is not None:
        return dataset_name(result.data.dataset, result.data.split) == dataset
    return result.standing == "official" and result.data.dataset == table.dataset


def _latency(table: Table, recipes: list[str], preset: str) -> Measurements:
    """Take all cells from one report, the newest of those with the most rows: times of two devices do not compare."""
    best = Measurements()
    folder = paths.home() / LATENCY_FOLDER
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
        try:
            report = LatencyReport.model_validate(read_json(path))
        except (BenchError, ValidationError):
            best.notes.append(f"left out: {path} is not a latency report")
            continue
        fitting = [
            timing
            for timing in report.timings
            if timing.recipe in recipes and timing.preset == preset and timing.batch == table.batch
        ]
        if fitting and len(fitting) >= len(best.values):
            best.values = {one.recipe: {"seconds_per_image": one.median_s / one.batch} for one in fitting}
            best.sources = {one.recipe: {"file": str(path), "device": report.device} for one in fitting}
            best.device_note = (
                f"Measured on {report.device['name']} ({report.device['type']}, {report.threads} torch thread(s)),"
                f" {fitting[0].precision}, batch {table.batch}."
            )
    return best

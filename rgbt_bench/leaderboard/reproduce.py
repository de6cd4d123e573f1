"""A paper's table beside what was measured here; a cell nobody measured stays empty."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rgbt_bench import paths
from rgbt_bench.errors import unknown_name
from rgbt_bench.files import read_json
from rgbt_bench.latency import LatencyReport
from rgbt_bench.leaderboard.papers import Column, Table, find_table
from rgbt_bench.recipes import load_recipe
from rgbt_bench.registry import load_submission, recipe_files
from rgbt_bench.results import RESULT_FILE, Result, read_result
from rgbt_bench.runs import finished_runs
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.timing import LATENCY_FOLDER

FORMATS = ("md", "latex")
Measured = dict[str, float | None]


def reproduce(name: str, preset: str = "paper", dataset: str | None = None) -> dict[str, Any]:
    """Return a paper's table as JSON-ready data: every cell with the paper's figure and ours, None where unmeasured.

    Under the preset `paper` a detection cell is filled only by a run of that preset on the track's official labels.
    Another preset or dataset shows measured figures alone: the paper's figures never stand beside them.

    Raises:
        UsageError: no such paper or table.
    """
    paper, key, table = find_table(name)
    comparable = preset == "paper" and dataset is None
    measured = _measure(table, preset, dataset)
    return {
        "table": f"{paper.key}/{key}",
        "paper": paper.title,
        "source": paper.source,
        "title": table.title if comparable else f"its rows, measured with preset {preset} on {dataset or table.track}",
        "preset": preset,
        "dataset": dataset,
        "columns": [column.name for column in table.columns],
        "rows": [
            {
                "name": row_name,
                "recipe": row.recipe,
                "labels": row.labels,
                "paper": list(row.figures) if comparable else [None] * len(row.figures),
                "measured": [_cell(column, measured.get(row.recipe or "", {})) for column in table.columns],
            }
            for row_name, row in table.rows.items()
        ],
        "notes": list(table.notes) if comparable else [],
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
    headers = ["row"]
    for column in content["columns"]:
        headers += [f"{column} (paper)", f"{column} (measured)"] if comparable else [column]
    body = []
    for row in content["rows"]:
        cells = [row["name"]]
        for reported, ours, places in zip(row["paper"], row["measured"], digits, strict=True):
            shown = "" if ours is None else f"{ours:.{places}f}"
            cells += ["" if reported is None else str(reported), shown] if comparable else [shown]
        body.append(cells)
    style = "github" if style == "md" else "latex"
    align = ["left", *["right"] * (len(headers) - 1)]
    return str(tabulate(body, headers, tablefmt=style, disable_numparse=True, colalign=align))


def digits_of(name: str) -> list[int]:
    """Return how many decimals each column of a table is printed with."""
    return [column.digits for column in find_table(name)[2].columns]


def _cell(column: Column, measured: Measured) -> float | None:
    value = measured.get(column.measured or "")
    return None if value is None else value * column.scale


def _measure(table: Table, preset: str, dataset: str | None) -> dict[str, Measured]:
    recipes = [row.recipe for row in table.rows.values() if row.recipe]
    if table.kind == "parameters":
        return {recipe: _parameters(recipe, preset) for recipe in recipes}
    if table.kind == "detection":
        return _detection(table, recipes, preset, dataset)
    if table.kind == "latency":
        return _latency(table, recipes, preset)
    return {}


def _parameters(recipe_name: str, preset: str) -> Measured:
    """Count the parameters of the network that the recipe builds, for the dataset that the recipe names."""
    from rgbt_bench.registry import load_converter

    recipe = load_recipe(recipe_name, preset)
    info: DatasetInfo = load_converter(recipe.dataset).info
    return dict(load_submission(recipe.submission)(recipe, info).parameters())


def _detection(table: Table, recipes: list[str], preset: str, dataset: str | None) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    newest: dict[str, str] = {}
    for folder in finished_runs():
        result = read_result(folder / RESULT_FILE)
        if not _fits(result, table, recipes, preset, dataset) or result.model is None:
            continue
        name = result.model.recipe
        if name not in newest or result.created > newest[name]:
            newest[name], found[name] = result.created, dict(result.metrics.figures)
    return found


def _fits(result: Result, table: Table, recipes: list[str], preset: str, dataset: str | None) -> bool:
    """Tell whether a result may fill a cell: unchanged recipe, this preset, official labels unless a set is named."""
    if result.model is None or result.model.recipe not in recipes or result.model.preset != preset:
        return False
    if (
        result.model.recipe not in recipe_files()
        or result.model.recipe_digest != load_recipe(result.model.recipe, preset).digest
    ):
        return False
    if dataset is not None:
        return result.data.dataset == dataset
    return result.standing == "official" and result.data.dataset == table.track


def _latency(table: Table, recipes: list[str], preset: str) -> dict[str, Measured]:
    """Return the newest timing of each recipe at the table's batch, whatever the device: the report names it."""
    found: dict[str, Measured] = {}
    folder = paths.home() / LATENCY_FOLDER
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
        report = _read_latency(path)
        for timing in report.timings:
            if timing.recipe in recipes and timing.preset == preset and timing.batch == table.batch:
                found[timing.recipe] = {"seconds_per_image": timing.median_s / timing.batch}
    return found


def _read_latency(path: Path) -> LatencyReport:
    return LatencyReport.model_validate(read_json(path))

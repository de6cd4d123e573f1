"""A paper's table beside what was measured here; a cell nobody measured stays empty."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rgbt_bench import paths
from rgbt_bench.counting import count_network
from rgbt_bench.datasets.splits import dataset_name, parse_dataset_name
from rgbt_bench.errors import BenchError, UsageError, unknown_name
from rgbt_bench.files import read_json
from rgbt_bench.latency import LatencyReport
from rgbt_bench.leaderboard.papers import BY_RUNS, Column, Row, Table, find_table
from rgbt_bench.opening import dataset_info
from rgbt_bench.recipes import Recipe
from rgbt_bench.registry import load_submission
from rgbt_bench.results import RESULT_FILE, Interval, ModelProvenance, Result, read_result
from rgbt_bench.runs import finished_runs, settled_recipe
from rgbt_bench.seeds import Summary, summarize, summarize_results, versions_note
from rgbt_bench.timing import LATENCY_FOLDER

FORMATS = ("md", "latex")
Measured = dict[str, Summary]
Found = tuple[Path, Result]


@dataclass
class Measurements:
    """Our figures by row, every file each came from, and what a reader has to know of them."""

    values: dict[str, Measured] = field(default_factory=dict)
    sources: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    device_note: str = ""


def reproduce(name: str, preset: str = "paper", dataset: str | None = None) -> dict[str, Any]:
    """Return a paper's table as JSON-ready data: every cell with the paper's figure and ours, None where unmeasured.

    A row's `measured`, `sd` and `n` are mean, sample standard deviation and number of its seeds by column, `interval`
    is that of a single seed, and `from` names every file behind them. Under the preset `paper` a cell of figures is
    filled only by runs of that preset on the track's official labels, which trained their weights themselves.
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
        "measurable": [column.measured is not None for column in table.columns],
        "rows": [
            {
                "name": row_name,
                "recipe": row.recipe,
                "labels": row.labels,
                "paper": list(row.figures) if comparable else [None] * len(row.figures),
                "set": list(row.set),
                **_cells(table.columns, measured.values.get(row_name, {})),
                "from": measured.sources.get(row_name, []),
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
    for column, is_measurable in zip(content["columns"], content["measurable"], strict=True):
        if comparable:
            headers += [f"{column} (paper)", *([f"{column} (measured)"] if is_measurable else [])]
        elif is_measurable:
            headers.append(column)
    body = []
    for row in content["rows"]:
        cells = [row["name"], *(row["labels"].get(name, "") for name in labels)]
        ours = zip(row["measured"], row["sd"], row["n"], row["interval"], strict=True)
        for reported, cell, places, is_measurable in zip(
            row["paper"], ours, digits, content["measurable"], strict=True
        ):
            cells += ["" if reported is None else str(reported)] if comparable else []
            cells += [_shown(*cell, places)] if is_measurable else []
        body.append(cells)
    style = "github" if style == "md" else "latex"
    texts = 1 + len(labels)
    align = [*["left"] * texts, *["right"] * (len(headers) - texts)]
    text = str(tabulate(body, headers, tablefmt=style, disable_numparse=True, colalign=align))
    return text.replace("±", r"$\pm$") if style == "latex" else text


def digits_of(name: str) -> list[int]:
    """Return how many decimals each column of a table is printed with."""
    return [column.digits for column in find_table(name)[2].columns]


def _require_dataset(table: Table, dataset: str) -> None:
    """Refuse a dataset that nothing was run on, or that the table's columns are not of."""
    if not any(one.kind in BY_RUNS for one in (table, *table.parts())):
        raise UsageError(f"--dataset {dataset}: a table of {table.kind} does not depend on a dataset")
    known = {folder.parents[1].name for folder in finished_runs()}
    if dataset not in known:
        raise unknown_name("dataset among the finished runs", dataset, known)
    several = table.datasets()
    if len(several) > 1 and parse_dataset_name(dataset)[0] not in several:
        raise UsageError(f"--dataset {dataset}: the columns of this table are of {' and '.join(sorted(several))}")


def _cells(columns: Sequence[Column], measured: Measured) -> dict[str, list[Any]]:
    """Return a row's means, standard deviations, numbers of seeds and intervals, None where there is none."""
    found = [measured.get(column.name) for column in columns]
    ours = [one and one.scaled(column.scale) for one, column in zip(found, columns, strict=True)]
    return {
        "measured": [one and one.mean for one in ours],
        "sd": [one and one.sd for one in ours],
        "n": [one.n if one and one.mean is not None else None for one in ours],
        "interval": [one and one.interval for one in ours],
    }


def _shown(mean: float | None, sd: float | None, n: int | None, interval: Interval, places: int) -> str:
    if mean is None:
        return ""
    if interval is not None:
        return f"{mean:.{places}f} [{interval[0]:.{places}f}, {interval[1]:.{places}f}]"
    return f"{mean:.{places}f}" if sd is None else f"{mean:.{places}f} ± {sd:.{places}f} (n={n})"


def _measure(table: Table, preset: str, dataset: str | None) -> Measurements:
    """Return our figures of every row by the names of the columns."""
    found = Measurements()
    for part in table.parts():
        elsewhere = dataset is not None and part.dataset != parse_dataset_name(dataset)[0]
        if elsewhere and part.kind in BY_RUNS and len(table.datasets()) > 1:
            continue
        one = _measure_part(part, preset, dataset)
        for row, values in one.values.items():
            named = {column.name: values[column.measured] for column in part.columns if column.measured in values}
            found.values.setdefault(row, {}).update(named)
        for row, sources in one.sources.items():
            found.sources.setdefault(row, []).extend(sources)
        found.notes += [note for note in one.notes if note not in found.notes]
        found.device_note = found.device_note or one.device_note
    return found


def _measure_part(table: Table, preset: str, dataset: str | None) -> Measurements:
    rows = {name: row for name, row in table.rows.items() if row.recipe}
    if table.kind == "parameters":
        return Measurements({name: _parameters(row, preset) for name, row in rows.items()})
    if table.kind == "count":
        return Measurements({name: _counted(row, preset) for name, row in rows.items()})
    if table.kind in BY_RUNS:
        return _results(table, rows, preset, dataset)
    if table.kind == "latency":
        return _latency(table, rows, preset)
    return Measurements()


def _recipe(row: Row, preset: str) -> Recipe:
    return settled_recipe(row.recipe or "", preset, row.set)


def _counted(row: Row, preset: str) -> Measured:
    """Count the parameters and MACs of the recipe's network at the image size that the recipe states."""
    found = count_network(_recipe(row, preset))
    return {"parameters": summarize([found.parameters]), "macs": summarize([found.macs])}


def _parameters(row: Row, preset: str) -> Measured:
    """Count the parameters of the network that the recipe builds, for the dataset that the recipe names."""
    recipe = _recipe(row, preset)
    info = dataset_info(recipe.dataset)
    counts = load_submission(recipe.submission)(recipe, info).parameters()
    return {name: summarize([count]) for name, count in counts.items()}


def _results(table: Table, rows: Mapping[str, Row], preset: str, dataset: str | None) -> Measurements:
    """Take the seeds of each row whose results fit the table and belong together."""
    found = Measurements()
    digests = {name: _recipe(row, preset).digest for name, row in rows.items()}
    fitting: dict[str, list[Found]] = {}
    for folder in finished_runs():
        path = folder / RESULT_FILE
        try:
            result = read_result(path)
        except BenchError as error:
            found.notes.append(f"left out: {error}")
            continue
        if result.model is None or not _fits(result, result.model, table, preset, dataset):
            continue
        of_rows = [name for name, digest in digests.items() if digest == result.model.recipe_digest]
        if of_rows and result.model.weights_from is not None:
            found.notes.append(f"left out: {path}: its weights are from {result.model.weights_from}, not trained here")
            continue
        for name in of_rows:
            if rows[name].recipe == result.model.recipe:
                fitting.setdefault(name, []).append((path, result))
    labels = set()
    for name, candidates in fitting.items():
        called = _called(name, rows[name])
        chosen, notes = _one_group(called, candidates)
        found.values[name] = summarize_results([result for _, result in chosen.values()])
        found.sources[name] = [_source(seed, *one) for seed, one in sorted(chosen.items())]
        found.notes += notes
        labels |= {result.data.label_digest for _, result in chosen.values()}
        found.notes += [
            f"{called}: {column.name} is empty, for it is undefined for {one.undefined} of {one.n} seed(s)"
            for column in table.columns
            if (one := found.values[name].get(column.measured or "")) and one.undefined
        ]
    if any(one.interval for row in found.values.values() for one in row.values()):
        found.notes.append("[low, high] is the 95 % interval of one seed's figure over this test set")
    if len(labels) > 1:
        found.notes.append("the rows were scored on different labels: they do not compare")
    return found


def _called(name: str, row: Row) -> str:
    """Return what a row's notes call it: its recipe, and its own name where it changes something there."""
    return f"{row.recipe} ({name})" if row.set else str(row.recipe)


def _one_group(name: str, candidates: Iterable[Found]) -> tuple[dict[int, Found], list[str]]:
    """Return the results by seed that may share a cell, and a note for what is left out or not alike.

    Of one seed the newest counts. Results on other data, or of another number of processes, never share a cell: the
    most seeds count, of as many the newest.
    """
    groups: dict[tuple[Any, ...], dict[int, Found]] = {}
    older, notes = [], []
    for path, result in sorted(candidates, key=lambda one: (one[1].created, str(one[0])), reverse=True):
        group = groups.setdefault(_data_key(result), {})
        if group.setdefault(_seed(result), (path, result))[0] != path:
            older.append(path)
    best = max(groups.values(), key=len)  # the groups are in the order of their newest
    other = [path for group in groups.values() if group is not best for path, _ in group.values()]
    if older:
        notes.append(f"{name}: of a seed with several results the newest counts, not {_listed(older)}")
    if other:
        notes.append(
            f"{name}: left out, for other data or processes than the {len(best)} seed(s) shown: {_listed(other)}"
        )
    notes += [f"{name}: the seeds were {note}" for note in versions_note(result for _, result in best.values())]
    return best, notes


def _data_key(result: Result) -> tuple[Any, ...]:
    """Return what has to be equal in all seeds of a cell: what they were trained and scored on, and how.

    Processes normalise each its share of a batch, so their number makes another training.
    """
    data = result.data
    processes = result.model.processes if result.model else None
    digests = (data.label_digest, data.train_label_digest, data.val_label_digest, data.fingerprint)
    return (*digests, data.split, data.part, data.skipped, result.protocol_digest, processes)


def _seed(result: Result) -> int:
    return (result.model.seed if result.model else None) or 0


def _source(seed: int, path: Path, result: Result) -> dict[str, Any]:
    settings = list(result.model.settings) if result.model else []
    return {"file": str(path), "seed": seed, "created": result.created, "settings": settings}


def _listed(found: Iterable[Path]) -> str:
    return ", ".join(map(str, found))


def _fits(result: Result, model: ModelProvenance, table: Table, preset: str, dataset: str | None) -> bool:
    """Tell whether a result may fill a cell: this preset, and official labels unless a set is named."""
    if model.preset != preset:
        return False
    if dataset is not None:
        return dataset_name(result.data.dataset, result.data.split) == dataset
    return result.standing == "official" and result.data.dataset == table.dataset


def _latency(table: Table, rows: Mapping[str, Row], preset: str) -> Measurements:
    """Take all cells from one report, the newest of those with the most rows: times of two devices do not compare."""
    best = Measurements()
    names = {row.recipe: name for name, row in rows.items()}
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
            if timing.recipe in names and timing.preset == preset and timing.batch == table.batch
        ]
        if fitting and len(fitting) >= len(best.values):
            best.values = {
                names[one.recipe]: {"seconds_per_image": summarize([one.median_s / one.batch])} for one in fitting
            }
            best.sources = {names[one.recipe]: [{"file": str(path), "device": report.device}] for one in fitting}
            best.device_note = (
                f"Measured on {report.device['name']} ({report.device['type']}, {report.threads} torch thread(s)),"
                f" {fitting[0].precision}, batch {table.batch}."
            )
    return best

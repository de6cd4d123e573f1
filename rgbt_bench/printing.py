"""What a person sees: tables on stdout, progress and errors on stderr.

Nothing is read as markup: a name is printed as it is, and its control characters as escapes.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from rgbt_bench.latency import LatencyReport
    from rgbt_bench.results import Result

# A pipe has no width: tables are not folded there.
_UNFOLDED = 10_000
_GAP = 2
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _UNFOLDED
_out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False, width=_width)
_err = Console(soft_wrap=True, highlight=False, markup=False, emoji=False, stderr=True)


def error(message: str, exit_code: int, as_json: bool) -> None:
    """Print an error: to stderr for people, as one object on stdout with `--json`."""
    if as_json:
        print(json.dumps({"error": message, "exit_code": exit_code}, ensure_ascii=False))
    _err.print("error:", style="red", end=" ")
    _err.print(_clean(message))


def crash(fault: Exception, as_json: bool) -> None:
    """Tell a program that reads our JSON of a failure that nobody foresaw; its traceback goes to stderr."""
    if as_json:
        print(json.dumps({"error": f"{type(fault).__name__}: {fault}", "exit_code": 1}, ensure_ascii=False))


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar on stderr; outside a terminal, one line a stage."""
    if _err.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=_err, transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda stage, done, total: bar.update(task, description=_clean(stage), completed=done, total=total)
        return
    seen: set[str] = set()

    def line(stage: str, done: int, total: int) -> None:
        kind = stage.partition(": epoch")[0]
        if kind not in seen:
            seen.add(kind)
            _err.print(_clean(kind))

    yield line


def rows(content: Sequence[dict[str, Any]]) -> None:
    """Print rows of one shape as a table, or each as a block where the terminal is too narrow for their words."""
    if not content:
        _out.print("nothing")
        return
    headers = [key.replace("_", " ") for key in content[0]]
    body = [[_cell(value) for value in row.values()] for row in content]
    widths = _widths(list(zip(headers, *body, strict=True)))
    if widths is None:
        _blocks(headers, body)
        return
    table_ = _table()
    for header, width, values in zip(
        headers, widths, zip(*(row.values() for row in content), strict=True), strict=True
    ):
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        table_.add_column(header, justify="right" if numbers else "left", width=width)
    for row in body:
        table_.add_row(*row)
    _out.print(table_)


def _widths(columns: Sequence[Sequence[str]]) -> list[int] | None:
    """Return column widths that fit and break no word, or None where there are none."""
    room = _out.width - _GAP * (len(columns) - 1)
    widths = [max(map(cell_len, column)) for column in columns]
    words = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    while sum(widths) > room:
        slack = [width - word for width, word in zip(widths, words, strict=True)]
        if max(slack) == 0:
            return None
        widths[slack.index(max(slack))] -= 1
    return widths


def _blocks(headers: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    indent = max(map(len, headers))
    for name, *cells in body:
        _out.print(name, style="bold")
        for header, cell in zip(headers[1:], cells, strict=True):
            if cell:
                _out.print(f"  {header:<{indent}}  {cell}")


def conversion(report: dict[str, Any]) -> None:
    """Print a conversion report."""
    _out.print(_clean(f"{report['dataset']}: layout {report['layout']}"), style="bold")
    _figures(["part", "pairs"], [[part, count] for part, count in report["parts"].items()])
    for names, verdict in report["expected"].items():
        _line(f"expected {names}: {verdict}")
    for quirk, count in report["quirks"].items():
        _line(f"known quirk, {quirk}: {count}")
    for fault in report["faults"]:
        _out.print("left out", style="yellow", end=" ")
        _line(fault)
    _line(f"fingerprint {report['fingerprint']}")
    _line(f"written to {report['out']}")


def inspection(content: dict[str, Any]) -> None:
    """Print what a dataset holds."""
    _out.print(_clean(f"{content['name']}: {content['title']}"), style="bold")
    parts = content["parts"].values()
    lines: list[list[Any]] = [
        [label, *(part[key] for part in parts)]
        for label, key in (("pairs", "samples"), ("pairs without boxes", "samples_without_boxes"), ("boxes", "boxes"))
    ]
    for group in ("classes", "sizes", "illumination"):
        names = dict.fromkeys(name for part in parts for name in part[group])
        lines += [[f"{group}: {name}", *(part[group].get(name, 0) for part in parts)] for name in names]
    lines += [
        [digest.replace("_", " "), *((part["digests"][digest] or "")[:16] for part in parts)]
        for digest in ("label_digest", "rgb_digest", "thermal_digest")
    ]
    _figures(["", *content["parts"]], lines)
    for name, part in content["parts"].items():
        _line(f"{name}: {part['official']}")
    _line(f"fingerprint {content['fingerprint']}")
    _line(f"splits: {', '.join(content['splits'])}")
    if content["skipped"]:
        _out.print(f"unofficial: {content['skipped']} sample(s) were left out at conversion", style="yellow")
    if "sheet" in content:
        _line(f"contact sheet: {content['sheet']}")


def recipe(path: Path, digest: str, preset: str, settings: list[str] | None) -> None:
    """Print a recipe file as it is, with its digest under the preset and settings."""
    _line(path.read_text(encoding="utf-8").rstrip())
    if preset == "quick":
        _line("# in use: the values under `quick` replace those above")
    for setting in settings or ():
        _line(f"# in use: --set {setting} replaces the value above")
    _line(f"# digest of what is in use: {digest}")


def result(found: "Result", where: Path | None, sheet: Path | None = None) -> None:
    """Print a result's figures, their standing, and where it and its contact sheet lie."""
    subsets = found.metrics.subsets
    _figures(
        ["", "all", *subsets],
        [
            [name, _figure(value), *(_figure(figures[name]) for figures in subsets.values())]
            for name, value in found.metrics.figures.items()
        ],
    )
    scores = ("AP", "AP50", "AP75", "AR100")
    _figures(
        ["class", *scores, "boxes"],
        [
            [name, *(_figure(figures[score]) for score in scores), _count(figures["ground_truths"])]
            for name, figures in found.metrics.per_class.items()
        ],
    )
    _line(f"track {found.track}, {found.standing}: {found.standing_reason}")
    if where is not None:
        _line(f"written to {where}")
    if sheet is not None:
        _line(f"contact sheet with predictions: {sheet}")


def latency(report: "LatencyReport", path: Path) -> None:
    """Print a latency report."""
    _line(f"device: {report.device['name']} ({report.device['type']}), {report.threads} torch thread(s)")
    _figures(
        ["recipe", "batch", "size", "median s", "p90 s", "p99 s", "images/s", "GMACs", "parameters"],
        [
            [
                timing.recipe,
                timing.batch,
                "x".join(map(str, timing.image_size)),
                *(f"{value:.4f}" for value in (timing.median_s, timing.p90_s, timing.p99_s)),
                f"{timing.images_per_s:.2f}",
                f"{timing.macs / 1e9:.2f}",
                f"{timing.parameters:,}",
            ]
            for timing in report.timings
        ],
    )
    for batch, ratio in report.ratio_to_teacher.items():
        _line(f"time over the teacher's, batch {batch}: {ratio:.2f}")
    if report.macs_ratio_to_teacher is not None:
        _line(f"MACs over the teacher's: {report.macs_ratio_to_teacher:.2f}")
    _line(f"written to {path}")


def table(content: dict[str, Any], text: str, style: str) -> None:
    """Print a reproduced table with its title and notes; LaTeX is printed bare."""
    if style == "latex":
        print(text)
        return
    print(f"{content['table']}: {content['title']}\n\n{text}")
    for note in content["notes"]:
        print(f"\n{note}")


def _figures(headers: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Print figures by name: names on the left, all else to the right."""
    table_ = _table()
    for place, header in enumerate(headers):
        table_.add_column(_clean(header), justify="right" if place else "left", overflow="fold")
    for line in lines:
        table_.add_row(*map(_cell, line))
    _out.print(table_)


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")


def _line(text: str) -> None:
    _out.print(_clean(text))


def _clean(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else _clean(str(value))


def _count(value: float | None) -> str:
    return "" if value is None else str(int(value))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"

"""What a person sees: tables on stdout, progress and errors on stderr."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from rgbt_bench.latency import LatencyReport
    from rgbt_bench.results import Result

# A pipe has no width: tables are not folded there.
_out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 240)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def error(message: str, exit_code: int, as_json: bool) -> None:
    """Print an error: to stderr for people, as one object on stdout with `--json`."""
    if as_json:
        print(json.dumps({"error": message, "exit_code": exit_code}, ensure_ascii=False))
    _err.print(f"[red]error:[/red] {escape(message)}")


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar on stderr; outside a terminal, one line a stage."""
    if _err.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=_err, transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)
        return
    seen: set[str] = set()

    def line(stage: str, done: int, total: int) -> None:
        kind = stage.partition(": epoch")[0]
        if kind not in seen:
            seen.add(kind)
            _err.print(escape(kind))

    yield line


def rows(content: Sequence[dict[str, Any]]) -> None:
    """Print rows of one shape as a table."""
    if not content:
        _out.print("nothing")
        return
    table_ = _table(list(content[0]))
    for row in content:
        table_.add_row(*(_cell(value) for value in row.values()))
    _out.print(table_)


def conversion(report: dict[str, Any]) -> None:
    """Print a conversion report."""
    _out.print(f"[bold]{escape(report['dataset'])}[/bold]: layout {escape(report['layout'])}")
    table_ = _table(["part", "pairs"])
    for part, count in report["parts"].items():
        table_.add_row(part, str(count))
    _out.print(table_)
    for names, verdict in report["expected"].items():
        _out.print(escape(f"expected {names}: {verdict}"))
    for quirk, count in report["quirks"].items():
        _out.print(escape(f"known quirk, {quirk}: {count}"))
    for fault in report["faults"]:
        _out.print(f"[yellow]left out[/yellow] {escape(fault)}")
    _out.print(f"fingerprint {report['fingerprint']}")
    _out.print(escape(f"written to {report['out']}"))


def inspection(content: dict[str, Any]) -> None:
    """Print what a dataset holds."""
    _out.print(f"[bold]{escape(content['name'])}[/bold]: {escape(content['title'])}")
    parts = content["parts"]
    table_ = _table(["", *parts])
    for label, key in (("pairs", "samples"), ("pairs without boxes", "samples_without_boxes"), ("boxes", "boxes")):
        table_.add_row(label, *(str(part[key]) for part in parts.values()))
    for group in ("classes", "sizes", "illumination"):
        names = dict.fromkeys(name for part in parts.values() for name in part[group])
        for name in names:
            table_.add_row(f"{group}: {name}", *(str(part[group].get(name, 0)) for part in parts.values()))
    for digest in ("label_digest", "rgb_digest", "thermal_digest"):
        table_.add_row(digest, *(_cell((part["digests"][digest] or "")[:16]) for part in parts.values()))
    _out.print(table_)
    for name, part in parts.items():
        _out.print(escape(f"{name}: {part['official']}"))
    _out.print(f"fingerprint {content['fingerprint']}")
    _out.print(escape(f"splits: {', '.join(content['splits'])}"))
    if content["skipped"]:
        _out.print(f"[yellow]unofficial: {content['skipped']} sample(s) were left out at conversion[/yellow]")
    if "sheet" in content:
        _out.print(escape(f"contact sheet: {content['sheet']}"))


def recipe(path: Path, digest: str, preset: str, settings: list[str] | None) -> None:
    """Print a recipe file as it is, with its digest under the preset and settings."""
    _out.print(escape(path.read_text(encoding="utf-8").rstrip()))
    given = f", {' '.join(settings)}" if settings else ""
    _out.print(escape(f"# digest with preset {preset}{given}: {digest}"))


def result(found: "Result", where: Path | None) -> None:
    """Print a result's figures, their standing, and where it lies."""
    subsets = found.metrics.subsets
    table_ = _table(["", "all", *subsets])
    for name, value in found.metrics.figures.items():
        table_.add_row(name, _figure(value), *(_figure(figures[name]) for figures in subsets.values()))
    _out.print(table_)
    classes = _table(["class", "AP", "AP50", "AP75", "AR100", "boxes"])
    for name, figures in found.metrics.per_class.items():
        scores = (_figure(figures[key]) for key in ("AP", "AP50", "AP75", "AR100"))
        classes.add_row(escape(name), *scores, _cell(figures["ground_truths"]))
    _out.print(classes)
    _out.print(escape(f"track {found.track}, {found.standing}: {found.standing_reason}"))
    if where is not None:
        _out.print(escape(f"written to {where}"))


def latency(report: "LatencyReport", path: Path) -> None:
    """Print a latency report."""
    _out.print(escape(f"device: {report.device['name']} ({report.device['type']}), {report.threads} torch thread(s)"))
    table_ = _table(["recipe", "batch", "size", "median s", "p90 s", "p99 s", "images/s", "GMACs", "parameters"])
    for timing in report.timings:
        table_.add_row(
            timing.recipe,
            str(timing.batch),
            "x".join(map(str, timing.image_size)),
            *(f"{value:.4f}" for value in (timing.median_s, timing.p90_s, timing.p99_s)),
            f"{timing.images_per_s:.2f}",
            f"{timing.macs / 1e9:.2f}",
            f"{timing.parameters:,}",
        )
    _out.print(table_)
    for batch, ratio in report.ratio_to_teacher.items():
        _out.print(f"time over the teacher's, batch {batch}: {ratio:.2f}")
    if report.macs_ratio_to_teacher is not None:
        _out.print(f"MACs over the teacher's: {report.macs_ratio_to_teacher:.2f}")
    _out.print(escape(f"written to {path}"))


def table(content: dict[str, Any], text: str, style: str) -> None:
    """Print a reproduced table with its title and notes; LaTeX is printed bare."""
    if style == "latex":
        print(text)
        return
    where = f", measured on {content['dataset']}" if content["dataset"] else ""
    preset = f" (preset {content['preset']}{where})" if where or content["preset"] != "paper" else ""
    print(f"{content['table']}: {content['title']}{preset}\n\n{text}")
    for note in content["notes"]:
        print(f"\n{note}")


def _table(headers: list[str]) -> Table:
    table_ = Table(box=None, pad_edge=False, header_style="bold")
    for index, header in enumerate(headers):
        table_.add_column(escape(header), justify="left" if index == 0 else "right", overflow="fold")
    return table_


def _cell(value: Any) -> str:
    return "" if value is None else escape(str(value))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"

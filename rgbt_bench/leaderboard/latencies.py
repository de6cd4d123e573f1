"""The latency reports that were kept of a recipe, the newest of each device."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from rgbt_bench import paths
from rgbt_bench.errors import BenchError
from rgbt_bench.files import canonical_json, read_json
from rgbt_bench.latency import LatencyReport
from rgbt_bench.timing import LATENCY_FOLDER


def latency_reports(recipe: str, preset: str) -> tuple[LatencyReport, ...]:
    """Return the newest report of each device and number of threads that timed a recipe with a preset."""
    newest: dict[str, LatencyReport] = {}
    for report in _reports():
        if any(one.recipe == recipe and one.preset == preset for one in report.timings):
            newest[canonical_json([report.device, report.threads])] = report
    return tuple(newest.values())


def _reports() -> Iterator[LatencyReport]:
    """Yield every readable report, oldest first."""
    folder = paths.home() / LATENCY_FOLDER
    for path in sorted(folder.glob("*.json"), key=_age):
        try:
            yield LatencyReport.model_validate(read_json(path))
        except (BenchError, ValidationError):
            continue


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name

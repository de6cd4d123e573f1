"""What is printed of fusion metrics beside their figures."""

from typing import TYPE_CHECKING

from .console import line

if TYPE_CHECKING:
    from rgbt_bench.results import AnyMetrics, Figure, Result

CONTROLS_NOTE = "(in brackets) the controls: what no method has to beat, so fusion metrics rank nothing"


def controls_of(metrics: "AnyMetrics") -> "dict[str, dict[str, Figure]]":
    """Return the figures of the controls by name; none of another task."""
    return metrics.controls if metrics.kind == "fusion" else {}


def fusion_notes(found: "Result") -> None:
    """Print what the controls are, as whom the figures were computed, and where one is undefined."""
    metrics = found.metrics
    if metrics.kind != "fusion":
        return
    line(CONTROLS_NOTE)
    if metrics.undefined:
        told = ", ".join(f"{name} of {count:,}" for name, count in metrics.undefined.items())
        line(f"undefined, and left out of the mean, for so many of {found.data.samples:,} pairs: {told}")
    if found.evaluator != "rgbt-bench":
        line(f"computed as {found.evaluator}: docs/explanation/fusion-metrics.md says what differs")

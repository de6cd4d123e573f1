"""What is printed of fusion metrics beside their figures."""

from typing import TYPE_CHECKING

from .console import figure, figure_table, line

if TYPE_CHECKING:
    from rgbt_bench.results import AnyMetrics, Figure, Result

CONTROLS_NOTE = "(in brackets) the controls: what no method has to beat, so fusion metrics rank nothing"


def controls_of(metrics: "AnyMetrics") -> "dict[str, dict[str, Figure]]":
    """Return the figures of the controls by name; none of another task."""
    return metrics.controls if metrics.kind == "fusion" else {}


def fusion_notes(found: "Result") -> None:
    """Print the figures of the controls, as whom they were computed, and where a figure is undefined."""
    metrics = found.metrics
    if metrics.kind != "fusion":
        return
    controls = metrics.controls
    figure_table(
        ["mean", "this", *(f"({name})" for name in controls)],
        [
            [name, figure(value), *(figure(one.get(name)) for one in controls.values())]
            for name, value in metrics.figures.items()
        ],
    )
    line(CONTROLS_NOTE)
    if metrics.undefined:
        told = ", ".join(f"{name} of {count:,}" for name, count in metrics.undefined.items())
        line(f"undefined, and left out of the mean, for so many of {found.data.samples:,} pairs: {told}")
    if found.evaluator != "rgbt-bench":
        line(f"computed as {found.evaluator}: docs/explanation/fusion-metrics.md says what differs")

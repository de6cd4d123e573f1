"""Box plots of fusion metrics over several methods, as TarDAL's Fig. 7 has them."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rgbt_bench.errors import MissingError
from rgbt_bench.files import write_with
from rgbt_bench.results import FusionMetrics

_COLUMNS = 4
_FAR = "noise"


def draw_box_plots(path: Path, methods: Mapping[str, FusionMetrics], names: Sequence[str] | None = None) -> None:
    """Write box plots by metric: the whiskers reach to the extremes, the line is the median, the triangle the mean.

    Beside the methods stand the means of the controls, as dashes. `names` are the metrics, all of the first without it.

    Raises:
        MissingError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingError(
            "pictures of figures need the package 'matplotlib': pip install 'rgbt-bench[train]'"
        ) from None
    first = next(iter(methods.values()))
    names = [name for name in (names or first.figures) if any(name in one.spread for one in methods.values())]
    columns = min(_COLUMNS, len(names)) or 1
    rows = -(-len(names) // columns) or 1
    width = 1.2 + 0.45 * (len(methods) + len(first.controls))
    figure = Figure(figsize=(max(width, 2.4) * columns, 3.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place < len(names):
            _draw(axes, names[place], methods, first)
        else:
            axes.set_visible(False)
    write_with(path, partial(figure.savefig, dpi=110, format="png"))


def _draw(axes: Any, name: str, methods: Mapping[str, FusionMetrics], first: FusionMetrics) -> None:
    boxes = [_box(label, one, name) for label, one in methods.items() if name in one.spread]
    axes.bxp(
        boxes,
        showmeans=True,
        showfliers=False,
        widths=0.6,
        medianprops={"color": "tab:orange"},
        meanprops={"marker": "^", "markerfacecolor": "tab:green", "markeredgecolor": "tab:green"},
    )
    labels = [str(box["label"]) for box in boxes]
    controls = {control: figures.get(name) for control, figures in first.controls.items()}
    low, high = _limits(boxes, [value for control, value in controls.items() if control != _FAR])
    axes.set_ylim(low, high)
    for place, (control, value) in enumerate(controls.items(), len(boxes) + 1):
        if value is not None and low <= value <= high:
            axes.plot([place - 0.3, place + 0.3], [value, value], color="tab:gray", linewidth=2)
        elif value is not None:
            edge, side, arrow = (high, "top", "↑") if value > high else (low, "bottom", "↓")
            axes.text(place, edge, f"{arrow}\n{value:.2g}", ha="center", va=side, fontsize="small", color="tab:gray")
        labels.append(f"({control})")
    axes.set_xlim(0.4, len(labels) + 0.6)
    axes.set_xticks(range(1, len(labels) + 1), labels, rotation=90, fontsize="x-small")
    axes.set_title(name, fontsize="medium")
    axes.grid(alpha=0.3, axis="y")


def _limits(boxes: Sequence[Mapping[str, Any]], controls: Sequence[float | None]) -> tuple[float, float]:
    """Return the ends of an axis: noise, whose gradients are tenfold, is not to flatten what is looked at."""
    values = [float(box[end]) for box in boxes for end in ("whislo", "whishi")]
    values += [value for value in controls if value is not None]
    margin = 0.06 * (max(values) - min(values)) or 0.5
    return min(values) - margin, max(values) + margin


def _box(label: str, metrics: FusionMetrics, name: str) -> dict[str, object]:
    one = metrics.spread[name]
    return {
        "label": label,
        "whislo": one.minimum,
        "q1": one.first_quartile,
        "med": one.median,
        "q3": one.third_quartile,
        "whishi": one.maximum,
        "mean": metrics.figures[name],
    }

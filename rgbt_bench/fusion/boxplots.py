"""Box plots of fusion metrics over several methods, as TarDAL's Fig. 7 has them."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rgbt_bench.errors import MissingError
from rgbt_bench.files import write_with
from rgbt_bench.results import FusionMetrics

_COLUMNS = 4


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
        medianprops={"color": "tab:orange"},
        meanprops={"marker": "^", "markerfacecolor": "tab:green", "markeredgecolor": "tab:green"},
    )
    labels = [str(box["label"]) for box in boxes]
    for place, (control, figures) in enumerate(first.controls.items(), len(boxes) + 1):
        if (value := figures.get(name)) is not None:
            axes.plot([place - 0.3, place + 0.3], [value, value], color="tab:gray", linewidth=2)
        labels.append(f"({control})")
    axes.set_xticks(range(1, len(labels) + 1), labels, rotation=90, fontsize="x-small")
    axes.set_title(name, fontsize="medium")
    axes.grid(alpha=0.3, axis="y")


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

"""The loss curve of a training, as a picture."""

from pathlib import Path
from typing import Any

_LINEAR = 0.1  # a symmetric logarithmic axis is linear between this and its negative


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """Draw every loss term over the epochs, training solid and validation dashed, on a logarithmic axis.

    Where a term is not positive, the axis is symmetric.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    names = sorted({name for row in history for name in row["train"]}, key=lambda name: (name != "total", name))
    epochs = [row["epoch"] for row in history]
    for index, name in enumerate(names):
        colour = f"C{index}"
        axes.plot(epochs, [row["train"].get(name) for row in history], color=colour, label=name)
        if any(name in row["val"] for row in history):
            axes.plot(epochs, [row["val"].get(name) for row in history], color=colour, linestyle="--")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (solid: train, dashed: val)")
    values = [value for row in history for part in ("train", "val") for value in row[part].values()]
    if all(value > 0 for value in values):
        axes.set_yscale("log")
    else:  # the terms of a GAN change their sign
        axes.set_yscale("symlog", linthresh=_LINEAR)
    axes.grid(alpha=0.3)
    # beside the axes: eight curves leave no free corner inside
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=110, format="png")

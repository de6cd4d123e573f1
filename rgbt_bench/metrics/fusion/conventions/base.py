"""What a convention is: a toolbox's fusion metrics under the names of ours, its defects included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.errors import unknown_name

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

_Prepared = TypeVar("_Prepared")


class Figures(Protocol):
    """A pair and its fused image in, figures by metric name out."""

    def __call__(
        self, rgb: Bytes, thermal: Bytes, fused: Bytes, names: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Return the figures of `names`, or of all metrics of the convention."""


@dataclass(frozen=True, slots=True)
class Convention:
    """How one toolbox computes fusion metrics.

    `figures(rgb, thermal, fused, names)` takes uint8 images of one size: rgb [H, W, 3] or [H, W], thermal [H, W], fused
    [H, W] or [H, W, 3]. What colour becomes says `images`. A figure is NaN where the toolbox has none or an infinite
    one. `differences` says of each metric that differs from `rgbt-bench`, in one sentence, how and why; `source` names
    the repository and commit that were read.
    """

    name: str
    title: str
    source: str
    images: str
    metrics: tuple[str, ...]
    figures: Figures
    differences: Mapping[str, str]


def figures_of(
    convention: str,
    functions: Mapping[str, Callable[[_Prepared], float]],
    prepare: Callable[[Bytes, Bytes, Bytes], _Prepared],
) -> Figures:
    """Return the `figures` of a convention: a function for each metric of what `prepare` makes of the images."""

    def figures(rgb: Bytes, thermal: Bytes, fused: Bytes, names: Sequence[str] | None = None) -> dict[str, float]:
        chosen = check_names(convention, names, tuple(functions))
        check_images(rgb, thermal, fused)
        with np.errstate(all="ignore"):
            prepared = prepare(rgb, thermal, fused)
            found = {name: float(functions[name](prepared)) for name in chosen}
        return {name: value if isfinite(value) else nan for name, value in found.items()}

    return figures


def check_names(convention: str, names: Sequence[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names asked for, all where none is.

    Raises:
        UsageError: the convention has no metric of a name.
    """
    for name in names or ():
        if name not in known:
            raise unknown_name(f"metric of {convention}", name, known)
    return known if names is None else tuple(names)


def check_images(rgb: Bytes, thermal: Bytes, fused: Bytes) -> None:
    """Check dtypes and sizes.

    Raises:
        ValueError: another dtype, other dimensions, no pixel, or two sizes.
    """
    for name, image, colour in (("rgb", rgb, True), ("thermal", thermal, False), ("fused", fused, True)):
        flat = image.ndim == 2 or (colour and image.ndim == 3 and image.shape[2] == 3)
        if image.dtype != np.uint8 or not flat or not image.size:
            expected = "uint8[H, W] or uint8[H, W, 3]" if colour else "uint8[H, W]"
            raise ValueError(f"{name}: {expected} expected, not {image.dtype}{image.shape}")
        if image.shape[:2] != rgb.shape[:2]:
            raise ValueError(f"rgb is {rgb.shape[:2]} and {name} {image.shape[:2]}: one size expected")

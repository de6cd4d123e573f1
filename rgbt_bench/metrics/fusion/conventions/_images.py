"""What toolboxes make of colour, and how they round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from rgbt_bench.metrics.fusion.conventions.base import Bytes, Floats

# The first row of the inverse of NTSC's matrix from YIQ, which is what MATLAB's rgb2gray multiplies with.
_MATLAB: Final = (0.298936021293775, 0.587043074451121, 0.114020904255103)


class Grays(NamedTuple):
    """A pair and its fused image in gray, whole levels 0..255 as float64[H, W] each."""

    visible: Floats
    thermal: Floats
    fused: Floats


def grays(gray: Callable[[Bytes], Bytes]) -> Callable[[Bytes, Bytes, Bytes], Grays]:
    """Return what makes Grays of rgb, thermal and fused with `gray`, which takes uint8[H, W, 3]."""

    def convert(image: Bytes) -> Floats:
        flat: Floats = (image if image.ndim == 2 else gray(image)).astype(np.float64)
        return flat

    return lambda rgb, thermal, fused: Grays(convert(rgb), convert(thermal), convert(fused))


def half_away(values: Floats) -> Floats:
    """Round to the nearest, halves away from zero, as MATLAB does."""
    whole = np.trunc(values)
    rounded: Floats = whole + np.sign(values) * (np.abs(values - whole) >= 0.5)
    return rounded


def saturated(values: Floats) -> Floats:
    """Return what MATLAB's uint8 keeps of values: rounded and held within 0..255."""
    kept: Floats = np.clip(half_away(values), 0, 255)
    return kept


def matlab_gray_exact(image: Bytes) -> Floats:
    """Return MATLAB's rgb2gray of a double image, float64[H, W] of [H, W, 3]: not rounded."""
    exact: Floats = image.astype(np.float64) @ np.array(_MATLAB)
    return exact


def matlab_gray(image: Bytes) -> Bytes:
    """Return MATLAB's rgb2gray of a uint8 image, uint8[H, W] of [H, W, 3]."""
    return saturated(matlab_gray_exact(image)).astype(np.uint8)


def opencv_gray(image: Bytes) -> Bytes:
    """Return OpenCV's gray of a float32 image, rounded with halves to the even one, uint8[H, W] of [H, W, 3]."""
    red, green, blue = (image[..., channel].astype(np.float32) for channel in range(3))
    mixed = blue * np.float32(0.114) + green * np.float32(0.587) + red * np.float32(0.299)
    gray: Bytes = np.rint(mixed).astype(np.uint8)
    return gray

"""Separable filters over images, in plain numpy."""

from __future__ import annotations

import numpy as np

from rgbt_bench.metrics.fusion.conventions.base import Floats


def gaussian(size: int, sigma: float) -> Floats:
    """Return the taps of a Gaussian that sum to 1, float64[size]."""
    steps = np.arange(size) - (size - 1) / 2
    taps: Floats = np.exp(-(steps**2) / (2 * sigma**2))
    taps /= taps.sum()
    return taps


def filtered(image: Floats, rows: Floats, columns: Floats | None = None) -> Floats:
    """Correlate [H, W] with the taps `rows` down and `columns` (or `rows`) across, where the window fits in the image.

    The result keeps the image's dtype. It has no pixel where no window fits.
    """
    return _along(_along(image, rows, 0), rows if columns is None else columns, 1)


def padded(image: Floats, margin: int, mode: str = "constant") -> Floats:
    """Return an image with a margin on all sides: zeros, or by another mode of numpy.pad."""
    wide: Floats = np.pad(image, margin, mode=mode)  # type: ignore[call-overload]
    return wide


def mean(values: Floats) -> float:
    """Return the mean, NaN of nothing."""
    return float(values.mean()) if values.size else float("nan")


def sobel(image: Floats, mode: str) -> tuple[Floats, Floats]:
    """Return what Sobel's masks find across (right less left) and down (lower less upper), borders padded by `mode`."""
    wide = padded(image, 1, mode)
    smooth, slope = np.array([1.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0])
    return filtered(wide, smooth, slope), filtered(wide, slope, smooth)


def frequencies(shape: tuple[int, int], degrees: float) -> Floats:
    """Return the radius of each frequency as VIFB builds it, k / degrees for k cycles an image, in fft2's order."""
    down, across = (np.fft.fftfreq(side, d=1 / side) / degrees for side in shape)
    radius: Floats = np.hypot(down[:, None], across[None, :])
    return radius


def in_frequency(image: Floats, gain: Floats) -> Floats:
    """Return an image multiplied with a real gain in the frequency domain, its real part."""
    back: Floats = np.fft.ifft2(np.fft.fft2(image) * gain).real
    return back


def _along(image: Floats, taps: Floats, axis: int) -> Floats:
    moved = np.moveaxis(image, axis, 0)
    length = max(0, len(moved) - len(taps) + 1)
    out = np.zeros((length, *moved.shape[1:]), dtype=image.dtype)
    for offset, tap in enumerate(taps.astype(image.dtype)):
        if tap:
            out += tap * moved[offset : offset + length]
    return np.moveaxis(out, 0, axis)

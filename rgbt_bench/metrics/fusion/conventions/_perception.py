"""Two measures modelled on human vision, Qcb and Qcv, as VIFB took them from Z. Liu's imageFusionMetrics."""

from __future__ import annotations

from typing import Final

import numpy as np

from rgbt_bench.metrics.fusion.conventions._filters import filtered, frequencies, in_frequency, padded, sobel
from rgbt_bench.metrics.fusion.conventions._images import Grays, half_away
from rgbt_bench.metrics.fusion.conventions.base import Floats

_BLOCK: Final = 16


def contrast_preservation(images: Grays) -> float:
    """Return Qcb, 0..1, higher is better; NaN where an image is flat.

    Source: Y. Chen and R. S. Blum, Image and Vision Computing 27, 2009.
    """
    return preserved_contrast([_normalised(image) for image in images], degrees=15, least=0.0)


def preserved_contrast(images: list[Floats], degrees: float, least: float) -> float:
    """Return Qcb of three images; `degrees` scales the frequencies, `least` is added to denominators."""
    radius = frequencies(images[0].shape, degrees)
    gain = np.exp(-((radius / 15.3870) ** 2)) - 0.7622 * np.exp(-((radius / 1.3456) ** 2))
    masked = []
    for image in images:
        contrast = np.abs(_contrast(in_frequency(image, gain), least))
        masked.append(contrast**3 / (contrast**2 + 0.0001))
    first, second, fused = masked
    total = first**2 + second**2 + least
    kept = [np.where(one < fused, one / fused, fused / one) for one in (first, second)]
    return float((first**2 / total * kept[0] + second**2 / total * kept[1]).mean())


def human_perception(images: Grays) -> float:
    """Return Qcv, 0 or more, lower is better; NaN where an image is flat.

    Source: H. Chen and P. K. Varshney, Information Fusion 8, 2007, with the filter of Mannos and Sakrison.
    """
    visible, thermal, fused = (_normalised(image) for image in images)
    radius = 0.144 * frequencies(fused.shape, 4)
    gain = 2.6 * (0.0192 + radius) * np.exp(-(radius**1.1))
    above, below = 0.0, 0.0
    for source in (visible, thermal):
        across, down = sobel(source, "constant")
        saliency = _blocks(np.sqrt(across**2 + down**2) ** 5)
        error = _blocks(in_frequency(source - fused, gain) ** 2) / _BLOCK**2
        above += (saliency * error).sum()
        below += saliency.sum()
    return float(np.float64(above) / below)


def _normalised(image: Floats) -> Floats:
    """Return the image stretched to 0..255 and rounded; all NaN where it is flat but not black."""
    low, high = image.min(), image.max()
    return image if low == high == 0 else half_away((image - low) / (high - low) * 255)


def _contrast(image: Floats, least: float) -> Floats:
    """Return the ratio of a narrow and a wide Gaussian mean, less 1; beyond the borders all is 0."""
    wide = padded(image, 15)
    steps = np.arange(-15, 16)
    near, far = (
        filtered(wide, np.exp(-(steps**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)) for sigma in (2.0, 4.0)
    )
    ratio: Floats = near / (far + least) - 1
    return ratio


def _blocks(values: Floats) -> Floats:
    """Return the sums of 16x16 blocks; those at the right and lower borders are filled up with zeros."""
    height, width = (-side % _BLOCK for side in values.shape)
    full = np.pad(values, ((0, height), (0, width)))
    rows, columns = (side // _BLOCK for side in full.shape)
    sums: Floats = full.reshape(rows, _BLOCK, columns, _BLOCK).sum(axis=(1, 3))
    return sums

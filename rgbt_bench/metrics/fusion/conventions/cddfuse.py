"""The convention of the Evaluator that CDDFuse (Z. Zhao et al., CVPR 2023) ships, which many later papers took over."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan, log
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion.conventions import _shared as shared
from rgbt_bench.metrics.fusion.conventions._filters import filtered, gaussian, mean
from rgbt_bench.metrics.fusion.conventions._images import Grays, grays, opencv_gray
from rgbt_bench.metrics.fusion.conventions.base import Convention, Floats, figures_of

_WINDOW: Final = 7
# skimage up to 0.21 took 2 as the range of any float image.
_RANGE: Final = 2.0


def _information(images: Grays) -> float:
    visible, thermal, fused = images
    bits = shared.mutual_information(fused, visible) + shared.mutual_information(fused, thermal)
    return bits * log(2)


def _gradient(images: Grays) -> float:
    return mean(shared.mean_gradient(images.fused))


def _peak_ratio(images: Grays) -> float:
    return float(10 * np.log10(images.fused.max() ** 2 / shared.mean_squared_error(images)))


def _smooth(image: Floats, size: int) -> Floats:
    return filtered(image, gaussian(size, size / 5))


def _visual_information(images: Grays) -> float:
    if min(images.fused.shape) < 41:  # no window fits in the last scale
        return float("nan")
    ratios = [shared.visual_information(source, images.fused, _smooth) for source in images[:2]]
    return sum(1.0 if isnan(ratio) else ratio for ratio in ratios)


def _structure(images: Grays) -> float:
    return _similarity(images.fused, images.visible) + _similarity(images.fused, images.thermal)


def _similarity(first: Floats, second: Floats) -> float:
    """Return SSIM of skimage 0.19 on float32 images without a stated range; in float32 throughout, as there."""
    one, other = first.astype(np.float32), second.astype(np.float32)
    if min(one.shape) < _WINDOW:
        return float("nan")
    light, structure = np.float32((0.01 * _RANGE) ** 2), np.float32((0.03 * _RANGE) ** 2)
    sample = np.float32(_WINDOW**2 / (_WINDOW**2 - 1))
    means = _box(one), _box(other)
    variances = [sample * (_box(x * x) - m * m) for x, m in zip((one, other), means, strict=True)]
    common = sample * (_box(one * other) - means[0] * means[1])
    two = np.float32(2)
    above = (two * means[0] * means[1] + light) * (two * common + structure)
    below = (means[0] ** 2 + means[1] ** 2 + light) * (variances[0] + variances[1] + structure)
    return float((above / below).mean(dtype=np.float64))


def _box(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of 7x7 windows that fit, rounded to float32 after each direction, as scipy rounds them."""
    taps, one = np.ones(_WINDOW), np.ones(1)
    down = (filtered(image.astype(np.float64), taps, one) / _WINDOW).astype(np.float32)
    return (filtered(down.astype(np.float64), one, taps) / _WINDOW).astype(np.float32)


_METRICS: Final[dict[str, Callable[[Any], float]]] = {
    "EN": lambda images: shared.entropy(shared.histogram(images.fused)),
    "MI": _information,
    "SD": lambda images: images.fused.std(),
    "VIF": _visual_information,
    "Qabf": shared.edge_transfer,
    "SSIM": _structure,
    "SCD": shared.correlations_of_differences,
    "CC": shared.mean_correlation,
    "AG": _gradient,
    "SF": lambda images: shared.spatial_frequency(images.fused),
    "PSNR": _peak_ratio,
}

CDDFUSE: Final = Convention(
    name="cddfuse",
    title="Evaluator of MMIF-CDDFuse (Python, sklearn, skimage 0.19)",
    source="Zhaozixiang1228/MMIF-CDDFuse utils/Evaluator.py, commit 40de058; versions of its requirements.txt",
    images="OpenCV's float gray of rgb, thermal and fused, rounded with halves to even",
    metrics=tuple(_METRICS),
    figures=figures_of("cddfuse", _METRICS, grays(opencv_gray)),
    differences=MappingProxyType(
        {
            "MI": "In nats, not bits, because sklearn's mutual_info_score takes the natural logarithm: 0.693 times.",
            "VIF": "A source without any variance counts as 1, where the ratio is undefined.",
            "Qabf": "Zeros lie beyond the borders, an edge that all images share; and equal gradients of source and "
            "fused count with their strength in place of the ratio 1, so strong copied edges count fully, "
            "those below 0.5 not.",
            "SSIM": "The sum, not the mean; skimage gets float32 images without a range and takes 2 for it, so the "
            "constants are 16,256 times too small and flat areas count as noise; its window is a box of 7x7 "
            "with sample variances.",
            "AG": "Central differences, one-sided at the borders, not forward ones; over all H W pixels.",
            "SF": "Each mean is over the differences that there are, not over all H W pixels.",
            "PSNR": "The peak is the fused image's largest level, not 255, so a darker result has a lower PSNR.",
        }
    ),
)

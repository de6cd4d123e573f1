"""MEF-SSIM, which one toolbox calls SSIM: how much of the sources' best local structure the fused image keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from rgbt_bench.metrics.fusion.conventions._filters import filtered, gaussian, mean
from rgbt_bench.metrics.fusion.conventions.base import Floats

_SIZE: Final = 11
_CONSTANT: Final = (0.03 * 255) ** 2
_WEIGHTS: Final = np.array([0.0448, 0.2856, 0.3001]) / (0.0448 + 0.2856 + 0.3001)
_TINY: Final = float(np.finfo(np.float64).eps)


def exposure_similarity(sources: Sequence[Floats], fused: Floats) -> float:
    """Return MEF-SSIM of sources and a fused image, float64[H, W] of 0..255; at most 1; NaN below 11x11.

    In each window the sources' deviations from their means are mixed, each by its share of the contrast, and scaled to
    the strongest contrast; that patch is compared with the fused one by the contrast-structure part of SSIM.

    Source: K. Ma, K. Zeng and Z. Wang, IEEE TIP 24(11), 2015, without luminance.
    """
    box, bell = np.full(_SIZE, 1 / _SIZE), gaussian(_SIZE, 1.5)
    count = len(sources)
    means = [filtered(source, box) for source in sources]
    covariance = [
        [filtered(sources[i] * sources[j], box) - means[i] * means[j] for j in range(count)] for i in range(count)
    ]
    contrast = [np.sqrt(np.maximum(_SIZE**2 * covariance[i][i], 0)) + 0.001 for i in range(count)]
    shares = _shares(covariance, contrast)
    mixed = [share / strength for share, strength in zip(shares, contrast, strict=True)]
    norm = np.sqrt(np.maximum(_SIZE**2 * _mixed(covariance, mixed), 0))
    scale = np.where(norm > 0, np.max(contrast, axis=0) / np.where(norm > 0, norm, 1), 1)
    weighted = [filtered(source, bell) for source in sources]
    spread = [
        [filtered(sources[i] * sources[j], bell) - weighted[i] * weighted[j] for j in range(count)]
        for i in range(count)
    ]
    of_fused = filtered(fused, bell)
    own = filtered(fused * fused, bell) - of_fused**2
    common = sum(mixed[i] * (filtered(sources[i] * fused, bell) - weighted[i] * of_fused) for i in range(count))
    quality = (2 * scale * common + _CONSTANT) / (scale**2 * _mixed(spread, mixed) + own + _CONSTANT)
    return mean(quality)


def multiscale_exposure_similarity(sources: Sequence[Floats], fused: Floats) -> float:
    """Return the product of MEF-SSIM at three scales, each to its weight, halved in between; NaN below 44x44."""
    if min(fused.shape) < _SIZE * 4:
        return float("nan")
    product = 1.0
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            sources, fused = [_halved(source) for source in sources], _halved(fused)
        product *= np.float64(exposure_similarity(sources, fused)) ** weight
    return float(product)


def _shares(covariance: list[list[Floats]], contrast: list[Floats]) -> list[Floats]:
    """Return each source's share: by its contrast, the more sharply the more the sources agree."""
    strengths = [np.sqrt(np.maximum(_SIZE**2 * row[i], 0)) for i, row in enumerate(covariance)]
    together = np.sqrt(np.maximum(_SIZE**2 * _mixed(covariance, [np.ones(1)] * len(covariance)), 0))
    agreement = (together + _TINY) / (np.sum(strengths, axis=0) + _TINY)
    power = np.minimum(np.tan(np.pi / 2 * np.where(agreement > 1, 1 - _TINY, agreement)), 10)
    raised = [(strength / _SIZE) ** power + _TINY for strength in contrast]
    return [one / np.sum(raised, axis=0) for one in raised]


def _mixed(covariance: list[list[Floats]], factors: Sequence[Floats]) -> Floats:
    """Return the variance of the sum of the sources times their factors."""
    total = sum(factors[i] * factors[j] * covariance[i][j] for i in range(len(factors)) for j in range(len(factors)))
    return np.asarray(total)


def _halved(image: Floats) -> Floats:
    """Return the means of 2x2 pixels; a last odd row or column meets itself."""
    even = np.pad(image, [(0, side % 2) for side in image.shape], mode="edge")
    halved: Floats = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return halved

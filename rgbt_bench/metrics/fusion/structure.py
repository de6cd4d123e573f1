"""Fusion metrics of local means, variances and covariances under Gaussian windows: SSIM, MS-SSIM and VIF."""

from __future__ import annotations

from functools import cache
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion.triple import Triple

Floats = NDArray[np.float64]

SSIM_SIZE: Final = 11
SSIM_SIGMA: Final = 1.5
LEAST_MEAN: Final = (0.01 * 255) ** 2
LEAST_VARIANCE: Final = (0.03 * 255) ** 2
MS_SSIM_WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_LEAST_SIDE: Final = SSIM_SIZE * 2 ** (len(MS_SSIM_WEIGHTS) - 1)

VIF_SIZES: Final = (17, 9, 5, 3)  # the standard deviation of each window is a fifth of its size
VIF_NOISE: Final = 2.0
VIF_LEAST: Final = 1e-10
VIF_LEAST_SIDE: Final = 41  # below it the windows of the last scale do not fit


def ssim(triple: Triple) -> float:
    """Return SSIM, the mean of SSIM(luma, fused) and SSIM(thermal, fused), -1..1, higher is better.

    It is the mean, so 1 means equal, and half the sum that other toolboxes print. Windows are Gaussian, 11x11 with
    sigma 1.5, and lie in the image; L is 255, K1 0.01, K2 0.03. It is NaN where a side is below 11; constant images
    have a figure.

    Source: Z. Wang et al., IEEE TIP 13(4), 2004.
    """
    if min(triple.shape) < SSIM_SIZE:
        return nan
    sources, fused, levels = _centred(triple)
    return float(_ssim_means(sources, fused, levels)[:, 0].mean())


def ms_ssim(triple: Triple) -> float:
    """Return MS-SSIM, the mean of MS-SSIM(luma, fused) and MS-SSIM(thermal, fused), 0..1, higher is better.

    Five scales with the weights of the paper, each the means of 2x2 blocks of the one before (a last odd row or column
    is left out), windows as in SSIM. A factor below 0, as of an inverted image, is taken as 0. It is NaN where a side
    is below 176, at which the last scale has one window.

    Source: Z. Wang et al., Asilomar 2003.
    """
    if min(triple.shape) < MS_SSIM_LEAST_SIDE:
        return nan
    sources, fused, levels = _centred(triple)
    figures = np.ones(len(sources))
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        both, structure = _ssim_means(sources, fused, levels).T
        last = scale == len(MS_SSIM_WEIGHTS) - 1
        figures *= np.maximum(both if last else structure, 0.0) ** weight
        sources, fused = _halved(sources), _halved(fused)
    return float(figures.mean())


def vif(triple: Triple) -> float:
    """Return VIF, VIFp(luma, fused) + VIFp(thermal, fused), 0 or more, higher is better; 2 where the three are equal.

    VIFp is the pixel form over four scales with Gaussian windows of 17, 9, 5 and 3 pixels that lie in the image, sigma
    a fifth of the size, and a noise variance of 2. A fused image of more contrast than its sources may exceed 2. It is
    NaN where luma or thermal is constant, and where a side is below 41.

    Source: H. R. Sheikh and A. C. Bovik, IEEE TIP 15(2), 2006, in the form of its authors' code vifp_mscale.
    """
    from rgbt_bench.metrics.fusion import _window_kernels as kernels

    if min(triple.shape) < VIF_LEAST_SIDE:
        return nan
    sources, fused, _ = _centred(triple)
    sums = np.zeros((len(sources), 2))
    for scale, size in enumerate(VIF_SIZES):
        window = gaussian(size, size / 5)
        if scale:
            sources = np.stack([kernels.smaller(source, window) for source in sources])
            fused = kernels.smaller(fused, window)
        sums += kernels.vif_sums(sources, fused, window, VIF_NOISE, VIF_LEAST)
    kept, had = sums.T
    return float((kept / had).sum()) if had.all() else nan


@cache
def gaussian(size: int, sigma: float) -> Floats:
    """Return the weights of a Gaussian window of an odd size along one side, float64[size], their sum 1."""
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    weights.flags.writeable = False
    return weights


def _centred(triple: Triple) -> tuple[Floats, Floats, Floats]:
    """Return the sources, float64[2, H, W], and fused, float64[H, W], less the commonest level of each, and these.

    No variance changes, and none of a flat background is left to rounding.
    """
    levels = triple.histograms.argmax(axis=1).astype(np.float64)
    luma, thermal, fused = (image - level for image, level in zip(triple.images, levels, strict=True))
    return np.stack([luma, thermal]), fused, levels


def _halved(images: Floats) -> Floats:
    """Return the means of 2x2 blocks of images, float64[..., H, W]."""
    height, width = (side // 2 * 2 for side in images.shape[-2:])
    rows = images[..., :height:2, :width] + images[..., 1:height:2, :width]
    halved: Floats = (rows[..., ::2] + rows[..., 1::2]) / 4
    return halved


def _ssim_means(sources: Floats, fused: Floats, levels: Floats) -> Floats:
    """Return mean SSIM and its mean factor for contrast and structure of each source with fused, float64[2, 2]."""
    from rgbt_bench.metrics.fusion import _window_kernels as kernels

    window = gaussian(SSIM_SIZE, SSIM_SIGMA)
    return kernels.ssim_means(sources, fused, window, levels, LEAST_MEAN, LEAST_VARIANCE)

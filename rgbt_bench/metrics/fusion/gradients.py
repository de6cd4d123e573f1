"""Fusion metrics of differences between neighbouring pixels: AG, SF, Qabf and Nabf."""

from __future__ import annotations

from math import nan, sqrt
from typing import Final

import numpy as np

from rgbt_bench.metrics.fusion.triple import Triple

# Height, slope and middle of the logistic functions of relative strength and of agreement of direction.
QABF_STRENGTH: Final = (0.9994, 15.0, 0.5)
QABF_ANGLE: Final = (0.9879, 22.0, 0.8)
NABF_STRENGTH: Final = (0.9999, 19.0, 0.5)
NABF_ANGLE: Final = (0.9995, 22.0, 0.5)
NABF_THRESHOLD: Final = 2.0
NABF_LEAST_WEIGHT: Final = 0.001
SOBEL_SIZE: Final = 3


def average_gradient(triple: Triple) -> float:
    """Return AG, the mean of sqrt((dx^2 + dy^2) / 2) of the fused image, in levels, higher is better.

    dx and dy are the differences to the next pixel in the row and in the column, over the (H - 1)(W - 1) pixels that
    have both. It is 0 for a constant image, and NaN where a side is 1.

    Source: G. Cui et al., Optics Communications 341, 2015.
    """
    from rgbt_bench.metrics.fusion import _gradient_kernels as kernels

    height, width = triple.shape
    if min(height, width) < 2:
        return nan
    return kernels.gradient_sum(triple.fused) / sqrt(2) / ((height - 1) * (width - 1))


def spatial_frequency(triple: Triple) -> float:
    """Return SF, sqrt(RF^2 + CF^2) of the fused image, in levels, higher is better; 0 for a constant image.

    RF^2 and CF^2 are the sums of the squared differences between neighbours in a row and in a column, over H W.

    Source: A. M. Eskicioglu and P. S. Fisher, IEEE Trans. Communications 43(12), 1995.
    """
    from rgbt_bench.metrics.fusion import _gradient_kernels as kernels

    return sqrt(kernels.squared_differences(triple.fused) / triple.fused.size)


def edge_preservation(triple: Triple) -> float:
    """Return Qabf, how much of the strength and direction of both sources' edges fused keeps, 0..1, higher is better.

    Sobel gradients of the pixels that have all 8 neighbours, each source's weighted by its strength (L = 1). The ratio
    of two equal strengths is 1. Angles lie in (-pi/2, pi/2] and their difference does not wrap, as published: an edge
    that turns past pi/2 counts as lost. It is NaN where neither source has an edge, and where a side is below 3.

    Source: C. S. Xydeas and V. Petrovic, Electronics Letters 36(4), 2000.
    """
    from rgbt_bench.metrics.fusion import _gradient_kernels as kernels

    if min(triple.shape) < SOBEL_SIZE:
        return nan
    curves = np.array(QABF_STRENGTH), np.array(QABF_ANGLE)
    preserved, weights = kernels.qabf_sums(*triple.images, *curves)
    return float(preserved / weights) if weights else nan


def artefacts(triple: Triple) -> float:
    """Return Nabf, the weighted share of edges that fused has and neither source has, 0..1, lower is better.

    Kumar's modification of Petrovic's measure: what fused loses of both sources' edges, over the pixels where its own
    is stronger than either. Sobel gradients over 8, of the pixels that have all 8 neighbours. It is 0 for a constant
    fused image, and NaN where a side is below 3.

    Source: B. K. Shreyamsha Kumar, Signal, Image and Video Processing 7(6), 2013.
    """
    from rgbt_bench.metrics.fusion import _gradient_kernels as kernels

    if min(triple.shape) < SOBEL_SIZE:
        return nan
    curves = np.array(NABF_STRENGTH), np.array(NABF_ANGLE)
    lost, weights = kernels.nabf_sums(*triple.images, *curves, NABF_THRESHOLD, NABF_LEAST_WEIGHT)
    return float(lost / weights)

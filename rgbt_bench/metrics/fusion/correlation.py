"""Fusion metrics of sums of products of pixels, which are whole numbers and so exact: SD, CC, SCD and PSNR.

They take the sums over the pixels of the products of two of (1, luma, thermal, fused), int64[4, 4].
"""

from __future__ import annotations

from math import log10, nan, sqrt
from typing import Final

import numpy as np

from rgbt_bench.metrics.fusion.triple import Counts

_LUMA: Final = (1, 0, 0)
_THERMAL: Final = (0, 1, 0)
_FUSED: Final = (0, 0, 1)
_FUSED_LESS_LUMA: Final = (-1, 0, 1)
_FUSED_LESS_THERMAL: Final = (0, -1, 1)


def standard_deviation(products: Counts) -> float:
    """Return SD, the standard deviation of the fused image, 0..127.5 levels, higher is better; 0 for a constant image.

    It is the population's: the sum of squares is divided by the number of pixels.

    Source: Y.-J. Rao, Measurement Science and Technology 8, 1997; V. Aslantas and E. Bendes, AEU 69(12), 2015.
    """
    pixels, total, squares = (int(products[i, j]) for i, j in ((0, 0), (0, 3), (3, 3)))
    return sqrt(pixels * squares - total * total) / pixels


def correlation(products: Counts) -> float:
    """Return CC, the mean of Pearson's correlations of luma and of thermal with fused, -1..1, higher is better.

    It is NaN where one of the three images is constant.

    Source: S. Li et al., IEEE TIP 22(7), 2013, as averaged in J. Ma et al., Information Fusion 45, 2019.
    """
    return (_pearson(products, _LUMA, _FUSED) + _pearson(products, _THERMAL, _FUSED)) / 2


def sum_of_correlations_of_differences(products: Counts) -> float:
    """Return SCD, r(fused - thermal, luma) + r(fused - luma, thermal), -2..2, higher is better.

    r is Pearson's correlation; differences keep their sign. It is NaN where one of the four images is constant: where
    luma or thermal is, or fused is one of them up to a constant.

    Source: V. Aslantas and E. Bendes, AEU 69(12), 2015.
    """
    return _pearson(products, _FUSED_LESS_THERMAL, _LUMA) + _pearson(products, _FUSED_LESS_LUMA, _THERMAL)


def peak_signal_to_noise_ratio(products: Counts) -> float:
    """Return PSNR, 10 log10(255^2 / MSE) of the mean MSE of fused to luma and to thermal, dB, higher is better.

    It is NaN where the three images are one (infinite, which no mean survives and JSON cannot say).

    Source: P. Jagalingam and A. V. Hegde, Aquatic Procedia 4, 2015.
    """
    pixels = int(products[0, 0])
    squares = sum(_product(products, difference, difference) for difference in (_FUSED_LESS_LUMA, _FUSED_LESS_THERMAL))
    return 10 * log10(255 * 255 * 2 * pixels / squares) if squares else nan


def _product(products: Counts, first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Return the sum over the pixels of the product of two images, each the three images times whole numbers."""
    return int(np.array(first) @ products[1:, 1:] @ np.array(second))


def _pearson(products: Counts, first: tuple[int, ...], second: tuple[int, ...]) -> float:
    pixels, sums = int(products[0, 0]), products[0, 1:]

    def covariance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
        return pixels * _product(products, one, other) - int(np.array(one) @ sums) * int(np.array(other) @ sums)

    spread = covariance(first, first) * covariance(second, second)
    return covariance(first, second) / sqrt(spread) if spread else nan

"""The fusion metric of features: FMI, of pixels as they are."""

from __future__ import annotations

from functools import cache
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion.triple import LEVELS, Triple

FMI_SIZE: Final = 3


def feature_mutual_information(triple: Triple) -> float:
    """Return FMI, the mean over all 3x3 windows and both sources of 2 I(source, fused) / (H(source) + H(fused)).

    Higher is better, 1 where both equal fused. A window's pixels, less their least, in shares of their sum are a
    distribution over its 9 places, column by column; the joint one is Nelsen's: Frechet's upper or lower bound and the
    product of both, mixed to have the pixels' correlation. Windows that are equal have 1; else one without a spread has
    0. It is NaN where a side is below 3.

    Source: M. Haghighat et al., Computers and Electrical Engineering 37(5), 2011, as Fast-FMI, AICT 2014.
    """
    from rgbt_bench.metrics.fusion import _feature_kernels as kernels

    height, width = triple.shape
    if min(height, width) < FMI_SIZE:
        return nan
    values = np.empty((width - FMI_SIZE + 1, 2, kernels.TERMS))
    weights = np.empty_like(values)
    total = 0.0
    for y in range(height - FMI_SIZE + 1):
        total += kernels.row_terms(*triple.images, y, _logarithms(), values, weights)
        # NumPy takes many logarithms at once, which a compiled loop does one by one.
        np.log(values, out=values)
        total += float((values * weights).sum())
    return total / (2 * (height - FMI_SIZE + 1) * (width - FMI_SIZE + 1))


@cache
def _logarithms() -> NDArray[np.float64]:
    """Return the logarithms of the sums that a window can have, 0 of 0."""
    logs: NDArray[np.float64] = np.log(np.arange(FMI_SIZE**2 * (LEVELS - 1) + 1).clip(min=1))
    logs.flags.writeable = False
    return logs

"""Fusion metrics of histograms of 256 levels: EN, MI and CE; pixels may be permuted without changing them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion.triple import Counts, Triple


def entropy(triple: Triple) -> float:
    """Return EN, the entropy of the fused image's histogram, 0..8 bit, higher is better; 0 for a constant image.

    Source: J. W. Roberts et al., J. Applied Remote Sensing 2, 2008.
    """
    return _entropy(triple.histograms[2])


def mutual_information(triple: Triple) -> float:
    """Return MI, MI(luma, fused) + MI(thermal, fused), 0..16 bit, higher is better.

    It is 0 where the fused image is constant, and nowhere undefined. No image is stretched and nothing is normalised.

    Source: G. Qu et al., Electronics Letters 38(7), 2002.
    """
    of_luma, of_thermal, of_fused = (_entropy(counts) for counts in triple.histograms)
    joints = [_entropy(joint) for joint in triple.joint_histograms]
    return max(0.0, of_luma + of_fused - joints[0]) + max(0.0, of_thermal + of_fused - joints[1])


def cross_entropy(triple: Triple) -> float:
    """Return CE, the mean over both sources of their histogram's divergence from the fused one's, bit, lower is better.

    Of a source with level shares p and a fused image with shares q it is the sum of p log2(p / q) over the levels that
    both have, as VIFB has it: the levels that one of them lacks are left out, so it may fall below 0, and is 0 where no
    level is in both. It is the Kullback-Leibler divergence where every level of the source is in the fused image.

    Source: D. M. Bulanon et al., Biosystems Engineering 103, 2009, in the form of VIFB's code.
    """
    luma, thermal, fused = triple.histograms / triple.fused.size
    return (_divergence(luma, fused) + _divergence(thermal, fused)) / 2


def _entropy(counts: Counts) -> float:
    """Return the entropy of counts in bits; it is exactly 0 where one count has everything."""
    present = counts[counts > 0]
    pixels = present.sum()
    return float(present @ np.log2(pixels / present) / pixels)


def _divergence(source: NDArray[np.float64], fused: NDArray[np.float64]) -> float:
    both = (source > 0) & (fused > 0)
    return float(source[both] @ np.log2(source[both] / fused[both]))

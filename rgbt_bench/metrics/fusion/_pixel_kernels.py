"""Loops over pixels one by one, in whole numbers; importing this module imports numba."""

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion._compiling import compiled

Bytes = NDArray[np.uint8]
Counts = NDArray[np.int64]


@compiled
def joint_histograms(luma: Bytes, thermal: Bytes, fused: Bytes) -> Counts:
    """Return how often each level of each source meets each of fused, int64[2, 256, 256]."""
    counts = np.zeros((2, 256, 256), dtype=np.int64)
    for i in range(len(fused)):
        counts[0, luma[i], fused[i]] += 1
        counts[1, thermal[i], fused[i]] += 1
    return counts


@compiled
def products(luma: Bytes, thermal: Bytes, fused: Bytes) -> Counts:
    """Return the sums of the products of two of (1, luma, thermal, fused), int64[4, 4]."""
    a = b = f = aa = bb = ff = ab = af = bf = np.int64(0)
    for i in range(len(fused)):
        x, y, z = np.int64(luma[i]), np.int64(thermal[i]), np.int64(fused[i])
        a += x
        b += y
        f += z
        aa += x * x
        bb += y * y
        ff += z * z
        ab += x * y
        af += x * z
        bf += y * z
    return np.array([[len(fused), a, b, f], [a, aa, ab, af], [b, ab, bb, bf], [f, af, bf, ff]])

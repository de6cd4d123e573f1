"""Loops over windows: Gaussian filtering, and the sums of SSIM and of VIF; importing this module imports numba."""

from math import log

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion._compiling import compiled

Floats = NDArray[np.float64]


@compiled
def _along(column: Floats, weights: Floats, out: Floats) -> None:
    """Fill the weighted sums over every window of a row; weights, of an odd length, are symmetric."""
    last = len(weights) - 1
    half = last // 2
    weight = weights[half]
    for x in range(len(out)):
        out[x] = weight * column[x + half]
    for k in range(half):
        left, right, weight = column[k:], column[last - k :], weights[k]
        for x in range(len(out)):
            out[x] += weight * (left[x] + right[x])


@compiled
def _means(rows: Floats, weights: Floats, column: Floats, out: Floats) -> None:
    """Fill the weighted means over the windows of as many rows as there are weights."""
    last = len(weights) - 1
    half = last // 2
    middle, weight = rows[half], weights[half]
    for x in range(len(column)):
        column[x] = weight * middle[x]
    for k in range(half):
        above, below, weight = rows[k], rows[last - k], weights[k]
        for x in range(len(column)):
            column[x] += weight * (above[x] + below[x])
    _along(column, weights, out)


@compiled
def _product_means(rows: Floats, others: Floats, weights: Floats, column: Floats, out: Floats) -> None:
    """Fill the weighted means of the product of two images over the windows of as many rows as there are weights."""
    last = len(weights) - 1
    half = last // 2
    middle, other_middle, weight = rows[half], others[half], weights[half]
    for x in range(len(column)):
        column[x] = weight * (middle[x] * other_middle[x])
    for k in range(half):
        above, below, weight = rows[k], rows[last - k], weights[k]
        other_above, other_below = others[k], others[last - k]
        for x in range(len(column)):
            column[x] += weight * (above[x] * other_above[x] + below[x] * other_below[x])
    _along(column, weights, out)


@compiled
def smaller(image: Floats, weights: Floats) -> Floats:
    """Return the weighted means over every second window, in both directions, that lies in the image."""
    size = len(weights)
    column = np.empty(image.shape[1])
    row = np.empty(image.shape[1] - size + 1)
    out = np.empty(((image.shape[0] - size) // 2 + 1, (len(row) - 1) // 2 + 1))
    for y in range(len(out)):
        _means(image[2 * y : 2 * y + size], weights, column, row)
        out[y] = row[::2]
    return out


@compiled
def _moments(sources: Floats, fused: Floats, top: int, weights: Floats, column: Floats, out: Floats) -> None:
    """Fill the windowed means from row `top` on: of fused and its square, then of each source, its square, its product.

    Means of squares and products lack those of the means: they are variances and covariances.
    """
    bottom = top + len(weights)
    own = fused[top:bottom]
    _means(own, weights, column, out[0])
    _product_means(own, own, weights, column, out[1])
    for x in range(out.shape[1]):
        out[1, x] -= out[0, x] * out[0, x]
    for i in range(len(sources)):
        rows = sources[i, top:bottom]
        mean, variance, covariance = out[2 + 3 * i], out[3 + 3 * i], out[4 + 3 * i]
        _means(rows, weights, column, mean)
        _product_means(rows, rows, weights, column, variance)
        _product_means(rows, own, weights, column, covariance)
        for x in range(out.shape[1]):
            variance[x] -= mean[x] * mean[x]
            covariance[x] -= mean[x] * out[0, x]


@compiled
def ssim_means(
    sources: Floats, fused: Floats, weights: Floats, levels: Floats, least_mean: float, least_variance: float
) -> Floats:
    """Return the means over the windows of SSIM, and of its factor for contrast and structure: float64[sources, 2].

    The images, float64[sources, H, W] and float64[H, W], lack the `levels`, those of the sources first, everywhere.
    """
    height, width = fused.shape[0] - len(weights) + 1, fused.shape[1] - len(weights) + 1
    column = np.empty(fused.shape[1])
    moments = np.empty((2 + 3 * len(sources), width))
    both = np.empty(width)
    structure = np.empty(width)
    sums = np.zeros((len(sources), 2))
    for y in range(height):
        _moments(sources, fused, y, weights, column, moments)
        for i in range(len(sources)):
            for x in range(width):
                spread = moments[3 + 3 * i, x] + moments[1, x] + least_variance
                structure[x] = (2 * moments[4 + 3 * i, x] + least_variance) / spread
                a, f = moments[2 + 3 * i, x] + levels[i], moments[0, x] + levels[-1]
                both[x] = structure[x] * ((2 * a * f + least_mean) / (a * a + f * f + least_mean))
            for x in range(width):
                sums[i, 0] += both[x]
                sums[i, 1] += structure[x]
    means: Floats = sums / (height * width)
    return means


@compiled
def vif_sums(sources: Floats, fused: Floats, weights: Floats, noise: float, least: float) -> Floats:
    """Return the information of each source at one scale that fused keeps, and that there is: float64[sources, 2].

    A logarithm of a product stands for a sum of logarithms: 32 factors of at most 8129 cannot overflow.
    """
    height, width = fused.shape[0] - len(weights) + 1, fused.shape[1] - len(weights) + 1
    column = np.empty(fused.shape[1])
    moments = np.empty((2 + 3 * len(sources), width))
    factors = np.ones((len(sources), 2, width))
    sums = np.zeros((len(sources), 2))
    for y in range(height):
        _moments(sources, fused, y, weights, column, moments)
        for i in range(len(sources)):
            kept, had = factors[i]
            for x in range(width):
                fused_variance = moments[1, x]
                covariance = moments[4 + 3 * i, x]
                variance = moments[3 + 3 * i, x]
                variance = variance if variance >= least else 0.0
                gain = covariance / (variance + least)
                gain = gain if variance > 0.0 and fused_variance >= least and gain > 0.0 else 0.0
                rest = fused_variance - gain * covariance
                rest = rest if rest > least else least
                kept[x] *= 1.0 + gain * gain * variance / (rest + noise)
                had[x] *= 1.0 + variance / noise
        if y % 32 == 31 or y == height - 1:
            for i in range(len(sources)):
                for j in range(2):
                    for x in range(width):
                        sums[i, j] += log(factors[i, j, x])
            factors[:] = 1.0
    return sums

"""Loops over differences of neighbours and over Sobel gradients; importing this module imports numba."""

from math import atan, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion._compiling import compiled

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]


@compiled
def gradient_sum(image: Bytes) -> float:
    """Return the sum of the lengths of the differences to the next pixel of row and column, where both are."""
    total = 0.0
    for y in range(image.shape[0] - 1):
        for x in range(image.shape[1] - 1):
            here = np.int64(image[y, x])
            right, down = np.int64(image[y, x + 1]) - here, np.int64(image[y + 1, x]) - here
            total += sqrt(right * right + down * down)
    return total


@compiled
def squared_differences(image: Bytes) -> np.int64:
    """Return the sum of the squares of all differences between neighbours in a row and in a column."""
    total = np.int64(0)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            here = np.int64(image[y, x])
            if x > 0:
                total += (here - image[y, x - 1]) ** 2
            if y > 0:
                total += (here - image[y - 1, x]) ** 2
    return total


@compiled
def _sobel(image: Bytes, y: int, strength: Floats, angle: Floats) -> None:
    """Fill strength and angle of the gradient in a row, but for its ends; the angle is pi/2 where the row has none."""
    for x in range(1, image.shape[1] - 1):
        above_left, above, above_right = np.int64(image[y - 1, x - 1]), image[y - 1, x], image[y - 1, x + 1]
        left, right = np.int64(image[y, x - 1]), image[y, x + 1]
        below_left, below, below_right = np.int64(image[y + 1, x - 1]), image[y + 1, x], image[y + 1, x + 1]
        along = (above_left + 2 * left + below_left) - (above_right + 2 * np.int64(right) + below_right)
        across = (below_left + 2 * np.int64(below) + below_right) - (above_left + 2 * np.int64(above) + above_right)
        strength[x] = sqrt(along * along + across * across)
        angle[x] = pi / 2 if along == 0 else atan(across / along)


@compiled
def qabf_sums(luma: Bytes, thermal: Bytes, fused: Bytes, strength_curve: Floats, angle_curve: Floats) -> Floats:
    """Return the sums of edge preservation times weight, and of the weights: float64[2].

    A curve is the height, the slope and the middle of a logistic function.
    """
    strength = np.empty((3, fused.shape[1]))
    angle = np.empty((3, fused.shape[1]))
    preserved = weights = 0.0
    height, slope, middle = strength_curve
    angle_height, angle_slope, angle_middle = angle_curve
    for y in range(1, fused.shape[0] - 1):
        _sobel(luma, y, strength[0], angle[0])
        _sobel(thermal, y, strength[1], angle[1])
        _sobel(fused, y, strength[2], angle[2])
        for x in range(1, fused.shape[1] - 1):
            for i in range(2):
                source, own = strength[i, x], strength[2, x]
                if source == 0:
                    continue
                ratio = min(source, own) / max(source, own)
                agreement = 1 - abs(angle[i, x] - angle[2, x]) / (pi / 2)
                preserved += source * (
                    height / (1 + exp(-slope * (ratio - middle)))
                    * (angle_height / (1 + exp(-angle_slope * (agreement - angle_middle))))
                )  # fmt: skip
                weights += source
    return np.array([preserved, weights])


@compiled
def nabf_sums(
    luma: Bytes, thermal: Bytes, fused: Bytes, strength_curve: Floats, angle_curve: Floats,
    threshold: float, least_weight: float,
) -> Floats:  # fmt: skip
    """Return the sums of what is lost where fused has the strongest edge, times weight, and of the weights: float64[2].

    A strength is an eighth of Sobel's, and its weight is its power of 1.5, or the least below the threshold.
    """
    strength = np.empty((3, fused.shape[1]))
    angle = np.empty((3, fused.shape[1]))
    lost = weights = 0.0
    height, slope, middle = strength_curve
    angle_height, angle_slope, angle_middle = angle_curve
    for y in range(1, fused.shape[0] - 1):
        _sobel(luma, y, strength[0], angle[0])
        _sobel(thermal, y, strength[1], angle[1])
        _sobel(fused, y, strength[2], angle[2])
        for x in range(1, fused.shape[1] - 1):
            own = strength[2, x]
            artefact = own > strength[0, x] and own > strength[1, x]
            for i in range(2):
                source = strength[i, x] / 8
                weight = source * sqrt(source) if source >= threshold else least_weight
                weights += weight
                if artefact:
                    agreement = abs(abs(angle[i, x] - angle[2, x]) - pi / 2) / (pi / 2)
                    preserved = sqrt(
                        height / (1 + exp(-slope * (strength[i, x] / own - middle)))
                        * (angle_height / (1 + exp(-angle_slope * (agreement - angle_middle))))
                    )  # fmt: skip
                    lost += (1 - preserved) * weight
    return np.array([lost, weights])

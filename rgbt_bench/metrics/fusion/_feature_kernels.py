"""The loops of FMI over windows of 3x3 pixels; importing this module imports numba."""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion._compiling import compiled

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Sums = tuple[np.int64, np.int64, np.int64, np.int64, float]

_PIXELS: Final = 9
_CELLS: Final = 2 * _PIXELS - 1
TERMS: Final = 2 * _CELLS + 1  # for each pair of windows


@compiled
def _window(image: Bytes, y: int, x: int, logs: Floats, shares: Integers) -> Sums:
    """Fill a window's pixels, column by column, less their least; or ones where all are equal.

    Returned are the sums of the shares, of their squares, of the places and of their squares times the shares, and of
    the shares times their logarithms.
    """
    least = greatest = np.int64(image[y, x])
    for k in range(_PIXELS):
        value = np.int64(image[y + k % 3, x + k // 3])
        shares[k] = value
        least = min(least, value)
        greatest = max(greatest, value)
    total = squares = places = place_squares = np.int64(0)
    weighted = 0.0
    for k in range(_PIXELS):
        share = shares[k] - least if greatest > least else np.int64(1)
        shares[k] = share
        total += share
        squares += share * share
        places += k * share
        place_squares += k * k * share
        weighted += share * logs[share]
    return total, squares, places, place_squares, weighted


@compiled
def _cells(
    first: Integers,
    second: Integers,
    totals: tuple[np.int64, np.int64],
    reverse: np.bool,
    ends: Integers,
    out: Integers,
) -> np.int64:
    """Fill the cells through which Frechet's bound of two distributions goes; return the sum of place x place x share.

    Laid end to end, the shares of both cut one length into 17 cells at most. A cell is its share of the product of both
    totals, and the product of the two shares that it joins. The bound is the lower one if `reverse`, else the upper. No
    branch depends on the pixels: the processor could not foretell it.
    """
    end = other_end = np.int64(0)
    for k in range(_PIXELS):
        end += first[k] * totals[1]
        other_end += second[_PIXELS - 1 - k if reverse else k] * totals[0]
        ends[0, k] = end
        ends[1, k] = other_end
    # Whichever is at its end waits there: what is left of the other has no share.
    ends[0, _PIXELS] = ends[1, _PIXELS] = end + 1
    last = np.int64(_PIXELS - 1)
    i = j = start = products = np.int64(0)
    for k in range(_CELLS):
        own, other = ends[0, i], ends[1, j]
        place = last - j if reverse else j
        before = np.int64(own <= other)
        stop = other + before * (own - other)
        out[0, k] = stop - start
        out[1, k] = first[i] * second[place]
        products += i * place * (stop - start)
        start = stop
        i += before
        j += 1 - before
    return products


@compiled
def _terms(
    first: Integers, second: Integers, one: Sums, other: Sums, logs: Floats, ends: Integers, cells: Integers,
    values: Floats, weights: Floats,
) -> float:  # fmt: skip
    """Fill the terms of the normalised mutual information of two windows; return what is to be added to their sum.

    Their sum is that of weights times logarithms of values. Under Nelsen's joint distribution, `mixed` times the bound
    and `rest` times the product of both, the entropy has a closed form outside the bound's cells. The rest may be below
    0, and so may a probability; its logarithm is that of its size.
    """
    values[:] = 1.0
    weights[:] = 0.0
    total = one[0] * other[0]
    products = np.int64(0)
    for k in range(_PIXELS):
        products += first[k] * second[k]
    covariance = _PIXELS * products - total
    spreads = (one[0] * one[3] - one[2] * one[2]) * (other[0] * other[3] - other[2] * other[2])
    if covariance == 0 or spreads == 0:
        return 0.0
    variances = (_PIXELS * one[1] - one[0] * one[0]) * (_PIXELS * other[1] - other[0] * other[0])
    products = _cells(first, second, (one[0], other[0]), covariance < 0, ends, cells)
    mixed = covariance / sqrt(variances) * sqrt(spreads) / (products - one[2] * other[2])
    rest = 1.0 - mixed
    entropies = logs[one[0]] + logs[other[0]] - one[4] / one[0] - other[4] / other[0]
    scale, inverse = 2.0 / entropies, 1.0 / total
    for k in range(_CELLS):
        independent = rest * (cells[1, k] * inverse)
        probability = mixed * (cells[0, k] * inverse) + independent
        values[k] = abs(probability) if probability != 0 else 1.0
        weights[k] = scale * probability
        values[_CELLS + k] = abs(independent) if independent != 0 else 1.0
        weights[_CELLS + k] = -scale * independent
    values[2 * _CELLS] = abs(rest) if rest != 0 else 1.0
    weights[2 * _CELLS] = scale * rest
    return 2.0 * mixed


@compiled
def row_terms(
    luma: Bytes, thermal: Bytes, fused: Bytes, y: int, logs: Floats, values: Floats, weights: Floats
) -> float:
    """Fill the terms of a row of windows, [windows, 2, TERMS]; return what is to be added to their sum."""
    source, own = np.zeros(_PIXELS + 2, dtype=np.int64), np.zeros(_PIXELS + 2, dtype=np.int64)
    ends = np.empty((2, _PIXELS + 1), dtype=np.int64)
    cells = np.empty((2, _CELLS), dtype=np.int64)
    total = 0.0
    for x in range(fused.shape[1] - 2):
        sums = _window(fused, y, x, logs, own)
        for i in range(2):
            image = luma if i == 0 else thermal
            equal = True
            for k in range(_PIXELS):
                equal = equal and image[y + k // 3, x + k % 3] == fused[y + k // 3, x + k % 3]
            if equal:
                values[x, i] = 1.0
                weights[x, i] = 0.0
                total += 1.0
            else:
                others = _window(image, y, x, logs, source)
                total += _terms(source, own, others, sums, logs, ends, cells, values[x, i], weights[x, i])
    return total

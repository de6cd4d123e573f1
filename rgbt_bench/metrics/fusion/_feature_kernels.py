"""The loop of FMI over windows of 3x3 pixels; importing this module imports numba."""

from math import log2, sqrt

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion._compiling import compiled

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_PIXELS = 9


@compiled
def _window(image: Bytes, y: int, x: int, out: Integers) -> None:
    """Fill the pixels of a window, column by column, less their least; or ones where all are equal."""
    least = greatest = np.int64(image[y, x])
    for k in range(_PIXELS):
        value = np.int64(image[y + k % 3, x + k // 3])
        out[k] = value
        least = min(least, value)
        greatest = max(greatest, value)
    for k in range(_PIXELS):
        out[k] = out[k] - least if greatest > least else 1


@compiled
def _entropy(shares: Integers, total: int, logs: Floats) -> float:
    """Return the entropy of whole shares of their total; logs are those to base 2 of whole numbers, 0 of 0."""
    weighted = 0.0
    for k in range(_PIXELS):
        if shares[k] == total:
            return 0.0
        weighted += shares[k] * logs[shares[k]]
    return float(logs[total] - weighted / total)


@compiled
def _coupling(first: Integers, second: Integers, reverse: bool, cells: Integers) -> int:
    """Fill the cells (place in first, place in second, share) of Frechet's bound of two distributions; return how many.

    Shares are of the product of both totals. It is the lower bound if `reverse`, else the upper.
    """
    total_first, total_second = first.sum(), second.sum()
    i, j, step = 0, (_PIXELS - 1 if reverse else 0), (-1 if reverse else 1)
    left_first, left_second = first[i] * total_second, second[j] * total_first
    length = 0
    while True:
        share = min(left_first, left_second)
        if share > 0:
            cells[length, 0], cells[length, 1], cells[length, 2] = i, j, share
            length += 1
        left_first -= share
        left_second -= share
        if left_first == 0:
            i += 1
            if i == _PIXELS:
                return length
            left_first = first[i] * total_second
        if left_second == 0:
            j += step
            if j < 0 or j == _PIXELS:
                return length
            left_second = second[j] * total_first


@compiled
def _spread(shares: Integers, total: int) -> tuple[float, float]:
    """Return mean and standard deviation of the place of a pixel drawn by its share."""
    mean = square = np.int64(0)
    for k in range(_PIXELS):
        mean += k * shares[k]
        square += k * k * shares[k]
    return mean / total, sqrt(total * square - mean * mean) / total


@compiled
def _correlation(first: Integers, second: Integers, total_first: int, total_second: int) -> float:
    products = first_squares = second_squares = np.int64(0)
    for k in range(_PIXELS):
        products += first[k] * second[k]
        first_squares += first[k] * first[k]
        second_squares += second[k] * second[k]
    covariance = _PIXELS * products - total_first * total_second
    if covariance == 0:
        return 0.0
    first_variance = _PIXELS * first_squares - total_first * total_first
    second_variance = _PIXELS * second_squares - total_second * total_second
    return covariance / (sqrt(first_variance) * sqrt(second_variance))


@compiled
def _joint_entropy(
    first: Integers, second: Integers, entropies: float, mixed: float, cells: Integers, length: int, logs: Floats
) -> float:
    """Return the entropy of `mixed` times the coupling and the rest times the product of both distributions.

    The rest may be below 0, and so may a probability; its logarithm is that of its size.
    """
    total_first, total_second = first.sum(), second.sum()
    total = total_first * total_second
    rest = 1.0 - mixed
    log_rest = log2(abs(rest)) if rest != 0 else 0.0
    entropy = rest * (entropies - log_rest)
    for k in range(length):
        one, other = first[cells[k, 0]], second[cells[k, 1]]
        independent = rest * (one * other / total)
        log_independent = log_rest + (logs[one] - logs[total_first]) + (logs[other] - logs[total_second])
        probability = mixed * (cells[k, 2] / total) + independent
        entropy += independent * log_independent
        if probability != 0:
            entropy -= probability * log2(abs(probability))
    return entropy


@compiled
def _information(first: Integers, second: Integers, logs: Floats, cells: Integers) -> float:
    """Return the normalised mutual information of two windows under Nelsen's joint distribution."""
    total_first, total_second = first.sum(), second.sum()
    entropies = _entropy(first, total_first, logs) + _entropy(second, total_second, logs)
    correlation = _correlation(first, second, total_first, total_second)
    first_mean, first_spread = _spread(first, total_first)
    second_mean, second_spread = _spread(second, total_second)
    if correlation == 0 or first_spread == 0 or second_spread == 0:
        return 0.0
    length = _coupling(first, second, correlation < 0, cells)
    products = np.int64(0)
    for k in range(length):
        products += cells[k, 0] * cells[k, 1] * cells[k, 2]
    bound = (products / (total_first * total_second) - first_mean * second_mean) / (first_spread * second_spread)
    joint = _joint_entropy(first, second, entropies, correlation / bound, cells, length, logs)
    return 2.0 * (entropies - joint) / entropies


@compiled
def information_sum(luma: Bytes, thermal: Bytes, fused: Bytes, logs: Floats) -> float:
    """Return the sum over all windows of both sources' normalised mutual information with fused."""
    windows = np.empty((3, _PIXELS), dtype=np.int64)
    cells = np.empty((2 * _PIXELS, 3), dtype=np.int64)
    total = 0.0
    for y in range(fused.shape[0] - 2):
        for x in range(fused.shape[1] - 2):
            _window(fused, y, x, windows[2])
            for i in range(2):
                source = luma if i == 0 else thermal
                equal = True
                for k in range(_PIXELS):
                    equal = equal and source[y + k // 3, x + k % 3] == fused[y + k // 3, x + k % 3]
                if equal:
                    total += 1.0
                    continue
                _window(source, y, x, windows[i])
                total += _information(windows[i], windows[2], logs, cells)
    return total

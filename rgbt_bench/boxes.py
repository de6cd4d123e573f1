"""Overlaps of boxes, and which box of one list is which of another."""

import numpy as np
from numpy.typing import NDArray


def iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of every box with every other, as float64[N, M] in 0..1.

    Boxes are float64[N, 4] and [M, 4]: x, y, width, height in continuous coordinates; no area gives 0.
    """
    first, second = first.reshape(-1, 1, 4), second.reshape(1, -1, 4)
    ends = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    shared = np.clip(ends - np.maximum(first[..., :2], second[..., :2]), 0, None).prod(axis=-1)
    union = first[..., 2:].prod(axis=-1) + second[..., 2:].prod(axis=-1) - shared
    overlaps: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps


def match(overlaps: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """Return matched (row, column) pairs: each row in turn takes the free column it overlaps most, from `least` on.

    `overlaps` is float64[N, M]; the first of equal columns is taken.
    """
    free = overlaps.copy()
    pairs = []
    for row in range(len(free)):
        if free.shape[1] and free[row].max() >= least:
            column = int(free[row].argmax())
            pairs.append((row, column))
            free[:, column] = -1.0
    return pairs

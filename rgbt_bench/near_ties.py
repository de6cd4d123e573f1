"""Whether two lists of detections are the same but for near-ties, which rounding decides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.predictions import Detections

_Floats = NDArray[np.float64]
_SMALL = 1e-12  # an area that nothing is divided by less than


@dataclass(frozen=True)
class Selection:
    """How detections are chosen: scores above `min_score`, then NMS class by class, then the best `limit` of an image.

    NMS drops a box that overlaps a better one of its class, which is kept, by an IoU of more than `nms_iou`.
    """

    min_score: float
    nms_iou: float
    limit: int


@dataclass(frozen=True)
class Allowance:
    """How far two detections may be apart: any edge of their boxes in pixels, and their scores."""

    box: float
    score: float


@dataclass(frozen=True)
class Agreement:
    """How two lists agree: detections that both have, the largest differences among these, and what only one has.

    `near_ties` counts detections of one list alone that rounding decides; `faults` has all others, each as its sample's
    index and words.
    """

    both: int
    largest: Allowance
    near_ties: int
    faults: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class _Side:
    """The detections of one sample in one list: boxes as x1, y1, x2, y2 [N, 4], scores and classes [N]."""

    boxes: _Floats
    scores: _Floats
    classes: NDArray[np.int64]


def agreement(
    first: Detections,
    second: Detections,
    selection: Selection,
    tolerance: Allowance,
    margin: Allowance,
    names: Sequence[str] = ("first", "second"),
) -> Agreement:
    """Pair the detections of two lists by sample, class, box and score, and say which of the others are near-ties.

    Two are one where they differ by at most `tolerance`. One that is left is a near-tie where moving edges and scores
    by no more than `margin` decides about it: its score is at `min_score`; or below all of a full other list; or it
    overlaps a detection of the other list, as good or better, by an IoU at `nms_iou`; or it overlaps, by more than
    that, one which the other list alone has, of an equal score or itself a near-tie. Which candidates there were is not
    known here, so that what they were chosen from has to be compared before.

    Args:
        first: boxes in pixels, the same ones as the other's.
        second: the other list.
        selection: how both were chosen.
        tolerance: for pairs.
        margin: for near-ties.
        names: what the two lists are called in faults.
    """
    both, near_ties, faults = 0, 0, []
    box, score = 0.0, 0.0
    for sample in np.union1d(first.sample_index, second.sample_index).tolist():
        sides = _side(first, sample), _side(second, sample)
        pairs = _pairs(*sides, tolerance)
        both += len(pairs)
        rows, columns = pairs.T
        box = max(box, np.abs(sides[0].boxes[rows] - sides[1].boxes[columns]).max(initial=0.0))
        score = max(score, np.abs(sides[0].scores[rows] - sides[1].scores[columns]).max(initial=0.0))
        left = [np.setdiff1d(np.arange(len(one.scores)), kept) for one, kept in zip(sides, pairs.T, strict=True)]
        if len(left[0]) + len(left[1]) == 0:
            continue
        for one, name, places, tied in zip(sides, names, left, _near_ties(sides, left, selection, margin), strict=True):
            near_ties += int(tied.sum())
            faults += [(sample, f"only {name} has {_words(one, place)}") for place in places[~tied].tolist()]
    return Agreement(both, Allowance(float(box), float(score)), near_ties, tuple(faults))


def _side(found: Detections, sample: int) -> _Side:
    rows = found.sample_index == sample
    bbox = found.bbox[rows]
    return _Side(np.concatenate([bbox[:, :2], bbox[:, :2] + bbox[:, 2:]], 1), found.score[rows], found.category[rows])


def _pairs(first: _Side, second: _Side, tolerance: Allowance) -> NDArray[np.int64]:
    """Return [P, 2] places in both: each of the first in turn takes the nearest free one within the tolerance."""
    apart = np.abs(first.boxes[:, None] - second.boxes[None]).max(-1, initial=0.0)
    fits = (apart <= tolerance.box) & (np.abs(first.scores[:, None] - second.scores[None]) <= tolerance.score)
    fits &= first.classes[:, None] == second.classes[None]
    apart = np.where(fits, apart, np.inf)
    pairs = []
    for row in np.flatnonzero(fits.any(1)).tolist():
        column = int(apart[row].argmin())
        if np.isfinite(apart[row, column]):
            pairs.append((row, column))
            apart[:, column] = np.inf
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _near_ties(
    sides: tuple[_Side, _Side], left: Sequence[NDArray[np.int64]], selection: Selection, margin: Allowance
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of the detections that are left of each side are near-ties."""
    low, high = _overlaps(sides[0].boxes, sides[1].boxes, margin.box)
    same = sides[0].classes[:, None] == sides[1].classes[None]
    better = sides[1].scores[None] - sides[0].scores[:, None]  # by how much the second's is the better one
    at_threshold = same & (low <= selection.nms_iou) & (high >= selection.nms_iou)
    tied = []
    for one, other, places, falls, touches in (
        (sides[0], sides[1], left[0], better >= -margin.score, at_threshold),
        (sides[1], sides[0], left[1], (better <= margin.score).T, at_threshold.T),
    ):
        scores = one.scores[places]
        is_full = len(other.scores) >= selection.limit
        last = other.scores.min() if is_full else -np.inf
        low_score = (scores <= selection.min_score + margin.score) | (scores <= last + margin.score)
        tied.append(low_score | (falls & touches)[places].any(1))
    hits = (same & (high >= selection.nms_iou))[np.ix_(*left)]
    better = better[np.ix_(*left)]
    equal = hits & (np.abs(better) <= margin.score)
    first, second = tied[0] | equal.any(1), tied[1] | equal.any(0)
    while True:  # what a near-tie suppresses is one, too, and so is what that one suppressed
        further = first | (hits & (better >= -margin.score) & second[None]).any(1)
        others = second | (hits & (better <= margin.score) & further[:, None]).any(0)
        if (further == first).all() and (others == second).all():
            return first, second
        first, second = further, others


def _overlaps(first: _Floats, second: _Floats, margin: float) -> tuple[_Floats, _Floats]:
    """Return bounds [N, M] of the IoU of each pair of boxes whose edges may each move by `margin`."""
    one, other = first[:, None], second[None]
    shared = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    least, most = (np.clip(shared + move, 0, None).prod(-1) for move in (-2 * margin, 2 * margin))
    smaller, larger = (
        sum(np.clip(boxes[..., 2:] - boxes[..., :2] + move, 0, None).prod(-1) for boxes in (one, other))
        for move in (-2 * margin, 2 * margin)
    )
    low = least / np.maximum(larger - least, _SMALL)
    high = np.minimum(most / np.maximum(smaller - most, _SMALL), 1.0)
    return low, high


def _words(side: _Side, place: int) -> str:
    corners = ", ".join(f"{value:.2f}" for value in side.boxes[place])
    return f"class {side.classes[place]} at [{corners}], score {side.scores[place]:.6f}"

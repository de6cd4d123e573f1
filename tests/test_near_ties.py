"""Which differences between two lists of detections rounding explains."""

import numpy as np
import pytest

from rgbt_bench.near_ties import Allowance, Selection, agreement
from rgbt_bench.predictions import Detections

SELECTION = Selection(min_score=0.1, nms_iou=0.5, limit=4)
TOLERANCE, MARGIN = Allowance(0.02, 1e-3), Allowance(0.01, 1e-4)


def found(*rows, sample=0):
    """Detections of one sample, given as x, width, score and perhaps a class; all are ten pixels high."""
    rows = [(*row, 0)[:4] for row in rows]
    x, width, score, category = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    bbox = np.stack([x, x * 0, width, x * 0 + 10], axis=1)
    return Detections(np.full(len(x), sample, np.int64), category.astype(np.int64), bbox, score)


def compared(first, second):
    return agreement(first, second, SELECTION, TOLERANCE, MARGIN)


@pytest.mark.parametrize(
    ("first", "second", "both", "near_ties", "faults"),
    [
        ([], [], 0, 0, 0),
        ([(0, 10, 0.9)], [(0.01, 10, 0.9005)], 1, 0, 0),
        ([(0, 10, 0.9), (50, 10, 0.8)], [(50, 10, 0.8), (0, 10, 0.9)], 2, 0, 0),  # the order does not matter
        ([(0, 10, 0.9)], [], 0, 0, 1),
        ([(0, 10, 0.9)], [(0.05, 10, 0.8)], 0, 0, 2),
        ([(0, 10, 0.9)], [(0, 10, 0.91)], 0, 0, 2),
        ([(0, 10, 0.9, 0)], [(0, 10, 0.9, 1)], 0, 0, 2),
        ([(0, 10, 0.9), (0, 10, 0.9)], [(0, 10, 0.9)], 1, 0, 1),  # one is not the partner of two
        # at the score
        ([(0, 10, 0.10005)], [], 0, 1, 0),
        ([(0, 10, 0.1005)], [], 0, 0, 1),
        # at the threshold of NMS: overlaps of 10/15 of a width give an IoU of 0.5
        ([(0, 15, 0.9)], [(0, 15, 0.9), (5, 15, 0.8)], 1, 1, 0),
        ([(0, 15, 0.9)], [(0, 15, 0.9), (5.1, 15, 0.8)], 1, 0, 1),
        ([(0, 15, 0.9)], [(0, 15, 0.9), (4.9, 15, 0.8)], 1, 0, 1),
        ([(0, 15, 0.9)], [(0, 15, 0.9), (5, 15, 0.8, 1)], 1, 0, 1),  # of another class
        ([(0, 15, 0.7)], [(0, 15, 0.7), (5, 15, 0.8)], 1, 0, 1),  # a worse one suppresses nothing
        # of equal scores either may suppress the other
        ([(0, 15, 0.9)], [(2, 15, 0.90005)], 0, 2, 0),
        ([(0, 15, 0.9)], [(2, 15, 0.91)], 0, 0, 2),
        ([(0, 15, 0.9)], [(30, 15, 0.9)], 0, 0, 2),
        # what a near-tie suppresses, and what that had suppressed
        ([(0, 15, 0.9), (10, 15, 0.7)], [(0, 15, 0.9), (5, 15, 0.8)], 1, 2, 0),
        ([(0, 15, 0.9), (7, 15, 0.7)], [(0, 15, 0.9), (5, 15, 0.8), (10, 15, 0.6)], 1, 3, 0),
        ([(0, 15, 0.9), (60, 15, 0.7)], [(0, 15, 0.9), (5, 15, 0.8)], 1, 1, 1),
        # the last of a full list
        ([(20 * n, 10, 0.9 - n / 10) for n in range(4)],
         [(20 * n, 10, 0.9 - n / 10) for n in range(3)] + [(90, 10, 0.60005)], 3, 2, 0),
        ([(20 * n, 10, 0.9 - n / 10) for n in range(3)],
         [(20 * n, 10, 0.9 - n / 10) for n in range(3)] + [(90, 10, 0.6)], 3, 0, 1),
    ],
)  # fmt: skip
def test_by_hand(first, second, both, near_ties, faults):
    for one, other in ((first, second), (second, first)):
        result = compared(found(*one), found(*other))
        assert (result.both, result.near_ties, len(result.faults)) == (both, near_ties, faults)


def test_samples_are_apart():
    result = compared(found((0, 10, 0.9)), found((0, 10, 0.9), sample=1))
    assert [sample for sample, _ in result.faults] == [0, 1]
    assert result.faults[0][1] == "only first has class 0 at [0.00, 0.00, 10.00, 10.00], score 0.900000"


def test_the_largest_differences_are_those_of_pairs():
    result = compared(found((0, 10, 0.9), (50, 10, 0.5)), found((0.01, 10, 0.9), (50, 10, 0.5002)))
    assert result.largest.box == pytest.approx(0.01)
    assert result.largest.score == pytest.approx(0.0002)


def chosen(boxes, scores):
    """Greedy NMS with the selection's settings, over boxes of one class in x1, y1, x2, y2."""
    kept = []
    for place in np.argsort(-scores, kind="stable"):
        if scores[place] <= SELECTION.min_score:
            continue
        low = np.maximum(boxes[place, :2], boxes[kept, :2])
        shared = np.clip(np.minimum(boxes[place, 2:], boxes[kept, 2:]) - low, 0, None).prod(-1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
        if (shared / (areas[place] + areas[kept] - shared) <= SELECTION.nms_iou).all():
            kept.append(place)
    kept = np.array(kept[: SELECTION.limit], dtype=np.int64)
    bbox = np.concatenate([boxes[kept, :2], boxes[kept, 2:] - boxes[kept, :2]], axis=1)
    return Detections(np.zeros(len(kept), np.int64), np.zeros(len(kept), np.int64), bbox, scores[kept])


def test_what_rounding_does_to_candidates_full_of_ties_is_always_explained():
    """Boxes on a coarse grid, with few scores: many overlaps are at the threshold and many scores are equal."""
    random = np.random.default_rng(0)
    near_ties = 0
    for _ in range(400):
        corners = random.integers(0, 30, (40, 2)).astype(np.float64)
        boxes = np.concatenate([corners, corners + random.integers(2, 5, (40, 2)) * 3], axis=1)
        scores = random.integers(1, 10, 40) / 10
        moved = boxes + random.uniform(-0.005, 0.005, boxes.shape), scores + random.uniform(-5e-5, 5e-5, 40)
        result = compared(chosen(boxes, scores), chosen(*moved))
        assert result.faults == ()
        near_ties += result.near_ties
    assert near_ties > 100


def test_what_is_lost_otherwise_is_mostly_seen():
    """Near-ties are no excuse for whatever lies elsewhere."""
    random = np.random.default_rng(1)
    seen = 0
    for _ in range(200):
        corners = random.uniform(0, 60, (40, 2))
        boxes = np.concatenate([corners, corners + random.uniform(6, 15, (40, 2))], axis=1)
        whole = chosen(boxes, random.uniform(0.2, 1, 40))
        seen += len(compared(whole, whole.take(np.arange(len(whole)) != random.integers(len(whole)))).faults)
    assert seen == 200

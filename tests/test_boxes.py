"""Overlaps and matches, against counted squares and by hand."""

import numpy as np
import pytest

from rgbt_bench.boxes import iou, match


def counted(first, second):
    """IoU of boxes with whole corners, by counting the unit squares of each."""
    grids = []
    for x, y, width, height in (first, second):
        grid = np.zeros((40, 40), bool)
        grid[y : y + height, x : x + width] = True
        grids.append(grid)
    union = (grids[0] | grids[1]).sum()
    return (grids[0] & grids[1]).sum() / union if union else 0.0


def test_iou_is_that_of_counted_squares():
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.integers(0, 20, (60, 2)), rng.integers(0, 20, (60, 2))], axis=1)
    found = iou(boxes[:30].astype(np.float64), boxes[30:].astype(np.float64))
    expected = [[counted(one, other) for other in boxes[30:]] for one in boxes[:30]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (found > 0).any()


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 3), (3, 0)])
def test_no_boxes_have_no_overlaps(rows, columns):
    found = iou(np.ones((rows, 4)), np.ones((columns, 4)))
    assert found.shape == (rows, columns)
    assert match(found, 0.5) == []


@pytest.mark.parametrize(
    ("overlaps", "pairs"),
    [
        ([[0.5]], [(0, 0)]),
        ([[0.49]], []),
        ([[0.6, 0.9], [0.7, 0.8]], [(0, 1), (1, 0)]),
        ([[0.9], [1.0]], [(0, 0)]),  # the first row chooses first
        ([[0.7, 0.7]], [(0, 0)]),
    ],
)
def test_rows_choose_in_turn(overlaps, pairs):
    assert match(np.array(overlaps), 0.5) == pairs

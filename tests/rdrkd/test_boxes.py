import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rdrkd_reference as reference
from rdrkd_cases import BATCH, SIZES, random_boxes, some_boxes
from rgbt_baselines.rdrkd.boxes import box_map


def drawn(*boxes, height=4, width=4, dtype=torch.float32):
    """The map of one image's boxes."""
    rows = torch.tensor(boxes, dtype=dtype).reshape(-1, 4)
    return box_map(rows, torch.zeros(len(rows), dtype=torch.int64), 1, height, width)


def grid(found):
    """The place of each cell's box, or -1: [B, H, W]."""
    return found.spread(torch.arange(len(found.areas)), torch.full(found.size[:1], -1))


def test_a_box_covers_the_cells_that_it_overlaps_and_the_smallest_owns_them():
    # 4x4 cells of 0.25: the first covers rows and columns 0 to 2, the second (0.5..0.75 and a bit) columns 2 and 3
    found = drawn((0.375, 0.375, 0.75, 0.75), (0.7, 0.625, 0.3, 0.2))
    assert grid(found).tolist() == [[[0, 0, 0, -1], [0, 0, 0, -1], [0, 0, 1, 1], [-1, -1, -1, -1]]]
    assert found.empty_cells().tolist() == [6]
    assert found.covered.tolist() == [9, 2]
    assert found.owned.tolist() == [8, 2]
    assert found.areas.tolist() == pytest.approx([0.5625, 0.06])
    spread = found.spread(torch.tensor([3.0, 5.0]), torch.tensor([9]))
    assert spread.tolist() == [[[3, 3, 3, 9], [3, 3, 3, 9], [3, 3, 5, 5], [9] * 4]]


@pytest.mark.parametrize("first", [False, True])
def test_the_smaller_box_owns_wherever_it_stands_in_the_list(first):
    boxes = [(0.5, 0.5, 1.0, 1.0), (0.3, 0.3, 0.1, 0.1)]
    found = drawn(*(reversed(boxes) if first else boxes))
    small = 0 if first else 1
    assert grid(found)[0, 1, 1] == small
    assert found.owned[small] == 1
    assert found.owned[1 - small] == 15


def test_of_equal_boxes_the_first_owns_and_the_other_is_no_region():
    found = drawn((0.5, 0.5, 0.3, 0.3), (0.5, 0.5, 0.3, 0.3))
    assert found.covered.tolist() == [4, 4]
    assert found.owned.tolist() == [4, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("place", [(0.0, 0.0), (0.5, 0.5), (0.3, 0.99), (0.25, 0.75), (0.1, 0.2)])
def test_any_box_of_positive_size_in_the_image_has_a_cell(place, dtype):
    for side in (1e-6, 1e-4):
        found = drawn((*place, side, side), dtype=dtype)
        assert 1 <= found.covered.item() <= 4
        assert found.owned.tolist() == found.covered.tolist()
        row, column = (min(int(one * 4 + 1e-3), 3) for one in (place[1], place[0]))
        assert grid(found)[0, row, column] == 0


@pytest.mark.parametrize(
    "box",
    [
        (0.5, 0.5, 0.0, 0.5),
        (0.5, 0.5, 0.5, 0.0),
        (0.5, 0.5, -0.1, 0.5),
        (1.5, 0.5, 0.5, 0.5),
        (0.5, -0.5, 0.5, 0.5),
        (1.25, 0.5, 0.5, 0.5),
        (float("nan"), 0.5, 0.5, 0.5),
    ],
)
def test_a_box_without_an_area_or_outside_covers_nothing(box):
    found = drawn(box, (0.1, 0.1, 0.1, 0.1))
    assert (found.covered[0], found.owned[0], found.areas[0]) == (0, 0, 0)
    assert found.owned[1] == 1
    assert found.empty_cells().tolist() == [15]


def test_of_a_box_partly_outside_the_inside_counts():
    found = drawn((0.0, 1.0, 0.5, 1.0))  # a quarter of it is inside: 0.25 x 0.5
    assert found.areas.tolist() == [0.125]
    assert grid(found).tolist() == [[[-1] * 4, [-1] * 4, [0, -1, -1, -1], [0, -1, -1, -1]]]
    everything = drawn((0.5, 0.5, 9.0, 9.0))
    assert everything.areas.tolist() == [1]
    assert everything.empty_cells().tolist() == [0]
    assert everything.covered.tolist() == [16]


def test_a_box_on_the_cells_borders_takes_no_neighbour_by_rounding():
    for count in (20, 40, 80, 160):
        for cell in range(0, count, 7):
            centre, side = round((cell + 0.5) / count, 6), round(1 / count, 6)
            found = drawn((centre, centre, side, side), height=count, width=count)
            assert found.covered.tolist() == [1]
            assert grid(found)[0, cell, cell] == 0


def test_no_boxes_are_all_background():
    found = drawn(height=2, width=3)
    assert grid(found).tolist() == [[[-1] * 3] * 2]
    assert found.empty_cells().tolist() == [6]
    assert found.owned.tolist() == found.covered.tolist() == found.areas.tolist() == []


def test_an_images_boxes_stay_in_it():
    boxes = torch.tensor([[0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0]])
    found = box_map(boxes, torch.tensor([2, 0]), 4, 2, 2)
    assert [set(one.flatten().tolist()) for one in grid(found)] == [{1}, {-1}, {0}, {-1}]
    assert found.empty_cells().tolist() == [0, 4, 0, 4]


@pytest.mark.parametrize("size", SIZES)
def test_hard_boxes_lie_as_they_do_when_drawn_cell_by_cell(size):
    boxes, images = some_boxes()
    check(boxes, images, size)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 40), seed=st.integers(0, 2**32), size=st.sampled_from([(1, 1), (5, 9), (16, 16)]))
def test_random_boxes_lie_as_they_do_when_drawn_cell_by_cell(count, seed, size):
    check(*random_boxes(count, seed), size)


def check(boxes, images, size):
    found = box_map(boxes, images, BATCH, *size)
    lists = boxes.tolist()
    grids = reference.owners(lists, images.tolist(), BATCH, *size)
    drawn_grids = [[[None if box < 0 else box for box in row] for row in rows] for rows in grid(found).tolist()]
    assert drawn_grids == grids
    assert found.empty_cells().tolist() == [sum(row.count(None) for row in rows) for rows in grids]
    assert found.covered.tolist() == [len(reference.covered_cells(box, *size)) for box in lists]
    flat = [box for rows in grids for row in rows for box in row]
    assert found.owned.tolist() == [flat.count(index) for index in range(len(lists))]
    assert found.areas.tolist() == pytest.approx([reference.area(box) for box in lists], rel=1e-9)


def test_the_owner_of_a_cell_does_not_depend_on_the_order_of_boxes_of_different_areas():
    boxes, images = random_boxes(50, 3)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    plain, mixed = box_map(boxes, images, BATCH, 16, 16), box_map(boxes[order], images[order], BATCH, 16, 16)
    nothing = torch.full((BATCH,), -1)
    assert torch.equal(mixed.spread(order, nothing), plain.spread(torch.arange(50), nothing))


def test_what_are_no_boxes_is_refused():
    with pytest.raises(ValueError, match=r"boxes are \(M, 4\)"):
        box_map(torch.zeros(2, 5), torch.zeros(2, dtype=torch.int64), 1, 4, 4)
    with pytest.raises(ValueError, match=r"not \(2, 4\) and \(3,\)"):
        box_map(torch.zeros(2, 4), torch.zeros(3, dtype=torch.int64), 1, 4, 4)
    for image in (-1, 1):
        with pytest.raises((RuntimeError, IndexError)):
            box_map(torch.tensor([[0.5, 0.5, 0.1, 0.1]]), torch.tensor([image]), 1, 4, 4)

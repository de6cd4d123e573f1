"""How much of M3FD's test a split has shown in train: the figures behind docs/measurements/m3fd-splits.md."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgbt_bench.formats.coco import CocoImage, CocoObject

FOLDER = Path(__file__).parents[1] / "docs/measurements"


def script(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def modules():
    with pytest.MonkeyPatch.context() as patch:
        split = script("m3fd_split")
        patch.setitem(sys.modules, "m3fd_split", split)
        yield split, script("m3fd_neighbours")


def image(*boxes, size=(100, 80)):
    objects = tuple(CocoObject(name, tuple(bbox), bbox[2] * bbox[3], False, False) for name, *bbox in boxes)
    return CocoImage("x.png", *size, objects)


CARS = [("Car", 10 * place, 0, 8, 8) for place in range(4)]


@pytest.mark.parametrize(
    ("first", "others", "expected"),
    [
        (CARS, [CARS], 1.0),
        (CARS, [[("People", *box) for _, *box in CARS]], 0.0),
        (CARS, [[*CARS[:2], ("Car", 60, 60, 8, 8), ("Car", 80, 60, 8, 8)]], 0.5),
        (CARS, [[("Bus", 0, 0, 8, 8)] * 3, CARS[:3], [("Car", 50, 50, 9, 9)] * 3], 6 / 7),
        (CARS[:1], [[("Car", 0, 0, 8, 4)]], 0.0),  # an IoU of just a half is not above it
        (CARS[:1], [[("Car", 0, 0, 8, 5)]], 1.0),
        (CARS[:3], [[CARS[0]] * 3], 1 / 3),  # three boxes on one are one shared box
    ],
)
def test_the_nearest_shares_boxes_of_the_same_class_and_place(first, others, expected, modules):
    _, neighbours = modules
    stack = neighbours.stack([image(*one) for one in others])
    assert neighbours.nearest(image(*first), stack) == pytest.approx(expected)


numbers = st.integers(0, 6)
boxes = st.lists(
    st.tuples(st.sampled_from(["Car", "People"]), numbers, numbers, st.integers(1, 6), st.integers(1, 6)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(first=boxes, others=st.lists(boxes, min_size=1, max_size=5))
def test_the_nearest_is_the_largest_share_that_the_split_s_script_finds_one_by_one(first, others, modules):
    split, neighbours = modules
    images = [image(*one) for one in others]
    expected = max(split.shared(image(*first), one) for one in images)
    assert neighbours.nearest(image(*first), neighbours.stack(images)) == expected


def test_images_of_few_boxes_are_left_out_and_those_of_other_sizes_share_nothing(modules):
    _, neighbours = modules
    images = {
        0: image(*CARS),
        1: image(*CARS, size=(50, 40)),
        2: image(*CARS[:2]),
        3: image(*CARS[:3]),
        4: image(*CARS[:2]),
    }
    assert neighbours.shares(images, [0, 1, 2], [3, 4]) == [pytest.approx(6 / 7), 0.0]


def test_an_id_is_beside_train_on_either_side(modules):
    _, neighbours = modules
    assert neighbours.beside([0, 1, 5, 9], [2, 4, 100]) == 0.5
    assert neighbours.beside([3, 7], [3, 7]) == 0.0

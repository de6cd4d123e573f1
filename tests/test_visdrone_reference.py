"""The fast figures of the VisDrone protocols against a slow, separate reading of the toolkit's description."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import visdrone_reference as reference
from visdrone_images import figures, found, image, label, random_images

OTHERS = 3


def assert_close(ours, theirs):
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        if value is None:
            assert ours[name] is None, name
        else:
            assert ours[name] == pytest.approx(value, abs=1e-12, rel=0), name


def compare(images, official, n_classes=4, others=OTHERS):
    ours, our_classes = figures(images, n_classes, official, others)
    theirs, their_classes = (reference.official if official else reference.clean)(images, n_classes, others)
    assert_close(ours, theirs)
    assert_close(dict(enumerate(our_classes)), dict(enumerate(their_classes)))
    return ours


@pytest.mark.parametrize("official", [True, False])
@pytest.mark.parametrize("seed", range(60))
def test_random_crowded_images(seed, official):
    images = random_images(np.random.default_rng(seed))
    compare(images, official)


@pytest.mark.parametrize("official", [True, False])
def test_images_with_more_detections_than_are_looked_at(official):
    rng = np.random.default_rng(1)
    images = random_images(rng, n_images=2, n_classes=3, most=20, size=(40, 30))
    for one in images:
        for _ in range(700):
            x, y, w, h = (float(value) for value in rng.integers(1, 25, 4))
            one["detections"].append(
                found(x, y, w, h, float(rng.choice([0.3, 0.6, rng.random()])), int(rng.integers(3)))
            )
        one["detections"].sort(key=lambda row: (-row[4], row[5], row[:4]))
    ours = compare(images, official, n_classes=3, others=None)
    assert ours["AR500"] > ours["AR100"] > ours["AR10"]


SIDE = st.integers(0, 12)
PLACE = st.integers(-6, 24)
LABELS = st.lists(st.builds(label, PLACE, PLACE, SIDE, SIDE, st.integers(0, 2), st.booleans()), max_size=6)
LENGTH = st.sampled_from([0.25, 0.5, 1.0, 1.5, 3.0, 6.0, 11.5, 40.0])
START = st.sampled_from([-30.0, -0.5, 0.0, 0.49, 0.5, 1.0, 2.5, 3.5, 9.5, 19.5, 20.0, 20.5, 25.0])
SCORE = st.sampled_from([0.0, 0.5, 1.0])
DETECTIONS = st.lists(st.builds(found, START, START, LENGTH, LENGTH, SCORE, st.integers(0, 2)), max_size=8)
REGIONS = st.lists(st.tuples(PLACE, PLACE, SIDE, SIDE), max_size=3)


def in_order(labels, detections, regions):
    detections = sorted(detections, key=lambda row: (-row[4], row[5], row[:4]))
    return image(sorted(labels, key=lambda row: (row[5], row[:4], row[4])), detections, regions, (20, 16))


@settings(max_examples=100, deadline=None)
@given(images=st.lists(st.builds(in_order, LABELS, DETECTIONS, REGIONS), max_size=3), official=st.booleans())
def test_any_images(images, official):
    compare(images, official, n_classes=3, others=2)

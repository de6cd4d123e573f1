"""The fast figures of the VisDrone protocols against a slow, separate reading of the toolkit's description."""

import numpy as np
import pytest

import visdrone_reference as reference
from visdrone_images import figures, random_images

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

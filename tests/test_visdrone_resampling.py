"""Figures of the VisDrone protocols with samples weighted, against sets in which they really are so often."""

import numpy as np
import pytest

import visdrone_reference as reference
from rgbt_bench.metrics import visdrone
from visdrone_images import figures, found, image, label, looked_at, random_images

CLASSES, OTHERS = 4, 3


def unique(images, rng):
    """The same with a score of its own for every detection."""
    scores = iter(rng.permutation(sum(len(one["detections"]) for one in images)) / 1000)
    return [one | {"detections": _with_scores(one["detections"], scores)} for one in images]


def _with_scores(detections, scores):
    return sorted(((*box[:4], next(scores), box[5]) for box in detections), key=lambda box: -box[4])


@pytest.mark.parametrize("official", [True, False])
def test_weights_are_copies_of_images(official):
    vanished = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        images = unique(random_images(rng, n_images=4, most=8), rng)
        weights = rng.integers(0, 3, len(images)).tolist()
        copies = [one for one, times in zip(images, weights, strict=True) for _ in range(times)]
        ours, our_classes = figures(images, CLASSES, official, OTHERS, weights)
        theirs, their_classes = (reference.official if official else reference.clean)(copies, CLASSES, OTHERS)
        assert our_classes == [one and pytest.approx(one, abs=1e-12) for one in their_classes]
        _, before = figures(images, CLASSES, official, OTHERS)
        lost = any(one and not other for one, other in zip(before, our_classes, strict=True))
        vanished += lost
        for name, value in theirs.items():
            if not official and (lost or (name.startswith("AP_") and ours[name] is None)):
                # a clean average over what vanished, of one size perhaps, is undefined
                assert ours[name] is None or name.startswith("AP_")
            else:
                assert ours[name] == (None if value is None else pytest.approx(value, abs=1e-12)), (seed, name)
    assert 3 < vanished < 20


def test_the_official_weight_of_a_class_is_resampled_too():
    box = (10, 10, 10, 10)
    images = [image([label(*box)], [found(*box)]), image([label(*box, category=1)])]
    assert figures(images, 2, True)[0]["AP"] == 1 / 2
    assert figures(images, 2, True, weights=[3, 1])[0]["AP"] == 3 / 4
    assert figures(images, 2, True, weights=[3, 0])[0]["AP"] == 1.0
    assert figures(images, 2, False, weights=[3, 1])[0]["AP"] == 1 / 2
    assert figures(images, 2, False, weights=[3, 0])[0]["AP"] is None
    assert figures(images, 2, True, weights=[0, 0])[0]["AP"] is None


@pytest.mark.parametrize("official", [True, False])
def test_chosen_images_are_those_with_weight_one(official):
    rng = np.random.default_rng(5)
    images = unique(random_images(rng, n_images=8), rng)
    chosen = rng.random(8) < 0.6
    looked = looked_at(images, CLASSES, official, OTHERS)
    some = visdrone.encode(looked.select(chosen))
    ones = np.ones((1, int(chosen.sum())), dtype=np.int32)
    few = [one for one, is_there in zip(images, chosen, strict=True) if is_there]
    again = visdrone.encode(looked_at(few, CLASSES, official, OTHERS))
    assert np.array_equal(
        visdrone.resampled_figures(some, ones), visdrone.resampled_figures(again, ones), equal_nan=True
    )


@pytest.mark.parametrize("official", [True, False])
def test_threads_and_chunks_change_no_bit(official, monkeypatch):
    rng = np.random.default_rng(7)
    outcomes = visdrone.encode(looked_at(random_images(rng, n_images=20), CLASSES, official, OTHERS))
    weights = rng.integers(0, 3, (40, 20)).astype(np.int32)
    whole = visdrone.resampled_figures(outcomes, weights)
    assert len(np.unique(whole[:, 0])) > 10
    monkeypatch.setattr(visdrone, "_NUMBERS_PER_CHUNK", 1)
    assert np.array_equal(visdrone.resampled_figures(outcomes, weights, threads=3), whole, equal_nan=True)
    assert visdrone.resampled_figures(outcomes, weights[:0]).shape == (0, whole.shape[1])

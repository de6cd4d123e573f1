"""Scoring dense images by the VisDrone toolkit's rules: ours against a literal reading of them, in plain loops."""

import sys
import time
from pathlib import Path

import numpy as np

from rgbt_bench.metrics import visdrone
from rgbt_bench.statistics import RESAMPLES, blocks, draw_weights

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import visdrone_reference as reference
from visdrone_images import arrays, found, image, label

IMAGES, LABELS, DETECTIONS, CLASSES = 548, 70, 500, 10
OF_REFERENCE = 2  # images that the reference is timed on
LEAST_RATIO = 50


def dense(count):
    """Images of 960 by 540 with regions, labels and the most detections that are looked at."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(count):
        places = rng.integers(0, (940, 520), (LABELS, 2)).tolist()
        sides = rng.integers(5, 60, (LABELS, 2)).tolist()
        of = rng.integers(0, CLASSES, LABELS).tolist()
        ignored = (rng.random(LABELS) < 0.05).tolist()
        labels = [
            label(*place, *size, kind, off) for place, size, kind, off in zip(places, sides, of, ignored, strict=True)
        ]
        near = rng.integers(0, LABELS, DETECTIONS)
        boxes = np.array([box[:4] for box in labels], dtype=np.float64)[near] + rng.normal(0, 3, (DETECTIONS, 4))
        boxes[:, 2:] = boxes[:, 2:].clip(1)
        scores = np.sort(rng.random(DETECTIONS))[::-1].tolist()
        rows = zip(boxes.tolist(), scores, near.tolist(), strict=True)
        detections = [found(*box, score, of[place]) for box, score, place in rows]
        regions = [(*place, 120, 80) for place in rng.integers(0, (840, 460), (3, 2)).tolist()]
        images.append(image(labels, detections, regions, (960, 540)))
    return images


def figures(case, official, weights=None):
    outcomes = visdrone.encode(visdrone.scored(*case, [], official))
    ones = np.ones((1, case[0].n_samples), dtype=np.int32)
    return visdrone.resampled_figures(outcomes, ones if weights is None else weights)


def test_scoring_costs_a_small_part_of_plain_loops(benchmark):
    images = dense(IMAGES)
    case = arrays(images, CLASSES)
    few = images[:OF_REFERENCE]
    start = time.perf_counter()
    theirs, _ = reference.official(few, CLASSES)
    plain = (time.perf_counter() - start) / OF_REFERENCE
    ours = figures(arrays(few, CLASSES), True)[0]  # the kernels are compiled here
    assert abs(ours[0] - theirs["AP"]) < 1e-12
    benchmark(figures, case, True)
    start = time.perf_counter()
    figures(case, True)
    ratio = plain * IMAGES / (time.perf_counter() - start)
    benchmark.extra_info["times_faster_than_plain_loops"] = round(ratio)
    assert ratio >= LEAST_RATIO, f"{ratio:.0f} times faster, at least {LEAST_RATIO} expected"


def test_a_thousand_resamples_cost_some_seconds(benchmark):
    case = arrays(dense(IMAGES), CLASSES)
    weights = draw_weights(blocks([""] * IMAGES))
    spent = {}
    for official in (True, False):
        figures(case, official)
        start = time.perf_counter()
        assert figures(case, official, weights).shape[0] == RESAMPLES
        spent["official" if official else "clean"] = round(time.perf_counter() - start, 2)
    benchmark.extra_info["seconds_of_1000_resamples"] = spent
    benchmark(figures, case, True, weights[:10])
    assert max(spent.values()) < 60, spent

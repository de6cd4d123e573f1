"""Random hard cases of detections against labels, shared by the tests of the COCO figures."""

import numpy as np

from rgbt_bench.metrics.detection import GroundTruth
from rgbt_bench.predictions import Detections


def close(*values):
    """Whether all values are the same to 1e-12: pycocotools adds 2.2e-16 to the denominator of a precision."""
    if None in values:
        return set(values) == {None}
    return max(values) - min(values) <= 1e-12


def random_boxes(rng, n):
    """Boxes on a grid (equal IoUs, edges at -1) or anywhere, of all three area ranges."""
    if rng.random() < 0.5:
        step = rng.choice([4, 16, 40])
        corner = rng.integers(0, 4, (n, 2)) * step - 1
        return np.concatenate([corner, rng.integers(1, 5, (n, 2)) * step], axis=1).astype(float)
    return np.concatenate([rng.random((n, 2)) * 150 - 5, rng.random((n, 2)) * rng.choice([20, 60, 200]) + 0.5], axis=1)


def random_scores(rng, n):
    kind = rng.integers(4)
    if kind == 0:
        return rng.integers(0, 4, n) / 3
    if kind == 1:
        return np.full(n, 0.5)
    return rng.random(n).astype(np.float16 if kind == 2 else np.float64).astype(np.float64)


def random_case(seed, crowded=True):
    rng = np.random.default_rng(seed)
    n_samples, n_classes = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    n_labels = int(rng.choice([0, 1, 6, 20], p=[0.05, 0.15, 0.4, 0.4]))
    bbox = random_boxes(rng, n_labels)
    own_area = bbox[:, 2] * bbox[:, 3]
    truth = GroundTruth(
        sample_index=rng.integers(0, n_samples, n_labels),
        category=rng.integers(0, rng.integers(1, n_classes + 1), n_labels),
        bbox=bbox,
        area=np.where(rng.random(n_labels) < 0.8, own_area, rng.choice([100.0, 1024.0, 9216.0, 2e4], n_labels)),
        iscrowd=rng.random(n_labels) < 0.2,
        ignore=rng.random(n_labels) < 0.1,
        n_samples=n_samples,
        n_classes=n_classes,
    )
    n_wild = int(rng.choice([0, 5, 40, 260 if crowded else 40], p=[0.1, 0.4, 0.4, 0.1]))
    near = rng.choice(n_labels, int(rng.integers(0, 2 * n_labels + 1))) if n_labels else np.zeros(0, dtype=np.int64)
    jitter = rng.choice([0, 1, 2, 5], (len(near), 4)) * rng.choice([0, 0.5, 1])
    wild_samples = n_samples if n_wild < 100 else 1
    wild_classes = n_classes if n_wild < 100 else min(2, n_classes)
    boxes = np.concatenate([np.abs(bbox[near] + jitter) + np.array([0, 0, 0.01, 0.01]), random_boxes(rng, n_wild)])
    detections = Detections(
        sample_index=np.concatenate([truth.sample_index[near], rng.integers(0, wild_samples, n_wild)]),
        category=np.concatenate([truth.category[near], rng.integers(0, wild_classes, n_wild)]),
        bbox=boxes if rng.random() < 0.5 else np.concatenate([bbox[near], boxes[len(near) :]]),
        score=random_scores(rng, len(near) + n_wild),
    )
    return truth, detections

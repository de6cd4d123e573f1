import numpy as np
import pytest

from rgbt_bench.metrics.detection import GroundTruth
from rgbt_bench.predictions import Detections

# FLIR-aligned's test part, with as many detections as COCO looks at: 100 a sample on average.
SAMPLES, LABELS, CLASSES = 1_013, 8_591, 3
DETECTIONS = 100 * SAMPLES


def flir_like(seed):
    """Labels and detections of FLIR-aligned's test size: half the detections near a label, half anywhere.

    Every seed has the same labels.
    """
    rng = np.random.default_rng(0)

    def boxes(n):
        size = np.exp(rng.normal(3.6, 0.7, (n, 2))).clip(4, 400)
        return np.concatenate([rng.random((n, 2)) * (640, 512) - 1, size], axis=1)

    bbox = boxes(LABELS)
    truth = GroundTruth(
        sample_index=rng.integers(0, SAMPLES, LABELS),
        category=rng.choice(CLASSES, LABELS, p=[0.48, 0.04, 0.48]),
        bbox=bbox,
        area=bbox[:, 2] * bbox[:, 3],
        iscrowd=np.zeros(LABELS, dtype=bool),
        ignore=np.zeros(LABELS, dtype=bool),
        n_samples=SAMPLES,
        n_classes=CLASSES,
    )
    rng = np.random.default_rng((1, seed))
    near = rng.integers(0, LABELS, DETECTIONS // 2)
    jitter = rng.normal(0, 0.1, (len(near), 4)) * np.tile(bbox[near, 2:], 2)
    wild = DETECTIONS - len(near)
    detections = Detections(
        sample_index=np.concatenate([truth.sample_index[near], rng.integers(0, SAMPLES, wild)]),
        category=np.concatenate([truth.category[near], rng.integers(0, CLASSES, wild)]),
        bbox=np.concatenate([(bbox[near] + jitter).clip((-50, -50, 1, 1), 1000), boxes(wild)]),
        score=np.concatenate([rng.beta(4, 2, len(near)), rng.beta(1, 6, wild)]),
    )
    return truth, detections


@pytest.fixture(scope="session")
def flir_size():
    """One detector's output on a FLIR-size part."""
    return flir_like(0)


@pytest.fixture(scope="session")
def other_detections():
    """Another detector's output on the same labels."""
    return flir_like(1)[1]

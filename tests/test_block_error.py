"""Frames of a video are not independent: the error by blocks on the real labels of FLIR-aligned's test part."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from rgbt_bench.metrics.detection import ground_truth
from rgbt_bench.metrics.resampling import columns

ROOT = Path(__file__).parents[1]
LABELS = ROOT.parent / "shared/data/annotations_full/flir_aligned/thermal_test__thermal-val-flir.json"
NAMES = [name if category is None else f"{category} {name}" for category, name in columns(3)]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("block_error", ROOT / "docs/measurements/block_error.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ratios(script, labels):
    truth = ground_truth((one.objects for one in labels), 3)
    block, single = script.errors(truth, script.simulate(truth, 0), [""] * len(labels))
    return dict(zip(NAMES, block / single, strict=True))


@pytest.fixture(scope="module")
def labels(script):
    if not LABELS.is_file():
        pytest.skip(f"no real labels at {LABELS}: they may not be committed")
    return script.read_labels(LABELS)


def test_the_block_error_is_about_twice_that_of_frames_taken_as_independent(script, labels):
    found = ratios(script, labels)
    print({name: round(float(ratio), 2) for name, ratio in found.items()})
    assert all(1.7 < found[name] < 4 for name in ("AP", "AP50", "AR10", "AR100", "0 AP", "0 AP50", "2 AP", "2 AR100"))
    # Most of it is which sizes a stretch of frames shows: within one range of sizes little is left.
    assert all(0.8 < found[name] < 1.5 for name in ("AP_S", "AP_M", "AR_S", "AR_M"))


def test_in_shuffled_frames_nothing_of_it_is_left(script, labels):
    shuffled = [np.random.default_rng(seed).permutation(len(labels)) for seed in range(5)]
    every = [ratios(script, [labels[place] for place in order]) for order in shuffled]
    mean = {name: float(np.mean([one[name] for one in every])) for name in NAMES}
    print({name: round(ratio, 2) for name, ratio in mean.items()})
    assert all(0.8 < mean[name] < 1.25 for name in ("AP", "AP50", "AR100", "0 AP", "2 AP", "AP_S"))

"""Measure how much larger the standard error is when blocks of frames are drawn instead of single frames.

The labels are the real ones of FLIR-aligned's test part, as a COCO file of the whole list has them. No predictions of
a trained network on all of it are at hand, so a detector is simulated: whether it finds an object, how well and how
surely depends on nothing but that object's size, with noise that is independent between all objects and frames; false
positives come at one rate in every frame. What frames share is then only what the labels share. A real detector also
fails on the same object in frame after frame.

    python docs/measurements/block_error.py FOLDER/thermal_test__thermal-val-flir.json
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.formats.coco import read_coco
from rgbt_bench.metrics.detection import GroundTruth, coco_figures, ground_truth
from rgbt_bench.metrics.resampling import columns, encode, resampled_figures
from rgbt_bench.predictions import Detections
from rgbt_bench.schema import Labels
from rgbt_bench.sources import FolderSource
from rgbt_bench.statistics import blocks, draw_weights, standard_error
from rgbt_converters._flir_labels import CLASSES, labels_of_coco

FALSE_POSITIVES = 4.0  # a frame, on average
HALF_FOUND = 20.0  # side of a box, in pixels, at which half of them are found


def read_labels(path: Path) -> list[Labels]:
    """Return the labels of a published COCO file of FLIR-aligned in the order of the sample ids."""
    quirks: Counter[str] = Counter()
    images = read_coco(FolderSource(path.parent), path.name)
    labels = [labels_of_coco(image, image.file_name, quirks, path.name) for image in images]
    return sorted(labels, key=lambda one: one.sample_id)


def simulate(truth: GroundTruth, seed: int) -> Detections:
    """Return what a detector finds that depends on the size of each box alone."""
    rng = np.random.default_rng(seed)
    side = np.sqrt(truth.area)
    found = rng.random(len(truth)) < 1 / (1 + (HALF_FOUND / side) ** 2)
    box, size = truth.bbox[found], side[found]
    moved = box + rng.normal(0, 1, box.shape) * (1.0 + 0.05 * size)[:, np.newaxis]
    sure = 1 / (1 + np.exp(-(np.log2(size / HALF_FOUND) + rng.normal(0, 1, len(size)))))
    wrong = rng.poisson(FALSE_POSITIVES, truth.n_samples)
    shape = truth.bbox[rng.integers(0, len(truth), wrong.sum()), 2:]
    place = rng.random((wrong.sum(), 2)) * (640, 512)
    return Detections(
        sample_index=np.concatenate([truth.sample_index[found], np.repeat(np.arange(truth.n_samples), wrong)]),
        category=np.concatenate([truth.category[found], rng.integers(0, truth.n_classes, wrong.sum())]),
        bbox=np.maximum(np.concatenate([moved, np.hstack([place, shape])]), (-5, -5, 1, 1)),
        score=np.concatenate([sure, rng.beta(2, 4, wrong.sum())]),
    )


def errors(truth: GroundTruth, detections: Detections, scenes: list[str]) -> NDArray[np.float64]:
    """Return the standard errors of all figures by blocks of frames and by single frames, float64[2, figures]."""
    codes = encode(truth, detections)
    single = [f"{sample:06d}" for sample in range(truth.n_samples)]
    both = [resampled_figures(codes, draw_weights(blocks(units)), threads=2) for units in (scenes, single)]
    return np.array([[standard_error(values) or np.nan for values in figures.T] for figures in both])


def main() -> None:
    """Print figures, both errors and their ratio, the mean over five simulated detectors."""
    labels = read_labels(Path(sys.argv[1]))
    truth = ground_truth((one.objects for one in labels), len(CLASSES))
    scenes = [one.scene for one in labels]
    cut = blocks(scenes)
    print(f"{truth.n_samples} frames, {len(truth)} boxes, {cut.count} {cut.unit}\n")
    found = [simulate(truth, seed) for seed in range(5)]
    block, single = np.mean([errors(truth, one, scenes) for one in found], axis=0)
    figures = [coco_figures(truth, one) for one in found]
    print("| figure | mean | standard error, blocks | standard error, frames | ratio |\n|---|---|---|---|---|")
    for place, (category, name) in enumerate(columns(len(CLASSES))):
        values = [getattr(one if category is None else one.per_class[category], name) for one in figures]
        label = name if category is None else f"{CLASSES[category]} {name}"
        errors_ = f"{100 * block[place]:.2f} | {100 * single[place]:.2f} | {block[place] / single[place]:.1f}"
        print(f"| {label} | {100 * np.mean(values):.1f} | {errors_} |")


if __name__ == "__main__":
    main()

"""Measure how far the protocols of drone images, and the cap on detections, move one and the same predictions.

The scenes are made up, as dense as VisDrone's: many small objects, classes that are rare and come in few images, boxes
of score 0, ignored regions, `others`. With a folder of real images as published (VisDrone2019-DET-val and so on) their
labels are taken instead. No predictions of a trained network are at hand, so a detector is simulated: whether it finds
an object, how well and how surely depends on the object's size alone; it also sees what lies in ignored regions, takes
classes for each other, and finds things that are not there.

    python docs/measurements/drone_protocols.py [FOLDER]
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import rgbt_bench.metrics.visdrone as toolkit
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.metrics.detection import GroundTruth, coco_figures, further_figures, ground_truth
from rgbt_bench.predictions import MAX_PER_IMAGE, Detections, canonical_order
from rgbt_bench.schema import Box, Labels
from rgbt_converters._visdrone_labels import CLASSES, OTHERS
from rgbt_converters.visdrone import VisDrone

IMAGES = 548
WIDTH, HEIGHT = 1360, 765
FREQUENCY = (23, 13, 4, 36, 5, 2, 3, 1.5, 1, 12, 0.5)  # of the classes, in per cent of the objects
SIDE = (18, 14, 18, 40, 44, 60, 32, 34, 75, 22, 40)  # the median side of a class's boxes, in pixels
HALF_FOUND = 16.0  # the side of a box at which half of them are found
CONFUSED = 0.08
CAPS = (1, 10, 100, 300, 500)
NOT_CLASSES = (CLASSES.index(OTHERS),)


def made_up(rng: np.random.Generator) -> list[Labels]:
    """Return the labels of dense scenes: each has its own few classes, and crowds in some of them."""
    return [_scene(rng, f"{place:04}") for place in range(IMAGES)]


def _scene(rng: np.random.Generator, name: str) -> Labels:
    count = int(np.clip(rng.lognormal(3.9, 0.8), 1, 600))
    own = rng.dirichlet(np.array(FREQUENCY) / 8)
    height = np.exp(rng.normal(0, 0.35))  # of the drone
    boxes = []
    for category in rng.choice(len(CLASSES), count, p=own):
        sides = np.maximum(2, np.rint(SIDE[category] / height * np.exp(rng.normal(0, 0.35, 2))))
        x, y = (float(np.rint(value)) for value in rng.uniform(0, (WIDTH - 20, HEIGHT - 20)))
        width, high = (float(value) for value in np.minimum(sides, (WIDTH - x, HEIGHT - y)))
        ignore = bool(rng.random() < 0.02 or category in NOT_CLASSES)
        boxes.append(Box((x, y, width, high), int(category), width * high, ignore=ignore))
    regions = tuple(
        (*(float(int(value)) for value in rng.uniform(0, (WIDTH - 80, HEIGHT - 60))), *_sides(rng))
        for _ in range(rng.poisson(1.2))
    )
    return Labels(sample_id=name, width=WIDTH, height=HEIGHT, objects=tuple(boxes), ignore_regions=regions)


def _sides(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.integers(40, 260)), float(rng.integers(30, 140))


def detected(samples: Sequence[Labels], rng: np.random.Generator) -> Detections:
    """Return what the simulated detector finds, at most as many an image as a predictions file may have."""
    rows = [(place, *row) for place, labels in enumerate(samples) for row in _found(labels, rng)]
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    category = table[:, 5].astype(np.int64)
    return best(Detections(table[:, 0].astype(np.int64), category, table[:, 1:5].copy(), table[:, 6]), MAX_PER_IMAGE)


def _found(labels: Labels, rng: np.random.Generator) -> list[tuple[float, ...]]:
    rows: list[tuple[float, ...]] = []
    seen = [(box.bbox, box.category) for box in labels.objects if box.area > 0]
    for x, y, width, height in labels.ignore_regions:
        for _ in range(int(width * height / 2500)):
            place = (x + rng.uniform(0, width), y + rng.uniform(0, height), *rng.uniform(10, 30, 2))
            seen.append((place, int(rng.choice([0, 1, 3, 9]))))
    for bbox, category in seen:
        side = float(np.sqrt(bbox[2] * bbox[3]))
        sure = side**2 / (side**2 + HALF_FOUND**2)
        for _ in range(1 + rng.poisson(0.6)):  # the first, and copies that a suppression left
            if rng.random() < sure:
                x, y, width, height = np.array(bbox) + rng.normal(0, 0.06 * side + 0.6, 4)
                other = int(rng.choice([0, 1, 3, 4, 9])) if rng.random() < CONFUSED else category
                score = float(np.clip(sure * rng.beta(4, 2), 0.001, 1))
                rows.append((x, y, max(1.0, width), max(1.0, height), other, score))
    for _ in range(rng.poisson(120)):
        sides = np.exp(rng.normal(3, 0.5, 2))
        x, y = rng.uniform(0, (labels.width - 20, labels.height - 20))
        rows.append((x, y, *sides, int(rng.choice(10)), float(rng.beta(1, 9))))
    return rows


def best(detections: Detections, count: int) -> Detections:
    """Return the best detections of each image, over all classes."""
    ordered = detections.take(canonical_order(detections))
    rank = np.arange(len(ordered)) - np.searchsorted(ordered.sample_index, ordered.sample_index)
    return ordered.take(rank < count)


def figures_of(
    truth: GroundTruth, detections: Detections, regions: toolkit.Regions, official: bool
) -> tuple[dict[str, float], NDArray[np.float64], list[dict[str, int]]]:
    """Return the figures over all classes, the AP of each class, and its counts."""
    looked_at = toolkit.scored(truth, detections, regions, NOT_CLASSES, official)
    ones = np.ones((1, truth.n_samples), dtype=np.int32)
    (values,) = toolkit.resampled_figures(toolkit.encode(looked_at), ones)
    names = toolkit.columns((toolkit.OFFICIAL if official else toolkit.CLEAN)["name"], truth.n_classes)
    overall = {name: value for (category, name), value in zip(names, values, strict=True) if category is None}
    per_class = [
        value for (category, name), value in zip(names, values, strict=True) if category is not None and name == "AP"
    ]
    return overall, np.array(per_class), toolkit.counts(looked_at)


def report(title: str, samples: Sequence[Labels], seed: int) -> None:
    """Print every table of one set of labels."""
    truth = ground_truth((labels.objects for labels in samples), len(CLASSES))
    regions, detections = toolkit.regions(samples), detected(samples, np.random.default_rng((1, seed)))
    per_image = np.bincount(truth.sample_index, minlength=len(samples))
    found = np.bincount(detections.sample_index, minlength=len(samples))
    print(f"\n{title}: {len(samples)} images, {len(truth)} labels ({truth.ignore.sum()} ignored), at most")
    print(f"{per_image.max()} an image; {len(regions.bbox)} regions;")
    print(f"{len(detections)} detections, at most {found.max()} an image")
    _protocols(truth, detections, regions)
    _between(truth, detections, regions)
    print("\n| best K of an image | coco AP | official AP | clean AP |\n|---|---|---|---|")
    for cap in (*CAPS, MAX_PER_IMAGE):
        few = best(detections, cap)
        official, clean = (figures_of(truth, few, regions, one)[0]["AP"] for one in (True, False))
        print(f"| {cap} | {_text(coco_figures(truth, few).AP)} | {_text(official)} | {_text(clean)} |")


def _protocols(truth: GroundTruth, detections: Detections, regions: toolkit.Regions) -> None:
    coco = coco_figures(truth, detections)
    further = further_figures(truth, detections) or {}
    official, clean = (figures_of(truth, detections, regions, one)[0] for one in (True, False))
    print("\n| | coco | visdrone-official | visdrone-clean |\n|---|---|---|---|")
    for name in ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L", "AR1", "AR10", "AR100", "AR500"):
        row = (getattr(coco, name, further.get(name)), official.get(name), clean.get(name))
        print(f"| {name} | {' | '.join(map(_text, row))} |")
    for name in ("AP@300", "AP@500"):
        print(f"| {name} | {_text(further.get(name))} | | |")


def _between(truth: GroundTruth, detections: Detections, regions: toolkit.Regions) -> None:
    """Print what each difference between the protocols does to AP by itself."""
    _, official, counts = figures_of(truth, detections, regions, True)
    _, clean, _ = figures_of(truth, detections, regions, False)
    often = np.array([one["samples"] for one in counts], dtype=np.float64)
    none = replace(regions, sample_index=regions.sample_index[:0], bbox=regions.bbox[:0])
    outside = [~toolkit.are_in_regions(one.bbox, one.sample_index, regions) for one in (truth, detections)]
    plain = truth.take(outside[0]), detections.take(outside[1])
    rows = {
        "official": np.nansum(official * often) / often.sum(),
        "official, classes averaged plainly": np.nanmean(official),
        "official, ignored labels out of the recall": np.nansum(clean * often) / often[~np.isnan(clean)].sum(),
        "both, which is clean": np.nanmean(clean),
        "clean, without ignored regions": figures_of(truth, detections, none, False)[0]["AP"],
        "coco": coco_figures(truth, detections).AP,
        "coco, of what is in no ignored region": coco_figures(*plain).AP,
    }
    print("\n| AP | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {_text(value)} |")


def _text(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{100 * value:.2f}"


def main() -> None:
    """Print the tables of made-up scenes, or of the images in a folder."""
    if len(sys.argv) < 2:
        report("made-up scenes", made_up(np.random.default_rng(0)), 0)
        return
    with tempfile.TemporaryDirectory() as folder:
        convert(VisDrone(), Path(sys.argv[1]), Path(folder) / "set")
        dataset = Dataset(Path(folder) / "set")
        report("real labels", [labels for part in dataset.parts for labels in dataset.part(part).labels], 0)


if __name__ == "__main__":
    main()

"""VisDrone's ignored boxes under the protocol `coco`: they count neither way, whoever matches, and break no figure."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from detection_cases import close
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.evaluating import Evaluation, evaluate_all
from rgbt_bench.metrics.detection import coco_figures, ground_truth
from rgbt_bench.metrics.resampling import PER_CLASS, SUMMARY, columns, encode, resampled_figures
from rgbt_bench.predictions import Detections
from rgbt_bench.schema import Box
from rgbt_bench.scoring import score_file
from rgbt_converters._visdrone_labels import CLASSES
from rgbt_converters.visdrone import VisDrone
from visdrone_cases import put_original

DATA = Path(__file__).parents[2] / "shared" / "data"
CAR, OTHERS = CLASSES.index("car"), CLASSES.index("others")
EVALUATORS = ("hotcoco", "pycocotools")
# Lines of the made-up set: two cars to be found, and ignored boxes of every kind, one of them without area.
CARS = ["4,4,10,10,1,4,0,0", "30,20,12,10,1,4,0,0"]
IGNORED = ["44,2,16,16,0,4,0,0", "20,40,0,6,1,4,0,0", "2,30,14,14,0,11,0,0", "20,30,8,8,1,11,0,0"]


@pytest.fixture
def made(tmp_path):
    lines = {"train": {f"0000002_0000{number}_d_0000014": [*CARS, *IGNORED] for number in range(4)}}
    convert(VisDrone(), put_original(tmp_path / "in", lines=lines), tmp_path / "set")
    return Dataset(tmp_path / "set").part("train")


@pytest.fixture
def real(tmp_path):
    if not (DATA / "VisDrone2019-DET-train").is_dir():
        pytest.skip(f"no real data at {DATA}: it may not be committed")
    convert(VisDrone(), DATA, tmp_path / "set")
    return Dataset(tmp_path / "set")


def truths(part):
    """A prediction of score 1 for every box that is to be found."""
    return [
        row(labels.sample_id, box.category, box.bbox)
        for labels in part.labels
        for box in labels.objects
        if not box.ignore
    ]


def row(sample_id, category, bbox, score=1.0):
    return {"image_id": sample_id, "category_id": category + 1, "bbox": list(bbox), "score": score}


def scored(part, rows, tmp_path, evaluator="hotcoco"):
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(rows))
    return score_file(path, part, "detection-rgb", evaluator).metrics


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_the_real_truth_as_predictions_is_perfect(part, evaluator, real, tmp_path):
    part = real.part(part)
    metrics = scored(part, truths(part), tmp_path, evaluator)
    present = {CLASSES[box.category] for labels in part.labels for box in labels.objects if not box.ignore}
    for name, figures in metrics.per_class.items():
        if name in present:
            assert close(figures["AP"], 1.0), name
        else:
            assert (figures["AP"], figures["ground_truths"]) == (None, 0), name
    assert "others" not in present
    assert close(metrics.figures["AP"], 1.0)


def test_others_enter_no_average(made, tmp_path):
    both = [scored(made, truths(made), tmp_path, evaluator) for evaluator in EVALUATORS]
    for metrics in both:
        assert metrics.per_class["others"]["AP"] is None
        assert {name for name, one in metrics.per_class.items() if one["AP"] is not None} == {"car"}
        assert close(metrics.figures["AP"], metrics.per_class["car"]["AP"], 1.0)
        assert metrics.per_class["car"]["ground_truths"] == 8


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_detections_in_an_ignored_box_of_their_class_count_neither_way(evaluator, made, tmp_path):
    first = made.ids[0]
    # surer than the truth, so that a false positive would cost AP
    inside = [row(first, CAR, (46, 4, 6, 6), 2.0), row(first, CAR, (44, 2, 16, 16), 2.0)]
    of_others = [row(first, OTHERS, (2, 30, 14, 14), 2.0), row(first, OTHERS, (50, 40, 5, 5), 2.0)]
    plain = scored(made, truths(made), tmp_path, evaluator)
    with_ignored = scored(made, truths(made) + inside + of_others, tmp_path, evaluator)
    # An ignored detection takes a place among those allowed, which AR1 alone shows here.
    assert with_ignored.figures.pop("AR1") < plain.figures.pop("AR1")
    assert with_ignored.figures == plain.figures
    assert with_ignored.per_class == plain.per_class
    # The same boxes are false positives where they lie in no ignored box of their own class.
    for wrong in (row(first, CAR, (2, 30, 14, 14), 2.0), row(first, CAR, (20, 40, 3, 6), 2.0)):
        assert scored(made, [*truths(made), wrong], tmp_path, evaluator).figures["AP"] < 1


@pytest.mark.parametrize("rows", ["none", "all", "wrong"])
def test_both_evaluators_and_the_resampling_agree(rows, made, tmp_path):
    found = {"none": [], "all": truths(made), "wrong": [row(made.ids[1], CAR, (6, 4, 10, 10), 0.5), *truths(made)[1:]]}
    hotcoco, pycocotools = (scored(made, found[rows], tmp_path, one) for one in EVALUATORS)
    assert hotcoco.figures == pycocotools.figures
    assert hotcoco.per_class == pycocotools.per_class


def random_truth(rng):
    """Samples of labels of which many have no area, and detections on and around them."""
    samples, detections = [], []
    for sample in range(6):
        boxes = []
        for _ in range(rng.integers(0, 9)):
            x, y = rng.integers(0, 40, 2).astype(float)
            width, height = rng.choice([0.0, 5.0, 20.0], 2)
            ignore = bool(width * height == 0 or rng.random() < 0.3)
            boxes.append(Box((x, y, width, height), int(rng.integers(3)), width * height, ignore=ignore))
            shift = rng.choice([0.0, 1.0], 2)
            detections.append((sample, boxes[-1].category, x + shift[0], y, max(width, 1), max(height, 1)))
        samples.append(boxes)
    rows = np.array(detections or np.zeros((0, 6)), dtype=np.float64)
    return ground_truth(samples, 3), Detections(
        rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2:], rng.integers(1, 4, len(rows)) / 3
    )


@pytest.mark.parametrize("seed", range(30))
def test_labels_without_area_break_neither_evaluator_nor_the_resampling(seed):
    truth, detections = random_truth(np.random.default_rng(seed))
    hotcoco, pycocotools = (coco_figures(truth, detections, one) for one in EVALUATORS)
    assert asdict(hotcoco) == asdict(pycocotools)
    weights = np.ones((1, truth.n_samples), dtype=np.int32)
    (resampled,) = resampled_figures(encode(truth, detections), weights)
    told = {(None, name): getattr(hotcoco, name) for name in SUMMARY}
    told |= {(place, name): getattr(one, name) for place, one in enumerate(hotcoco.per_class) for name in PER_CLASS}
    for column, value in zip(columns(3), resampled, strict=True):
        assert (None if np.isnan(value) else value) == told[column], column


def test_the_challenge_part_cannot_be_scored(tmp_path):
    convert(VisDrone(), put_original(tmp_path / "in"), tmp_path / "set")
    with pytest.raises(BadInputError, match="the part challenge has no boxes to score against"):
        scored(Dataset(tmp_path / "set").part("challenge"), [], tmp_path)


def test_the_command_line_scores_it(real, bench, tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(truths(real.part("test"))))
    options = ("--dataset", real.root, "--task", "detection-rgb", "--json")
    code, out, err = bench("evaluate", path, *options)
    assert code == 0, err
    assert close(json.loads(out)["metrics"]["figures"]["AP"], 1.0)


def test_predictions_on_a_set_without_thermal_images_are_of_rgb(made, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps(truths(made)))
    asked = Evaluation([tmp_path / "p.json"], str(tmp_path / "set"), part="train")
    (result,) = evaluate_all(asked).values()
    assert result.track == "visdrone/detection-rgb"

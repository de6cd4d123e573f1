"""COCO's figures with 300 and 500 detections allowed: the same bits by both evaluators, and only where they differ."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from rgbt_bench.leaderboard.tracks import leaderboard, protocol_digest
from rgbt_bench.metrics.detection import FURTHER, coco_figures, further_figures, ground_truth
from rgbt_bench.predictions import Detections
from rgbt_bench.results import DetectionMetrics, Intervals
from rgbt_bench.schema import Box

EVALUATORS = ("hotcoco", "pycocotools")


def dense(seed, most=500):
    """Crowded samples: up to `most` labels, some ignored, several detections of each with few different scores."""
    rng = np.random.default_rng(seed)
    samples, rows = [], []
    classes = int(rng.integers(1, 3))
    for sample in range(int(rng.integers(1, 4))):
        boxes = []
        for _ in range(int(rng.integers(most // 2, most))):
            x, y = (float(value) for value in rng.integers(0, 300, 2))
            width, height = (float(value) for value in rng.choice([5, 10, 31, 32, 33, 95, 96, 97], 2))
            category = int(rng.integers(classes))
            boxes.append(Box((x, y, width, height), category, width * height, ignore=bool(rng.random() < 0.1)))
            for _ in range(int(rng.integers(0, 4))):
                dx, dy, dw, dh = rng.choice([0, 0, 1, 2, -1], 4)
                other = category if rng.random() < 0.9 else int(rng.integers(classes))
                bbox = (x + dx, y + dy, max(1, width + dw), max(1, height + dh))
                rows.append((sample, other, *bbox, rng.choice([0.0, 0.5, 0.9, rng.random()])))
        samples.append(boxes)
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    detections = Detections(
        table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6].copy(), table[:, 6].copy()
    )
    return ground_truth(samples, classes), detections


@pytest.mark.parametrize("seed", [0, 2, 3, 6, 11])
def test_both_evaluators_give_the_same_bits(seed):
    truth, detections = dense(seed)
    hotcoco, pycocotools = (further_figures(truth, detections, one) for one in EVALUATORS)
    assert hotcoco == pycocotools
    assert tuple(hotcoco) == FURTHER


def test_more_detections_find_more_and_the_protocols_own_figures_stay():
    truth, detections = dense(11)
    assert max(np.unique(detections.sample_index * 2 + detections.category, return_counts=True)[1]) > 500
    figures, further = coco_figures(truth, detections), further_figures(truth, detections)
    assert figures.AR100 < further["AR300"] < further["AR500"]
    assert figures.AP < further["AP@300"] < further["AP@500"]
    for evaluator in EVALUATORS:
        assert asdict(coco_figures(truth, detections, evaluator)) == asdict(figures)
    assert protocol_digest("coco") == leaderboard().protocols["coco"]


def test_a_hundred_labels_found_last_by_hand():
    """150 false positives before 50 hits, of 50 labels: none among the first 100, all among the first 300."""
    boxes = [Box((20.0 * place, 0.0, 10.0, 10.0), 0, 100.0) for place in range(50)]
    wrong = np.array([(20.0 * place, 500.0, 10.0, 10.0) for place in range(150)])
    bbox = np.concatenate([wrong, [box.bbox for box in boxes]])
    zeros, score = np.zeros(200, dtype=np.int64), np.linspace(1, 0.1, 200)
    truth, detections = ground_truth([boxes], 1), Detections(zeros, zeros, bbox, score)
    assert coco_figures(truth, detections).AR100 == 0.0
    further = further_figures(truth, detections)
    assert further["AR300"] == further["AR500"] == 1.0
    assert further["AP@300"] == pytest.approx(50 / 200, abs=1e-12)
    assert further["AP_M@300"] is None


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_where_a_hundred_suffice_there_is_nothing_further(evaluator):
    truth, detections = dense(11)
    order = np.argsort(detections.sample_index * 2 + detections.category, kind="stable")
    group = (detections.sample_index * 2 + detections.category)[order]
    rank = np.arange(len(group)) - np.searchsorted(group, group)
    assert further_figures(truth, detections.take(order[rank < 100]), evaluator) is None
    assert further_figures(truth, detections.take(order[rank < 101]), evaluator) is not None
    assert further_figures(ground_truth([[]] * truth.n_samples, truth.n_classes), detections, evaluator) is None
    assert further_figures(truth, detections.take(order[:0]), evaluator) is None
    with pytest.raises(ValueError, match="evaluator"):
        further_figures(truth, detections, "mine")
    with pytest.raises(ValueError, match="category must lie in"):
        further_figures(truth, replace(detections, category=detections.category + 2), evaluator)


def test_what_is_not_there_is_not_written():
    empty = Intervals(figures={}, per_class={}, subsets={}, resampling={})
    metrics = DetectionMetrics(figures={"AP": 0.5}, per_class={}, intervals=empty)
    assert "further" not in metrics.model_dump(mode="json")
    more = metrics.model_copy(update={"further": {"AP@300": 0.5}})
    assert DetectionMetrics.model_validate(more.model_dump(mode="json")) == more

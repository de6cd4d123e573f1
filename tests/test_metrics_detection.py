"""COCO figures: closed forms, and parity of both evaluators to the last bit."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest

from detection_cases import close, random_case
from rgbt_bench.files import canonical_json
from rgbt_bench.metrics import detection
from rgbt_bench.metrics.detection import PROTOCOL, coco_figures, ground_truth, subset
from rgbt_bench.predictions import Detections, write_predictions
from rgbt_bench.schema import Box

FIGURES = ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L", "AR1", "AR10", "AR100", "AR_S", "AR_M", "AR_L")
PARITY_CASES = 1000


def box(x, y, width, height, category=0, **flags):
    return Box((x, y, width, height), category, width * height, **flags)


def found(*rows):
    """Detections from rows (sample, category, bbox, score)."""
    sample, category, bbox, score = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Detections(
        np.array(sample, dtype=np.int64),
        np.array(category, dtype=np.int64),
        np.array(bbox, dtype=np.float64).reshape(-1, 4),
        np.array(score, dtype=np.float64),
    )


def perfect(truth):
    return Detections(truth.sample_index, truth.category, truth.bbox, np.ones(len(truth)))


@pytest.fixture(params=["hotcoco", "pycocotools"])
def score(request):
    return lambda truth, detections: coco_figures(truth, detections, request.param)


# Closed forms

A, B, MISS = (0, 0, 20, 20), (100, 100, 20, 20), (300, 300, 20, 20)


def test_perfect_detections_give_one_everywhere(score):
    samples = [[box(0, 0, 20, 20, 0), box(50, 50, 60, 60, 1)], [box(-1, -1, 200, 200, 2), box(-1, 5, 20, 9, 1)], []]
    truth = ground_truth(samples, 3)
    figures = score(truth, perfect(truth))
    assert close(1.0, *(getattr(figures, name) for name in FIGURES))
    assert close(1.0, *(getattr(one, name) for one in figures.per_class for name in ("AP", "AP50", "AP75", "AR100")))
    assert [one.ground_truths for one in figures.per_class] == [1, 2, 1]


@pytest.mark.parametrize(
    ("rows", "ap", "recall"),
    [
        ([(0, 0, MISS, 0.9), (0, 0, A, 0.8)], 1 / 2, 1),  # a false positive above halves every precision
        ([(0, 0, A, 0.8), (0, 0, MISS, 0.7)], 1, 1),  # one below costs nothing
        ([(0, 0, A, 0.8), (0, 0, A, 0.7)], 1, 1),  # a duplicate below is one
        ([(0, 0, MISS, 0.9)], 0, 0),
    ],
)
def test_one_label(score, rows, ap, recall):
    figures = score(ground_truth([[box(*A)]], 1), found(*rows))
    assert close(figures.AP, ap)
    assert close(figures.AP50, ap)
    assert close(figures.AR100, recall)
    assert (figures.AP_M, figures.AP_L, figures.AR_M, figures.AR_L) == (None,) * 4


def test_hand_computed_average_precision(score):
    truth = ground_truth([[box(*A)], [box(*B)]], 1)
    figures = score(truth, found((0, 0, A, 0.9), (0, 0, MISS, 0.8), (1, 0, B, 0.7)))
    # Precision is 1 up to recall 0.5 (51 points), 2/3 beyond (50 points).
    assert close(figures.AP, (51 + 50 * 2 / 3) / 101)
    assert figures.AR1 == 1.0
    assert close(score(truth, found((0, 0, A, 0.9))).AP, 51 / 101)
    # A duplicate above the second hit counts like any false positive.
    assert score(truth, found((0, 0, A, 0.9), (0, 0, A, 0.8), (1, 0, B, 0.7))).AP == figures.AP


def test_iou_thresholds(score):
    # 62 of 100 columns: IoU 0.62 passes .50, .55 and .60.
    figures = score(ground_truth([[box(0, 0, 100, 10)]], 1), found((0, 0, (0, 0, 62, 10), 0.9)))
    assert close(figures.AP, 0.3)
    assert close(figures.AP50, 1.0)
    assert close(figures.AP75, 0.0)
    assert close(figures.AR100, 0.3)


def test_detections_allowed_per_sample_and_class(score):
    truth = ground_truth([[box(*A, 0), box(*A, 1)]], 2)
    wrong = [(0, 0, MISS, 0.9)] * 100
    assert score(truth, found(*wrong[:99], (0, 0, A, 0.1))).per_class[0].AR100 == 1.0
    beyond = score(truth, found(*wrong, (0, 0, A, 0.1), (0, 1, A, 0.01)))
    assert beyond.per_class[0] == dataclasses.replace(beyond.per_class[0], AP=0.0, AR100=0.0)
    assert close(beyond.per_class[1].AP, 1.0)
    eleventh = score(truth, found(*wrong[:10], (0, 0, A, 0.1), (0, 1, A, 0.01)))
    assert (eleventh.AR1, eleventh.AR10, eleventh.AR100) == (0.5, 0.5, 1.0)


@pytest.mark.parametrize("flag", ["iscrowd", "ignore"])
def test_a_crowd_or_ignored_box_counts_neither_way(score, flag):
    region = box(100, 100, 200, 200, **{flag: True})
    truth = ground_truth([[box(*A), region]], 1)
    inside = [(0, 0, (110 + 20 * place, 110, 15, 15), 0.9) for place in range(5)]
    figures = score(truth, found((0, 0, A, 0.5), *inside))
    assert close(figures.AP, figures.AR100, 1.0)
    assert figures.AP_L is None
    assert figures.per_class[0].ground_truths == 1
    assert score(truth, found((0, 0, A, 0.5))).AR100 == 1.0
    # Only what lies inside is forgiven, and a class with nothing else has no figure.
    assert close(score(truth, found((0, 0, A, 0.5), (0, 0, MISS, 0.9))).AP, 0.5)
    assert score(ground_truth([[region]], 1), found((0, 0, A, 0.5))).AP is None


def test_area_ranges(score):
    truth = ground_truth([[box(0, 0, 32, 32), box(100, 100, 100, 100)]], 1)
    small = (0, 0, (300, 300, 5, 5), 0.9)
    figures = score(truth, found((0, 0, (0, 0, 32, 32), 0.8), (0, 0, (100, 100, 100, 100), 0.7), small))
    # 32 by 32 is small and medium; the small false positive costs the large range nothing.
    assert (figures.AR_S, figures.AR_M, figures.AR_L) == (1.0, 1.0, 1.0)
    assert close(figures.AP_S, 0.5)
    assert close(figures.AP_M, figures.AP_L, 1.0)
    # The label's stated area decides, not its sides.
    stated = ground_truth([[Box(A, 0, 5000.0)]], 1)
    assert score(stated, perfect(stated)).AP_S is None
    assert close(score(stated, perfect(stated)).AP_M, 1.0)


def test_no_detection_is_zero_and_no_label_is_none(score):
    truth = ground_truth([[box(*A)], []], 2)
    nothing = score(truth, found())
    assert [getattr(nothing, name) for name in FIGURES] == [0, 0, 0, 0, None, None, 0, 0, 0, 0, None, None]
    assert nothing.per_class[1] == detection.ClassFigures(None, None, None, None, 0)
    # The same through the evaluator, with one detection of the class without labels.
    assert score(truth, found((1, 1, A, 0.9))) == nothing
    for empty in (ground_truth([[], []], 2), ground_truth([], 2)):
        rows = [(0, 0, A, 0.9)] if empty.n_samples else []
        figures = score(empty, found(*rows))
        assert all(getattr(figures, name) is None for name in FIGURES)
        assert [one.ground_truths for one in figures.per_class] == [0, 0]


def test_an_absent_class_is_not_averaged(score):
    truth = ground_truth([[box(*A, 0), box(*B, 2)]], 3)
    figures = score(truth, found((0, 0, A, 0.9), (0, 1, A, 0.9)))
    assert close(figures.AP, 0.5)
    assert [one.AP is None for one in figures.per_class] == [False, True, False]


def test_equal_scores_are_decided_by_the_canonical_order(score):
    truth = ground_truth([[box(*A)]], 1)
    left, right = (0, 0, (-5, 0, 20, 20), 0.5), (0, 0, A, 0.5)
    assert score(truth, found(left, right)) == score(truth, found(right, left))
    assert close(score(truth, found(left, right)).AP75, 0.5)


def test_indices_outside_their_range_are_refused():
    truth = ground_truth([[box(*A)]], 1)
    with pytest.raises(ValueError, match=r"sample_index must lie in 0\.\.0, found 1\.\.1"):
        coco_figures(truth, found((1, 0, A, 0.9)))
    with pytest.raises(ValueError, match="category must lie"):
        coco_figures(truth, found((0, 1, A, 0.9)))
    with pytest.raises(ValueError, match="category must lie"):
        ground_truth([[box(*A, 3)]], 3)
    with pytest.raises(ValueError, match="evaluator 'fast'"):
        coco_figures(truth, found(), "fast")
    with pytest.raises(ValueError, match="one length"):
        dataclasses.replace(truth, area=np.zeros(2))


def test_hotcoco_gives_the_bits_of_pycocotools():
    differing = []
    seen = dict.fromkeys(("ties", "crowd", "many", "empty image", "absent class", "no detection", "no label"), 0)
    for seed in range(PARITY_CASES):
        truth, detections = random_case(seed)
        ours, oracle = (coco_figures(truth, detections, name) for name in ("hotcoco", "pycocotools"))
        if ours != oracle:
            differing.append(seed)
        per_group = np.unique(detections.sample_index * 10 + detections.category, return_counts=True)[1]
        seen["ties"] += len(np.unique(detections.score)) < len(detections)
        seen["crowd"] += bool(truth.iscrowd.any())
        seen["many"] += bool((per_group > 100).any())
        seen["empty image"] += len(np.unique(truth.sample_index)) < truth.n_samples
        seen["absent class"] += len(np.unique(truth.category)) < truth.n_classes
        seen["no detection"] += not len(detections)
        seen["no label"] += not len(truth)
    assert differing == []
    assert min(seen.values()) >= 10, seen


@pytest.mark.parametrize("seed", range(0, 60, 2))
def test_the_figures_are_those_pycocotools_prints_for_the_written_file(seed, tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, detections = random_case(1000 + seed)
    truth = canonical_labels(truth)
    if not len(detections):
        pytest.skip("loadRes fails on an empty list")
    samples = [f"FLIR_{place:05d}" for place in range(truth.n_samples)]
    write_predictions(tmp_path / "p.json", detections, samples)
    labels = {
        "images": [{"id": name} for name in samples],
        "categories": [{"id": place + 1, "name": str(place)} for place in range(truth.n_classes)],
        "annotations": [
            {"id": place + 1, "image_id": samples[truth.sample_index[place]], "bbox": truth.bbox[place].tolist()}
            | {"category_id": int(truth.category[place]) + 1, "area": float(truth.area[place])}
            | {"iscrowd": int(truth.iscrowd[place] or truth.ignore[place])}
            for place in range(len(truth))
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "labels.json"))
        plain = COCOeval(coco, coco.loadRes(str(tmp_path / "p.json")), "bbox")
        plain.evaluate()
        plain.accumulate()
        plain.summarize()
    figures = coco_figures(truth, detections)
    assert [
        -1 if getattr(figures, name) is None else getattr(figures, name) for name in FIGURES
    ] == plain.stats.tolist()


def canonical_labels(truth):
    keys = (truth.ignore, truth.iscrowd, truth.area, *truth.bbox.T[::-1], truth.category, truth.sample_index)
    return truth.take(np.lexsort(keys))


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_rows_changes_nothing(seed):
    truth, detections = random_case(2000 + seed)
    figures = coco_figures(truth, detections)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        shuffled = detections.take(rng.permutation(len(detections)))
        assert coco_figures(truth.take(rng.permutation(len(truth))), shuffled) == figures


@pytest.mark.parametrize("seed", range(10))
def test_a_subset_is_scored_as_if_the_rest_were_not_there(seed):
    truth, detections = random_case(4000 + seed)
    mask = np.random.default_rng(seed).random(truth.n_samples) < 0.5
    kept_truth, kept = subset(truth, detections, mask)
    place = {int(old): new for new, old in enumerate(np.flatnonzero(mask))}
    labels = [[] for _ in place]
    for i in range(len(truth)):
        if int(truth.sample_index[i]) in place:
            flags = {"iscrowd": bool(truth.iscrowd[i]), "ignore": bool(truth.ignore[i])}
            one = Box(tuple(truth.bbox[i]), int(truth.category[i]), float(truth.area[i]), **flags)
            labels[place[int(truth.sample_index[i])]].append(one)
    columns = zip(detections.sample_index, detections.category, detections.bbox, detections.score, strict=True)
    rows = [(place[int(sample)], *rest) for sample, *rest in columns if int(sample) in place]
    assert kept_truth.n_samples == mask.sum()
    assert coco_figures(kept_truth, kept) == coco_figures(ground_truth(labels, truth.n_classes), found(*rows))


def test_a_subset_of_all_and_of_none():
    truth, detections = random_case(7)
    everything = subset(truth, detections, np.ones(truth.n_samples, dtype=bool))
    assert coco_figures(*everything) == coco_figures(truth, detections)
    assert coco_figures(*subset(truth, detections, np.zeros(truth.n_samples, dtype=bool))).AP is None
    for mask in (np.ones(truth.n_samples + 1, dtype=bool), np.ones(truth.n_samples, dtype=np.int64)):
        with pytest.raises(ValueError, match="sample_mask"):
            subset(truth, detections, mask)


def test_the_protocol_states_what_is_computed():
    from hotcoco import Params
    from pycocotools.cocoeval import Params as Reference

    assert json.loads(canonical_json(PROTOCOL)) == PROTOCOL
    assert (PROTOCOL["name"], PROTOCOL["version"]) == ("coco", 1)
    for default in (Params("bbox"), Reference("bbox")):
        assert list(default.iouThrs) == detection.IOU_THRESHOLDS.tolist()
        assert list(default.recThrs) == detection.RECALL_POINTS.tolist()
        assert default.maxDets == PROTOCOL["max_detections"]
        assert default.areaRngLbl == list(PROTOCOL["areas"])
        assert np.array_equal(default.areaRng, list(PROTOCOL["areas"].values()))


def test_nothing_is_printed(score, capfd):
    score(*random_case(7))
    assert capfd.readouterr() == ("", "")

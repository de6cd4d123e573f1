"""Figures of resamples: the matches of pycocotools, and its figures on sets with samples copied and left out."""

import contextlib
import dataclasses
import io

import numpy as np
import pytest

from detection_cases import close, random_case
from rgbt_bench.metrics import detection
from rgbt_bench.metrics.detection import GroundTruth, canonical, coco_figures, ground_truth, subset
from rgbt_bench.metrics.resampling import PER_CLASS, SUMMARY, columns, encode, match, resampled_figures
from rgbt_bench.predictions import Detections
from rgbt_bench.schema import Box

CASES = 300
RICH = 13  # a case whose resamples all differ


def flat(figures):
    """CocoFigures in the order of the columns, NaN for None."""
    values = [getattr(figures, name) for name in SUMMARY]
    values += [getattr(one, name) for one in figures.per_class for name in PER_CLASS]
    return np.array([np.nan if value is None else value for value in values])


def one_resample(truth, detections, weights):
    return resampled_figures(encode(truth, detections), np.array([weights], dtype=np.int32))[0]


def with_unique_scores(detections, rng):
    return dataclasses.replace(detections, score=rng.permutation(len(detections)) / max(len(detections), 1))


def copied(truth, detections, weights):
    """The set in which sample i really is there `weights[i]` times, copies side by side."""
    first = np.concatenate([[0], np.cumsum(weights)])

    def rows(sample_index):
        old = np.repeat(np.arange(len(sample_index)), weights[sample_index])
        copy = np.concatenate([np.arange(weights[sample]) for sample in sample_index] or [np.zeros(0)])
        return old, first[sample_index[old]] + copy.astype(np.int64)

    labels, label_sample = rows(truth.sample_index)
    found, found_sample = rows(detections.sample_index)
    return (
        dataclasses.replace(truth.take(labels), sample_index=label_sample, n_samples=int(weights.sum())),
        dataclasses.replace(detections.take(found), sample_index=found_sample),
    )


def evaluated_images(truth, detections):
    """Pycocotools' evalImgs by (sample, class, area range)."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, detections = canonical(truth, detections)
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for rows in (detection._label_rows(truth), detection._detection_rows(detections)):
            coco = COCO()
            images, categories = detection._named(truth)
            coco.dataset = {"images": images, "categories": categories, "annotations": rows}
            coco.createIndex()
            sides.append(coco)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.evaluate()
    areas = {tuple(bounds): place for place, bounds in enumerate(detection.PROTOCOL["areas"].values())}
    found = filter(None, evaluation.evalImgs)
    return {(one["image_id"] - 1, one["category_id"] - 1, areas[tuple(one["aRng"])]): one for one in found}


def test_every_match_is_that_of_pycocotools():
    seen = dict.fromkeys(("hit", "taken out", "crowd", "many"), 0)
    for seed in range(CASES):
        truth, detections = random_case(seed)
        matches = match(truth, detections)
        expected = evaluated_images(truth, detections)
        compared = 0
        for (sample, category, area), one in expected.items():
            rows = np.flatnonzero((matches.sample == sample) & (matches.category == category))
            matched, ignored = np.array(one["dtMatches"]) > 0, np.array(one["dtIgnore"]) > 0
            outcome = np.where(ignored, 0, np.where(matched, 2, 1))
            assert matches.score[rows].tolist() == one["dtScores"]
            assert matches.rank[rows].tolist() == list(range(len(rows)))
            assert np.array_equal(matches.outcome[area][:, rows], outcome), (seed, sample, category, area)
            compared += len(rows)
            seen["hit"] += bool((outcome == 2).any())
            seen["taken out"] += bool((matched & ignored).any())
            seen["crowd"] += any(one["gtIgnore"])
            seen["many"] += len(rows) == 100
        assert compared == 4 * len(matches.sample)
    assert min(seen.values()) >= 10, seen


def test_with_every_weight_one_the_bits_are_those_of_the_evaluator():
    for seed in range(CASES):
        case = random_case(seed)
        figures = one_resample(*case, [1] * case[0].n_samples)
        assert np.array_equal(figures, flat(coco_figures(*case)), equal_nan=True), seed


def test_weights_are_copies_of_samples():
    """Against pycocotools on the copied set; an average over a class that vanished is undefined here."""
    undefined = absent = repeated = 0
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        truth, detections = random_case(5000 + seed)
        detections = with_unique_scores(detections, rng)
        weights = rng.integers(0, 4, truth.n_samples)
        repeated += bool((weights > 1).any())
        figures = one_resample(truth, detections, weights)
        copies = copied(truth, detections, weights)
        expected = flat(coco_figures(*copies, "pycocotools"))
        vanished = (encode(truth, detections).present & ~encode(*copies).present).any(axis=0)
        whole, small, medium, large = vanished
        over_classes = [whole] * 3 + [small, medium, large] + [whole] * 3 + [small, medium, large]
        expected[: len(SUMMARY)][over_classes] = np.nan
        assert np.array_equal(np.isnan(figures), np.isnan(expected)), seed
        assert np.nanmax(np.abs(figures - expected), initial=0.0) <= 1e-12, seed
        undefined += int(vanished.any())
        absent += bool((weights == 0).any())
    assert min(undefined, absent, repeated) >= 10


def test_leaving_samples_out_is_scoring_the_rest():
    for seed in range(50):
        truth, detections = random_case(6000 + seed)
        kept = np.random.default_rng(seed).random(truth.n_samples) < 0.6
        figures = one_resample(truth, detections, kept.astype(np.int64))
        expected = flat(coco_figures(*subset(truth, detections, kept)))
        per_class = slice(len(SUMMARY), None)
        assert np.array_equal(figures[per_class], expected[per_class], equal_nan=True), seed


def test_copies_of_a_tied_detection_stay_together():
    """The one place where a weight is no copied sample: equal scores of one class within one sample."""
    truth = ground_truth([[Box((10, 0, 20, 20), 0, 400.0), Box((90, 0, 20, 20), 0, 400.0)]], 1)
    boxes = np.array([[-300, 0, 20, 20], [10, 0, 20, 20], [90, 0, 20, 20], [300, 0, 20, 20]], dtype=np.float64)
    none = np.zeros(4, dtype=np.int64)
    detections = Detections(none, none, boxes, np.full(4, 0.5))
    assert one_resample(truth, detections, [1])[0] == coco_figures(truth, detections).AP
    # With misses M and hits H here it is MM HH HH MM: 4/6. Copied samples are M HH M M HH M: 2/3, then 4/7.
    assert close(one_resample(truth, detections, [2])[0], 4 / 6)
    assert close(coco_figures(*copied(truth, detections, np.array([2]))).AP, (51 * 2 / 3 + 50 * 4 / 7) / 101)


def test_ties_between_samples_are_those_of_the_copied_set():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth, detections = random_case(7000 + seed)
        # One score a sample and class and rank, shared by all samples.
        order = np.lexsort((detections.score, detections.category, detections.sample_index))
        detections = detections.take(order)
        group = detections.sample_index * truth.n_classes + detections.category
        rank = np.arange(len(group)) - np.searchsorted(group, group)
        detections = dataclasses.replace(detections, score=1 / (1.0 + rank))
        weights = rng.integers(0, 3, truth.n_samples)
        figures = one_resample(truth, detections, weights)[len(SUMMARY) :]
        expected = flat(coco_figures(*copied(truth, detections, weights)))[len(SUMMARY) :]
        assert np.allclose(figures, expected, rtol=0, atol=1e-12, equal_nan=True), seed


def test_every_resample_is_its_own_and_threads_change_nothing(monkeypatch):
    truth, detections = random_case(RICH)
    codes = encode(truth, detections)
    weights = np.random.default_rng(0).integers(0, 4, (50, truth.n_samples)).astype(np.int32)
    alone = np.concatenate([resampled_figures(codes, row[np.newaxis]) for row in weights])
    assert len(np.unique(alone[:, 0])) > 20
    monkeypatch.setattr("rgbt_bench.metrics.resampling._NUMBERS_PER_CHUNK", 7 * 4040 * truth.n_classes)
    for threads in (1, 3):
        assert np.array_equal(resampled_figures(codes, weights, threads), alone, equal_nan=True)


def test_nothing_in_nothing_out():
    truth, detections = random_case(RICH)
    n = truth.n_samples
    codes = encode(truth, detections)
    assert resampled_figures(codes, np.zeros((0, n), dtype=np.int32)).shape == (0, len(columns(truth.n_classes)))
    assert np.isnan(resampled_figures(codes, np.zeros((2, n), dtype=np.int32))).all()
    nothing = Detections(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
    assert np.array_equal(one_resample(truth, nothing, [1] * n), flat(coco_figures(truth, nothing)), equal_nan=True)
    empty = GroundTruth(
        nothing.sample_index, nothing.category, nothing.bbox, nothing.score, *[np.zeros(0, np.bool_)] * 2, 0, 2
    )
    assert np.isnan(one_resample(empty, nothing, [])).all()


def test_weights_of_another_shape_or_kind_are_refused():
    truth, detections = random_case(RICH)
    codes = encode(truth, detections)
    for weights in (np.ones((1, truth.n_samples + 1), np.int32), np.ones(truth.n_samples, np.int32)):
        with pytest.raises(ValueError, match="weights: int32"):
            resampled_figures(codes, weights)
    with pytest.raises(ValueError, match="weights: int32"):
        resampled_figures(codes, np.ones((1, truth.n_samples)))
    with pytest.raises(ValueError, match="below 0"):
        resampled_figures(codes, np.full((1, truth.n_samples), -1, np.int32))
    wrong = dataclasses.replace(detections, category=detections.category + truth.n_classes)
    with pytest.raises(ValueError, match="category must lie"):
        encode(truth, wrong)


def test_columns_name_all_figures():
    assert columns(2)[:2] == ((None, "AP"), (None, "AP50"))
    assert columns(2)[len(SUMMARY) :] == tuple((place, name) for place in (0, 1) for name in PER_CLASS)
    fields = {field.name for field in dataclasses.fields(detection.CocoFigures)} - {"per_class"}
    assert set(SUMMARY) == fields


def test_kernels_are_imported_only_when_they_are_used():
    import subprocess
    import sys

    code = (
        "import sys, rgbt_bench.metrics.detection, rgbt_bench.metrics.resampling, rgbt_bench.scoring, rgbt_bench.cli\n"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_kernels_compile_where_nothing_can_be_kept(monkeypatch):
    from rgbt_bench.metrics import _resampling_kernels as kernels

    asked = []

    def njit(**options):
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(kernels, "njit", njit)
    assert kernels._compiled(close) is close
    assert [options.get("cache", False) for options in asked] == [True, False]

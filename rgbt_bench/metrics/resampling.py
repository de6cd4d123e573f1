"""COCO figures of many resamples of a split: matched once, then only weighted and accumulated again.

A detection's match depends on its own sample alone, so a resample that takes samples several times or not at all
keeps every match. It changes how often each counts: precision and recall are summed again over the same score-ordered
outcomes, each with the weight of its sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.detection import (
    AREAS,
    IOU_THRESHOLDS,
    MAX_DETECTIONS,
    PROTOCOL,
    RECALL_POINTS,
    GroundTruth,
    canonical,
    require_range,
)
from rgbt_bench.predictions import Detections

SUMMARY: Final = ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L", "AR1", "AR10", "AR100", "AR_S", "AR_M", "AR_L")
PER_CLASS: Final = ("AP", "AP50", "AP75", "AR100")

_BOUNDS: Final = np.array(list(PROTOCOL["areas"].values()), dtype=np.float64)
# What a chunk's precision tables may hold together, in numbers: a few MiB a thread.
_NUMBERS_PER_CHUNK: Final = 2**19


_Integers = NDArray[np.int64]
_Samples = NDArray[np.int32]
_Bytes = NDArray[np.int8]
_Columns = tuple[
    _Integers, _Samples, _Integers, _Samples, _Integers, _Samples, _Samples, _Bytes, _Bytes, NDArray[np.int16]
]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What became of every detection that is looked at: of COCO's, the best 100 of a sample and class.

    Attributes:
        sample: int32[N], the detection's sample.
        category: int64[N], its class.
        rank: int16[N], its place from 0 among the detections that compete for being looked at: COCO's are those of its
            sample and class.
        score: float64[N], descending within a sample and class.
        in_range: bool[areas, N], whether its own area lies in each area range.
        outcome: int8[areas, IoUs, N] by area range and IoU threshold: 0 counts neither way, 1 is a false and 2 a true
            positive.
    """

    sample: NDArray[np.int32]
    category: NDArray[np.int64]
    rank: NDArray[np.int16]
    score: NDArray[np.float64]
    in_range: NDArray[np.bool_]
    outcome: NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Score-ordered outcomes and counted labels of a split: all that a resample's figures depend on.

    A list is a class in one of the area ranges (COCO's are four), class by class; `*_starts` say where each list begins
    in the column beside it. `events` are by list and IoU threshold. What the columns mean is said at
    `_resampling_kernels.accumulate`.

    Attributes:
        n_samples: how many samples the split has.
        present: bool[class, area range], whether the split has such labels that the recall is over.
        label_starts: int64[lists + 1], and label_sample int32: the sample of each counted label.
        counted_starts: int64[lists + 1], and counted_sample int32: the detections that count unless a match says more.
        event_starts: int64[lists * IoUs + 1], and event_place, event_sample int32, event_change, event_hit int8,
            event_rank int16: the hits, and the detections that an ignored label takes out.
    """

    n_samples: int
    present: NDArray[np.bool_]
    label_starts: NDArray[np.int64]
    label_sample: NDArray[np.int32]
    counted_starts: NDArray[np.int64]
    counted_sample: NDArray[np.int32]
    event_starts: NDArray[np.int64]
    event_place: NDArray[np.int32]
    event_sample: NDArray[np.int32]
    event_change: NDArray[np.int8]
    event_hit: NDArray[np.int8]
    event_rank: NDArray[np.int16]

    @property
    def columns(self) -> _Columns:
        """All but the number of samples and `present`, in the order in which the kernels take them."""
        labels = self.label_starts, self.label_sample, self.counted_starts, self.counted_sample
        events = self.event_starts, self.event_place, self.event_sample
        return *labels, *events, self.event_change, self.event_hit, self.event_rank


def match(truth: GroundTruth, detections: Detections) -> Matches:
    """Match detections to labels exactly as pycocotools' `COCOeval.evaluateImg` does, `ignore` handed over as a crowd.

    The rows of the outcome stand by class, sample and descending score.

    Raises:
        ValueError: a sample or category of the detections outside the ground truth's range.
    """
    require_range("sample_index", detections.sample_index, truth.n_samples)
    require_range("category", detections.category, truth.n_classes)
    truth, detections = canonical(truth, detections)
    found = detections.take(_grouped(detections.category, detections.sample_index))
    group = found.category * truth.n_samples + found.sample_index
    rank = np.arange(len(found)) - np.searchsorted(group, group)
    kept = rank < MAX_DETECTIONS[-1]
    return match_kept(truth, found.take(kept), rank[kept], IOU_THRESHOLDS, _BOUNDS)


def match_kept(
    truth: GroundTruth,
    kept: Detections,
    rank: NDArray[np.int64],
    thresholds: NDArray[np.float64],
    bounds: NDArray[np.float64],
) -> Matches:
    """Match the detections that are looked at, of which each sample and class has the best first.

    `rank` is that of `Matches`, `thresholds` float64[IoUs], `bounds` float64[areas, 2]. `iscrowd` alone is looked at.
    """
    from rgbt_bench.metrics import _resampling_kernels as kernels

    labels = truth.take(_grouped(truth.category, truth.sample_index))
    order = _grouped(kept.category, kept.sample_index)
    found, rank = kept.take(order), rank[order]
    groups = np.arange(truth.n_classes * truth.n_samples + 1)
    outcome = np.empty((len(bounds), len(thresholds), len(found)), dtype=np.int8)
    kernels.match(
        np.searchsorted(found.category * truth.n_samples + found.sample_index, groups),
        np.searchsorted(labels.category * truth.n_samples + labels.sample_index, groups),
        np.ascontiguousarray(found.bbox),
        np.ascontiguousarray(labels.bbox),
        np.ascontiguousarray(labels.area),
        labels.iscrowd,
        thresholds,
        bounds,
        outcome,
    )
    area = found.bbox[:, 2] * found.bbox[:, 3]
    return Matches(
        sample=found.sample_index.astype(np.int32),
        category=found.category,
        rank=rank.astype(np.int16),
        score=found.score,
        in_range=(area >= bounds[:, :1]) & (area <= bounds[:, 1:]),
        outcome=outcome,
    )


def encode(truth: GroundTruth, detections: Detections) -> Codes:
    """Return the codes of a split from which `resampled_figures` computes; equal scores stand in COCO's order.

    Raises:
        ValueError: a sample or category of the detections outside the ground truth's range.
    """
    wanted = (truth.area >= _BOUNDS[:, :1]) & (truth.area <= _BOUNDS[:, 1:]) & ~(truth.iscrowd | truth.ignore)
    return encode_matches(match(truth, detections), truth, wanted)


def encode_matches(matches: Matches, truth: GroundTruth, wanted: NDArray[np.bool_]) -> Codes:
    """Return the codes of matched detections; `wanted`, bool[areas, M], says which labels the recall is over."""
    labels: list[NDArray[np.int32]] = []
    counted: list[NDArray[np.int32]] = []
    events: list[_Events] = []
    for category in range(truth.n_classes):
        rows = np.flatnonzero(matches.category == category)
        rows = rows[np.argsort(-matches.score[rows], kind="stable")]
        for area, used in enumerate(wanted):
            labels.append(truth.sample_index[used & (truth.category == category)].astype(np.int32))
            counted.append(matches.sample[rows[matches.in_range[area, rows]]])
            events.extend(_events(matches, rows, area))
    label_starts, label_sample = _joined(labels)
    counted_starts, counted_sample = _joined(counted)
    event_starts, event_place = _joined([one.place for one in events])
    return Codes(
        n_samples=truth.n_samples,
        present=(np.diff(label_starts) > 0).reshape(truth.n_classes, len(wanted)),
        label_starts=label_starts,
        label_sample=label_sample,
        counted_starts=counted_starts,
        counted_sample=counted_sample,
        event_starts=event_starts,
        event_place=event_place,
        event_sample=_joined([one.sample for one in events])[1],
        event_change=_joined([one.change for one in events])[1].astype(np.int8),
        event_hit=_joined([one.hit for one in events])[1].astype(np.int8),
        event_rank=_joined([one.rank for one in events])[1].astype(np.int16),
    )


def columns(n_classes: int) -> tuple[tuple[int | None, str], ...]:
    """Return what the columns of `resampled_figures` are: (None, figure) over all classes, then (class, figure)."""
    overall: list[tuple[int | None, str]] = [(None, name) for name in SUMMARY]
    return (*overall, *((category, name) for category in range(n_classes) for name in PER_CLASS))


def resampled_figures(codes: Codes, weights: NDArray[np.int32], threads: int = 1) -> NDArray[np.float64]:
    """Return COCO's figures of weighted samples, float64[resamples, figures] in 0..1, higher is better.

    `weights`, int32[resamples, samples], says how often a resample has each sample; the columns are those of `columns`.
    The figures are those of pycocotools on a split with these copies, each copy of a detection next to the first; with
    every weight 1 they have the bits of `coco_figures`. The class set is the split's: where a class that has labels in
    the split has none in a resample, the averages over it are NaN, and so is what nothing can be averaged for.
    The number of threads changes nothing.

    Raises:
        ValueError: weights of another shape or dtype, or below 0.
    """
    if weights.dtype != np.int32 or weights.ndim != 2 or weights.shape[1] != codes.n_samples:
        raise ValueError(f"weights: int32[resamples, {codes.n_samples}] expected, not {weights.dtype}{weights.shape}")
    if weights.size and weights.min() < 0:
        raise ValueError("a weight is below 0")
    n_classes = len(codes.present)
    per_resample = max(1, codes.present.size * len(IOU_THRESHOLDS) * len(RECALL_POINTS))
    step = max(1, _NUMBERS_PER_CHUNK // per_resample)
    chunks = [weights[first : first + step] for first in range(0, len(weights), step)]
    with ThreadPoolExecutor(threads) as pool:
        figures = list(pool.map(lambda chunk: _figures(codes, chunk), chunks))
    return np.concatenate([np.empty((0, len(columns(n_classes)))), *figures])


@dataclass(frozen=True, slots=True, eq=False)
class _Events:
    """The events of one list at one IoU threshold."""

    place: NDArray[np.int32]
    sample: NDArray[np.int32]
    change: NDArray[np.int8]
    hit: NDArray[np.int8]
    rank: NDArray[np.int16]


def _grouped(category: NDArray[np.int64], sample: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order by class and sample that leaves the rows of one class and sample as they stand."""
    return np.lexsort((sample, category))


def _joined(parts: Sequence[NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return where each part begins, with the end, and all parts in one array."""
    starts = np.concatenate([[0], np.cumsum([len(part) for part in parts], dtype=np.int64)])
    return starts.astype(np.int64), np.concatenate(parts)


def _events(matches: Matches, rows: NDArray[np.int64], area: int) -> Iterator[_Events]:
    """Yield the events of one class and area range for each IoU threshold, given the class's rows in their order."""
    counted = matches.in_range[area, rows]
    place = np.cumsum(counted).astype(np.int32)
    for outcome in matches.outcome[area][:, rows]:
        hit = outcome == 2
        chosen = np.flatnonzero(hit | (counted & (outcome == 0)))
        yield _Events(
            place=place[chosen],
            sample=matches.sample[rows[chosen]],
            change=hit[chosen].astype(np.int8) - counted[chosen].astype(np.int8),
            hit=hit[chosen].astype(np.int8),
            rank=matches.rank[rows[chosen]],
        )


def _figures(codes: Codes, weights: NDArray[np.int32]) -> NDArray[np.float64]:
    from rgbt_bench.metrics import _resampling_kernels as kernels

    shape = (len(weights), codes.present.size, len(IOU_THRESHOLDS))
    precision = np.empty((*shape, len(RECALL_POINTS)))
    recall = np.empty((*shape, len(MAX_DETECTIONS)))
    kernels.accumulate(
        np.ascontiguousarray(weights),
        *codes.columns,
        np.array(MAX_DETECTIONS),
        RECALL_POINTS,
        precision,
        recall,
    )
    by_area = (len(weights), *codes.present.shape)
    return _averages(
        precision.reshape(*by_area, *precision.shape[2:]), recall.reshape(*by_area, *recall.shape[2:]), codes.present
    )


def _averages(
    precision: NDArray[np.float64], recall: NDArray[np.float64], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Average precision[resample, class, area, IoU, recall] and recall[resample, class, area, IoU, allowed].

    The values are summed in the order of COCO's `summarize`, which decides the last bit: IoU, recall point, class.
    """
    precision, recall = np.moveaxis(precision, 1, -1), np.moveaxis(recall, 1, -1)
    iou50, iou75 = np.searchsorted(IOU_THRESHOLDS, [0.5, 0.75])
    whole, *ranges = range(len(AREAS))
    seen = [np.flatnonzero(column) for column in present.T]
    curves = precision[:, whole]
    figures = [_mean(curves, seen[whole]), _mean(curves[:, iou50], seen[whole]), _mean(curves[:, iou75], seen[whole])]
    figures += [_mean(precision[:, area], seen[area]) for area in ranges]
    figures += [_mean(recall[:, whole, :, allowed], seen[whole]) for allowed in range(len(MAX_DETECTIONS))]
    figures += [_mean(recall[:, area, :, -1], seen[area]) for area in ranges]
    for category in range(len(present)):
        own = np.array([category])
        figures += [_mean(curves, own), _mean(curves[:, iou50], own), _mean(curves[:, iou75], own)]
        figures.append(_mean(recall[:, whole, :, -1], own))
    return np.column_stack(figures)


def _mean(values: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each resample's mean over all but the first axis and over some classes, the last axis; NaN for none."""
    if not len(classes):
        return np.full(len(values), np.nan)
    means: NDArray[np.float64] = np.mean(values[..., classes].reshape(len(values), -1), axis=1)
    return means

"""The numbers of a row: names, ranges, and whether those that follow from others do."""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.errors import BenchError
from rgbt_bench.fusion.controls import CONTROLS
from rgbt_bench.leaderboard.checking.reporting import Problem, shown
from rgbt_bench.leaderboard.rows import ScoredRun
from rgbt_bench.leaderboard.tracks import PROTOCOLS
from rgbt_bench.metrics.fusion.conventions import CONVENTIONS
from rgbt_bench.metrics.segmentation import PER_CLASS, SUMMARY, segmentation_figures
from rgbt_bench.opening import dataset_info
from rgbt_bench.protocols import find_protocol
from rgbt_bench.protocols.coco import PROTOCOL as COCO
from rgbt_bench.protocols.coco import Coco
from rgbt_bench.protocols.measuring import describe
from rgbt_bench.results import (
    DetectionMetrics,
    Figure,
    FusionMetrics,
    Interval,
    Metrics,
    Resampling,
    Result,
    SegmentationMetrics,
)
from rgbt_bench.statistics import BLOCK_SIZE, LEAST_BLOCKS, RESAMPLES, Blocks, interval

SUBSETS: Final = ("day", "overcast", "night", "challenge")
EDGES: Final = "IoU_e"
RELATIVE: Final = 1e-12
_OF_MEANS: Final = 1e-9
_LONGEST_S: Final = 1e9  # a run of 30 years


def number_problems(run: ScoredRun) -> Iterator[Problem]:
    """Yield what is wrong with the numbers of one seed, from themselves alone."""
    result = run.result
    metrics = result.metrics
    kind = str(result.protocol.get("task", "")).partition("-")[0]
    if metrics.kind != kind:
        yield Problem("figures", f"the metrics are of {metrics.kind}, and the protocol is of {shown(kind)}")
        return
    if tuple(metrics.figures) not in (expected := _figure_names(result)):
        yield Problem(
            "figures", f"the figures are {shown(list(metrics.figures))}, not {', '.join(expected[0])} in this order"
        )
    if not metrics.figures:
        return
    yield from _range_problems("figures", metrics.figures, kind)
    yield from _class_problems(result)
    if isinstance(metrics, DetectionMetrics):
        yield from _mean_problems(metrics, _boxes(result))
        yield from _further_problems(metrics, _boxes(result))
    yield from _subset_problems(metrics, result.data.samples)
    yield from _interval_problems(metrics)
    yield from _resampling_problems(metrics, result.data.samples)
    yield from _drawn_problems(run)
    if isinstance(metrics, SegmentationMetrics):
        yield from _confusion_problems(metrics)
    if isinstance(metrics, FusionMetrics):
        yield from _fusion_problems(metrics, result.data.samples)
    for name, spent in result.durations_s.items():
        if not 0 <= spent <= _LONGEST_S:
            yield Problem("counts", f"durations_s.{shown(name)} is {spent:g} seconds")


def _boxes(result: Result) -> Coco:
    """Return the protocol of boxes that a result names, or COCO's where it names no such one."""
    name = str(result.protocol.get("name"))
    found = find_protocol(name) if name in PROTOCOLS else None
    return found if isinstance(found, Coco) else COCO


def _figure_names(result: Result) -> list[tuple[str, ...]]:
    if isinstance(result.metrics, FusionMetrics):
        return [one.metrics for one in CONVENTIONS if one.name == result.evaluator] or [CONVENTIONS[0].metrics]
    if isinstance(result.metrics, SegmentationMetrics):
        return [SUMMARY, (*SUMMARY, EDGES)]
    return [_boxes(result).overall]


def _class_names(result: Result) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the figures and the counts of each class."""
    if isinstance(result.metrics, DetectionMetrics):
        return _boxes(result).of_class, _boxes(result).counts
    return (PER_CLASS, ("truth_pixels", "predicted_pixels")) if result.metrics.kind == "segmentation" else ((), ())


def scored_classes(result: Result) -> tuple[str, ...]:
    """Return the classes of a result's dataset in order, or its own where no converter tells them."""
    if result.metrics.kind == "fusion":
        return ()
    try:
        info = dataset_info(result.data.dataset)
    except BenchError:
        return tuple(result.metrics.per_class)
    return info.classes if result.metrics.kind == "detection" else info.mask_classes


def _range_problems(place: str, figures: Mapping[str, int | Figure], kind: str) -> Iterator[Problem]:
    for name, value in figures.items():
        if value is not None and kind != "fusion" and not 0 <= value <= 1:
            yield Problem("figures", f"{place}.{shown(name)} is {value:g}, outside 0..1")


def _class_problems(result: Result) -> Iterator[Problem]:
    metrics, classes = result.metrics, scored_classes(result)
    if tuple(metrics.per_class) != tuple(classes):
        yield Problem("classes", f"the classes are {shown(list(metrics.per_class))}, not {shown(classes)}")
    if tuple(metrics.intervals.per_class) != tuple(metrics.per_class):
        yield Problem("classes", f"the intervals are of the classes {shown(list(metrics.intervals.per_class))}")
    figures, counts = _class_names(result)
    for one, values in metrics.per_class.items():
        if set(values) != {*figures, *counts}:
            names = ", ".join((*figures, *counts))
            yield Problem("classes", f"the class {shown(one)} has {shown(list(values))}, not {names}")
        yield from _range_problems(
            f"per_class.{shown(one)}", {k: v for k, v in values.items() if k not in counts}, metrics.kind
        )
        for name in counts:
            count = values.get(name, 0)
            if not isinstance(count, int) or count < 0:
                yield Problem("counts", f"per_class.{shown(one)}.{name} is {shown(count)}, which is no count")
        if set(metrics.intervals.per_class.get(one, figures)) != set(figures):
            yield Problem(
                "intervals", f"the class {shown(one)} has intervals of other figures than {', '.join(figures)}"
            )


def _mean_problems(metrics: Metrics, protocol: Coco) -> Iterator[Problem]:
    """Yield figures of boxes that are not the means over the classes where they are defined."""
    for name in protocol.of_class:
        told = metrics.figures.get(name)
        defined = [values for values in metrics.per_class.values() if values.get(name) is not None]
        often = [float(values.get(protocol.weighted_by) or 0) if protocol.weighted_by else 1.0 for values in defined]
        summed = sum(times * float(values[name] or 0) for times, values in zip(often, defined, strict=True))
        ours = summed / sum(often) if sum(often) > 0 else None
        if not (told is ours if told is None or ours is None else abs(told - ours) <= _OF_MEANS):
            yield Problem("figures", f"{name} is {told}, and the mean of the classes is {ours}")


def _further_problems(metrics: DetectionMetrics, protocol: Coco) -> Iterator[Problem]:
    if metrics.further is None:
        return
    if tuple(metrics.further) != protocol.further:
        yield Problem(
            "figures", f"further are {shown(list(metrics.further))}, not {', '.join(protocol.further) or 'none'}"
        )
    yield from _range_problems("further", metrics.further, metrics.kind)


def _subset_problems(metrics: Metrics, samples: int) -> Iterator[Problem]:
    kind: str = metrics.kind  # type: ignore[attr-defined]
    for name, figures in metrics.subsets.items():
        if name not in SUBSETS:
            yield Problem("figures", f"there is no subset {shown(name)}; there are {', '.join(SUBSETS)}")
        if tuple(figures) != tuple(metrics.figures):
            yield Problem("figures", f"the subset {shown(name)} has other figures than the whole")
        yield from _range_problems(f"subsets.{shown(name)}", figures, kind)
    if set(metrics.subset_samples) != set(metrics.subsets):
        yield Problem("counts", "subset_samples are of other subsets than the figures")
    if min(metrics.subset_samples.values(), default=1) < 1:
        yield Problem("counts", "a subset has no sample")
    if (total := sum(metrics.subset_samples.values())) > samples:
        yield Problem("counts", f"the subsets have {total:,} samples together, and the part has {samples:,}")


def _interval_problems(metrics: Metrics) -> Iterator[Problem]:
    found = metrics.intervals
    places = {"": (found.figures, metrics.figures)}
    if set(found.subsets) != set(metrics.subsets):
        yield Problem("intervals", "the intervals are of other subsets than the figures")
    for name in found.subsets:
        places[f"{name} "] = (found.subsets[name], metrics.subsets.get(name, {}))
    for place, (intervals, figures) in places.items():
        if set(intervals) != set(figures):
            yield Problem("intervals", f"the intervals of {shown(place) if place else 'all'} are of other figures")
        yield from _pairs_problems(place, intervals, metrics)
    for one, of_class in found.per_class.items():
        yield from _pairs_problems(f"{one} ", of_class, metrics)


def _pairs_problems(place: str, intervals: Mapping[str, Interval], metrics: Metrics) -> Iterator[Problem]:
    unit = metrics.kind != "fusion"  # type: ignore[attr-defined]
    for name, pair in intervals.items():
        if pair is None:
            continue
        low, high = pair
        if low > high:
            yield Problem("intervals", f"the interval of {shown(place + name)} goes from {low:g} down to {high:g}")
        elif unit and not (low >= 0 and high <= 1):
            yield Problem("intervals", f"the interval of {shown(place + name)} is {low:g} to {high:g}, outside 0..1")


def _resampling_problems(metrics: Metrics, samples: int) -> Iterator[Problem]:
    found = metrics.intervals.resampling
    counts = {"all": samples} | dict(metrics.subset_samples)
    if set(found) != set(counts):
        yield Problem("resampling", f"resampling is of {shown(list(found))}, not of {shown(list(counts))}")
    known = {*metrics.figures, *(f"{one} {name}" for one, each in metrics.per_class.items() for name in each)}
    for name, one in found.items():
        cut = Blocks(np.empty(0, dtype=np.int64), one.blocks, None if one.unit == "scenes" else BLOCK_SIZE)
        if one != describe(cut, undefined=one.undefined):
            yield Problem(
                "resampling", f"resampling of {shown(name)} is not as this version draws: {shown(_told(one))}"
            )
        total = counts.get(name, samples)
        fits = one.blocks == max(total // BLOCK_SIZE, 1) if cut.size else 1 <= one.blocks <= total
        if not fits:
            yield Problem(
                "resampling", f"resampling of {shown(name)} has {one.blocks:,} {cut.unit} of {total:,} samples"
            )
        if not set(one.undefined) <= known or not all(0 < count < RESAMPLES for count in one.undefined.values()):
            yield Problem("resampling", f"resampling of {shown(name)} counts {shown(str(one.undefined))} as undefined")
        intervals = metrics.intervals.figures if name == "all" else metrics.intervals.subsets.get(name, {})
        if one.blocks < LEAST_BLOCKS and any(intervals.values()):
            yield Problem("resampling", f"{shown(name)} has intervals of too few {cut.unit}")


def _told(one: Resampling) -> str:
    return f"{one.resamples} times, seed {one.seed}, level {one.level:g}, {one.unit}, {one.reason or 'no reason'}"


def _drawn_problems(run: ScoredRun) -> Iterator[Problem]:
    metrics = run.result.metrics
    drawing = metrics.intervals.resampling.get("all")
    try:
        drawn = run.drawn()
    except ValueError as error:
        yield Problem("resamples", str(error))
        return
    expected = RESAMPLES if drawing is not None and drawing.reason is None else 0
    if len(drawn) != expected or drawing is None:
        yield Problem("resamples", f"{len(drawn):,} resamples, and {expected:,} are drawn")
        return
    defined = drawn[~np.isnan(drawn)]
    if metrics.kind != "fusion" and len(defined) and not (defined.min() >= 0 and defined.max() <= 1):
        yield Problem("resamples", f"they lie in {defined.min():g} to {defined.max():g}, outside 0..1")
    figure = metrics.figures[metrics.main]
    if len(defined) and figure is not None and not defined.min() - _OF_MEANS <= figure <= defined.max() + _OF_MEANS:
        lie = f"{defined.min():g} to {defined.max():g}"
        yield Problem("resamples", f"they lie in {lie}, and {shown(metrics.main)} of all samples is {figure:g}")
    if figure is not None and len(drawn) and not len(defined):
        yield Problem("resamples", f"none is defined, and {shown(metrics.main)} of all samples is {figure:g}")
    missing = len(drawn) - len(defined)
    counted = drawing.undefined.get(metrics.main, 0)
    if counted != (missing if len(defined) else 0):  # where all are undefined none is counted
        yield Problem("resamples", f"{missing} are undefined, and {counted} are counted so")
    if not _equal_pairs(interval(drawn), metrics.intervals.figures.get(metrics.main)):
        told, ours = metrics.intervals.figures.get(metrics.main), interval(drawn)
        yield Problem(
            "intervals", f"the interval of {shown(metrics.main)} is {shown(told)}, and its resamples give {shown(ours)}"
        )


def _equal_pairs(ours: Interval, theirs: Interval) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return all(abs(one - other) <= RELATIVE * abs(one) for one, other in zip(ours, theirs, strict=True))


def _confusion_problems(metrics: SegmentationMetrics) -> Iterator[Problem]:
    size = len(metrics.per_class)
    if len(metrics.confusion) != size or any(len(line) != size for line in metrics.confusion):
        yield Problem("confusion", f"the confusion matrix is not {size} by {size}")
        return
    if min((min(line) for line in metrics.confusion), default=0) < 0:
        yield Problem("confusion", "the confusion matrix has a count below 0")
        return
    found = segmentation_figures(np.array(metrics.confusion, dtype=np.int64).reshape(size, size))
    for name in SUMMARY:
        yield from _follows(name, metrics.figures.get(name), getattr(found, name))
    for (one, values), ours in zip(metrics.per_class.items(), found.per_class, strict=True):
        for name in (*PER_CLASS, "truth_pixels", "predicted_pixels"):
            yield from _follows(f"{one} {name}", values.get(name), getattr(ours, name))
    if (metrics.edge_iou is None) != (EDGES not in metrics.figures):
        yield Problem("figures", f"{EDGES} and edge_iou go together")
    yield from _range_problems("edge_iou", metrics.edge_iou or {}, "segmentation")


def _follows(name: str, told: Figure, ours: Figure) -> Iterator[Problem]:
    same = told is ours if told is None or ours is None else abs(told - ours) <= RELATIVE * abs(ours)
    if not same:
        yield Problem("confusion", f"{shown(name)} is {told}, and the confusion matrix gives {ours}")


def _fusion_problems(metrics: FusionMetrics, samples: int) -> Iterator[Problem]:
    names = set(metrics.figures)
    if list(metrics.controls) != list(CONTROLS):
        yield Problem("figures", f"the controls are {shown(list(metrics.controls))}, not {', '.join(CONTROLS)}")
    for name, figures in metrics.controls.items():
        if set(figures) != names:
            yield Problem("figures", f"the control {shown(name)} has other figures")
    if not set(metrics.spread) <= names or not set(metrics.undefined) <= names:
        yield Problem("figures", "the spread is of other figures")
    if not all(0 < count <= samples for count in metrics.undefined.values()):
        yield Problem("counts", "undefined counts samples that are not there")
    for name, spread in metrics.spread.items():
        five: NDArray[np.float64] = np.array(list(spread.model_dump().values()))
        if (np.diff(five) < 0).any():
            yield Problem("figures", f"the spread of {shown(name)} is not ascending")

"""Detection figures of the VisDrone2018-DET-toolkit, with its quirks and without them.

What the toolkit does, and what is done about it here, is listed in docs/explanation/drone-protocols.md. Everything but
the averages is the same in both protocols: detections are matched class by class as COCO does, those in an ignored
region are dropped before, and the precision is averaged over all recalls instead of at 101 of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.detection import PROTOCOL as COCO
from rgbt_bench.metrics.detection import GroundTruth, canonical, require_range
from rgbt_bench.metrics.resampling import Codes, encode_matches, match_kept
from rgbt_bench.predictions import Detections

if TYPE_CHECKING:
    from rgbt_bench.schema import Labels

# As Matlab makes 0.5:0.05:0.95, the first half from the first and the second half from the last.
_THRESHOLDS: Final = [0.5 + 0.05 * step for step in range(5)] + [0.95 - 0.05 * step for step in range(4, -1, -1)]

_SHARED: Final[dict[str, Any]] = {
    "not_classes": ["others"],
    "ignored": "iscrowd or ignore",
    "iou": "bbox, continuous coordinates; intersection over detection area for ignored ground truth",
    "iou_thresholds": _THRESHOLDS,
    "ignore_regions": {
        "dropped": "labels and detections with at least this share of their pixels in the sample's regions",
        "share": 0.5,
        "rounding": "x, y, width and height to whole pixels, half away from zero, then at least 1; x and y of a box"
        " at most the image's width and height",
        "pixels": "counted from 1; a region from x to x + width and y to y + height, both included, in the image;"
        " a box from x + 1 to x + width and y + 1 to y + height, of which those outside the image are in no region",
    },
    "max_detections": [1, 10, 100, 500],
    "order": ["sample", "-score", "category", "bbox"],
    "precision": "the highest at or beyond each recall, averaged over all recalls",
    "nothing_to_average": None,
}
OFFICIAL: Final[dict[str, Any]] = {
    "name": "visdrone-official",
    "version": 1,
    "task": "detection-official",
    "toolkit": "VisDrone2018-DET-toolkit 1.0.4",
    **_SHARED,
    "max_detections_per": "sample, over all classes and those of not_classes, after what is in ignored regions",
    "recall_over": "all labels, ignored ones too",
    "average": "classes with labels, ignored ones too, each as often as there are samples in which it has any",
}
CLEAN: Final[dict[str, Any]] = {
    "name": "visdrone-clean",
    "version": 1,
    "task": "detection-clean",
    "toolkit": "VisDrone2018-DET-toolkit 1.0.4, with other averages",
    **_SHARED,
    "max_detections_per": "sample, over all classes, after what is in ignored regions",
    "recall_over": "labels that are not ignored",
    "average": "classes with labels that are not ignored",
    "areas": COCO["areas"],
    "area_unit": COCO["area_unit"],
}
SUMMARY: Final = {
    "visdrone-official": ("AP", "AP50", "AP75", "AR1", "AR10", "AR100", "AR500"),
    "visdrone-clean": ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L", "AR1", "AR10", "AR100", "AR500"),
}
PER_CLASS: Final = ("AP", "AP50", "AP75", "AR500")
COUNTS: Final = ("ground_truths", "ignored_ground_truths", "samples")

_ALLOWED: Final = np.array(_SHARED["max_detections"], dtype=np.int64)
_EVERY_AREA: Final = np.array([[-np.inf, np.inf]])
_AREAS: Final = np.array(list(COCO["areas"].values()), dtype=np.float64)
# What a chunk's tables may hold together, in numbers.
_NUMBERS_PER_CHUNK: Final = 2**18


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The ignored regions of one split, and the sizes of its samples.

    Attributes:
        sample_index: int64[R], 0-based index into the split's sample ids in ascending order.
        bbox: float64[R, 4], x, y, width, height in pixels of the sample.
        sizes: int64[samples, 2], width and height of each sample in pixels.
    """

    sample_index: NDArray[np.int64]
    bbox: NDArray[np.float64]
    sizes: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.bbox.shape != (len(self.sample_index), 4) or self.sizes.ndim != 2 or self.sizes.shape[1] != 2:
            raise ValueError("four numbers a region and two a size are expected")
        require_range("sample_index", self.sample_index, len(self.sizes))


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What the figures are computed from: labels and detections outside ignored regions, in canonical order.

    Attributes:
        truth: the labels of the classes that are scored; `iscrowd` says of each whether it is ignored.
        detections: those of these classes that are looked at.
        rank: int64[N], the place of each detection from 0 among those of its sample.
        official: whether it is scored as the toolkit does.
    """

    truth: GroundTruth
    detections: Detections
    rank: NDArray[np.int64]
    official: bool

    def select(self, chosen: NDArray[np.bool_]) -> Scored:
        """Return those of the samples where `chosen`, bool[samples], is true, indexed anew from 0."""
        place = np.cumsum(chosen, dtype=np.int64) - 1
        truth = self.truth.take(chosen[self.truth.sample_index])
        kept = chosen[self.detections.sample_index]
        found = self.detections.take(kept)
        return Scored(
            replace(truth, sample_index=place[truth.sample_index], n_samples=int(chosen.sum())),
            replace(found, sample_index=place[found.sample_index]),
            self.rank[kept],
            self.official,
        )


def regions(samples: Iterable[Labels]) -> Regions:
    """Return the ignored regions of a split, given the labels of each sample in ascending order of the sample ids."""
    told = list(samples)
    counts = np.array([len(one.ignore_regions) for one in told], dtype=np.int64)
    return Regions(
        sample_index=np.repeat(np.arange(len(told), dtype=np.int64), counts),
        bbox=np.array([box for one in told for box in one.ignore_regions], dtype=np.float64).reshape(-1, 4),
        sizes=np.array([(one.width, one.height) for one in told], dtype=np.int64).reshape(-1, 2),
    )


def scored(
    truth: GroundTruth, detections: Detections, ignored: Regions, not_classes: Sequence[int], official: bool
) -> Scored:
    """Return the labels and detections that are looked at; the order in which they come changes nothing.

    `not_classes` are the categories of `PROTOCOL["not_classes"]`. Their labels take no part; their detections hold a
    place among the first 500 of a sample where `official`, as in the toolkit.

    Raises:
        ValueError: a sample or category of the detections outside the ground truth's range, or regions of other
            samples.
    """
    require_range("sample_index", detections.sample_index, truth.n_samples)
    require_range("category", detections.category, truth.n_classes)
    if len(ignored.sizes) != truth.n_samples:
        raise ValueError(f"regions of {len(ignored.sizes)} samples, labels of {truth.n_samples}")
    truth, detections = canonical(truth, detections)
    outside = ~are_in_regions(truth.bbox, truth.sample_index, ignored)
    labels = truth.take(outside & ~np.isin(truth.category, not_classes))
    found = detections.take(~are_in_regions(detections.bbox, detections.sample_index, ignored))
    is_class = ~np.isin(found.category, not_classes)
    if not official:
        found, is_class = found.take(is_class), is_class[is_class]
    rank = np.arange(len(found)) - np.searchsorted(found.sample_index, found.sample_index)
    kept = is_class & (rank < _ALLOWED[-1])
    return Scored(labels, found.take(kept), rank[kept], official)


def are_in_regions(boxes: NDArray[np.float64], sample_index: NDArray[np.int64], ignored: Regions) -> NDArray[np.bool_]:
    """Return which boxes, float64[N, 4], have half of their pixels or more in an ignored region of their sample.

    Boxes and regions are taken to whole pixels as the toolkit does; the protocol says how.
    """
    from rgbt_bench.metrics import _toolkit_kernels as kernels

    if not len(ignored.bbox):
        return np.zeros(len(boxes), dtype=np.bool_)
    size = ignored.sizes[sample_index]
    first, sides = np.split(_whole(boxes), 2, axis=1)
    first = np.minimum(first, size)
    order = np.argsort(ignored.sample_index, kind="stable")
    region_first, region_sides = np.split(_whole(ignored.bbox[order]), 2, axis=1)
    region_last = np.minimum(region_first + region_sides, ignored.sizes[ignored.sample_index[order]])
    inside = np.empty(len(boxes), dtype=np.int64)
    kernels.covered(
        np.hstack([first + 1, first + sides + 1]),
        sample_index,
        np.searchsorted(ignored.sample_index[order], np.arange(len(ignored.sizes) + 1)),
        np.hstack([region_first, region_last + 1]),
        inside,
    )
    shares: NDArray[np.bool_] = inside / sides.prod(axis=1) >= _SHARED["ignore_regions"]["share"]
    return shares


def _whole(boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round half away from zero, and up to 1."""
    cut = np.trunc(boxes)
    rounded = cut + np.sign(boxes) * (np.abs(boxes - cut) >= 0.5)
    whole: NDArray[np.int64] = np.maximum(1, rounded).astype(np.int64)
    return whole


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What a resample's figures depend on: `occurring`, per class, are the samples that have a label of it."""

    codes: Codes
    occurring: tuple[NDArray[np.int32], ...]
    official: bool


def encode(looked_at: Scored) -> Outcomes:
    """Match all detections once."""
    truth, official = looked_at.truth, looked_at.official
    bounds = _EVERY_AREA if official else _AREAS
    matches = match_kept(truth, looked_at.detections, looked_at.rank, np.array(_THRESHOLDS), bounds)
    wanted = (truth.area >= bounds[:, :1]) & (truth.area <= bounds[:, 1:])
    if not official:
        wanted &= ~truth.iscrowd
    codes = encode_matches(matches, truth, wanted)
    occurring = tuple(
        np.unique(truth.sample_index[truth.category == category]).astype(np.int32)
        for category in range(truth.n_classes)
    )
    return Outcomes(codes, occurring, official)


def columns(name: str, n_classes: int) -> tuple[tuple[int | None, str], ...]:
    """Return the figures in order: (None, figure) over all classes, (class, figure) of one."""
    overall = [(None, figure) for figure in SUMMARY[name]]
    return (*overall, *((category, figure) for category in range(n_classes) for figure in PER_CLASS))


def counts(looked_at: Scored) -> list[dict[str, int]]:
    """Return how many labels outside ignored regions each class has, how many are ignored, and in how many samples."""
    truth = looked_at.truth
    found = []
    for category in range(truth.n_classes):
        own = truth.category == category
        ignored = int((own & truth.iscrowd).sum())
        values = (int(own.sum()) - ignored, ignored, len(np.unique(truth.sample_index[own])))
        found.append(dict(zip(COUNTS, values, strict=True)))
    return found


def resampled_figures(outcomes: Outcomes, weights: NDArray[np.int32], threads: int = 1) -> NDArray[np.float64]:
    """Return the figures of weighted samples, float64[resamples, figures] in 0..1, higher is better, NaN for none.

    `weights`, int32[resamples, samples], says how often a resample has each sample; the columns are those of `columns`.
    The figures are those of a split with these copies, each copy of a detection next to the first. A class that a
    resample lost has no figures there; the official average is over the others, the clean one is NaN. The number of
    threads changes nothing.

    Raises:
        ValueError: weights of another shape or dtype, or below 0.
    """
    codes = outcomes.codes
    if weights.dtype != np.int32 or weights.ndim != 2 or weights.shape[1] != codes.n_samples:
        raise ValueError(f"weights: int32[resamples, {codes.n_samples}] expected, not {weights.dtype}{weights.shape}")
    if weights.size and weights.min() < 0:
        raise ValueError("a weight is below 0")
    step = max(1, _NUMBERS_PER_CHUNK // max(1, codes.present.size * len(_THRESHOLDS) * len(_ALLOWED)))
    chunks = [weights[first : first + step] for first in range(0, len(weights), step)]
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda chunk: _figures(outcomes, chunk), chunks))
    name = (OFFICIAL if outcomes.official else CLEAN)["name"]
    return np.concatenate([np.empty((0, len(columns(name, len(codes.present))))), *found])


def _figures(outcomes: Outcomes, weights: NDArray[np.int32]) -> NDArray[np.float64]:
    from rgbt_bench.metrics import _toolkit_kernels as kernels

    codes = outcomes.codes
    shape = (len(weights), codes.present.size, len(_THRESHOLDS))
    precision, recall = np.empty(shape), np.empty((*shape, len(_ALLOWED)))
    kernels.accumulate(
        np.ascontiguousarray(weights),
        *codes.columns,
        _ALLOWED,
        precision,
        recall,
    )
    by_area = (len(weights), *codes.present.shape)
    precision, recall = precision.reshape(*by_area, -1), recall.reshape(*by_area, *recall.shape[2:])
    if outcomes.official:
        own = [weights[:, samples].sum(axis=1) for samples in outcomes.occurring]
        return _official(precision[:, :, 0], recall[:, :, 0], np.array(own, dtype=np.float64).T)
    return _clean(precision, recall, codes.present)


def _official(
    precision: NDArray[np.float64], recall: NDArray[np.float64], often: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average precision[resample, class, IoU] and recall[resample, class, IoU, allowed], `often` for each class."""
    per_class = _per_class(precision, recall)
    overall = np.stack([*per_class[:3], *np.moveaxis(recall, -1, 0).mean(axis=-1)])
    total = often.sum(axis=1)
    with np.errstate(invalid="ignore"):
        means = np.where(often > 0, overall * often, 0.0).sum(axis=-1) / np.where(total > 0, total, np.nan)
    return np.hstack([means.T, _side_by_side(per_class)])


def _clean(
    precision: NDArray[np.float64], recall: NDArray[np.float64], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Average precision[resample, class, area, IoU] and recall[resample, class, area, IoU, allowed] plainly."""
    per_class = _per_class(precision[:, :, 0], recall[:, :, 0])
    areas = np.moveaxis(precision, 2, 0).mean(axis=-1)
    allowed = np.moveaxis(recall[:, :, 0], -1, 0).mean(axis=-1)
    of_area = [0, 0, 0, 1, 2, 3, *[0] * len(_ALLOWED)]
    means = [
        values[:, present[:, area]].mean(axis=1) if present[:, area].any() else np.full(len(values), np.nan)
        for values, area in zip([*per_class[:3], *areas[1:], *allowed], of_area, strict=True)
    ]
    return np.hstack([np.column_stack(means), _side_by_side(per_class)])


def _per_class(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the figures of `PER_CLASS`, each float64[resample, class]."""
    iou50, iou75 = 0, _THRESHOLDS.index(0.75)
    return [precision.mean(axis=-1), precision[..., iou50], precision[..., iou75], recall[..., -1].mean(axis=-1)]


def _side_by_side(per_class: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the figures of all classes, class by class, as float64[resample, classes * figures]."""
    table = np.stack(per_class, axis=-1)
    return table.reshape(len(table), -1)

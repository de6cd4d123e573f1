"""COCO detection figures: the protocol `coco`, scored by hotcoco or by pycocotools, which agree to the last bit.

Both evaluators are driven with tables of our own, so that nothing they treat differently is left to them: ids are
integers from 1, rows stand in canonical order, and an empty side is answered here. The dispositions of COCO's quirks
are listed in docs/explanation/coco-quirks.md.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.predictions import Detections, canonical_order

if TYPE_CHECKING:
    from rgbt_bench.schema import Box

Evaluator = Literal["hotcoco", "pycocotools"]

PROTOCOL: Final[dict[str, Any]] = {
    "name": "coco",
    "version": 1,
    "task": "detection",
    "iou": "bbox, continuous coordinates; intersection over detection area for ignored ground truth",
    "iou_thresholds": {"first": 0.5, "last": 0.95, "count": 10},
    "recall_points": {"first": 0.0, "last": 1.0, "count": 101},
    "max_detections": [1, 10, 100],
    "max_detections_per": "sample and class",
    "areas": {"all": [0, 10**10], "small": [0, 32**2], "medium": [32**2, 96**2], "large": [96**2, 10**10]},
    "area_unit": "square pixels of the sample, both bounds included",
    "ignored": "iscrowd or ignore",
    "order": ["sample", "-score", "category", "bbox"],
    "average": "classes with ground truth",
    "nothing_to_average": None,
}

PROTOCOL_ON_FUSED: Final[dict[str, Any]] = {
    **PROTOCOL,
    "name": "coco-on-fused",
    "task": "detection-on-fused",
    "modalities": "rgb and thermal, fused",
    "detector": "sees the fused image, saved in 8 bits; the same network and training budget for every fusion",
}

AREAS: Final = tuple(PROTOCOL["areas"])
MAX_DETECTIONS: Final = tuple(PROTOCOL["max_detections"])
IOU_THRESHOLDS: Final = np.linspace(*PROTOCOL["iou_thresholds"].values())
# Allowed beside the protocol's; of dense labels only, and never ranked.
MORE_DETECTIONS: Final = (300, 500)
FURTHER: Final = tuple(
    name
    for most in MORE_DETECTIONS
    for name in (*(f"{one}@{most}" for one in ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L")), f"AR{most}")
)
RECALL_POINTS: Final = np.linspace(*PROTOCOL["recall_points"].values())


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """The labels of one split, one array a column.

    Attributes:
        sample_index: int64[M], 0-based index into the split's sample ids in ascending order.
        category: int64[M], 0-based index into the classes.
        bbox: float64[M, 4], x, y, width, height in pixels of the sample.
        area: float64[M], in square pixels; may differ from width times height.
        iscrowd: bool[M], COCO's crowd flag.
        ignore: bool[M], counts neither as a hit nor as a miss.
        n_samples: how many samples the split has, those without a label included.
        n_classes: how many classes the dataset has.

    Raises:
        ValueError: columns of different lengths, or an index outside its range.
    """

    sample_index: NDArray[np.int64]
    category: NDArray[np.int64]
    bbox: NDArray[np.float64]
    area: NDArray[np.float64]
    iscrowd: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    n_samples: int
    n_classes: int

    def __post_init__(self) -> None:
        columns = (self.sample_index, self.category, self.area, self.iscrowd, self.ignore)
        if any(column.shape != (len(self.bbox),) for column in columns) or self.bbox.shape[1:] != (4,):
            raise ValueError("the columns of a ground truth must have one length, and bbox four numbers a row")
        require_range("sample_index", self.sample_index, self.n_samples)
        require_range("category", self.category, self.n_classes)

    def __len__(self) -> int:
        return len(self.bbox)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> GroundTruth:
        """Return the labels of an index array, in its order, or of a mask; the samples stay."""
        return GroundTruth(
            sample_index=self.sample_index[rows],
            category=self.category[rows],
            bbox=self.bbox[rows],
            area=self.area[rows],
            iscrowd=self.iscrowd[rows],
            ignore=self.ignore[rows],
            n_samples=self.n_samples,
            n_classes=self.n_classes,
        )


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The figures of one class in 0..1, higher is better, and the number of labels they are over (ignored ones not).

    A figure is None where the class has no ground truth.
    """

    AP: float | None
    AP50: float | None
    AP75: float | None
    AR100: float | None
    ground_truths: int


@dataclass(frozen=True, slots=True)
class CocoFigures:
    """COCO's twelve figures in 0..1, higher is better, and the figures of every class in the order of the classes.

    AP is over the IoU thresholds .50:.05:.95, S, M and L are the area ranges, AR1 to AR100 the detections allowed per
    sample and class. A figure is None where there is nothing to average (COCO writes -1).
    """

    AP: float | None
    AP50: float | None
    AP75: float | None
    AP_S: float | None
    AP_M: float | None
    AP_L: float | None
    AR1: float | None
    AR10: float | None
    AR100: float | None
    AR_S: float | None
    AR_M: float | None
    AR_L: float | None
    per_class: tuple[ClassFigures, ...]


class _Tables(NamedTuple):
    """What COCO's `accumulate` leaves: precision[IoU, recall, class, area, max] and recall[IoU, class, area, max]."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def ground_truth(samples: Iterable[Sequence[Box]], n_classes: int) -> GroundTruth:
    """Return the labels of a split, given the boxes of each sample in ascending order of the sample ids.

    Raises:
        ValueError: a category outside 0..n_classes-1.
    """
    boxes: list[Box] = []
    counts: list[int] = []
    for sample in samples:
        boxes.extend(sample)
        counts.append(len(sample))
    return GroundTruth(
        sample_index=np.repeat(np.arange(len(counts), dtype=np.int64), np.array(counts, dtype=np.int64)),
        category=np.array([box.category for box in boxes], dtype=np.int64),
        bbox=np.array([box.bbox for box in boxes], dtype=np.float64).reshape(-1, 4),
        area=np.array([box.area for box in boxes], dtype=np.float64),
        iscrowd=np.array([box.iscrowd for box in boxes], dtype=np.bool_),
        ignore=np.array([box.ignore for box in boxes], dtype=np.bool_),
        n_samples=len(counts),
        n_classes=n_classes,
    )


def coco_figures(truth: GroundTruth, detections: Detections, evaluator: Evaluator = "hotcoco") -> CocoFigures:
    """Return COCO's figures of detections against ground truth, in 0..1, higher is better, None for an empty average.

    `evaluator` names who matches and accumulates: hotcoco, or pycocotools, the reference. Both give the same bits. The
    order in which labels and detections come changes nothing. COCOeval overwrites `ignore` by `iscrowd`, so a box with
    `ignore` is handed over as a crowd: detections whose own area lies in it to the threshold count neither way, any
    number of them, and missing it costs nothing.

    Raises:
        ValueError: a sample or category of the detections outside the ground truth's range, or an unknown evaluator.

    Source: T.-Y. Lin et al., Microsoft COCO, ECCV 2014; pycocotools 2.0.11 `COCOeval`, iouType `bbox`.
    """
    _require_scorable(truth, detections, evaluator)
    counted = counted_labels(truth)
    if not len(detections) or not len(truth):
        return _summarise(_tables_of_nothing(counted), counted)
    return _summarise(_tables(truth, detections, evaluator, MAX_DETECTIONS), counted)


def further_figures(
    truth: GroundTruth, detections: Detections, evaluator: Evaluator = "hotcoco"
) -> dict[str, float | None] | None:
    """Return COCO's figures with 300 and 500 detections allowed per sample and class, by the names in `FURTHER`.

    None where no sample has more than 100 of a class, so that nothing differs.

    Raises:
        ValueError: as `coco_figures`.
    """
    _require_scorable(truth, detections, evaluator)
    groups = detections.sample_index * truth.n_classes + detections.category
    if not len(truth) or not (np.unique(groups, return_counts=True)[1] > MAX_DETECTIONS[-1]).any():
        return None
    tables = _tables(truth, detections, evaluator, MORE_DETECTIONS)
    counted = counted_labels(truth)
    found: dict[str, float | None] = {}
    for place, most in enumerate(MORE_DETECTIONS):
        one = _summarise(_Tables(tables.precision[..., [place]], tables.recall[..., [place] * 3]), counted)
        found |= {f"{name}@{most}": getattr(one, name) for name in ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L")}
        found[f"AR{most}"] = one.AR100
    return found


def _require_scorable(truth: GroundTruth, detections: Detections, evaluator: str) -> None:
    require_range("sample_index", detections.sample_index, truth.n_samples)
    require_range("category", detections.category, truth.n_classes)
    if evaluator not in ("hotcoco", "pycocotools"):
        raise ValueError(f"evaluator {evaluator!r}: hotcoco or pycocotools expected")


def _tables(truth: GroundTruth, detections: Detections, evaluator: Evaluator, allowed: tuple[int, ...]) -> _Tables:
    truth, detections = canonical(truth, detections)
    run = _run_hotcoco if evaluator == "hotcoco" else _run_pycocotools
    return run(truth, detections, allowed)


def subset(
    truth: GroundTruth, detections: Detections, sample_mask: NDArray[np.bool_]
) -> tuple[GroundTruth, Detections]:
    """Return labels and detections of the samples where `sample_mask`, bool[n_samples], is true, indexed anew from 0.

    Raises:
        ValueError: the mask is no bool array of that length.
    """
    if sample_mask.shape != (truth.n_samples,) or sample_mask.dtype != np.bool_:
        raise ValueError(f"sample_mask: bool[{truth.n_samples}] expected")
    require_range("sample_index", detections.sample_index, truth.n_samples)
    place = np.cumsum(sample_mask, dtype=np.int64) - 1
    labels = truth.take(sample_mask[truth.sample_index])
    found = detections.take(sample_mask[detections.sample_index])
    return (
        replace(labels, sample_index=place[labels.sample_index], n_samples=int(sample_mask.sum())),
        replace(found, sample_index=place[found.sample_index]),
    )


def require_range(name: str, values: NDArray[np.int64], stop: int) -> None:
    """Raise a ValueError unless all indices lie in 0..stop-1."""
    if len(values) and not (values.min() >= 0 and values.max() < stop):
        raise ValueError(f"{name} must lie in 0..{stop - 1}, found {values.min()}..{values.max()}")


def canonical(truth: GroundTruth, detections: Detections) -> tuple[GroundTruth, Detections]:
    """Sort both sides: equal scores and equal IoUs are decided by position, and position must not come from a file."""
    x, y, width, height = truth.bbox.T
    keys = (truth.ignore, truth.iscrowd, truth.area, height, width, y, x, truth.category, truth.sample_index)
    labels = truth.take(np.lexsort(keys))
    return replace(labels, iscrowd=labels.iscrowd | labels.ignore), detections.take(canonical_order(detections))


def counted_labels(truth: GroundTruth) -> NDArray[np.int64]:
    """Return how many labels the recall of each class and area range is over, as int64[class, area]."""
    counted = np.zeros((truth.n_classes, len(AREAS)), dtype=np.int64)
    for column, (low, high) in enumerate(PROTOCOL["areas"].values()):
        used = ~(truth.iscrowd | truth.ignore) & (truth.area >= low) & (truth.area <= high)
        counted[:, column] = np.bincount(truth.category[used], minlength=truth.n_classes)
    return counted


def _tables_of_nothing(counted: NDArray[np.int64]) -> _Tables:
    """Return the tables without any match: 0 where there is ground truth, -1 elsewhere."""
    value = np.where(counted > 0, 0.0, -1.0)[:, :, np.newaxis]
    shape = (*counted.shape, len(MAX_DETECTIONS))
    precision = np.broadcast_to(value, (len(IOU_THRESHOLDS), len(RECALL_POINTS), *shape))
    return _Tables(precision, np.broadcast_to(value, (len(IOU_THRESHOLDS), *shape)))


def _run_hotcoco(truth: GroundTruth, detections: Detections, allowed: tuple[int, ...]) -> _Tables:
    import hotcoco

    images, categories = _named(truth)
    labels = hotcoco.COCO.from_arrays(
        images,
        categories,
        truth.sample_index + 1,
        truth.category + 1,
        truth.bbox,
        ids=np.arange(1, len(truth) + 1),
        area=truth.area,
        iscrowd=truth.iscrowd,
    )
    columns = (detections.sample_index + 1, detections.bbox, detections.score, detections.category + 1)
    return _evaluate(hotcoco.COCOeval(labels, labels.load_res(np.column_stack(columns)), "bbox"), allowed)


def _run_pycocotools(truth: GroundTruth, detections: Detections, allowed: tuple[int, ...]) -> _Tables:
    # pycocotools reports its progress with print.
    with contextlib.redirect_stdout(io.StringIO()):
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        sides = []
        for side in (_label_rows(truth), _detection_rows(detections)):
            images, categories = _named(truth)
            coco = COCO()
            # loadRes fails on an empty list and draws a polygon around every box.
            coco.dataset = {"images": images, "categories": categories, "annotations": side}
            coco.createIndex()
            sides.append(coco)
        return _evaluate(COCOeval(*sides, "bbox"), allowed)


def _named(truth: GroundTruth) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    images = [{"id": number, "width": 0, "height": 0} for number in range(1, truth.n_samples + 1)]
    return images, [{"id": number, "name": str(number)} for number in range(1, truth.n_classes + 1)]


def _label_rows(truth: GroundTruth) -> list[dict[str, Any]]:
    columns = (truth.sample_index + 1, truth.category + 1, truth.bbox, truth.area, truth.iscrowd.astype(np.int64))
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "area": area, "iscrowd": iscrowd}
        for number, (image, category, bbox, area, iscrowd) in enumerate(rows, 1)
    ]


def _detection_rows(detections: Detections) -> list[dict[str, Any]]:
    area = detections.bbox[:, 2] * detections.bbox[:, 3]
    columns = (detections.sample_index + 1, detections.category + 1, detections.bbox, area, detections.score)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "area": area, "score": score}
        for number, (image, category, bbox, area, score) in enumerate(rows, 1)
    ]


def _evaluate(evaluation: Any, allowed: tuple[int, ...]) -> _Tables:
    """Run an evaluator of either library with the protocol's parameters stated, not its defaults."""
    parameters = evaluation.params
    parameters.iouThrs = IOU_THRESHOLDS
    parameters.recThrs = RECALL_POINTS
    parameters.maxDets = list(allowed)
    parameters.areaRng = [list(bounds) for bounds in PROTOCOL["areas"].values()]
    parameters.areaRngLbl = list(AREAS)
    evaluation.evaluate()
    evaluation.accumulate()
    return _Tables(evaluation.eval["precision"], evaluation.eval["recall"])


def _summarise(tables: _Tables, counted: NDArray[np.int64]) -> CocoFigures:
    """Average the tables as COCO's `summarize` does; its slices and their order decide the last bit."""
    areas = {name: place for place, name in enumerate(AREAS)}
    iou50, iou75 = np.searchsorted(IOU_THRESHOLDS, [0.5, 0.75])
    precision, recall = tables.precision[..., -1], tables.recall[..., -1]
    overall, overall_recall = precision[:, :, :, areas["all"]], recall[:, :, areas["all"]]
    return CocoFigures(
        AP=_mean(overall),
        AP50=_mean(overall[iou50]),
        AP75=_mean(overall[iou75]),
        AP_S=_mean(precision[:, :, :, areas["small"]]),
        AP_M=_mean(precision[:, :, :, areas["medium"]]),
        AP_L=_mean(precision[:, :, :, areas["large"]]),
        AR1=_mean(tables.recall[:, :, areas["all"], 0]),
        AR10=_mean(tables.recall[:, :, areas["all"], 1]),
        AR100=_mean(overall_recall),
        AR_S=_mean(recall[:, :, areas["small"]]),
        AR_M=_mean(recall[:, :, areas["medium"]]),
        AR_L=_mean(recall[:, :, areas["large"]]),
        per_class=tuple(
            ClassFigures(
                AP=_mean(overall[:, :, place]),
                AP50=_mean(overall[iou50, :, place]),
                AP75=_mean(overall[iou75, :, place]),
                AR100=_mean(overall_recall[:, place]),
                ground_truths=int(labels),
            )
            for place, labels in enumerate(counted[:, areas["all"]])
        ),
    )


def _mean(values: NDArray[np.float64]) -> float | None:
    present = values[values > -1]
    return float(np.mean(present)) if present.size else None

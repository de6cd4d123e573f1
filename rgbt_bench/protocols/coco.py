"""The protocol `coco`: boxes in COCO's results format, scored by hotcoco or pycocotools."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import sha256_file
from rgbt_bench.metrics.detection import (
    FURTHER,
    CocoFigures,
    Evaluator,
    GroundTruth,
    coco_figures,
    further_figures,
    ground_truth,
    subset,
)
from rgbt_bench.metrics.resampling import PER_CLASS, SUMMARY, columns, encode, resampled_figures
from rgbt_bench.pictures import draw_predictions
from rgbt_bench.predictions import Detections, aliases, read_predictions, write_predictions
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols.base import ScoringProtocol
from rgbt_bench.protocols.measuring import Column, Evidence, Figures, measured
from rgbt_bench.results import DetectionMetrics, Figure
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.workers import usable_cores

if TYPE_CHECKING:
    from rgbt_bench.training.processes import Processes


@dataclass(frozen=True)
class CocoEvidence(Evidence):
    """The boxes of labels and detections."""

    truth: GroundTruth
    detections: Detections

    def figures(self, evaluator: str) -> Figures:
        """Return COCO's figures by one of the two evaluators."""
        found = coco_figures(self.truth, self.detections, cast(Evaluator, evaluator))
        return Figures(_overall(found), [asdict(one) for one in found.per_class])

    def further(self, evaluator: str) -> dict[str, Figure] | None:
        """Return the figures with more detections allowed, or None where COCO's cap cuts none off."""
        return further_figures(self.truth, self.detections, cast(Evaluator, evaluator))

    def select(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the boxes of some samples."""
        return type(self)(*subset(self.truth, self.detections, chosen))

    def resampled(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return COCO's figures with samples weighted."""
        return resampled_figures(encode(self.truth, self.detections), weights, usable_cores())


class Coco(ScoringProtocol[Detections]):
    """Boxes with a class and a score."""

    name = "coco"
    task = "detection"
    stored = "predictions.json"
    what = "the detections that were scored"
    unit = "COCO AP at IoU 0.50:0.95, in 0..1"
    evaluators: ClassVar[tuple[str, ...]] = ("hotcoco", "pycocotools")
    labels_name = "boxes"
    labels_key = "ground_truths"
    overall: ClassVar[tuple[str, ...]] = SUMMARY
    of_class: ClassVar[tuple[str, ...]] = PER_CLASS
    counts: ClassVar[tuple[str, ...]] = ("ground_truths",)
    weighted_by: ClassVar[str | None] = None  # the count that says how often a class is in an average
    further: ClassVar[tuple[str, ...]] = FURTHER

    def classes(self, info: DatasetInfo) -> tuple[str, ...]:
        """Return the classes of the boxes."""
        return info.classes

    def columns(self, info: DatasetInfo) -> Sequence[Column]:
        """Return COCO's figures, over all classes and of each."""
        return columns(len(info.classes))

    def require_labels(self, part: Part) -> None:
        """Raise a BadInputError unless a part has boxes to score against."""
        if not any(labels.objects for labels in part.labels):
            instead = "; it has label maps, which a folder of label maps is scored against"
            raise BadInputError(
                f"{part.dataset.name}: the part {part.name} has no boxes to score against"
                + (instead if part.dataset.info.mask_classes else "")
            )

    def store(self, path: Path, predicted: Detections, part: Part, team: "Processes") -> None:
        """Write the detections, which every process has all of, in the main one."""
        if team.is_main:
            write_predictions(path, predicted, part.ids)

    def read(self, path: Path, part: Part) -> Detections:
        """Return the detections of a predictions file."""
        if path.is_dir():
            raise BadInputError(
                f"{path}: is a folder, and boxes are one JSON file; label maps are of a segmentation task"
            )
        return read_predictions(path, part.ids, part.dataset.info.classes, aliases(part.labels))

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of the file."""
        return sha256_file(path)

    def files(self, path: Path) -> dict[str, Path]:
        """Return the one file."""
        return {self.stored: path}

    def evidence(
        self, part: Part, predictions: Detections, evaluator: str | None = None, progress: Progress = no_progress
    ) -> Evidence:
        """Return the boxes of labels and detections."""
        classes = len(part.dataset.info.classes)
        return CocoEvidence(ground_truth((labels.objects for labels in part.labels), classes), predictions)

    def metrics(
        self, part: Part, evidence: Evidence, evaluator: str, progress: Progress = no_progress
    ) -> DetectionMetrics:
        """Return COCO's figures with their intervals."""
        info = part.dataset.info
        more = evidence.further(evaluator) if isinstance(evidence, CocoEvidence) else None
        return DetectionMetrics(**measured(part, evidence, self.columns(info), info.classes, evaluator), further=more)

    def draw(self, path: Path, part: Part, predictions: Detections) -> None:
        """Write a contact sheet of some pairs with labels and detections."""
        draw_predictions(path, part, predictions)


def detection_metrics(part: Part, detections: Detections, evaluator: Evaluator = "hotcoco") -> DetectionMetrics:
    """Return the COCO figures of a part with their intervals: over all samples, per class, and by illumination."""
    return PROTOCOL.metrics(part, PROTOCOL.evidence(part, detections), evaluator)


def _overall(figures: CocoFigures) -> dict[str, float | None]:
    return {name: value for name, value in asdict(figures).items() if name != "per_class"}


PROTOCOL = Coco()

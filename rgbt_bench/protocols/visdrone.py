"""The protocols `visdrone-official` and `visdrone-clean`: boxes scored as VisDrone's toolkit does, or plainly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

import rgbt_bench.metrics.visdrone as metrics
from rgbt_bench.datasets.store import Part
from rgbt_bench.metrics.detection import ground_truth
from rgbt_bench.predictions import Detections
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols.coco import Coco
from rgbt_bench.protocols.measuring import Column, Evidence, Figures
from rgbt_bench.results import Figure
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.workers import usable_cores


@dataclass(frozen=True)
class ToolkitEvidence(Evidence):
    """The boxes of labels and detections outside ignored regions."""

    boxes: metrics.Scored

    def figures(self, evaluator: str) -> Figures:
        """Return the toolkit's figures; there is one evaluator."""
        truth = self.boxes.truth
        (values,) = self.resampled(np.ones((1, truth.n_samples), dtype=np.int32))
        overall: dict[str, Figure] = {}
        per_class: list[dict[str, int | Figure]] = [{} for _ in range(truth.n_classes)]
        name = (metrics.OFFICIAL if self.boxes.official else metrics.CLEAN)["name"]
        for (category, figure), value in zip(metrics.columns(name, truth.n_classes), values.tolist(), strict=True):
            (overall if category is None else per_class[category])[figure] = None if np.isnan(value) else value
        return Figures(overall, [one | own for one, own in zip(per_class, metrics.counts(self.boxes), strict=True)])

    def select(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the boxes of some samples."""
        return type(self)(self.boxes.select(chosen))

    def resampled(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the toolkit's figures with samples weighted."""
        return metrics.resampled_figures(metrics.encode(self.boxes), weights, usable_cores())


class ToolkitOfficial(Coco):
    """Boxes with a class and a score, by the VisDrone toolkit."""

    name = "visdrone-official"
    task = "detection-official"
    what = "the detections that were scored"
    unit = "AP at IoU 0.50:0.95 over all recalls, classes by their samples, in 0..1"
    evaluators = ("rgbt-bench",)
    overall = metrics.SUMMARY["visdrone-official"]
    of_class = metrics.PER_CLASS
    counts = metrics.COUNTS
    weighted_by: ClassVar[str | None] = "samples"
    further = ()
    official = True

    def columns(self, info: DatasetInfo) -> Sequence[Column]:
        """Return the toolkit's figures, over all classes and of each."""
        return metrics.columns(self.name, len(info.classes))

    def evidence(
        self, part: Part, predictions: Detections, evaluator: str | None = None, progress: Progress = no_progress
    ) -> ToolkitEvidence:
        """Return the boxes of labels and detections outside ignored regions."""
        classes = part.dataset.info.classes
        protocol = metrics.OFFICIAL if self.official else metrics.CLEAN
        not_classes = [place for place, name in enumerate(classes) if name in protocol["not_classes"]]
        truth = ground_truth((labels.objects for labels in part.labels), len(classes))
        return ToolkitEvidence(
            metrics.scored(truth, predictions, metrics.regions(part.labels), not_classes, self.official)
        )


class ToolkitClean(ToolkitOfficial):
    """Boxes with a class and a score, by the VisDrone toolkit with plain averages."""

    name = "visdrone-clean"
    task = "detection-clean"
    unit = "AP at IoU 0.50:0.95 over all recalls, in 0..1"
    overall = metrics.SUMMARY["visdrone-clean"]
    weighted_by = None
    official = False


OFFICIAL = ToolkitOfficial()
CLEAN = ToolkitClean()

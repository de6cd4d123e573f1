"""The protocol `miou`: label maps as PNG files, scored by one confusion matrix over a part, and their edges."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError
from rgbt_bench.label_maps import (
    LabelMap,
    LabelMaps,
    read_label_maps,
    write_label_map,
)
from rgbt_bench.mask_previewing import draw_masks
from rgbt_bench.mask_sheet import SHEET_SAMPLES
from rgbt_bench.metrics.edges import THRESHOLDS_PERCENT, edge_counts, iou_by_threshold, iou_e, resampled_iou_e
from rgbt_bench.metrics.segmentation import (
    SUMMARY,
    columns,
    confusion_matrix,
    resampled_figures,
    segmentation_figures,
)
from rgbt_bench.png_folders import png_digest
from rgbt_bench.predictions import aliases
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols.base import ScoringProtocol
from rgbt_bench.protocols.measuring import Column, Evidence, Figures, measured
from rgbt_bench.protocols.png_storing import store_pngs, stored_files
from rgbt_bench.results import Figure, SegmentationMetrics
from rgbt_bench.schema import DatasetInfo

if TYPE_CHECKING:
    from rgbt_bench.training.processes import Processes

EDGES: Final = "IoU_e"


@dataclass(frozen=True)
class MaskEvidence(Evidence):
    """Each sample's confusion matrix, int64[N, K, K], and edge counts, int64[N, 11, 3], or None without edges."""

    matrices: NDArray[np.int64]
    edges: NDArray[np.int64] | None = None

    def figures(self, evaluator: str) -> Figures:
        """Return the figures of the summed matrix, and IoU_e of the summed edge counts."""
        found = segmentation_figures(self.matrices.sum(axis=0))
        overall: dict[str, Figure] = {name: getattr(found, name) for name in SUMMARY}
        if self.edges is not None:
            overall[EDGES] = _figure(float(iou_e(self.edges.sum(axis=0))))
        return Figures(overall, [asdict(one) for one in found.per_class])

    def select(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the counts of some samples."""
        return type(self)(self.matrices[chosen], None if self.edges is None else self.edges[chosen])

    def resampled(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the figures of weighted sums."""
        found = resampled_figures(self.matrices, weights)
        edges = np.full(len(weights), np.nan) if self.edges is None else resampled_iou_e(self.edges, weights)
        return np.insert(found, len(SUMMARY), edges, axis=1)


class Miou(ScoringProtocol[LabelMaps]):
    """A class for every pixel."""

    name = "miou"
    task = "segmentation"
    stored = "predictions"
    what = "the label maps that were scored"
    unit = "mean IoU over all classes, absent ones as 0, in 0..1"
    evaluators = ("rgbt-bench",)
    labels_name = "pixels"
    labels_key = "truth_pixels"

    def classes(self, info: DatasetInfo) -> tuple[str, ...]:
        """Return the classes of the label maps, the background among them."""
        return info.mask_classes

    def columns(self, info: DatasetInfo) -> Sequence[Column]:
        """Return the means, IoU_e, and Acc and IoU of each class."""
        found = columns(len(info.mask_classes))
        return (*found[: len(SUMMARY)], (None, EDGES), *found[len(SUMMARY) :])

    def require_labels(self, part: Part) -> None:
        """Raise a BadInputError unless every sample of a part has a label map."""
        if not part.dataset.info.mask_classes:
            raise BadInputError(f"{part.dataset.name} has no label maps, and so no segmentation to score")
        lacking = [sample_id for sample_id, mask in part.masks() if mask is None]
        if lacking:
            shown = ", ".join(lacking[:3])
            raise BadInputError(
                f"{part.dataset.name}: {len(lacking)} of {len(part)} samples of the part {part.name} have no label map,"
                f" such as {shown}"
            )

    def store(self, path: Path, predicted: Iterable[LabelMap], part: Part, team: "Processes") -> None:
        """Write every process's label maps into one folder aside, and put it in place once all are there."""
        info = part.dataset.info
        store_pngs(path, predicted, part, team, lambda aside, labels, one: write_label_map(aside, labels, info, one))

    def read(self, path: Path, part: Part) -> LabelMaps:
        """Return the label maps of a folder."""
        return read_label_maps(path, part.labels, part.dataset.info, aliases(part.labels))

    def digest(self, path: Path) -> str:
        """Return the SHA-256 over the folder's files."""
        return png_digest(path)

    def files(self, path: Path) -> dict[str, Path]:
        """Return the folder's files."""
        return stored_files(path, self.stored)

    def evidence(
        self, part: Part, predictions: LabelMaps, evaluator: str | None = None, progress: Progress = no_progress
    ) -> MaskEvidence:
        """Return the pixel counts of every sample."""
        classes = len(part.dataset.info.mask_classes)
        places = {sample_id: place for place, sample_id in enumerate(part.ids)}
        matrices = np.zeros((len(part), classes, classes), dtype=np.int64)
        edges = np.zeros((len(part), len(THRESHOLDS_PERCENT), 3), dtype=np.int64) if predictions.edges else None
        for sample_id, mask in part.masks():
            if mask is None:
                raise BadInputError(f"{part.dataset.name}: {sample_id} has no label map")
            with Pillow.open(io.BytesIO(mask.data)) as opened:
                truth = np.asarray(opened, dtype=np.uint8)
            place = places[sample_id]
            found = predictions[place]
            matrices[place] = confusion_matrix(truth, found.labels, classes)
            if edges is not None and found.edges is not None:
                edges[place] = edge_counts(found.edges, truth)
        return MaskEvidence(matrices, edges)

    def metrics(
        self, part: Part, evidence: Evidence, evaluator: str, progress: Progress = no_progress
    ) -> SegmentationMetrics:
        """Return the figures with their intervals, the confusion matrix and the IoU of edges by threshold."""
        assert isinstance(evidence, MaskEvidence)
        info = part.dataset.info
        by_threshold = None
        if evidence.edges is not None:
            found = iou_by_threshold(evidence.edges.sum(axis=0))
            by_threshold = {
                f"{percent / 100:g}": _figure(value) for percent, value in zip(THRESHOLDS_PERCENT, found, strict=True)
            }
        return SegmentationMetrics(
            **measured(part, evidence, self.columns(info), info.mask_classes, evaluator),
            confusion=tuple(map(tuple, evidence.matrices.sum(axis=0).tolist())),
            edge_iou=by_threshold,
        )

    def draw(self, path: Path, part: Part, predictions: LabelMaps) -> None:
        """Write a contact sheet of some pairs by illumination, with labels and predictions."""
        draw_masks(path, part, predictions, SHEET_SAMPLES)


def _figure(value: float) -> Figure:
    return None if np.isnan(value) else float(value)


PROTOCOL = Miou()

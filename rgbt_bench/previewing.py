"""Previews of a finished run: pairs with their labels and what the run predicted on them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.boxes import iou, match
from rgbt_bench.datasets.sheet import spread
from rgbt_bench.datasets.splits import dataset_name
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.finding import RunFolder
from rgbt_bench.fused_images import FusedImages
from rgbt_bench.fusion.sheet import draw_fused
from rgbt_bench.label_maps import LabelMaps
from rgbt_bench.mask_previewing import draw_masks
from rgbt_bench.opening import open_dataset
from rgbt_bench.pictures import draw_predictions
from rgbt_bench.predictions import Detections
from rgbt_bench.protocols import find_protocol
from rgbt_bench.schema import Labels
from rgbt_bench.sides import Scored

HIT = 0.5  # the least IoU with a label of the same class


@dataclass(frozen=True)
class Counts:
    """What a run did on one pair: detections that hit a label, labels that none hit, detections that hit none."""

    hits: int
    misses: int
    false_positives: int

    @property
    def faults(self) -> int:
        """Misses and false positives."""
        return self.misses + self.false_positives


def preview(
    run: RunFolder, out: Path, pairs: int, min_score: float, worst: bool = False, dataset: str | None = None
) -> dict[str, Any]:
    """Write a contact sheet of a finished run's labels and predictions, and return what is on it as JSON-ready data.

    The pairs are spread over the part, or with `worst` those with the most misses and false positives, of label maps
    those with the lowest mean IoU; `min_score` is for boxes alone.

    Raises:
        MissingError: the run is not finished, or its dataset is not here.
        BadInputError: the labels at hand are not those of the result, or the predictions are not.
        UsageError: `worst` of fused images.
    """
    part = scored_part(run, dataset)
    predictions = scored_predictions(run, part)
    if isinstance(predictions, FusedImages):
        if worst:
            raise UsageError(
                f"{run.label}: no fused image is the worst, for fusion metrics rank nothing; leave --worst out"
            )
        places = spread(len(part), pairs)
        draw_fused(out, part, predictions, chosen=places)
        rows = [{"sample_id": part.ids[place], "illumination": part.labels[place].illumination} for place in places]
        return {"run": run.label, "sheet": str(out), "pairs": rows}
    if isinstance(predictions, LabelMaps):
        rows = draw_masks(out, part, predictions, pairs, worst)
        return {"run": run.label, "sheet": str(out), "pairs": rows}
    return {"run": run.label, "sheet": str(out), **_preview_boxes(out, part, predictions, pairs, min_score, worst)}


def _preview_boxes(
    out: Path, part: Part, detections: Detections, pairs: int, min_score: float, worst: bool
) -> dict[str, Any]:
    shown = detections.take(detections.score >= min_score)
    counts = count_part(part, shown)
    places = worst_places(counts, pairs) if worst else spread(len(part), pairs)
    captions = {
        part.ids[place]: f"{part.ids[place]}   {counts[place].hits} hit, {counts[place].misses} missed,"
        f" {counts[place].false_positives} false"
        for place in places
    }
    draw_predictions(out, part, shown, min_score, chosen=places, captions=captions)
    rows = [
        {
            "sample_id": part.ids[place],
            "hits": counts[place].hits,
            "misses": counts[place].misses,
            "false_positives": counts[place].false_positives,
        }
        for place in places
    ]
    return {"min_score": min_score, "iou": HIT, "pairs": rows}


def scored_part(run: RunFolder, dataset: str | None = None) -> Part:
    """Return the part that a run was scored on.

    Raises:
        MissingError: the run is not finished, or its dataset is not here.
        BadInputError: the labels at hand are not those of the result.
    """
    data = run.result().data
    name = dataset or dataset_name(data.dataset, data.split)
    part = open_dataset(name).part(data.part)
    if part.record.label_digest != data.label_digest:
        raise BadInputError(
            f"{run.label} was scored on labels {data.label_digest[:16]}, but the part {data.part} of {name}"
            f" ({part.dataset.root}) has {part.record.label_digest[:16]}; give the set it was scored on with --dataset"
        )
    return part


def scored_predictions(run: RunFolder, part: Part) -> Detections | LabelMaps | FusedImages:
    """Return the predictions that a run's result was computed from.

    Raises:
        MissingError: the file is gone.
        BadInputError: the file has changed since.
    """
    result = run.result()
    Scored(run.predictions, result).require_unchanged()
    predictions: Detections | LabelMaps | FusedImages = find_protocol(result.protocol["name"]).read(
        run.predictions, part
    )
    return predictions


def count_part(part: Part, detections: Detections) -> list[Counts]:
    """Return what the detections do on each pair of a part."""
    rows = np.argsort(detections.sample_index, kind="stable")
    bounds = np.searchsorted(detections.sample_index[rows], np.arange(len(part) + 1))
    return [
        count_pair(labels, detections.take(rows[bounds[place] : bounds[place + 1]]))
        for place, labels in enumerate(part.labels)
    ]


def count_pair(labels: Labels, detections: Detections) -> Counts:
    """Return hits, misses and false positives on one pair.

    Detections take labels of their class greedily by descending score, from an IoU of 0.5 on. A label that is a crowd
    or ignored is no miss, and a detection that matches one is neither a hit nor false.
    """
    boxes = np.array([box.bbox for box in labels.objects], dtype=np.float64).reshape(-1, 4)
    classes = np.array([box.category for box in labels.objects], dtype=np.int64)
    ignored = np.array([box.ignore or box.iscrowd for box in labels.objects], dtype=np.bool_)
    surest = detections.take(np.argsort(-detections.score, kind="stable").astype(np.int64))
    overlaps: NDArray[np.float64] = iou(surest.bbox, boxes) * (surest.category[:, None] == classes[None])
    hit = match(overlaps[:, ~ignored], HIT)
    left = np.setdiff1d(np.arange(len(surest)), [row for row, _ in hit])
    excused = int((overlaps[left][:, ignored] >= HIT).any(axis=1).sum())
    return Counts(len(hit), int((~ignored).sum()) - len(hit), len(left) - excused)


def worst_places(counts: list[Counts], wanted: int) -> list[int]:
    """Return the places of the pairs with the most misses and false positives, the worst first; ties in their order."""
    return sorted(range(len(counts)), key=lambda place: (-counts[place].faults, place))[:wanted]

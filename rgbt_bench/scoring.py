"""Scoring a predictions file: validated whole, scored by the track's protocol, and written down with its provenance."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import sha256_file
from rgbt_bench.leaderboard.tracks import PROTOCOLS, official_data, protocol_digest, standing
from rgbt_bench.metrics.detection import CocoFigures, Evaluator, coco_figures, ground_truth, subset
from rgbt_bench.predictions import Detections, read_predictions
from rgbt_bench.results import (
    DataProvenance,
    DetectionMetrics,
    ModelProvenance,
    Result,
    hardware,
    library_versions,
    now,
)

_SUBSETS = ("day", "night")


def score_file(
    path: Path,
    part: Part,
    task: str,
    evaluator: Evaluator = "hotcoco",
    model: ModelProvenance | None = None,
    train: Part | None = None,
    val: Part | None = None,
    durations: Mapping[str, float] | None = None,
    device: dict[str, Any] | None = None,
) -> Result:
    """Score a predictions file against one part of a dataset; the file is validated whole first.

    Raises:
        MissingError: there is no such file.
        BadInputError: the file has faults, or the part has no labels.
    """
    info = part.dataset.info
    require_boxes(part)
    detections = read_predictions(path, part.ids, info.classes, aliases(part))
    began = time.monotonic()
    metrics = detection_metrics(part, detections, evaluator)
    spent = dict(durations or {}) | {"score": round(time.monotonic() - began, 3)}
    track = f"{info.name}/{task}"
    verdict, reason = standing(track, part.name, "coco", part.record.label_digest, part.dataset.record.skipped)
    return Result(
        track=track,
        standing=verdict,
        standing_reason=reason,
        protocol=PROTOCOLS["coco"],
        protocol_digest=protocol_digest("coco"),
        evaluator=evaluator,
        metrics=metrics,
        predictions_sha256=sha256_file(path),
        data=_data_provenance(part, train, val),
        model=model,
        durations_s=spent,
        libraries=library_versions(),
        hardware=hardware(device),
        created=now(),
    )


def aliases(part: Part) -> dict[str, str]:
    """Return other names under which a predictions file may know a sample: its original file's name and stem.

    A name that several samples share names none of them.
    """
    found: dict[str, set[str]] = {}
    for labels in part.labels:
        if labels.source:
            source = Path(labels.source)
            for name in (source.name, source.stem):
                found.setdefault(name, set()).add(labels.sample_id)
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}


def require_boxes(part: Part) -> None:
    """Raise a BadInputError unless a part has boxes to score against."""
    if not any(labels.objects for labels in part.labels):
        raise BadInputError(f"{part.dataset.name}: the part {part.name} has no boxes to score against")


def detection_metrics(part: Part, detections: Detections, evaluator: Evaluator = "hotcoco") -> DetectionMetrics:
    """Return the COCO figures of a part: over all samples, per class, and over the day and the night samples."""
    classes = part.dataset.info.classes
    truth = ground_truth((labels.objects for labels in part.labels), len(classes))
    whole = coco_figures(truth, detections, evaluator)
    subsets, counts = {}, {}
    for name in _SUBSETS:
        chosen = np.array([labels.illumination == name for labels in part.labels], dtype=np.bool_)
        if chosen.any():
            subsets[name] = _figures(coco_figures(*subset(truth, detections, chosen), evaluator))
            counts[name] = int(chosen.sum())
    per_class = {name: asdict(figures) for name, figures in zip(classes, whole.per_class, strict=True)}
    return DetectionMetrics(figures=_figures(whole), per_class=per_class, subsets=subsets, subset_samples=counts)


def _figures(figures: CocoFigures) -> dict[str, float | None]:
    return {name: value for name, value in asdict(figures).items() if name != "per_class"}


def _data_provenance(part: Part, train: Part | None, val: Part | None) -> DataProvenance:
    record = part.record
    return DataProvenance(
        dataset=part.dataset.info.name,
        split=part.split,
        part=part.name,
        samples=record.samples,
        skipped=part.dataset.record.skipped,
        label_digest=record.label_digest,
        rgb_digest=record.rgb_digest,
        thermal_digest=record.thermal_digest,
        ids_sha256=record.ids_sha256,
        fingerprint=part.dataset.record.fingerprint,
        train_label_digest=train.record.label_digest if train else None,
        val_label_digest=val.record.label_digest if val else None,
    )


def official_note(dataset: str, part: str, label_digest: str) -> str:
    """Return one sentence on whether a part's labels are the official ones of its dataset."""
    data = official_data(dataset, part)
    if data is None:
        return "no official digest is frozen for this part"
    if data.label_digest == label_digest:
        return f"official labels ({data.samples} samples, {data.boxes} boxes)"
    return f"not the official labels: {data.samples} samples with digest {data.label_digest[:16]} are frozen"

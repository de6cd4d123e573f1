"""Scoring a predictions file: validated whole, scored by the track's protocol, and written down with its provenance."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import sha256_file
from rgbt_bench.leaderboard.tracks import PROTOCOLS, official_data, protocol_digest, standing
from rgbt_bench.metrics.detection import CocoFigures, Evaluator, GroundTruth, coco_figures, ground_truth, subset
from rgbt_bench.metrics.resampling import PER_CLASS, SUMMARY, columns, encode, resampled_figures
from rgbt_bench.predictions import Detections, read_predictions
from rgbt_bench.results import (
    DataProvenance,
    DetectionMetrics,
    Interval,
    Intervals,
    ModelProvenance,
    Resampling,
    Result,
    hardware,
    library_versions,
    now,
)
from rgbt_bench.statistics import LEVEL, RESAMPLES, SEED, Blocks, blocks, draw_weights, interval
from rgbt_bench.workers import usable_cores

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
    """Return the COCO figures of a part with their intervals: over all samples, per class, and by day and night."""
    classes = part.dataset.info.classes
    truth = ground_truth((labels.objects for labels in part.labels), len(classes))
    scenes = [labels.scene for labels in part.labels]
    whole = coco_figures(truth, detections, evaluator)
    figures, per_class_intervals, resampling = _resample(truth, detections, scenes, classes)
    subsets, counts, subset_intervals, resamplings = {}, {}, {}, {"all": resampling}
    for name in _SUBSETS:
        chosen = np.array([labels.illumination == name for labels in part.labels], dtype=np.bool_)
        if chosen.any():
            these = subset(truth, detections, chosen)
            subsets[name] = _figures(coco_figures(*these, evaluator))
            counts[name] = int(chosen.sum())
            scenes_here = [scenes[place] for place in np.flatnonzero(chosen)]
            subset_intervals[name], _, resamplings[name] = _resample(*these, scenes_here, classes)
    return DetectionMetrics(
        figures=_figures(whole),
        per_class={name: asdict(one) for name, one in zip(classes, whole.per_class, strict=True)},
        subsets=subsets,
        subset_samples=counts,
        intervals=Intervals(
            figures=figures, per_class=per_class_intervals, subsets=subset_intervals, resampling=resamplings
        ),
    )


def describe(cut: Blocks, resamples: int = RESAMPLES, undefined: Mapping[str, int] | None = None) -> Resampling:
    """Return what is drawn of these blocks, and why nothing is where they are too few."""
    return Resampling(
        resamples=resamples,
        seed=SEED,
        unit=cut.unit,
        blocks=cut.count,
        block_size=cut.size,
        level=LEVEL,
        undefined=dict(undefined or {}),
        reason=cut.too_few,
    )


def _resample(
    truth: GroundTruth, detections: Detections, scenes: Sequence[str], classes: Sequence[str]
) -> tuple[dict[str, Interval], dict[str, dict[str, Interval]], Resampling]:
    """Return the intervals of the figures over all classes and of each class, and what was drawn for them."""
    overall: dict[str, Interval] = dict.fromkeys(SUMMARY)
    per_class: dict[str, dict[str, Interval]] = {name: dict.fromkeys(PER_CLASS) for name in classes}
    undefined: dict[str, int] = {}
    cut = blocks(scenes)
    if cut.too_few is None:
        resampled = resampled_figures(encode(truth, detections), draw_weights(cut), usable_cores())
        for (category, name), values in zip(columns(len(classes)), resampled.T, strict=True):
            kept = overall if category is None else per_class[classes[category]]
            kept[name] = interval(values)
            missing = int(np.isnan(values).sum())
            if 0 < missing < len(values):
                undefined[name if category is None else f"{classes[category]} {name}"] = missing
    return overall, per_class, describe(cut, undefined=undefined)


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

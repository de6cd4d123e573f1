"""Scoring predictions: validated whole, scored by the task's protocol, and written down with their provenance."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import unknown_name
from rgbt_bench.leaderboard.tracks import PENDING, PROTOCOLS, official_data, protocol_digest, standing
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols import protocol_of_task
from rgbt_bench.protocols.base import ScoringProtocol
from rgbt_bench.results import DataProvenance, ModelProvenance, Result, Standing, hardware, library_versions, now


def score_file(
    path: Path,
    part: Part,
    task: str,
    evaluator: str | None = None,
    model: ModelProvenance | None = None,
    train: Part | None = None,
    val: Part | None = None,
    durations: Mapping[str, float] | None = None,
    device: dict[str, Any] | None = None,
    progress: Progress = no_progress,
) -> Result:
    """Score a predictions file, or a folder of label maps, against one part of a dataset; it is validated whole first.

    Raises:
        MissingError: there is no such file or folder.
        BadInputError: it has faults, or the part has no labels.
        UsageError: no such task, or an evaluator that its protocol has not.
    """
    info = part.dataset.info
    protocol = protocol_of_task(task)
    engine = evaluator or protocol.evaluators[0]
    if engine not in protocol.evaluators:
        raise unknown_name("evaluator", engine, protocol.evaluators)
    protocol.require_labels(part)
    predictions = protocol.read(path, part)
    began = time.monotonic()
    metrics = protocol.metrics(part, protocol.evidence(part, predictions, engine, progress), engine, progress)
    spent = dict(durations or {}) | {"score": round(time.monotonic() - began, 3)}
    track = f"{info.name}/{task}"
    verdict, reason = _standing(track, part, protocol, engine, model)
    return Result(
        track=track,
        standing=verdict,
        standing_reason=reason,
        protocol=PROTOCOLS[protocol.name],
        protocol_digest=protocol_digest(protocol.name),
        evaluator=engine,
        metrics=metrics,
        predictions_sha256=protocol.digest(path),
        data=_data_provenance(part, train, val),
        model=model,
        durations_s=spent,
        libraries=library_versions(),
        hardware=hardware(device),
        created=now(),
    )


def _standing(
    track: str, part: Part, protocol: ScoringProtocol[Any], engine: str, model: ModelProvenance | None
) -> tuple[Standing, str]:
    if engine != protocol.evaluators[0] and not protocol.evaluators_agree:
        return "unofficial", f"computed as {engine}, not as {protocol.evaluators[0]}"
    record = part.record
    return standing(
        track,
        part.name,
        protocol.name,
        record.label_digest,
        part.dataset.record.skipped,
        record.ids_sha256,
        (record.rgb_digest, record.thermal_digest),
        model,
        split=part.split,
        samples=record.samples,
    )


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


def official_note(dataset: str, part: str, label_digest: str, split: str = DEFAULT_SPLIT) -> str:
    """Return one sentence on whether a part's labels are the official ones of its dataset."""
    data = official_data(dataset, part, split) or official_data(dataset, part)
    if data is None:
        return "no official digest is frozen for this part"
    boxes = "" if data.boxes is None else f", {data.boxes} boxes"
    if data.label_digest == PENDING:
        return f"nobody has confirmed the official label digest yet ({data.samples} samples)"
    if data.label_digest == label_digest:
        return f"official labels ({data.samples} samples{boxes})"
    return f"not the official labels: {data.samples} samples with digest {data.label_digest[:16]} are frozen"

"""The harness: train what is missing, predict, score from the file on disk, and write one result."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from rgbt_bench.datasets.sheet import DrawnBox, contact_sheet, spread
from rgbt_bench.datasets.store import Dataset, Part
from rgbt_bench.devices import describe_device, resolve_device
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.files import read_json, sha256_file, write_json, write_with
from rgbt_bench.leaderboard.tracks import PROTOCOLS, official_data, protocol_digest, standing
from rgbt_bench.metrics.detection import CocoFigures, Evaluator, coco_figures, ground_truth, subset
from rgbt_bench.predictions import Detections, read_predictions, write_predictions
from rgbt_bench.registry import load_submission
from rgbt_bench.results import (
    RESULT_FILE,
    DataProvenance,
    DetectionMetrics,
    ModelProvenance,
    Result,
    hardware,
    library_versions,
    now,
    read_result,
)
from rgbt_bench.runs import PREDICTIONS_FILE, RUN_FILE, Run, in_order
from rgbt_bench.submissions import Progress, Requirement, Submission, TrainContext, no_progress

TEST_PART = "test"
SHEET_PAIRS = 8
SHEET_MIN_SCORE = 0.3
_SUBSETS = ("day", "night")


def execute(run: Run, dataset: Dataset, device: str = "auto", progress: Progress = no_progress) -> Result:
    """Do what is left of a run and of the runs it requires, in order, and return its result.

    Raises:
        UsageError: another process works on one of the runs.
        BenchError: what `check` refuses.
    """
    submissions = check(run, dataset, device)
    for one in in_order(run):
        one.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(one.folder / ".lock", timeout=0):
                _execute_one(one, submissions[one.key], dataset, device, progress)
        except Timeout:
            raise UsageError(f"{one.folder}: another process works on this run; wait for it") from None
    return read_result(run.folder / RESULT_FILE)


def check(run: Run, dataset: Dataset, device: str = "auto") -> dict[str, Submission]:
    """Refuse before any training what would fail after it, and return the submission of every run by its key.

    Raises:
        BenchError: a recipe, part or device that will not do.
    """
    submissions = {one.key: load_submission(one.recipe.submission)(one.recipe, dataset.info) for one in in_order(run)}
    resolve_device(device)
    dataset.part("train")
    _require_boxes(dataset.part(TEST_PART))
    return submissions


def _execute_one(run: Run, submission: Submission, dataset: Dataset, device: str, progress: Progress) -> None:
    if run.state == "done":
        return
    named: Progress = lambda stage, done, total: progress(f"{run.recipe.name}: {stage}", done, total)  # noqa: E731
    durations = _train(run, submission, dataset, device, named)
    part = dataset.part(TEST_PART)
    began = time.monotonic()
    detections = submission.predict(run.weights, part, device, named)
    write_predictions(run.folder / PREDICTIONS_FILE, detections, part.ids)
    durations["predict"] = round(time.monotonic() - began, 3)
    result = score_file(
        run.folder / PREDICTIONS_FILE,
        part,
        task=run.recipe.task,
        model=_model_provenance(run, submission),
        train=dataset.part("train"),
        val=dataset.part("val") if "val" in dataset.parts else None,
        durations=durations,
        device=describe_device(resolve_device(device)),
    )
    draw_predictions(run.sheet, part, detections)
    result.write(run.folder / RESULT_FILE)


def _train(run: Run, submission: Submission, dataset: Dataset, device: str, progress: Progress) -> dict[str, float]:
    if run.weights.is_file():
        return _train_duration(run.folder)
    write_json(
        run.folder / RUN_FILE,
        {
            "key": run.key,
            "recipe": run.recipe.model_dump(mode="json"),
            "dataset": run.dataset,
            "seed": run.seed,
            "settings": run.settings,
            "requires": {role: one.key for role, one in run.requires.items()},
        },
    )
    context = TrainContext(
        folder=run.folder,
        train=dataset.part("train"),
        val=dataset.part("val") if "val" in dataset.parts else None,
        seed=run.seed,
        device=device,
        requirements={role: Requirement(one.recipe, one.weights) for role, one in run.requires.items()},
        progress=progress,
    )
    for stage in submission.stages():
        submission.train(stage, context)
    return _train_duration(run.folder)


def _train_duration(folder: Path) -> dict[str, float]:
    """Return how long training took over all its starts, where the loop left a record of it."""
    history = _history(folder)
    return {} if history is None else {"train": round(sum(row["seconds"] for row in history), 3)}


def _history(folder: Path) -> list[dict[str, float]] | None:
    state = folder / "checkpoint" / "state.json"
    return list(read_json(state)["history"]) if state.is_file() else None


def _model_provenance(run: Run, submission: Submission) -> ModelProvenance:
    history = _history(run.folder)
    return ModelProvenance(
        recipe=run.recipe.name,
        preset=run.recipe.preset,
        recipe_digest=run.recipe.digest,
        run_key=run.key,
        seed=run.seed,
        settings=run.settings,
        weights_sha256=sha256_file(run.weights),
        requires={role: one.key for role, one in run.requires.items()},
        parameters=submission.parameters(),
        epochs=None if history is None else len(history),
    )


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
    _require_boxes(part)
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


def _require_boxes(part: Part) -> None:
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


def draw_predictions(path: Path, part: Part, detections: Detections, min_score: float = SHEET_MIN_SCORE) -> None:
    """Write a contact sheet of pairs spread over the part, with the detections above `min_score`."""
    chosen = spread(len(part), SHEET_PAIRS)
    drawn: dict[str, list[DrawnBox]] = {part.ids[index]: [] for index in chosen}
    shown = detections.take(np.isin(detections.sample_index, chosen) & (detections.score >= min_score))
    for index, category, bbox, score in zip(shown.sample_index, shown.category, shown.bbox, shown.score, strict=True):
        x, y, width, height = (float(value) for value in bbox)
        drawn[part.ids[int(index)]].append(DrawnBox((x, y, width, height), int(category), float(score)))
    sheet = contact_sheet([part[index] for index in chosen], part.dataset.info, drawn)
    write_with(path, lambda aside: sheet.save(aside, format="PNG"))


def draw_labels(path: Path, part: Part, pairs: int) -> None:
    """Write a contact sheet of pairs spread over the part, with their labels."""
    sheet = contact_sheet([part[index] for index in spread(len(part), pairs)], part.dataset.info)
    write_with(path, lambda aside: sheet.save(aside, format="PNG"))


def official_note(dataset: str, part: str, label_digest: str) -> str:
    """Return one sentence on whether a part's labels are the official ones of its dataset."""
    data = official_data(dataset, part)
    if data is None:
        return "no official digest is frozen for this part"
    if data.label_digest == label_digest:
        return f"official labels ({data.samples} samples, {data.boxes} boxes)"
    return f"not the official labels: {data.samples} samples with digest {data.label_digest[:16]} are frozen"

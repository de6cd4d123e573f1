"""The harness: train what is missing, predict, score from the file on disk, and write one result."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rgbt_bench.datasets.store import Dataset
from rgbt_bench.devices import describe_device, resolve_device
from rgbt_bench.errors import UsageError
from rgbt_bench.files import read_json, sha256_file, write_json
from rgbt_bench.pictures import draw_predictions
from rgbt_bench.predictions import write_predictions
from rgbt_bench.registry import load_submission
from rgbt_bench.results import (
    RESULT_FILE,
    ModelProvenance,
    Result,
    read_result,
)
from rgbt_bench.runs import PREDICTIONS_FILE, RUN_FILE, Run, in_order
from rgbt_bench.scoring import require_boxes, score_file
from rgbt_bench.submissions import Progress, Requirement, Submission, TrainContext, no_progress

TEST_PART = "test"


def execute(
    run: Run, dataset: Dataset, device: str = "auto", progress: Progress = no_progress, wait: bool = False
) -> Result:
    """Do what is left of a run and of the runs it requires, in order, and return its result.

    With `wait`, a run that another process works on is waited for.

    Raises:
        UsageError: another process works on one of the runs.
        BenchError: what `check` refuses.
    """
    submissions = check(run, dataset, device)
    for one in in_order(run):
        one.folder.mkdir(parents=True, exist_ok=True)
        with _locked(one, wait, progress):
            _execute_one(one, submissions[one.key], dataset, device, progress)
    return read_result(run.folder / RESULT_FILE)


@contextmanager
def _locked(run: Run, wait: bool, progress: Progress) -> Iterator[None]:
    """Keep other processes from a run meanwhile."""
    lock = FileLock(run.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise UsageError(f"{run.folder}: another process works on this run; wait for it") from None
        progress(f"{run.recipe.name}: waits for another process that works on this run", 0, 1)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check(run: Run, dataset: Dataset, device: str = "auto") -> dict[str, Submission]:
    """Refuse before any training what would fail after it, and return the submission of every run by its key.

    Raises:
        BenchError: a recipe, part or device that will not do.
    """
    submissions = {one.key: load_submission(one.recipe.submission)(one.recipe, dataset.info) for one in in_order(run)}
    resolve_device(device)
    dataset.part("train")
    require_boxes(dataset.part(TEST_PART))
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

"""The harness: train what is missing, predict, score from the file on disk, and write one result."""

import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rgbt_bench.datasets.store import Dataset, Part
from rgbt_bench.devices import describe_device, resolve_device
from rgbt_bench.errors import BadInputError, BenchError
from rgbt_bench.files import copy_file, read_json, remove_leftovers, sha256_file, write_json
from rgbt_bench.locking import locked
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols import find_protocol
from rgbt_bench.registry import load_submission
from rgbt_bench.results import (
    RESULT_FILE,
    ModelProvenance,
    Result,
    read_result,
)
from rgbt_bench.runs import (
    CHECKPOINT_FILE,
    CHECKPOINT_FOLDER,
    LOCK_FILE,
    RUN_FILE,
    TEST_PART,
    Run,
    in_order,
    predictions_in,
)
from rgbt_bench.scoring import score_file
from rgbt_bench.sides import Scored
from rgbt_bench.submissions import Requirement, Submission, TrainContext, require_val
from rgbt_bench.torchrun import started_together

if TYPE_CHECKING:
    from rgbt_bench.training.processes import Processes

# What torch says in another process when one is gone; it has no error class for it.
_LOST = re.compile(r"gloo|nccl|connection (closed|reset)|timed out", re.IGNORECASE)


def execute(
    run: Run, dataset: Dataset, device: str = "auto", progress: Progress = no_progress, wait: bool = False
) -> Result:
    """Do what is left of a run and of the runs it requires, in order, and return its result.

    With `wait`, a run that another process works on is waited for. Under torchrun every process calls this and returns
    the same; the main one alone locks, writes and reports progress.

    Raises:
        UsageError: another process works on one of the runs.
        BadInputError: the predictions were changed since the result was scored.
        BenchError: what `check` refuses, or a process of this run that died.
    """
    submissions = check(run, dataset, device)
    team = _team(device)
    report = progress if team.is_main else no_progress
    try:
        for one in in_order(run):
            with _locked(one, wait, report) if team.is_main else nullcontext():
                _execute_one(one, submissions[one.key], dataset, device, report, team)
    except RuntimeError as error:
        if team.world > 1 and _LOST.search(str(error)):
            raise BenchError(
                f"one of the {team.world} processes of this run ended or gave no answer; the same command goes on where"
                " it stopped"
            ) from error
        raise
    result = read_result(run.folder / RESULT_FILE)
    if team.is_main:
        Scored(predictions_in(run.folder, result), result).require_unchanged()
    return result


def _team(device: str) -> "Processes":
    """Return the processes that do this run together: those that torchrun started, or this one alone."""
    from rgbt_bench.training.processes import Processes

    if started_together() == 1:
        return Processes()
    from rgbt_bench.training.accelerator import join

    return join(device)


def _locked(run: Run, wait: bool, progress: Progress) -> AbstractContextManager[None]:
    told = lambda owner: progress(f"{run.recipe.name}: waits for {owner}", 0, 1)  # noqa: E731
    return locked(run.folder / LOCK_FILE, "this run", told if wait else None)


def check(run: Run, dataset: Dataset, device: str = "auto") -> dict[str, Submission]:
    """Refuse before any training what would fail after it, and return the submission of every run by its key.

    Raises:
        BenchError: a recipe, part or device that will not do.
    """
    submissions = {one.key: load_submission(one.recipe.submission)(one.recipe, dataset.info) for one in in_order(run)}
    resolve_device(device)
    if run.given is None and any(one.recipe.training for one in in_order(run)):
        dataset.part("train")
    for one in in_order(run):
        if one.given is None and not one.weights.is_file():
            submissions[one.key].check_required({role: other.recipe for role, other in one.requires.items()})
            require_val(one.recipe, _val(dataset))
    find_protocol(run.recipe.protocol).require_labels(dataset.part(TEST_PART))
    return submissions


def _execute_one(
    run: Run, submission: Submission, dataset: Dataset, device: str, progress: Progress, team: "Processes"
) -> None:
    # the main process decides, since what it writes may be half seen by the others
    if team.as_main(team.is_main and run.state == "done"):
        return
    if team.is_main:
        remove_leftovers(run.folder)
    named: Progress = lambda stage, done, total: progress(f"{run.recipe.name}: {stage}", done, total)  # noqa: E731
    if run.given is not None:
        durations, weights = {}, run.given.fetch()
        submission.check_given(weights)
        if team.is_main:
            _write_run(run, None)
    else:
        durations, weights = _train(run, submission, dataset, device, named, team), run.weights
    began = time.monotonic()
    part, protocol = dataset.part(TEST_PART), find_protocol(run.recipe.protocol)
    path = run.folder / protocol.stored
    protocol.store(path, submission.predict(weights, part, device, named), part, team)
    if team.is_main:
        durations["predict"] = round(time.monotonic() - began, 3)
        if run.given is not None:
            _keep_weights(run, weights, run.given.sha256)
        _score(run, submission, dataset, device, path, durations, named)
    team.wait()


def _score(
    run: Run,
    submission: Submission,
    dataset: Dataset,
    device: str,
    predictions: Path,
    durations: Mapping[str, float],
    progress: Progress,
) -> None:
    part, protocol = dataset.part(TEST_PART), find_protocol(run.recipe.protocol)
    trained = run.given is None and run.recipe.training is not None
    result = score_file(
        predictions,
        part,
        task=run.recipe.task,
        model=_model_provenance(run, submission),
        train=dataset.part("train") if trained else None,
        val=_val(dataset) if trained else None,
        durations=durations,
        device=describe_device(resolve_device(device)),
        progress=progress,
    )
    protocol.draw(run.sheet, part, protocol.read(predictions, part))
    result.write(run.folder / RESULT_FILE)


def _train(
    run: Run, submission: Submission, dataset: Dataset, device: str, progress: Progress, team: "Processes"
) -> dict[str, float]:
    if team.as_main(run.weights.is_file()):
        return _train_duration(run.folder)
    requirements = {role: _requirement(one) for role, one in run.requires.items()}
    if team.is_main:
        _write_run(run, team.world)
    if run.recipe.training is None:
        if team.is_main:
            submission.write_weights(run.weights)
        team.wait()
        return {}
    context = TrainContext(
        folder=run.folder,
        train=dataset.part("train"),
        val=_val(dataset),
        seed=run.seed,
        device=device,
        requirements=requirements,
        progress=progress,
    )
    for stage in submission.stages():
        submission.train(stage, context)
    return _train_duration(run.folder)


def _val(dataset: Dataset) -> Part | None:
    return dataset.part("val") if "val" in dataset.parts else None


def _requirement(run: Run) -> Requirement:
    """Return a finished run as what another learns from, once its weights have shown to be those of its result.

    Raises:
        BadInputError: they are not.
    """
    model = read_result(run.folder / RESULT_FILE).model
    if model is None or sha256_file(run.weights) != model.weights_sha256:
        raise BadInputError(
            f"{run.weights}: not the weights that {RESULT_FILE} beside it was made with; delete the file to train again"
        )
    return Requirement(run.recipe, run.weights)


def _keep_weights(run: Run, weights: Path, sha256: str) -> None:
    """Copy given weights into the run's folder, once they have shown that they fit the network."""
    copy_file(weights, run.weights)
    if sha256_file(run.weights) != sha256:
        run.weights.unlink()
        raise BadInputError(f"{weights}: was changed while it was used; run it again")


def _write_run(run: Run, processes: int | None) -> None:
    content = {
        "key": run.key,
        "recipe": run.recipe.model_dump(mode="json"),
        "dataset": run.dataset,
        "seed": run.given.seed if run.given else run.seed,
        "settings": run.settings,
        "requires": {role: one.key for role, one in run.requires.items()},
        "processes": processes,
        "weights_from": run.given.origin if run.given else None,
    }
    write_json(run.folder / RUN_FILE, content)


def _train_duration(folder: Path) -> dict[str, float]:
    """Return how long training took over all its starts, where the loop left a record of it."""
    seconds = _epoch_seconds(folder)
    return {} if seconds is None else {"train": round(sum(seconds), 3)}


def _epoch_seconds(folder: Path) -> list[float] | None:
    """Return how long each epoch took, or None without a checkpoint.

    Raises:
        BadInputError: the checkpoint is damaged.
    """
    state = folder / CHECKPOINT_FOLDER / CHECKPOINT_FILE
    if not state.is_file():
        return None
    try:
        return [float(row["seconds"]) for row in read_json(state)["history"]]
    except (BadInputError, KeyError, TypeError, ValueError):
        raise BadInputError(
            f"{state}: damaged; delete {state.parent}: the weights beside it are whole, and the run goes on with them"
        ) from None


def _model_provenance(run: Run, submission: Submission) -> ModelProvenance:
    seconds = _epoch_seconds(run.folder)
    record = run.folder / RUN_FILE
    return ModelProvenance(
        recipe=run.recipe.name,
        preset=run.recipe.preset,
        recipe_digest=run.recipe.digest,
        run_key=run.key,
        seed=run.given.seed if run.given else run.seed,
        settings=run.settings,
        weights_sha256=sha256_file(run.weights),
        requires={role: one.key for role, one in run.requires.items()},
        parameters=submission.parameters(),
        epochs=None if seconds is None else len(seconds),
        processes=read_json(record).get("processes", 1) if record.is_file() else None,
        weights_from=run.given.origin if run.given else None,
    )

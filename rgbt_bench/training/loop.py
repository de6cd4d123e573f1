"""The training loop: epochs, checkpoints, early stopping, loss log and curve; the task owns what a step is."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from rgbt_bench.errors import BenchError, UsageError
from rgbt_bench.files import copy_file, write_text, write_with
from rgbt_bench.recipes import ScheduleConfig
from rgbt_bench.runs import CHECKPOINT_FOLDER
from rgbt_bench.submissions import WEIGHTS_FILE
from rgbt_bench.training.checkpoints import (
    LoopState,
    load_checkpoint,
    model_file,
    save_checkpoint,
    tidy_checkpoint,
    unusable,
)
from rgbt_bench.training.curves import draw_curves
from rgbt_bench.training.processes import Processes, processes
from rgbt_bench.training.task import Losses, Task

LOSS_FILE = "losses.jsonl"
CURVE_FILE = "losses.png"
DRAWN_EVERY_S = 30.0  # a picture takes longer than an epoch of a small set


class DivergedError(BenchError):
    """The loss became NaN or infinite."""

    exit_code = 5


def fit(
    task: Task,
    schedule: ScheduleConfig,
    folder: Path,
    seed: int,
    accelerator: Accelerator,
    progress: Callable[[str, int, int], None],
) -> LoopState:
    """Train a task to the end of its schedule and write `weights.safetensors` into `folder`.

    Every epoch starts from its own seed, so a training that was killed and resumed gives the same bits as one that was
    not. The lowest validation loss decides early stopping and, where the schedule says so, which weights are kept.
    Several processes train on shares of each batch; the main one alone writes, and the whole state is its.

    Raises:
        DivergedError: a loss is not finite; the last checkpoint is kept.
        UsageError: the checkpoint is another number of processes'.
    """
    team = processes()
    checkpoint = folder / CHECKPOINT_FOLDER
    if team.is_main:
        tidy_checkpoint(checkpoint)
    team.wait()
    state = _restore(task, checkpoint, accelerator, team)
    drawn = -DRAWN_EVERY_S
    while not state.finished:
        torch.manual_seed((seed * 1_000_003 + state.epoch) ^ (team.rank << 54))
        began = time.monotonic()
        train = _train_epoch(task, schedule, state, accelerator, team, progress)
        val = _validate(task, accelerator, team)
        _close_epoch(state, schedule, train, val, time.monotonic() - began)
        state.finished = bool(team.as_main(state.finished))
        if team.is_main:
            save_checkpoint(checkpoint, task.model, _optimizer_states(task, accelerator), state)
            if time.monotonic() - drawn > DRAWN_EVERY_S:
                write_log(folder, state)
                drawn = time.monotonic()
        progress("training", *_done(state, schedule))
    if team.is_main:
        write_log(folder, state)
        source = model_file(checkpoint, state.best_epoch if schedule.keep == "best" else state.epoch)
        copy_file(source, folder / WEIGHTS_FILE)
    team.wait()
    accelerator.free_memory()
    return state


def _restore(task: Task, checkpoint: Path, accelerator: Accelerator, team: Processes) -> LoopState:
    """Prepare a task, from its checkpoint where there is one."""
    restored = load_checkpoint(checkpoint, task.model)
    if restored is not None and restored[0].processes != team.world:
        raise UsageError(
            f"{checkpoint}: begun with {restored[0].processes} and not to be resumed with {team.world} processes: batch"
            " normalisation and loss are taken in each; start as many, or delete the folder to train again"
        )
    task.prepare(accelerator)
    if restored is None:
        return LoopState(processes=team.world)
    state, optimizers = restored
    try:
        _load_optimizers(task, accelerator, optimizers)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise unusable(checkpoint, error) from None
    return state


def _train_epoch(
    task: Task,
    schedule: ScheduleConfig,
    state: LoopState,
    accelerator: Accelerator,
    team: Processes,
    progress: Callable[[str, int, int], None],
) -> dict[str, float]:
    task.set_train_mode()
    if task.auxiliary is not None:
        task.auxiliary.train()
    found = []
    for window in _windows(task.batches(state.epoch), schedule.accumulate):
        if schedule.max_steps is not None and state.step >= schedule.max_steps:
            break
        state.step += 1
        for batch, losses in zip(window, task.train_window(window, accelerator), strict=True):
            found.append((len(batch), _numbers(losses, f"epoch {state.epoch + 1}, step {state.step}")))
        progress(f"epoch {state.epoch + 1}, step {state.step}", *_done(state, schedule))
    return _mean(found, team)


def _windows(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield the batches of each optimiser step; the last step of an epoch takes what is left."""
    iterator = iter(batches)
    while window := list(islice(iterator, size)):
        yield window


@torch.no_grad()
def _validate(task: Task, accelerator: Accelerator, team: Processes) -> dict[str, float]:
    for module in (task.model, task.auxiliary):
        if module is not None:
            team.copy_from_main(module.buffers())  # each process has seen other samples, and the main one's are kept
            module.eval()
    found = []
    for batch in task.validation_batches():
        with accelerator.autocast():
            losses = task.losses(batch)
        found.append((len(batch), _numbers(losses, "validation")))
    return _mean(found, team)


def _numbers(losses: Losses, where: str) -> dict[str, float]:
    # one transfer from the device for all of them
    values = torch.stack([value.detach().double() for value in losses.values()]).tolist()
    for name, value in zip(losses, values, strict=True):
        if not math.isfinite(value):
            raise DivergedError(
                f"{where}: the loss {name!r} is {value}; lower optimizer.learning_rate or set clip_norm"
            )
    return dict(zip(losses, values, strict=True))


def _mean(found: Sequence[tuple[int, dict[str, float]]], team: Processes) -> dict[str, float]:
    """Return the mean of each loss over the samples of every process's batches, in the main process.

    Sums are exactly rounded, so that neither the order nor the number of processes changes a bit.
    """
    names = list(found[0][1]) if found else []
    width = team.as_main(len(names))
    if width == 0:
        return {}
    counts = team.gather(torch.tensor([count for count, _ in found], dtype=torch.int64)).tolist()
    values = torch.tensor([list(losses.values()) for _, losses in found], dtype=torch.float64)
    columns = team.gather(values.reshape(len(found), width)).T.tolist()
    return {
        name: math.fsum(count * value for count, value in zip(counts, column, strict=True)) / sum(counts)
        for name, column in zip(names, columns, strict=False)
    }


def _close_epoch(
    state: LoopState, schedule: ScheduleConfig, train: dict[str, float], val: dict[str, float], seconds: float
) -> None:
    state.epoch += 1
    judged = val.get("total", train.get("total"))
    if judged is not None and (state.best_loss is None or judged < state.best_loss):
        state.best_loss, state.best_epoch = judged, state.epoch
    state.history.append({"epoch": state.epoch, "step": state.step, "seconds": seconds, "train": train, "val": val})
    exhausted = schedule.patience is not None and state.epoch - state.best_epoch >= schedule.patience
    stepped_out = schedule.max_steps is not None and state.step >= schedule.max_steps
    state.finished = state.epoch >= schedule.epochs or exhausted or stepped_out


def _done(state: LoopState, schedule: ScheduleConfig) -> tuple[int, int]:
    """Return how much is done of how much, in steps where they end the training, else in epochs."""
    return (state.step, schedule.max_steps) if schedule.max_steps is not None else (state.epoch, schedule.epochs)


def write_log(folder: Path, state: LoopState) -> None:
    """Write the losses of every finished epoch, and their picture, into a run's folder."""
    write_text(folder / LOSS_FILE, "".join(json.dumps(row) + "\n" for row in state.history))
    write_with(folder / CURVE_FILE, lambda path: draw_curves(state.history, path))


def _optimizer_states(task: Task, accelerator: Accelerator) -> dict[str, object]:
    return {
        "optimizers": {name: one.state_dict() for name, one in task.optimizers.items()},
        "schedulers": {name: one.state_dict() for name, one in task.schedulers.items()},
        "auxiliary": task.auxiliary.state_dict() if task.auxiliary is not None else {},
        "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else {},
    }


def _load_optimizers(task: Task, accelerator: Accelerator, states: dict[str, Any]) -> None:
    for name, optimizer in task.optimizers.items():
        optimizer.load_state_dict(states["optimizers"][name])
    for name, scheduler in task.schedulers.items():
        scheduler.load_state_dict(states["schedulers"][name])
    if task.auxiliary is not None:
        task.auxiliary.load_state_dict(states["auxiliary"])
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(states["scaler"])

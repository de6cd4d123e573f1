"""The training loop: epochs, checkpoints, early stopping, loss log and curve; the task owns what a step is."""

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from rgbt_bench.errors import BenchError
from rgbt_bench.files import write_bytes, write_text, write_with
from rgbt_bench.recipes import ScheduleConfig
from rgbt_bench.training.checkpoints import LoopState, load_checkpoint, save_checkpoint, save_weights, unusable
from rgbt_bench.training.curves import draw_curves
from rgbt_bench.training.task import Losses, Task

CHECKPOINT_FOLDER = "checkpoint"
BEST_FILE = "best.safetensors"
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

    Raises:
        DivergedError: a loss is not finite; the last checkpoint is kept.
    """
    restored = load_checkpoint(folder / CHECKPOINT_FOLDER, task.model)
    task.prepare(accelerator)
    state = LoopState()
    if restored is not None:
        state, optimizers = restored
        try:
            _load_optimizers(task, optimizers)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unusable(folder / CHECKPOINT_FOLDER, error) from None
    drawn = -DRAWN_EVERY_S
    while not state.finished:
        _seed(seed, state.epoch)
        began = time.monotonic()
        train = _train_epoch(task, schedule, state, accelerator, progress)
        val = _validate(task)
        _close_epoch(state, schedule, train, val, time.monotonic() - began)
        model = accelerator.unwrap_model(task.model)
        if state.best_epoch == state.epoch:
            save_weights(folder / BEST_FILE, model)
        save_checkpoint(folder / CHECKPOINT_FOLDER, model, _optimizer_states(task), state)
        write_text(folder / LOSS_FILE, "".join(json.dumps(row) + "\n" for row in state.history))
        if state.finished or time.monotonic() - drawn > DRAWN_EVERY_S:
            write_with(folder / CURVE_FILE, lambda path: draw_curves(state.history, path))
            drawn = time.monotonic()
        progress("training", *_done(state, schedule))
    source = BEST_FILE if schedule.keep == "best" else f"{CHECKPOINT_FOLDER}/model.safetensors"
    write_bytes(folder / "weights.safetensors", (folder / source).read_bytes())
    accelerator.free_memory()
    return state


def _train_epoch(
    task: Task,
    schedule: ScheduleConfig,
    state: LoopState,
    accelerator: Accelerator,
    progress: Callable[[str, int, int], None],
) -> dict[str, float]:
    task.set_train_mode()
    sums: defaultdict[str, float] = defaultdict(float)
    count = 0
    for window in _windows(task.batches(state.epoch), schedule.accumulate):
        if schedule.max_steps is not None and state.step >= schedule.max_steps:
            break
        state.step += 1
        for losses in task.train_window(window, accelerator):
            _add(sums, losses, f"epoch {state.epoch + 1}, step {state.step}")
            count += 1
        progress(f"epoch {state.epoch + 1}, step {state.step}", *_done(state, schedule))
    return {name: value / max(count, 1) for name, value in sums.items()}


def _windows(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield the batches of each optimiser step; the last step of an epoch takes what is left."""
    iterator = iter(batches)
    while window := list(islice(iterator, size)):
        yield window


@torch.no_grad()
def _validate(task: Task) -> dict[str, float]:
    task.model.eval()
    sums: defaultdict[str, float] = defaultdict(float)
    count = 0
    for batch in task.validation_batches():
        _add(sums, task.losses(batch), "validation")
        count += 1
    return {name: value / count for name, value in sums.items()} if count else {}


def _add(sums: defaultdict[str, float], losses: Losses, where: str) -> None:
    for name, value in losses.items():
        number = float(value.detach())
        if not math.isfinite(number):
            raise DivergedError(
                f"{where}: the loss {name!r} is {number}; lower optimizer.learning_rate or set clip_norm"
            )
        sums[name] += number


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


def _seed(seed: int, epoch: int) -> None:
    torch.manual_seed(seed * 1_000_003 + epoch)


def _optimizer_states(task: Task) -> dict[str, object]:
    return {
        "optimizers": {name: one.state_dict() for name, one in task.optimizers.items()},
        "schedulers": {name: one.state_dict() for name, one in task.schedulers.items()},
    }


def _load_optimizers(task: Task, states: dict[str, dict[str, dict[str, object]]]) -> None:
    for name, optimizer in task.optimizers.items():
        optimizer.load_state_dict(states["optimizers"][name])
    for name, scheduler in task.schedulers.items():
        scheduler.load_state_dict(states["schedulers"][name])

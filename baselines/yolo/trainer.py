"""Training by ultralytics' own trainer, whose every epoch is made to depend on nothing but its seed and checkpoint.

The loop, optimiser, warm-up, moving average and augmentation are the library's. Images, checkpoints and the log are
ours. It imports the library, so it is imported late.
"""

import math
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError, BenchError, MissingError
from rgbt_bench.files import read_json, write_with
from rgbt_bench.progress import Progress
from rgbt_bench.runs import CHECKPOINT_FILE, CHECKPOINT_FOLDER
from rgbt_bench.training.checkpoints import (
    LoopState,
    load_checkpoint,
    model_file,
    save_checkpoint,
    tidy_checkpoint,
    unusable,
)
from rgbt_bench.training.loop import DRAWN_EVERY_S, DivergedError, write_log

from .images import TrainImages
from .offline import left_as_it_was, library

DetectionTrainer: Any = library("models.yolo.detect").DetectionTrainer
DistillationModel: Any = library("nn.distill_model").DistillationModel
_AVERAGE = "average.detector."


@dataclass(frozen=True)
class Job:
    """A training: `build` returns the network for the library's settings, a detector or one with a teacher.

    `settings` are the library's own, `classes` those that have an output, `seed` that of everything drawn.
    """

    build: Callable[[Any], nn.Module]
    part: Part
    classes: Sequence[int]
    settings: dict[str, Any]
    seed: int
    folder: Path
    progress: Progress


def train_detector(job: Job, weights: Path) -> None:
    """Train to the end, from the checkpoint where there is one, and write the moving average of the detector's weights.

    Raises:
        DivergedError: a loss or a weight is not finite; the last checkpoint is kept.
        BadInputError: the checkpoint cannot be resumed, or taken as finished.
    """
    checkpoint = job.folder / CHECKPOINT_FOLDER
    tidy_checkpoint(checkpoint)
    state = _finished(checkpoint)
    if state is None:
        with left_as_it_was(), tempfile.TemporaryDirectory(prefix="rgbt-bench-") as aside:
            training = SeededTraining(job, Path(aside))
            training.train()
            state = training.state
    write_log(job.folder, state)
    try:
        kept = load_file(model_file(checkpoint, state.epoch))
    except (FileNotFoundError, SafetensorError) as error:
        raise unusable(checkpoint, error) from None
    detector = {name.removeprefix(_AVERAGE): one for name, one in kept.items() if name.startswith(_AVERAGE)}
    write_with(weights, lambda path: save_file(detector, path))


class SeededTraining(DetectionTrainer):  # type: ignore[misc]
    """The library's trainer on one part; nothing is validated, and the last epoch's moving average is kept.

    Its name has no "Trainer", by which the library would know whom to report to its platform and to loggers.
    """

    accumulate: int

    def __init__(self, job: Job, aside: Path) -> None:
        self.job = job
        self.checkpoint = job.folder / CHECKPOINT_FOLDER
        self.state = LoopState()
        self.drawn = -DRAWN_EVERY_S
        threads = torch.get_num_threads()
        super().__init__(overrides={**job.settings, "save_dir": str(aside), "model": "none.yaml", "data": "none.yaml"})
        torch.set_num_threads(threads)  # on a CPU the library takes as many as it likes
        self.add_callback("on_train_epoch_start", SeededTraining.begin_epoch)
        self.add_callback("on_train_batch_end", SeededTraining.end_batch)

    def get_dataset(self) -> dict[str, Any]:
        """Return what the library wants to know of a set; there is no file of it."""
        names = [self.job.part.dataset.info.classes[category] for category in self.job.classes]
        return {"train": "", "val": "", "nc": len(names), "names": dict(enumerate(names)), "channels": 3}

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> TrainImages:
        """Return the training part."""
        return TrainImages(self.job.part, self.job.classes, self.args, batch or self.batch_size)

    def setup_model(self) -> dict[str, Any] | None:
        """Build the network with weights of the seed, or of the checkpoint where there is one."""
        torch.manual_seed(self.job.seed)
        self.model = self.job.build(self.args)
        average = deepcopy(_learnt(self.model))
        found = load_checkpoint(self.checkpoint, _both(_learnt(self.model), average))
        if found is None:
            return None
        self.state, rest = found
        return {"average": average, **rest}

    def resume_training(self, ckpt: dict[str, Any] | None) -> None:
        """Go on after the checkpoint's epoch, with its optimiser and moving average."""
        if ckpt is None:
            return
        try:
            self.optimizer.load_state_dict(ckpt["optimizer"])
            self.scaler.load_state_dict(ckpt["scaler"])
            self.ema.updates = ckpt["updates"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unusable(self.checkpoint, error) from None
        _learnt(self.ema.ema).load_state_dict(ckpt["average"].state_dict())
        self.start_epoch = self.state.epoch

    def _build_train_pipeline(self) -> None:
        """Build the loaders and the optimiser, and keep how many batches make a step: `optimizer_step` counts them.

        Raises:
            BenchError: the library would go on with smaller batches, since these do not fit into memory.
        """
        if self.optimizer is not None:
            raise BenchError(
                f"the device's memory is too small for batches of {self.job.settings['batch']}: set"
                " schedule.batch_size lower (and schedule.accumulate higher, for steps of as many images)"
            )
        super()._build_train_pipeline()
        self.window, self.accumulate = self.accumulate, 1
        self.warmup_batches = self._get_warmup_iterations(len(self.train_loader))

    def begin_epoch(self) -> None:
        """Seed the epoch, and drop what the loader and the mosaic remember of the one before."""
        seed = (self.job.seed * 1_000_003 + self.epoch) % 2**32
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        self.train_loader.reset()
        self.train_loader.generator.manual_seed(seed)
        self.train_loader.dataset.forget()
        self.pending, self.batches_done, self.began = 0, 0, time.monotonic()

    def optimizer_step(self) -> None:
        """Take a step once a window of batches is full, or with what is left of it at the end of an epoch."""
        batches = len(self.train_loader)
        place = self.batches_done + self.epoch * batches
        window = self.window
        if self.warmup_batches and place <= self.warmup_batches:
            window = max(1, round(float(np.interp(place, [0, self.warmup_batches], [1, window]))))
        self.pending += 1
        if self.pending >= window or self.batches_done + 1 == batches:
            super().optimizer_step()
            self.pending = 0
            self.state.step += 1

    def end_batch(self) -> None:
        """Refuse a loss that is not finite, and report the progress."""
        self.batches_done += 1
        if not bool(self.loss.isfinite()):
            broken = [name for name, one in self.loss_items.items() if not bool(one.isfinite().all())]
            raise DivergedError(
                f"epoch {self.epoch + 1}, batch {self.batches_done}: the loss {', '.join(broken) or 'total'} is not"
                " finite; lower optimizer.learning_rate"
            )
        batches = len(self.train_loader)
        done, of = self.epoch * batches + self.batches_done, self.epochs * batches
        self.job.progress(f"epoch {self.epoch + 1}, batch {self.batches_done}", done, of)

    def validate(self) -> tuple[dict[str, float], float]:
        """Validate nothing: what is trained is scored by the harness, and nothing is selected."""
        return {}, 0.0

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write no table of the library's; the log is ours."""

    def final_eval(self) -> None:
        """Evaluate nothing."""

    def save_model(self) -> bool:
        """Write the checkpoint of the epoch that ended, unless its weights are not finite: the one before is kept."""
        if not all(bool(one.isfinite().all()) for one in self.ema.ema.state_dict().values()):
            raise DivergedError(f"epoch {self.epoch + 1}: weights are not finite; lower optimizer.learning_rate")
        terms = {name: float(one) for name, one in self.tloss.items()}
        state = self.state
        state.epoch = state.best_epoch = self.epoch + 1
        state.finished = state.epoch >= self.epochs
        seconds = time.monotonic() - self.began
        train = {"total": math.fsum(terms.values()), **terms}
        state.history.append({"epoch": state.epoch, "step": state.step, "seconds": seconds, "train": train, "val": {}})
        rest = {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "updates": self.ema.updates,
        }
        save_checkpoint(self.checkpoint, _both(_learnt(self.model), _learnt(self.ema.ema)), rest, state)
        if time.monotonic() - self.drawn > DRAWN_EVERY_S:
            write_log(self.job.folder, state)
            self.drawn = time.monotonic()
        return True


def _learnt(model: nn.Module) -> nn.ModuleDict:
    """Return what is trained: a detector, or a student and what stands between it and its teacher."""
    if isinstance(model, DistillationModel):
        return nn.ModuleDict({"detector": model.student_model, "between": model.projector})
    return nn.ModuleDict({"detector": model})


def _both(live: nn.Module, average: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict({"live": live, "average": average})


def _finished(checkpoint: Path) -> LoopState | None:
    """Return the state of a training that was finished, or None."""
    try:
        state = LoopState(**read_json(checkpoint / CHECKPOINT_FILE))
    except MissingError:
        return None
    except (BadInputError, TypeError) as error:
        raise unusable(checkpoint, error) from None
    return state if state.finished else None

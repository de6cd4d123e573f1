"""Trainings that the tests start, stop and kill."""

import os
import signal
from pathlib import Path

import torch
from torch import nn

from rgbt_bench.datasets.store import Dataset
from rgbt_bench.recipes import OptimizerConfig, ScheduleConfig
from rgbt_bench.training import loop
from rgbt_bench.training.accelerator import accelerator
from rgbt_bench.training.loop import fit
from rgbt_bench.training.task import Task, build_optimizer

ADAM = OptimizerConfig(name="adam", learning_rate=0.05, weight_decay=0.0)
SILENT = lambda stage, done, total: None  # noqa: E731


class Line(Task):
    """Fits y = 3x + 1 with dropout, so that a resume that lost the random state would be seen."""

    def __init__(self, optimizer=ADAM, steps=40, batches=4, val_losses=None, poison_at=None):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.2), nn.Linear(8, 1))
        built, self.schedulers = build_optimizer(optimizer, self.model.parameters(), steps)
        self.optimizers = {"main": built}
        self.clip_norm = optimizer.clip_norm
        self.per_epoch = batches
        self.val_losses = list(val_losses or [])
        self.poison_at = poison_at
        self.seen = 0

    def batches(self, epoch):
        generator = torch.Generator().manual_seed(epoch)
        return [torch.rand(8, 1, generator=generator) for _ in range(self.per_epoch)]

    def validation_batches(self):
        return [torch.linspace(0, 1, 8)[:, None]]

    def set_train_mode(self):
        self.model.train()

    def losses(self, batch):
        if not self.model.training and self.val_losses:
            return {"total": torch.tensor(self.val_losses.pop(0))}
        self.seen += self.model.training
        if self.poison_at is not None and self.seen > self.poison_at:
            return {"total": self.model(batch).sum() * float("nan")}
        return {"total": nn.functional.mse_loss(self.model(batch), 3 * batch + 1)}


class KilledError(Exception):
    pass


def schedule(**changed):
    return ScheduleConfig(**{"epochs": 6, "batch_size": 8, **changed})


def run(task, folder, progress=SILENT, seed=1, **changed):
    return fit(task, schedule(**changed), folder, seed, accelerator("cpu"), progress)


class BestInTheMiddle(Line):
    """A line whose best epoch is neither the first nor the last, also where its training is resumed."""

    def batches(self, epoch):
        self.epoch = epoch
        return super().batches(epoch)

    def losses(self, batch):
        if self.model.training:
            return super().losses(batch)
        return {"total": torch.tensor([5.0, 3.0, 4.0][self.epoch])}


SMALL = (
    "model.image_size=64",
    "model.fpn_channels=16",
    "model.fpn_cells=1",
    "schedule.batch_size=6",
    "schedule.epochs=6",
    "schedule.keep=best",
)


def plan_small(dataset_folder, out):
    from rgbt_bench.runs import plan_run

    return plan_run("ffkd-student-rgb", Dataset(dataset_folder), "quick", None, SMALL, out)


def execute_small(dataset_folder, out, progress=SILENT):
    """Do a whole run of a small network."""
    from rgbt_bench.harness import execute

    return execute(plan_small(dataset_folder, out), Dataset(dataset_folder), "cpu", progress)


def run_line(folder):
    """Train a line without drawing a picture of it."""
    loop.draw_curves = lambda history, path: path.write_bytes(b"a picture")
    return run(BestInTheMiddle(), folder, epochs=3, keep="best")


def run_line_killed_at(folder, operation):
    """Train the same, killed right before the given one of its operations on files."""
    left = [operation]

    def counted(original):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return call

    os.fsync, Path.replace, Path.unlink = (counted(one) for one in (os.fsync, Path.replace, Path.unlink))
    run_line(folder)

"""Small TarDAL trainings over the tiny sample set, with a detector of a few parameters."""

from types import SimpleNamespace

import torch
from torch import nn

from rgbt_baselines.tardal.submission import Tardal
from rgbt_bench.recipes import load_recipe
from rgbt_bench.submissions import TrainContext

SMALL = (
    "model.width=4",
    "model.depth=1",
    "augment.crop=32",
    "augment.crops=1",
    "schedule.batch_size=4",
    "schedule.workers=0",
    "schedule.epochs=2",
    "optimizer.schedule=constant",
    "optimizer.gamma=null",
)


class TinyDetector(nn.Module):
    """Says of an image how many boxes it has, by a convolution and a mean."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3, 2, 1))

    def forward(self, images):
        return self.conv(images).mean(dim=(1, 2, 3))


def tiny_losses(detector, images, targets):
    counts = torch.zeros(len(images)).index_add(0, targets.index, torch.ones(len(targets.index)))
    loss = nn.functional.mse_loss(detector(images), counts)
    return {"total": loss, "box": loss}


def with_tiny_detector(monkeypatch):
    """Put the tiny detector in place of the library's."""
    from rgbt_baselines.yolo import detector

    monkeypatch.setattr(detector, "build_detector", lambda name, classes: TinyDetector())
    monkeypatch.setattr(detector, "detection_losses", tiny_losses)


def submission(info, name="tardal-dt", *settings):
    return Tardal(load_recipe(name, "paper", (*SMALL, *settings)), info)


def context(dataset, folder, seed=0, **more):
    return TrainContext(folder, dataset.part("train"), dataset.part("val"), seed, "cpu", **more)


def task(dataset, folder, name="tardal-dt", *settings):
    """Return a small training's task on the CPU, before it is prepared."""
    torch.manual_seed(0)
    return submission(dataset.info, name, *settings).task(context(dataset, folder))


def plain_accelerator():
    """What a task asks of an accelerator, without one."""
    from contextlib import nullcontext

    return SimpleNamespace(
        autocast=nullcontext,
        backward=lambda loss: loss.backward(),
        clip_grad_norm_=nn.utils.clip_grad_norm_,
    )

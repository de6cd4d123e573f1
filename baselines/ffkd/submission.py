"""FFKD as a submission: the seven rows of Table II are seven recipes of this class."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rgbt_bench.datasets.store import Part
from rgbt_bench.devices import resolve_device
from rgbt_bench.predictions import Detections
from rgbt_bench.progress import Progress
from rgbt_bench.recipes import Recipe
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.submissions import LatencySubject, Submission, TrainContext, require_val
from rgbt_bench.training.accelerator import accelerator
from rgbt_bench.training.batches import steps_of_epoch, steps_of_training
from rgbt_bench.training.checkpoints import load_weights
from rgbt_bench.training.loop import fit

from .backbone import load_backbone
from .config import SECTIONS, AugmentSection, LossSection, ModelSection, check_sections, detection_config
from .config import detector_config as build_config
from .data import Batches
from .model import Branch, DetectionHead, FusionDetector, branches, freeze_backbones, parameter_counts
from .task import FfkdTask, Network, forward


class Ffkd(Submission):
    """A branch, a fusion detector, or a fusion detector distilled from another, as the recipe says."""

    sections = SECTIONS
    predicts = "detection"

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        self.model = cast(ModelSection, self.config["model"])
        self.augment = cast(AugmentSection, self.config["augment"])
        self.loss = cast(LossSection, self.config["loss"])
        check_sections(recipe, self.model, self.loss)

    def build(self) -> Network:
        """Return the network with random weights."""
        config = build_config(self.model, len(self.info.classes))
        return Branch(config) if self.model.kind == "branch" else FusionDetector(config)

    def head(self) -> DetectionHead:
        """Return the anchors, loss and decoding that go with the network."""
        return DetectionHead(build_config(self.model, len(self.info.classes)), detection_config(self.model, self.loss))

    def train(self, stage: str, context: TrainContext) -> None:
        """Train from the recipe's start to the end of its schedule."""
        torch.manual_seed(context.seed)
        network = self.build()
        self._initialise(network, context)
        if self.model.freeze_backbones:
            freeze_backbones(network)
        optimizer, schedule = self.training
        require_val(self.recipe, context.val)
        train = self._batches(context.train, self.augment, context.seed)
        epoch_steps = steps_of_epoch(train, self.recipe.name, schedule, len(context.train))
        task = FfkdTask(
            network,
            self.head(),
            optimizer,
            steps_of_training(epoch_steps, schedule),
            train,
            self._batches(context.val) if context.val else None,
            self.model.train_mode,
            self.loss.distillation,
            self._teacher(context),
            epoch_steps,
        )
        fit(
            task,
            schedule,
            context.folder,
            context.seed,
            accelerator(context.device, schedule.precision),
            context.progress,
        )

    def predict(self, weights: Path, part: Part, device: str, progress: Progress) -> Detections:
        """Return the detections of the trained network in pixels of the samples."""
        resolved = resolve_device(device)
        network = self.build()
        load_weights(weights, network)
        network.eval().to(resolved)
        head = self.head().to(resolved)
        sizes = torch.tensor([[labels.width, labels.height] for labels in part.labels], dtype=torch.float32)
        rows: list[tuple[int, Any]] = []
        batches = self._batches(part)
        with torch.inference_mode():
            for batch in batches.in_order():
                moved = batch.to(resolved)
                outputs = forward(network, moved)
                found = head.decode(outputs.cls, outputs.box, moved.scale, sizes[batch.index].to(resolved))
                rows += [(int(index), one) for index, one in zip(batch.index, found, strict=True)]
                progress("predicting", min(len(rows) * batches.team.world, len(part)), len(part))
        return batches.team.merge(_columns(rows), [index for index, _ in rows], len(part))

    def parameters(self) -> dict[str, int]:
        """Return Table I's columns for a fusion detector, and the same groups for a branch."""
        with torch.device("meta"):
            network = self.build()
        if isinstance(network, FusionDetector):
            return parameter_counts(network, self.model.freeze_backbones)
        count = {
            "backbone": _count(network.backbone),
            "bifpn": _count(network.bifpn),
            "head": _count(network.class_net) + _count(network.box_net),
            "total": _count(network),
        }
        return count | {"trainable": count["total"] - count["backbone"] * self.model.freeze_backbones}

    def latency_subject(self, batch: int, device: torch.device) -> LatencySubject:
        """Return the network's forward pass on fixed random images, without decoding and NMS."""
        network = self.build().eval().to(device)
        side = self.model.image_size
        generator = torch.Generator().manual_seed(0)
        images = [torch.randn(batch, 3, side, side, generator=generator).to(device) for _ in self.recipe.modalities]
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(*(image[:1] for image in images))
        return LatencySubject(
            forward=lambda: network(*images),
            image_size=(side, side),
            macs=counter.get_total_flops() // 2,
            parameters=_count(network),
            includes="network forward pass, without decoding and NMS",
        )

    def _initialise(self, network: Network, context: TrainContext) -> None:
        for branch in branches(network):
            load_backbone(branch.backbone, self.model.backbone, self.recipe.pretrained)
        if isinstance(network, FusionDetector):
            for role, branch in (("rgb", network.rgb), ("thermal", network.thermal)):
                if role in context.requirements:
                    load_weights(context.requirements[role].weights, branch)

    def _teacher(self, context: TrainContext) -> FusionDetector | None:
        if "teacher" not in context.requirements:
            return None
        required = context.requirements["teacher"]
        teacher = Ffkd(required.recipe, self.info).build()
        load_weights(required.weights, teacher)
        return cast(FusionDetector, teacher)

    def _batches(self, part: Part, augment: AugmentSection | None = None, seed: int = 0) -> Batches:
        schedule = self.training.schedule
        modalities: tuple[Any, ...] = self.recipe.modalities
        return Batches(part, self.model, modalities, schedule.batch_size, schedule.workers, augment, seed)


SUBMISSION = Ffkd


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _columns(rows: list[tuple[int, Any]]) -> Detections:
    if not rows:  # more processes than batches
        return Detections(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
    corners = np.concatenate([one.boxes.cpu().numpy().astype(np.float64) for _, one in rows]).reshape(-1, 4)
    sizes = corners[:, 2:] - corners[:, :2]
    kept = (sizes > 0).all(axis=1)  # clipping to the image can leave a box without area
    index = np.concatenate([np.full(len(one.scores), sample, dtype=np.int64) for sample, one in rows])
    labels = np.concatenate([one.labels.cpu().numpy().astype(np.int64) for _, one in rows])
    scores = np.concatenate([one.scores.cpu().numpy().astype(np.float64) for _, one in rows])
    bbox = np.concatenate([corners[:, :2], sizes], axis=1)
    return Detections(index[kept], labels[kept], bbox[kept], scores[kept])

"""FFKD's training task: the detection loss of one network, with a frozen teacher's terms where there is one."""

import torch
from accelerate import Accelerator
from torch import nn

from rgbt_bench.recipes import OptimizerConfig
from rgbt_bench.training.task import BatchTask, Losses, build_optimizer

from .config import DistillationSection
from .data import Batch, Batches
from .losses import distillation_terms
from .model import Branch, DetectionHead, FusionDetector, Outputs, TrainMode, set_train_mode

Network = Branch | FusionDetector


def forward(network: nn.Module, batch: Batch) -> Outputs:
    """Return a network's outputs on a batch; a branch has no fused maps."""
    if len(batch.images) == 1:
        (images,) = batch.images.values()
        cls, box = network(images)
        return Outputs(cls, box, [])
    return network(batch.images["rgb"], batch.images["thermal"])  # type: ignore[no-any-return]


class FfkdTask(BatchTask):
    """Trains a branch or a fusion detector; with `distillation` it learns from `teacher` as Eq. 26 says."""

    def __init__(
        self,
        network: Network,
        head: DetectionHead,
        optimizer: OptimizerConfig,
        steps: int,
        train: Batches,
        val: Batches | None,
        mode: TrainMode,
        distillation: DistillationSection | None = None,
        teacher: FusionDetector | None = None,
        epoch_steps: int | None = None,
    ) -> None:
        self.model = network
        self.head = head
        self.train_batches = train
        self.val_batches = val
        self.mode = mode
        self.distillation = distillation
        self.teacher = None if teacher is None else teacher.eval().requires_grad_(False)
        built, self.schedulers = build_optimizer(optimizer, network.parameters(), steps, epoch_steps)
        self.optimizers = {"main": built}
        self.has_unused_parameters = isinstance(network, FusionDetector)  # the heads of its branches
        self.clip_norm = optimizer.clip_norm

    def prepare(self, accelerator: Accelerator) -> None:
        """Move the networks to the accelerator's device."""
        super().prepare(accelerator)
        self.head.to(self.device)
        if self.teacher is not None:
            self.teacher.to(self.device)

    def set_train_mode(self) -> None:
        """Apply the recipe's rule; the teacher stays in eval mode."""
        set_train_mode(self.model, self.mode)

    def losses(self, batch: Batch) -> Losses:
        """Return the terms of Eq. 26, or of the detection loss alone."""
        outputs = forward(self.network, batch)
        detection = self.head.loss(outputs.cls, outputs.box, batch.boxes, batch.labels)
        terms = {"detection": detection.total, "class": detection.classification, "box": detection.box}
        if self.distillation is None:
            return {"total": detection.total, **terms}
        balance = self.distillation.balance
        total = balance.detection * detection.total
        if self.teacher is not None and balance.needs_teacher:
            with torch.no_grad():
                guide = forward(self.teacher, batch)
            learnt = distillation_terms(
                outputs,
                guide,
                num_classes=self.head.num_classes,
                class_form=balance.form,
                temperature=self.distillation.temperature,
                class_weight=self.distillation.class_weight,
                box_weight=self.distillation.box_weight,
                box_beta=self.distillation.box_beta,
            )
            total = total + balance.feature * learnt["feature"] + balance.response * learnt["response"]
            terms |= learnt
        return {"total": total, **terms}

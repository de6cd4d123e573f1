"""TarDAL's training: the generator by its losses, the detector with it, and each discriminator by its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from rgbt_bench.errors import UsageError
from rgbt_bench.recipes import OptimizerConfig
from rgbt_bench.training.task import BatchTask, Losses, build_optimizer

from .config import DETAIL, TARGET, AdversarialSection, FusionLossSection, LossSection
from .data import Batch, Batches, recoloured
from .losses import (
    adversarial_loss,
    details_of,
    discriminator_loss,
    pixel_loss,
    ssim_loss,
    targets_of,
)
from .model import FusionWithDetector, Generator

MAIN = "main"
JUDGED = {TARGET: targets_of, DETAIL: details_of}


@dataclass(frozen=True)
class Training:
    """What the task is made from: the networks, their batches, and the steps of the schedule.

    `network` is the generator, or the generator with its detector; `discriminators` may be empty.
    """

    network: nn.Module
    discriminators: nn.ModuleDict
    optimizer: OptimizerConfig
    train: Batches
    val: Batches | None
    steps: int
    epoch_steps: int


class TardalTask(BatchTask):
    """Trains a generator by L_f, by a detection loss, or by both, and after each of its steps the discriminators.

    Of a window's batches the generator (with its detector) takes one step, then each discriminator. The images that
    discriminators call fused are made by the generator after its step, in evaluation mode, as in the official code.
    """

    def __init__(self, training: Training, loss: LossSection) -> None:
        self.model = training.network
        self.train_batches, self.val_batches = training.train, training.val
        self.loss = loss
        self.auxiliary = training.discriminators if len(training.discriminators) else None
        config = training.optimizer
        self.clip_norm = config.clip_norm
        rate = loss.fusion.adversarial.learning_rate if loss.fusion else None
        theirs = config if rate is None else config.model_copy(update={"learning_rate": rate})
        self.optimizers, self.schedulers = {}, {}
        learners = {MAIN: (self.model, config)} | {
            name: (module, theirs) for name, module in training.discriminators.items()
        }
        for name, (module, chosen) in learners.items():
            built, schedules = build_optimizer(chosen, module.parameters(), training.steps, training.epoch_steps)
            self.optimizers[name] = built
            self.schedulers |= {f"{name}-{kind}": schedule for kind, schedule in schedules.items()}

    @property
    def generator(self) -> Generator:
        """The generator in training."""
        return cast(Generator, self.model.generator if isinstance(self.model, FusionWithDetector) else self.model)

    @property
    def discriminators(self) -> nn.ModuleDict:
        """The discriminators by name."""
        return cast(nn.ModuleDict, self.auxiliary) if self.auxiliary is not None else nn.ModuleDict()

    def prepare(self, accelerator: Accelerator) -> None:
        """Move the networks to the accelerator's device.

        Raises:
            UsageError: several processes: the penalty's gradient cannot be taken through networks that are shared.
        """
        if accelerator.num_processes > 1:
            raise UsageError("tardal trains in one process; start it without torchrun, on one GPU")
        super().prepare(accelerator)

    def set_train_mode(self) -> None:
        """Put the generator and the detector in training mode."""
        self.model.train()

    def losses(self, batch: Batch) -> Losses:
        """Return the terms of the generator's loss and their weighted `total`, without SSIM or pixels of weight 0."""
        fused = self.generator(batch.luma, batch.thermal)
        total = fused.new_zeros(())
        terms: Losses = {}
        if self.loss.fusion is not None:
            weighted = self._fusion_terms(fused, batch, self.loss.fusion)
            fusion = torch.stack([weight * one for weight, one in weighted.values()]).sum()
            total = total + self.loss.fusion.weight * fusion
            terms |= {name: one for name, (_, one) in weighted.items()}
        if self.loss.detection is not None:
            found = self._detection_terms(fused, batch)
            total = total + self.loss.detection.weight * found["detection"]
            terms |= found
        return {"total": total, **terms}

    def train_window(self, window: Sequence[Batch], accelerator: Accelerator) -> list[Losses]:
        """Take a step of the generator on the mean gradient of a window, then one of each discriminator."""
        found = self._generator_step(window, accelerator)
        fused = [self._fused_in_evaluation(batch) for batch in window] if len(self.discriminators) else []
        for name in self.discriminators:
            for terms, value in zip(found, self._discriminator_step(name, window, fused, accelerator), strict=True):
                terms[f"{name}_discriminator"] = value
        for scheduler in self.schedulers.values():
            scheduler.step()
        return found

    def _generator_step(self, window: Sequence[Batch], accelerator: Accelerator) -> list[Losses]:
        self.discriminators.requires_grad_(False)
        found = []
        for batch in window:
            with accelerator.autocast():
                losses = self.losses(batch)
            accelerator.backward(losses["total"] / len(window))
            found.append(losses)
        self.discriminators.requires_grad_(True)
        self._step(MAIN, self.model, accelerator)
        return found

    def _discriminator_step(
        self, name: str, window: Sequence[Batch], fused: Sequence[Tensor], accelerator: Accelerator
    ) -> list[Tensor]:
        section = self._adversarial
        discriminator, found = self.discriminators[name], []
        for batch, made in zip(window, fused, strict=True):
            real = self._judged(name, batch.thermal if name == TARGET else batch.luma, batch)
            fake = self._judged(name, made, batch)
            mix = torch.rand(len(batch), 1, 1, 1, device=real.device)
            loss = discriminator_loss(discriminator, real, fake, section.penalty, section.power, mix)
            accelerator.backward(loss / len(window))
            found.append(loss)
        self._step(name, discriminator, accelerator)
        return found

    def _step(self, name: str, module: nn.Module, accelerator: Accelerator) -> None:
        if self.clip_norm is not None:
            accelerator.clip_grad_norm_(module.parameters(), self.clip_norm)
        self.optimizers[name].step()
        self.optimizers[name].zero_grad()

    @torch.no_grad()
    def _fused_in_evaluation(self, batch: Batch) -> Tensor:
        generator = self.generator.eval()
        fused = generator(batch.luma, batch.thermal)
        generator.train()
        return cast(Tensor, fused.float())

    def _fusion_terms(self, fused: Tensor, batch: Batch, section: FusionLossSection) -> dict[str, tuple[float, Tensor]]:
        """Return the weights and terms of L_f."""
        thermal, luma = batch.thermal, batch.luma
        weight = batch.weight if section.saliency_weights else torch.full_like(batch.weight, 0.5)
        found = {}
        if section.ssim:
            found["ssim"] = section.ssim, ssim_loss(fused, thermal, luma, weight if section.ssim_weighted else None)
        if section.pixel:
            found["pixel"] = section.pixel, pixel_loss(fused, thermal, luma, weight, section.weights_on)
        for name, discriminator in self.discriminators.items():
            judged = self._judged(name, fused.float(), batch)
            found[name] = section.adversarial.weight, adversarial_loss(discriminator, judged)
        return found

    def _detection_terms(self, fused: Tensor, batch: Batch) -> Losses:
        from ..yolo.detector import detection_losses

        if batch.chroma is None or batch.targets is None:
            raise ValueError("a detection loss needs the chroma and the boxes of a batch")
        detector = cast(nn.Module, self.model.detector)
        losses = detection_losses(detector, recoloured(fused, batch.chroma), batch.targets)
        return {"detection" if name == "total" else name: one for name, one in losses.items()}

    @property
    def _adversarial(self) -> AdversarialSection:
        if self.loss.fusion is None:
            raise ValueError("discriminators need a fusion loss")
        return self.loss.fusion.adversarial

    def _judged(self, name: str, images: Tensor, batch: Batch) -> Tensor:
        """Return what a discriminator sees of images: its region, or all of them where the masks are not used."""
        if self._adversarial.mask:
            return JUDGED[name](images, batch.mask)
        return JUDGED[name](images, torch.full_like(batch.mask, name == TARGET))

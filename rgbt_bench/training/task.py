"""What a recipe gives the training loop: the task owns the networks, the optimisers and the step."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import nn
from torch.optim.lr_scheduler import LinearLR, LRScheduler, OneCycleLR, StepLR

from rgbt_bench.recipes import OptimizerConfig
from rgbt_bench.training.batches import SeededBatches

Losses = dict[str, torch.Tensor]


class Task(ABC):
    """One training: a model that is saved, its optimisers, and the losses of a batch.

    A task with one optimiser defines `losses` only; one with several (a GAN) overrides `train_window` as well. Where
    several processes train together, each has a task of its own whose batches are its share; a batch's `len` is its
    number of samples.
    """

    model: nn.Module
    parallel: nn.Module | None = None
    auxiliary: nn.Module | None = None  # learns beside the model, as a loss's own layers, and is in no weights file
    parallel_auxiliary: nn.Module | None = None
    has_unused_parameters: bool = True  # trainable ones that a step's losses may not reach
    optimizers: dict[str, torch.optim.Optimizer]
    schedulers: dict[str, LRScheduler]
    clip_norm: float | None = None

    @abstractmethod
    def batches(self, epoch: int) -> Iterable[Any]:
        """Return this process's share of an epoch's training batches, as many as every other's.

        The same epoch gives the same batches.
        """

    @abstractmethod
    def validation_batches(self) -> Iterable[Any]:
        """Return this process's share of the validation batches, always the same."""

    @abstractmethod
    def losses(self, batch: Any) -> Losses:
        """Return the named loss terms of a batch as scalars, `total` among them; lower is better."""

    @abstractmethod
    def set_train_mode(self) -> None:
        """Put every module in the mode its recipe wants for training steps."""

    @property
    def network(self) -> nn.Module:
        """The model as `losses` has to call it: for a training step, so that its gradients are every process's mean."""
        return self.parallel if self.parallel is not None and torch.is_grad_enabled() else self.model

    @property
    def loss_layers(self) -> nn.Module | None:
        """The auxiliary module as `losses` has to call it, as `network`."""
        training = self.parallel_auxiliary is not None and torch.is_grad_enabled()
        return self.parallel_auxiliary if training else self.auxiliary

    def prepare(self, accelerator: Accelerator) -> None:
        """Move the networks and optimisers to the accelerator's device."""
        accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=self.has_unused_parameters)
        self.parallel = accelerator.prepare_model(self.model)
        self.model = accelerator.unwrap_model(self.parallel)
        if self.auxiliary is not None:
            accelerator.ddp_handler = DistributedDataParallelKwargs()  # a loss reaches all of its layers
            self.parallel_auxiliary = accelerator.prepare_model(self.auxiliary)
            self.auxiliary = accelerator.unwrap_model(self.parallel_auxiliary)
        self.optimizers = {name: accelerator.prepare_optimizer(one) for name, one in self.optimizers.items()}

    def train_window(self, window: Sequence[Any], accelerator: Accelerator) -> list[Losses]:
        """Take one optimiser step on the mean gradient of a window's batches, and return the losses of each."""
        found = []
        for place, batch in enumerate(window, 1):
            # gradients are exchanged once a step, with the last batch's
            with nullcontext() if place == len(window) else accelerator.no_sync(self.parallel):
                with accelerator.autocast():
                    losses = self.losses(batch)
                accelerator.backward(losses["total"] / len(window))
            found.append(losses)
        if self.clip_norm is not None:
            modules = nn.ModuleList([self.model] if self.auxiliary is None else [self.model, self.auxiliary])
            accelerator.clip_grad_norm_(modules.parameters(), self.clip_norm)
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad()
        for scheduler in self.schedulers.values():
            scheduler.step()
        return found


class BatchTask(Task):
    """A task on seeded batches, each of which `to(device)` brings to the accelerator's device."""

    train_batches: SeededBatches[Any]
    val_batches: SeededBatches[Any] | None
    device: torch.device = torch.device("cpu")

    def prepare(self, accelerator: Accelerator) -> None:
        """Move the networks to the accelerator's device, where batches go, too."""
        super().prepare(accelerator)
        self.device = accelerator.device

    def batches(self, epoch: int) -> Iterator[Any]:
        """Return the batches of an epoch on the device."""
        return (batch.to(self.device) for batch in self.train_batches.epoch(epoch))

    def validation_batches(self) -> Iterator[Any]:
        """Return the validation batches on the device; none without a validation part."""
        return (batch.to(self.device) for batch in (self.val_batches.in_order() if self.val_batches else ()))


def build_optimizer(
    config: OptimizerConfig, parameters: Iterable[nn.Parameter], steps: int, epoch_steps: int | None = None
) -> tuple[torch.optim.Optimizer, dict[str, LRScheduler]]:
    """Return the optimiser of a recipe over the trainable parameters, and its schedule over `steps` steps.

    `epoch_steps` is the number of steps an epoch takes, for the schedule that falls by epochs.

    Raises:
        ValueError: that schedule without `epoch_steps`.
    """
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    common: Mapping[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    optimizer: torch.optim.Optimizer
    if config.name == "adam":
        optimizer = torch.optim.Adam(trainable, **common)
    elif config.name == "adamw":
        optimizer = torch.optim.AdamW(trainable, **common)
    else:
        optimizer = torch.optim.SGD(trainable, momentum=0.9 if config.momentum is None else config.momentum, **common)
    if config.schedule == "constant":
        return optimizer, {}
    if config.schedule == "exponential":
        if epoch_steps is None or config.gamma is None:
            raise ValueError("the exponential schedule needs the number of steps of an epoch")
        return optimizer, {"exponential": StepLR(optimizer, step_size=epoch_steps, gamma=config.gamma)}
    if config.schedule == "linear":
        last = 1.0 if config.final is None else config.final
        return optimizer, {"linear": LinearLR(optimizer, 1.0, last, total_iters=max(steps - 1, 1))}
    return optimizer, {"one-cycle": OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=steps)}

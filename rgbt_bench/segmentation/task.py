"""The training task of a segmentation network: cross-entropy, or what a subclass makes of a batch."""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from rgbt_bench.recipes import OptimizerConfig
from rgbt_bench.schema import VOID
from rgbt_bench.training.task import BatchTask, Losses, build_optimizer

from .data import Batch, Batches
from .outputs import Outputs


@dataclass(frozen=True)
class Training:
    """What every segmentation task is made from: the network, its batches, and the steps of the schedule."""

    network: nn.Module
    optimizer: OptimizerConfig
    train: Batches
    val: Batches | None
    steps: int
    epoch_steps: int


def pixel_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits [B, K, H, W] and labels [B, H, W] over the pixels that are not void.

    It is 0, with a gradient of 0, where all are void.
    """
    # not torch's own mean: it is NaN where all pixels are void, and has no deterministic form on a GPU
    each = F.cross_entropy(logits, labels, ignore_index=VOID, reduction="none")
    return each.sum() / (labels != VOID).sum().clamp(min=1)


class SegmentationTask(BatchTask):
    """Trains a network on label maps; a subclass with more to learn from overrides `losses`."""

    def __init__(self, training: Training) -> None:
        self.model = training.network
        self.train_batches = training.train
        self.val_batches = training.val
        built, self.schedulers = build_optimizer(
            training.optimizer, training.network.parameters(), training.steps, training.epoch_steps
        )
        self.optimizers = {"main": built}
        self.clip_norm = training.optimizer.clip_norm

    def set_train_mode(self) -> None:
        """Put the whole network in training mode."""
        self.model.train()

    def forward(self, batch: Batch) -> Outputs:
        """Return the network's outputs on a batch."""
        return cast(Outputs, self.network(*batch.inputs.values()))

    def losses(self, batch: Batch) -> Losses:
        """Return the cross-entropy over the pixels that are not void."""
        return {"total": pixel_cross_entropy(self.forward(batch).logits, batch.labels)}

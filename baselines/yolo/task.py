"""The training task: the library's loss of the detector on fused images."""

from typing import cast

from torch import nn

from rgbt_bench.recipes import OptimizerConfig
from rgbt_bench.training.task import BatchTask, Losses, build_optimizer

from .data import Batch, Batches
from .detector import losses_of
from .network import OnFused


class DetectorTask(BatchTask):
    """Trains the detector of a network; what made its images stays as it is."""

    has_unused_parameters = False

    def __init__(
        self,
        network: OnFused,
        optimizer: OptimizerConfig,
        steps: int,
        train: Batches,
        val: Batches | None,
        epoch_steps: int | None = None,
    ) -> None:
        self.model: nn.Module = network
        self.train_batches = train
        self.val_batches = val
        built, self.schedulers = build_optimizer(optimizer, network.parameters(), steps, epoch_steps)
        self.optimizers = {"main": built}
        self.clip_norm = optimizer.clip_norm

    def set_train_mode(self) -> None:
        """Train the detector."""
        self.model.train()

    def losses(self, batch: Batch) -> Losses:
        """Return the library's loss and its terms, the mean over images."""
        return losses_of(cast(OnFused, self.model).detector, self.network(batch.images), batch.targets)

"""The batches of a training: seeded and shuffled by epoch, or in order; and how many steps they make."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from torch.utils.data import DataLoader

from rgbt_bench.datasets.torch_views import SampleView, ahead, epoch_batches
from rgbt_bench.errors import UsageError
from rgbt_bench.recipes import ScheduleConfig
from rgbt_bench.training.processes import processes

_Batch = TypeVar("_Batch")


class SeededBatches(Generic[_Batch]):
    """The seeded training batches of a view, and its batches in order for validation and prediction.

    Of several processes each gets its share: of every training batch, and whole batches of those in order, because the
    same batch gives the same bits in whatever process. The view's seed is the order's, too.
    """

    def __init__(
        self, view: SampleView[Any, Any], collate: Callable[[list[Any]], _Batch], batch_size: int, workers: int = 0
    ) -> None:
        self.view = view
        self.collate = collate
        self.batch_size = batch_size
        self.workers = workers
        self.team = processes()

    def count(self) -> int:
        """Return the number of batches of a training epoch."""
        return len(self._shares(0))

    def epoch(self, number: int) -> Iterator[_Batch]:
        """Return the shuffled, augmented batches of one epoch."""
        self.view.epoch = number
        return self._load(self._shares(number))

    def in_order(self) -> Iterator[_Batch]:
        """Return this process's batches of all items in their order, the samples' ids'."""
        indices = list(range(len(self.view)))
        batches = [indices[at : at + self.batch_size] for at in range(0, len(indices), self.batch_size)]
        return self._load(self.team.share(batches))

    def _shares(self, epoch: int) -> list[list[int]]:
        rank, world = self.team.rank, self.team.world
        return list(epoch_batches(len(self.view), self.batch_size, self.view.seed, epoch, rank, world))

    def _load(self, batches: Sequence[list[int]]) -> Iterator[_Batch]:
        loader = DataLoader(self.view, batch_sampler=batches, collate_fn=self.collate, num_workers=self.workers)
        found: Iterator[_Batch] = iter(loader)  # here, because it draws from torch's global generator
        return found if self.workers else ahead(found)


def steps_of_epoch(train: SeededBatches[Any], name: str, schedule: ScheduleConfig, samples: int) -> int:
    """Return the optimiser steps of an epoch.

    Raises:
        UsageError: there is none, because the processes are too many for the batch size or the samples.
    """
    count = train.count()
    if not count:
        raise UsageError(
            f"recipe {name}: {samples} training samples in batches of {schedule.batch_size}"
            f" are too few for {train.team.world} processes, which need two each of a batch; start fewer, or add"
            " --set schedule.batch_size=N"
        )
    return -(-count // schedule.accumulate)


def steps_of_training(epoch_steps: int, schedule: ScheduleConfig) -> int:
    """Return the optimiser steps of a whole schedule."""
    steps = epoch_steps * schedule.epochs
    return min(steps, schedule.max_steps or steps)

"""The processes of one run: which one this is, and what they hand each other, as tensors and never pickled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from rgbt_bench.predictions import Detections

if TYPE_CHECKING:
    import torch

_T = TypeVar("_T")


@dataclass(frozen=True)
class Processes:
    """The `rank` of this process among the `world` that do one run together; rank 0 is the main one.

    What is not `share` or `is_main` is called by every process, in the same order; one process alone never waits.
    """

    rank: int = 0
    world: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def share(self, items: Sequence[_T]) -> Sequence[_T]:
        """Return this process's items: every `world`-th, so that each item is one process's."""
        return items[self.rank :: self.world]

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.world > 1:
            import torch.distributed as dist

            dist.barrier()

    def as_main(self, number: int) -> int:
        """Return the main process's number, an int64."""
        if self.world == 1:
            return int(number)
        import torch

        told = torch.tensor(number, dtype=torch.int64, device=_device())
        self.copy_from_main([told])
        return int(told)

    def copy_from_main(self, tensors: Iterable[torch.Tensor]) -> None:
        """Overwrite tensors of one shape and type everywhere with the main process's."""
        if self.world > 1:
            import torch.distributed as dist

            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows [N, ...] of every process, in the order of their ranks, on the CPU and in their own type.

        The processes may have different N; all else of the shape, and the type, is the same.
        """
        if self.world == 1:
            return rows.cpu()
        import torch
        import torch.distributed as dist

        counts = [torch.zeros(1, dtype=torch.int64, device=_device()) for _ in range(self.world)]
        dist.all_gather(counts, torch.tensor([len(rows)], device=_device()))
        lengths = [int(count) for count in counts]
        padded = torch.zeros(max(lengths), *rows.shape[1:], dtype=rows.dtype, device=_device())
        padded[: len(rows)] = rows
        gathered = [torch.zeros_like(padded) for _ in range(self.world)]
        dist.all_gather(gathered, padded)
        return torch.cat([one[:length].cpu() for one, length in zip(gathered, lengths, strict=True)])

    def merge(self, detections: Detections, predicted: Sequence[int], samples: int) -> Detections:
        """Return the detections of every process, by sample; `predicted` are the samples that this one predicted.

        Raises:
            ValueError: one of the part's `samples` was predicted twice or by nobody.
        """
        import torch

        covered = self.gather(torch.tensor(predicted, dtype=torch.int64)).numpy()
        times = np.bincount(covered, minlength=samples)
        if (bad := times != (np.arange(len(times)) < samples)).any():
            wrong = int(bad.argmax())
            raise ValueError(f"of {samples} samples, number {wrong} was predicted {times[wrong]} times")
        columns = (detections.sample_index, detections.category, detections.bbox, detections.score)
        merged = Detections(*(self.gather(torch.from_numpy(column)).numpy() for column in columns))
        return merged.take(np.argsort(merged.sample_index, kind="stable"))


def processes() -> Processes:
    """Return the processes that do work together here, by torch's own count, whatever started them."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    return Processes()


def _device() -> torch.device:
    """Return where tensors have to be to be sent."""
    import torch
    import torch.distributed as dist

    sends_from_gpu = dist.is_available() and dist.is_initialized() and dist.get_backend() == "nccl"
    return torch.device("cuda" if sends_from_gpu else "cpu")

"""One Accelerator a process."""

import os
from datetime import timedelta
from functools import cache

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import PartialState

from rgbt_bench.devices import resolve_device, use_full_float32
from rgbt_bench.errors import UsageError
from rgbt_bench.training.processes import Processes, processes

# Longer than the main process takes to score or to write a checkpoint while the others wait for it.
_ANSWER_WITHIN = timedelta(minutes=10)


def accelerator(device: str) -> Accelerator:
    """Return the process's one Accelerator, on a device of `resolve_device`.

    Raises:
        UsageError: the process trains on another device already, or there are more processes than GPUs.
    """
    return _accelerator(resolve_device(device).type)


def join(device: str) -> Processes:
    """Meet the other processes that torchrun started, if it did, and return who they are.

    Raises:
        UsageError: as `accelerator`.
    """
    accelerator(device)
    return processes()


@cache
def _accelerator(kind: str) -> Accelerator:
    if PartialState._shared_state and PartialState().device.type != kind:
        raise UsageError(f"--device {kind}: this process already trains on {PartialState().device}")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if kind == "cuda" and here > torch.cuda.device_count():
        raise UsageError(f"{here} processes, but {torch.cuda.device_count()} GPUs here: start one process a GPU")
    # cuDNN would otherwise choose other kernels from one start to the next
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    use_full_float32()
    waiting = InitProcessGroupKwargs(timeout=_ANSWER_WITHIN)
    # stated, because an environment variable of Accelerate's could choose another one unseen
    return Accelerator(cpu=kind == "cpu", mixed_precision="no", kwargs_handlers=[waiting])

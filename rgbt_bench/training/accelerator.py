"""One Accelerator a process."""

from functools import cache

import torch
from accelerate import Accelerator
from accelerate.state import PartialState

from rgbt_bench.devices import resolve_device, use_full_float32
from rgbt_bench.errors import UsageError


def accelerator(device: str) -> Accelerator:
    """Return the process's one Accelerator, on a device of `resolve_device`.

    Raises:
        UsageError: the process trains on another device already, or is one of several.
    """
    built = _accelerator(resolve_device(device).type)
    if built.num_processes > 1:
        raise UsageError("a run trains in one process; start it without torchrun or `accelerate launch`")
    return built


@cache
def _accelerator(kind: str) -> Accelerator:
    if PartialState._shared_state and PartialState().device.type != kind:
        raise UsageError(f"--device {kind}: this process already trains on {PartialState().device}")
    # cuDNN would otherwise choose other kernels from one start to the next
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    use_full_float32()
    # stated, because an environment variable of Accelerate's could choose another one unseen
    return Accelerator(cpu=kind == "cpu", mixed_precision="no")

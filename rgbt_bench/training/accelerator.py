"""One Accelerator a process, and what it says when the machine does not have the device asked for."""

from functools import cache

import torch
from accelerate import Accelerator
from accelerate.state import PartialState

from rgbt_bench.errors import MissingError, UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def resolve_device(device: str) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda` or `mps` means here.

    Raises:
        UsageError: another word.
        MissingError: this machine or this build of torch has no such device.
    """
    if device not in DEVICES:
        raise UsageError(f"--device {device}: choose one of {', '.join(DEVICES)}")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available[device]:
        raise MissingError(f"--device {device}: torch sees no such device here; use --device cpu")
    return torch.device(device)


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
    # the same command twice gives the same metric, on a GPU too
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return Accelerator(cpu=kind == "cpu")

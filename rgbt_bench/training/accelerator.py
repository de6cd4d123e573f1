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


@cache
def accelerator(device: str) -> Accelerator:
    """Return the process's Accelerator on a device of `resolve_device`."""
    resolved = resolve_device(device)
    if PartialState._shared_state and PartialState().device.type != resolved.type:
        raise UsageError(f"--device {device}: this process already trains on {PartialState().device}")
    return Accelerator(cpu=resolved.type == "cpu")

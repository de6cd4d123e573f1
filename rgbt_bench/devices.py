"""The devices a run can use, and what is recorded of the one it used."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_bench.errors import MissingError, UsageError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(device: str) -> torch.device:
    """Return the device that `auto`, `cpu` or `cuda` means here.

    Raises:
        UsageError: another word.
        MissingError: torch is not installed, or sees no such device here.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingError("this needs torch, which is not installed: pip install 'rgbt-bench[train]'") from None
    if device not in DEVICES:
        raise UsageError(f"--device {device}: choose one of {', '.join(DEVICES)}")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError(f"--device {device}: torch sees no such device here; use --device cpu")
    return torch.device(device)


def use_full_float32() -> None:
    """Compute float32 as float32: by default convolutions on recent GPUs run in TF32, with 10 bits of mantissa."""
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def describe_device(device: torch.device) -> dict[str, Any]:
    """Return what is known of the device: its name, torch's threads, and for a GPU its libraries."""
    import torch

    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return {
            "type": "cuda",
            "name": properties.name,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "tf32": torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32,
        }
    name = cpu_name()
    return {"type": device.type, "name": name, "machine": platform.machine(), "threads": torch.get_num_threads()}


def cpu_name() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")

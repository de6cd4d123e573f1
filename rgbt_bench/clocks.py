"""The clock that a device runs at, as far as its machine tells: without it two times say little of two methods."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import torch

_ROOT = Path("/")
_TIMEOUT_S = 10.0


class Reading(NamedTuple):
    """A clock in MHz, and what told it."""

    mhz: float
    source: str


class Clocks(BaseModel):
    """The clocks that were seen while something was timed, in MHz; `readings` is how many."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Literal["MHz"] = "MHz"
    least: float
    median: float
    greatest: float
    source: str
    readings: int


class ClockLog:
    """Notes a device's clock whenever it is called; a machine that does not tell it at first is not asked again."""

    def __init__(self, read: Callable[[], Reading | None]) -> None:
        self._read = read
        self._readings: list[Reading] = []
        self._tells = True

    def __call__(self) -> bool:
        """Note the clock, and tell whether the machine was asked."""
        if not self._tells:
            return False
        reading = self._read()
        self._readings += [] if reading is None else [reading]
        self._tells = bool(self._readings)
        return True

    def summary(self) -> Clocks | None:
        """Return what was noted, or None where the machine does not tell."""
        if not self._readings:
            return None
        values = [reading.mhz for reading in self._readings]
        return Clocks(
            least=min(values),
            median=statistics.median(values),
            greatest=max(values),
            source=" and ".join(dict.fromkeys(reading.source for reading in self._readings)),
            readings=len(values),
        )


def read_clock(device: torch.device) -> Reading | None:
    """Return the clock that a device runs at now, or None where the machine does not tell.

    Of a CPU it is the mean of the cores that this process may run on; of a GPU that of its multiprocessors.
    """
    if device.type == "cuda":
        import torch

        return gpu_clock(gpu_selector(torch.cuda.get_device_properties(device)))
    return cpu_clock(_own_cores()) if device.type == "cpu" else None


def cpu_clock(cores: Iterable[int] | None = None, root: Path = _ROOT) -> Reading | None:
    """Return the mean clock of some cores, or of all, from cpufreq or else /proc/cpuinfo under `root`."""
    wanted = None if cores is None else set(cores)
    for source, read in (("cpufreq", _from_cpufreq), ("cpuinfo", _from_cpuinfo)):
        found = [mhz for core, mhz in read(root) if wanted is None or core in wanted]
        if found:
            return Reading(statistics.fmean(found), source)
    return None


def gpu_selector(properties: Any) -> str | None:
    """Return what `nvidia-smi -i` takes for one GPU: not torch's number, which CUDA_VISIBLE_DEVICES shifts.

    `properties` are `torch.cuda.get_device_properties`'.
    """
    domain, bus, slot = (getattr(properties, f"pci_{name}_id", None) for name in ("domain", "bus", "device"))
    if domain is not None and bus is not None and slot is not None:
        return f"{domain:08X}:{bus:02X}:{slot:02X}.0"
    uuid = str(getattr(properties, "uuid", ""))
    return f"GPU-{uuid.removeprefix('GPU-')}" if uuid else None


def gpu_clock(selector: str | None) -> Reading | None:
    """Return the clock of an NVIDIA GPU's multiprocessors as nvidia-smi tells it; 10 s without an answer are none."""
    program = shutil.which("nvidia-smi")
    if program is None or selector is None:
        return None
    command = [program, "--query-gpu=clocks.sm", "--format=csv,noheader,nounits", "-i", selector]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    mhz = _mhz(done.stdout) if done.returncode == 0 else None
    return None if mhz is None else Reading(mhz, "nvidia-smi")


def _own_cores() -> set[int] | None:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _from_cpufreq(root: Path) -> Iterable[tuple[int, float]]:
    for path in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")):
        khz = _mhz(_text(path))  # cpufreq counts in kHz
        if khz is not None:
            yield int(path.parent.parent.name.removeprefix("cpu")), khz / 1000


def _from_cpuinfo(root: Path) -> Iterable[tuple[int, float]]:
    core: int | None = None
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = (part.strip() for part in line.partition(":"))
        if name == "processor":
            core = int(value) if value.isdecimal() else None
        elif name == "cpu MHz" and core is not None and (mhz := _mhz(value)) is not None:
            yield core, mhz


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _mhz(text: str) -> float | None:
    """Return a positive number, or None of anything else, such as `[N/A]`."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and value > 0 else None

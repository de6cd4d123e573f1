"""The latency protocol: warm-up, synchronised passes without data loading, percentiles, everything that was fixed."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from rgbt_bench.clocks import Clocks
from rgbt_bench.errors import UsageError

if TYPE_CHECKING:
    import torch

DEFINITION = 1
MIN_PASSES = 100
WARM_UP = 20
CLOCK_READINGS = 10  # at most, before rounds that are timed; one more follows the last


class Timing(BaseModel):
    """Timed passes of one model: seconds a pass (lower is better) and images a second (higher is better)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    preset: str
    batch: int
    image_size: tuple[int, int]
    precision: str
    compile_mode: str
    includes: str
    warm_up: int
    passes: int
    median_s: float
    p90_s: float
    p99_s: float
    images_per_s: float
    macs: int
    parameters: int
    weights: str


class LatencyReport(BaseModel):
    """The timings of a recipe and of its teacher in one process, and their ratio; it belongs to the device class.

    `clocks` is None where the machine does not tell them, or the report is older than they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    definition: int = DEFINITION
    device: dict[str, Any]
    threads: int
    timings: tuple[Timing, ...]
    ratio_to_teacher: dict[str, float]
    macs_ratio_to_teacher: float | None
    clocks: Clocks | None = None


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least `share` (0..1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def time_passes(
    forwards: dict[str, Callable[[], Any]],
    device: "torch.device",
    passes: int,
    progress: Callable[[str, int, int], None],
    clock: Callable[[], bool] = lambda: False,
) -> dict[str, list[float]]:
    """Return the seconds of each pass by model; the models take turns, so that a drifting clock hits all alike.

    `clock` notes the device's clock: after the warm-up, now and then between two rounds, and after the last. Where it
    took its time to ask, it returns true, and a round is run untimed before the next timed one.

    Raises:
        UsageError: fewer passes than the protocol's minimum.
    """
    import torch

    if passes < MIN_PASSES:
        raise UsageError(f"--passes {passes}: the protocol asks for at least {MIN_PASSES}")
    seconds: dict[str, list[float]] = {name: [] for name in forwards}
    every = -(-passes // CLOCK_READINGS)
    with torch.inference_mode():
        for round_ in range(WARM_UP):
            _time_round(forwards, device)
            progress("timing", round_ + 1, WARM_UP + passes)
        for round_ in range(passes):
            if round_ % every == 0 and clock():
                _time_round(forwards, device)
            for name, taken in _time_round(forwards, device).items():
                seconds[name].append(taken)
            progress("timing", WARM_UP + round_ + 1, WARM_UP + passes)
        clock()
    return seconds


def _time_round(forwards: dict[str, Callable[[], Any]], device: "torch.device") -> dict[str, float]:
    """Return the seconds of one pass of each model, one after the other."""
    return {name: _time_once(forward, device) for name, forward in forwards.items()}


def time_few_passes(forward: Callable[[], Any], device: "torch.device", passes: int) -> list[float]:
    """Return the seconds of a few passes after one to warm up: for an estimate, never for a latency row."""
    import torch

    with torch.inference_mode():
        _time_once(forward, device)
        return [_time_once(forward, device) for _ in range(passes)]


def _time_once(forward: Callable[[], Any], device: "torch.device") -> float:
    import torch

    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize(device)
        start.record()
        forward()
        end.record()
        torch.cuda.synchronize(device)
        return float(start.elapsed_time(end)) / 1000
    began = time.perf_counter()
    forward()
    return time.perf_counter() - began

"""Which times may stand in one ranking: those of one device class, taken in one way."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rgbt_bench.latency import Timing
from rgbt_bench.leaderboard.tracks import Leaderboard

UNNAMED = "unnamed"


class LatencyKey(NamedTuple):
    """All that has to be equal for two times to stand in one ranking."""

    definition: int
    device: str
    precision: str
    batch: int
    image_size: tuple[int, int]
    compile_mode: str
    includes: str


def device_class(report_device: Mapping[str, Any], board: Leaderboard) -> str:
    """Return the class of the device that a report describes: a frozen one's id, or a text that only its like has.

    `report_device` is what `devices.describe_device` returns. A GPU that is not frozen is `cuda: NAME, N GiB`, since
    names are shared by GPUs of different memory and speed; a CPU is `cpu: NAME, N threads`. Where the report does not
    tell what these need, it is `unnamed`, which compares with nothing.
    """
    kind, name = _text(report_device.get("type")), _text(report_device.get("name"))
    # Some systems call every processor by its architecture.
    if not kind or name.casefold() in ("", "unknown", _text(report_device.get("machine")).casefold()):
        return UNNAMED
    for class_id, one in board.devices.items():
        if kind == one.type and name in one.names:
            return class_id
    if kind == "cpu":
        return _counted(f"{kind}: {name}", report_device.get("threads"), "thread")
    memory = report_device.get("memory_gib")
    if isinstance(memory, bool) or not isinstance(memory, int | float) or not 0 < memory < 1e6:
        return UNNAMED
    return f"{kind}: {name}, {memory:.0f} GiB"


def latency_key(
    timing: Timing, report_device: Mapping[str, Any], board: Leaderboard, definition: int
) -> LatencyKey | None:
    """Return what has to be equal for two times to stand in one ranking; None compares with nothing, itself included.

    `definition` is the report's: that of the latency protocol. float32 computed as TF32 is a precision of its own.
    """
    device = device_class(report_device, board)
    if device == UNNAMED:
        return None
    is_tf32 = timing.precision == "float32" and report_device.get("tf32") is True
    return LatencyKey(
        definition=definition,
        device=device,
        precision="tf32" if is_tf32 else timing.precision,
        batch=timing.batch,
        image_size=timing.image_size,
        compile_mode=timing.compile_mode,
        includes=timing.includes,
    )


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _counted(what: str, number: Any, unit: str) -> str:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        return UNNAMED
    return f"{what}, {number} {unit}{'s' if number > 1 else ''}"

"""What a row says of its network and machine: size, timings, hardware and libraries."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rgbt_bench.latency import DEFINITION, MIN_PASSES, WARM_UP, LatencyReport, Timing
from rgbt_bench.leaderboard.checking.reporting import Problem, shown
from rgbt_bench.leaderboard.rows import Row

RELATIVE: Final = 1e-9
LARGEST_SIDE: Final = 10_000  # pixels
_MOST_PARAMETERS: Final = 10**12
_MOST_MACS: Final = 10**15
_LONGEST_WORD: Final = 200
_MOST_KEYS: Final = 40


def network_problems(row: Row) -> Iterator[Problem]:
    """Yield what is wrong with a row's size and timings."""
    model = row.first.model
    if model is None and row.size is not None and row.size.by == "measured":
        yield Problem("network", "size.by is measured, and no recipe is named that could be counted; it is stated")
    of = (model.recipe, model.preset) if model else None
    for place, report in enumerate(row.latency):
        if of not in {(one.recipe, one.preset) for one in report.timings}:
            yield Problem("latency", f"latency.{place} has no timing of the row's own recipe and preset")
    if row.size is not None:
        yield from _size_problems("size", row.size.parameters, row.size.macs, row.size.image_size)
    for place, report in enumerate(row.latency):
        yield from _latency_problems(f"latency.{place}", report)


def machine_problems(hardware: Mapping[str, Any], libraries: Mapping[str, str]) -> Iterator[Problem]:
    """Yield where a machine is not described by short texts and numbers, its device one level below."""
    device = hardware.get("device")
    yield from _flat_problems("hardware", {name: one for name, one in hardware.items() if name != "device"})
    if device is not None and not isinstance(device, dict):
        yield Problem("hardware", "hardware.device is no object")
    elif device is not None:
        yield from _flat_problems("hardware.device", device)
    yield from _flat_problems("libraries", libraries)


def _flat_problems(place: str, values: Mapping[str, Any]) -> Iterator[Problem]:
    if len(values) > _MOST_KEYS:
        yield Problem("hardware", f"{place} has {len(values)} keys, and at most {_MOST_KEYS} are shown")
    for name, value in values.items():
        if not isinstance(value, str | int | float | None):
            yield Problem("hardware", f"{place}.{shown(name)} is no text and no number")
        elif max(len(name), len(value) if isinstance(value, str) else 0) > _LONGEST_WORD:
            yield Problem("hardware", f"{place}.{shown(name)} has more than {_LONGEST_WORD} characters")


def _size_problems(
    place: str, parameters: int | None, macs: int | None, image_size: tuple[int, int] | None
) -> Iterator[Problem]:
    if parameters is not None and not 0 <= parameters <= _MOST_PARAMETERS:
        yield Problem("network", f"{place} has {parameters:,} parameters")
    if macs is not None and not 0 <= macs <= _MOST_MACS:
        yield Problem("network", f"{place} has {macs:,} multiply-accumulates")
    if image_size is not None and not all(1 <= side <= LARGEST_SIDE for side in image_size):
        yield Problem("network", f"{place} is of images of {image_size[0]} by {image_size[1]} pixels")


def _latency_problems(place: str, report: LatencyReport) -> Iterator[Problem]:
    if report.definition != DEFINITION:
        yield Problem("latency", f"{place} is of definition {report.definition}, and {DEFINITION} is read")
    if not 1 <= report.threads <= 4096:
        yield Problem("latency", f"{place} has {report.threads:,} threads")
    if not 1 <= len(report.timings) <= 100:
        yield Problem("latency", f"{place} has {len(report.timings)} timings")
    yield from _flat_problems(f"{place}.device", report.device)
    for number, timing in enumerate(report.timings):
        yield from _timing_problems(f"{place}.timings.{number}", timing)
    yield from _ratio_problems(place, report)


def _timing_problems(place: str, one: Timing) -> Iterator[Problem]:
    yield from _size_problems(place, one.parameters, one.macs, one.image_size)
    if not 1 <= one.batch <= 100_000:
        yield Problem("latency", f"{place} has a batch of {one.batch}")
    if one.passes < MIN_PASSES or one.warm_up < WARM_UP:
        told = f"{one.passes} passes after {one.warm_up}"
        yield Problem("latency", f"{place} has {told}, and the protocol asks for {MIN_PASSES} after {WARM_UP}")
    if not 0 < one.median_s <= one.p90_s <= one.p99_s:
        told = f"{one.median_s:g}, {one.p90_s:g} and {one.p99_s:g} s"
        yield Problem("latency", f"{place}: median, p90 and p99 are {told}, which do not ascend from above 0")
    elif not _equal(one.images_per_s, one.batch / one.median_s):
        yield Problem("latency", f"{place}: {one.images_per_s:g} images a second do not follow from batch and median")


def _ratio_problems(place: str, report: LatencyReport) -> Iterator[Problem]:
    names = list(dict.fromkeys(one.recipe for one in report.timings))  # the teacher first
    if len(names) != 2:
        if report.ratio_to_teacher or report.macs_ratio_to_teacher is not None:
            yield Problem("latency", f"{place} has a ratio to a teacher, and timings of {len(names)} recipe(s)")
        return
    at = {(one.recipe, one.batch): one for one in report.timings}
    for batch, ratio in report.ratio_to_teacher.items():
        pair = [at.get((name, int(batch))) if batch.isdecimal() and len(batch) < 7 else None for name in names]
        teacher, student = pair
        if teacher is None or student is None:
            yield Problem("latency", f"{place}.ratio_to_teacher.{shown(batch)} is of no timings")
        elif teacher.median_s <= 0 or not _equal(ratio, student.median_s / teacher.median_s):
            yield Problem(
                "latency", f"{place}.ratio_to_teacher.{shown(batch)} is {ratio:g}, not the ratio of the medians"
            )
    ratio_of_macs = report.macs_ratio_to_teacher
    counted = [next(one.macs for one in report.timings if one.recipe == name) for name in names]
    if ratio_of_macs is not None and (counted[0] <= 0 or not _equal(ratio_of_macs, counted[1] / counted[0])):
        yield Problem("latency", f"{place}.macs_ratio_to_teacher is {ratio_of_macs:g}, not the ratio of the MACs")


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= RELATIVE * abs(other)

import numpy as np
import pytest
import torch

from rgbt_bench import latency, timing
from rgbt_bench.clocks import Clocks, Reading
from rgbt_bench.errors import UsageError
from rgbt_bench.files import read_json
from rgbt_bench.latency import CLOCK_READINGS, WARM_UP, LatencyReport, percentile, time_passes
from rgbt_bench.timing import measure_latency

SILENT = lambda stage, done, total: None  # noqa: E731


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000])
def test_percentile_is_numpys_inverted_cdf(share, count):
    values = np.random.default_rng(count).random(count).tolist()
    assert percentile(values, share) == np.percentile(values, share * 100, method="inverted_cdf")


def test_the_median_of_an_even_count_lies_between_the_two_in_the_middle(home, monkeypatch):
    def fake(forwards, device, passes, progress, clock):
        return {name: [float(number) for number in range(1, 101)] for name in forwards}

    monkeypatch.setattr(timing, "time_passes", fake)
    report, _ = measure_latency("ffkd-student", (1, 1), "quick", 100, 1, "cpu", SILENT)
    assert [one.median_s for one in report.timings] == [50.5, 50.5]
    assert [one.p90_s for one in report.timings] == [90.0, 90.0]


def test_models_take_turns_and_warm_up_is_not_counted():
    order = []
    forwards = {name: (lambda name=name: order.append(name)) for name in ("teacher", "student")}
    seconds = time_passes(forwards, torch.device("cpu"), 100, SILENT)
    assert order == ["teacher", "student"] * (WARM_UP + 100)
    assert [len(taken) for taken in seconds.values()] == [100, 100]


def test_the_clock_is_read_between_passes_alone_and_a_round_goes_untimed_after_it(monkeypatch):
    told, inside = [], []

    def watched(forward, device):
        inside.append(True)
        forward()
        inside.pop()
        told.append("pass")
        return float(len(told))

    def clock():
        assert not inside
        told.append("clock")
        return True

    monkeypatch.setattr(latency, "_time_once", watched)
    forwards = {name: lambda: None for name in ("teacher", "student")}
    seconds = time_passes(forwards, torch.device("cpu"), 105, SILENT, clock)
    places = [place for place, what in enumerate(told) if what == "clock"]
    assert places[0] == 2 * WARM_UP
    assert places[-1] == len(told) - 1
    assert len(places) == CLOCK_READINGS + 1
    untimed = {place + 1 + after for place in places for after in (1, 2)}
    timed = [int(one) for taken in seconds.values() for one in taken]
    assert len(timed) == 2 * 105
    assert not untimed & set(timed)
    assert set(timed) | untimed | {place + 1 for place in places} >= set(range(2 * WARM_UP + 1, len(told) + 1))


def test_where_the_machine_does_not_tell_its_clock_no_pass_is_added():
    order = []
    asked = []
    time_passes({"x": lambda: order.append(1)}, torch.device("cpu"), 100, SILENT, lambda: bool(asked.append(1)))
    assert (len(order), len(asked)) == (WARM_UP + 100, CLOCK_READINGS + 1)


def test_a_report_has_the_clocks_and_one_from_before_is_still_read(home, monkeypatch):
    told = iter(range(1000, 2000))
    monkeypatch.setattr(timing, "read_clock", lambda device: Reading(next(told), f"of a {device.type}"))
    monkeypatch.setattr(latency, "_time_once", lambda forward, device: 0.5)
    report, path = measure_latency("ffkd-student", (1, 2), "quick", 100, 1, "cpu", SILENT)
    readings = 2 * (CLOCK_READINGS + 1)
    assert report.clocks == Clocks(
        least=1000, median=999 + (readings + 1) / 2, greatest=999 + readings, source="of a cpu", readings=readings
    )
    content = read_json(path)
    assert content["clocks"]["unit"] == "MHz"
    assert LatencyReport.model_validate(content) == report
    content.pop("clocks")
    assert LatencyReport.model_validate(content).clocks is None


@pytest.mark.parametrize(
    ("reading", "shown"),
    [
        (
            Reading(1980.4, "nvidia-smi"),
            "clock: median 1,980 (least 1,980, greatest 1,980) MHz, 11 readings from nvidia-smi",
        ),
        (None, "clock: not told by this machine"),
    ],
)
def test_the_clock_is_printed(reading, shown, home, monkeypatch, bench):
    monkeypatch.setattr(timing, "read_clock", lambda device: reading)
    monkeypatch.setattr(latency, "_time_once", lambda forward, device: 0.5)
    line = ("latency", "ffkd-student", "--preset", "quick", "--batch", "1", "--threads", "1", "--device", "cpu")
    code, out, _ = bench(*line)
    assert (code, shown in out) == (0, True)


def test_fewer_passes_than_the_protocol_asks_for_are_refused():
    with pytest.raises(UsageError, match="at least 100"):
        time_passes({"x": lambda: None}, torch.device("cpu"), 99, SILENT)


def test_teacher_and_student_are_timed_in_one_process_and_reported(home):
    report, path = measure_latency("ffkd-student", (1,), "quick", 100, 1, "cpu", SILENT)
    assert [timing.recipe for timing in report.timings] == ["ffkd-teacher-fusion", "ffkd-student"]
    teacher, student = report.timings
    assert teacher.macs > student.macs > 0
    assert report.macs_ratio_to_teacher == student.macs / teacher.macs
    assert report.ratio_to_teacher == {"1": student.median_s / teacher.median_s}
    assert student.p99_s >= student.p90_s >= student.median_s > 0
    assert read_json(path)["timings"][1]["passes"] == 100
    assert path.parent == home / "latency"


def test_a_batch_below_one_is_refused():
    with pytest.raises(UsageError, match="--batch 0"):
        measure_latency("ffkd-student", (0,), "quick", 100, 1, "cpu", SILENT)

import numpy as np
import pytest
import torch

from rgbt_bench.errors import UsageError
from rgbt_bench.files import read_json
from rgbt_bench.latency import WARM_UP, percentile, time_passes
from rgbt_bench.timing import measure_latency

SILENT = lambda stage, done, total: None  # noqa: E731


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000])
def test_percentile_is_numpys_inverted_cdf(share, count):
    values = np.random.default_rng(count).random(count).tolist()
    assert percentile(values, share) == np.percentile(values, share * 100, method="inverted_cdf")


def test_the_median_of_an_even_count_lies_between_the_two_in_the_middle(home, monkeypatch):
    from rgbt_bench import timing

    def fake(forwards, device, passes, progress):
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

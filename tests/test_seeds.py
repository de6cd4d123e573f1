"""Several seeds as one figure."""

import statistics
from types import SimpleNamespace

import numpy as np
import pytest

from rgbt_bench.errors import UsageError
from rgbt_bench.runs import in_order, plan_run, plan_seeds
from rgbt_bench.seeds import Summary, differing, summarize, summarize_figures, versions_note

STUDENT = "ffkd-student"


def test_mean_and_sample_standard_deviation_against_numpy():
    rng = np.random.default_rng(0)
    for n in (2, 3, 7, 50):
        values = rng.uniform(0, 1, n)
        found = summarize(values.tolist())
        assert found.mean == pytest.approx(np.mean(values), rel=1e-12)
        assert found.sd == pytest.approx(np.std(values, ddof=1), rel=1e-12)
        assert (found.n, found.undefined) == (n, 0)


def test_figures_that_are_alike_to_the_last_digits_keep_their_spread():
    values = [0.3 + k * 1e-12 for k in range(5)]
    assert summarize(values).sd == pytest.approx(statistics.stdev(range(5)) * 1e-12, rel=1e-3)
    assert summarize([0.1] * 3) == Summary(pytest.approx(0.1), 0.0, 3)


def test_one_seed_has_no_spread():
    assert summarize([0.25]) == Summary(0.25, None, 1)


@pytest.mark.parametrize(("values", "undefined"), [([None], 1), ([None, None], 2), ([0.5, None, 0.5], 1)])
def test_a_figure_that_a_seed_has_not_is_undefined(values, undefined):
    assert summarize(values) == Summary(None, None, len(values), undefined)


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="no values"):
        summarize([])


def test_every_figure_is_summarized_by_name():
    found = summarize_figures([{"AP": 0.1, "AP_L": None}, {"AP": 0.3, "AP_L": None, "new": 1.0}])
    assert list(found) == ["AP", "AP_L", "new"]
    assert (found["AP"].mean, found["AP"].n) == (pytest.approx(0.2), 2)
    assert found["AP_L"].undefined == 2
    assert found["new"] == Summary(None, None, 2, 1)


def test_another_unit_scales_mean_and_spread():
    assert summarize([0.1, 0.3]).scaled(100) == Summary(pytest.approx(20.0), pytest.approx(np.std([10, 30], ddof=1)), 2)
    assert summarize([None, 0.3]).scaled(100) == Summary(None, None, 2, 1)


def test_what_differs_is_named_with_every_value():
    records = [{"torch": "2.11", "numpy": "2.0"}, {"torch": "2.12", "numpy": "2.0"}, {"numpy": "2.0"}]
    assert differing(records) == {"torch": ["2.11", "2.12", "none"]}
    assert differing(records[:1]) == differing([]) == {}


def test_seeds_in_a_row_each_with_all_it_requires(tiny):
    runs = plan_seeds(STUDENT, tiny, seed=5, count=3)
    assert [run.seed for run in runs] == [5, 6, 7]
    for run in runs:
        assert {one.seed for one in in_order(run)} == {run.seed}
        assert run == plan_run(STUDENT, tiny, seed=run.seed)
    assert len({one.folder for run in runs for one in in_order(run)}) == 3 * 6


def test_all_seeds_build_on_one_where_that_ones_seed_is_set(tiny):
    teacher = "ffkd-teacher-fusion"
    runs = plan_seeds(STUDENT, tiny, seed=5, count=2, settings=(f"{teacher}:seed=3",))
    assert [run.seed for run in runs] == [5, 6]
    assert [run.requires["teacher"].seed for run in runs] == [3, 3]
    assert len({run.requires["teacher"].key for run in runs}) == 1
    assert len({run.requires["rgb"].key for run in runs}) == 2
    assert {run.settings for run in runs} == {(f"{teacher}:seed=3",)}


def test_seeds_begin_with_the_recipes_own(tiny):
    assert [run.seed for run in plan_seeds(STUDENT, tiny, count=2)] == [0, 1]
    assert [run.seed for run in plan_seeds(STUDENT, tiny, count=2, settings=("seed=8",))] == [8, 9]


def test_seeds_end_with_the_largest(tiny):
    assert plan_seeds(STUDENT, tiny, seed=2**32 - 2, count=2)[-1].seed == 2**32 - 1
    with pytest.raises(UsageError, match="3 seeds from 4294967294 go beyond 4294967295"):
        plan_seeds(STUDENT, tiny, seed=2**32 - 2, count=3)


def test_other_numbers_of_processes_are_said():
    results = [
        SimpleNamespace(hardware={}, libraries={}, model=SimpleNamespace(processes=count)) for count in (1, 2, 1, None)
    ]
    assert versions_note(results) == ["not made alike: processes 1, 2"]
    assert versions_note(results[:1]) == []

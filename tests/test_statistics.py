"""Blocks, draws, intervals, paired p-values and Holm's correction."""

import math

import numpy as np
import pytest

from rgbt_bench.statistics import (
    LEAST_BLOCKS,
    LEAST_SEED_PAIRS,
    blocks,
    draw_seed_pairs,
    draw_weights,
    holm,
    interval,
    p_value,
    standard_error,
    student_point,
)


@pytest.mark.parametrize(
    ("samples", "sizes"),
    [(0, []), (1, [1]), (49, [49]), (50, [50]), (99, [99]), (100, [50, 50]), (1013, [50] * 19 + [63])],
)
def test_without_scenes_a_block_is_fifty_samples_and_the_last_takes_the_rest(samples, sizes):
    cut = blocks([""] * samples)
    assert cut.count == len(sizes)
    assert np.bincount(cut.of_sample, minlength=len(sizes)).tolist() == sizes
    assert (np.diff(cut.of_sample) >= 0).all()
    assert cut.unit == "blocks of 50 consecutive samples"


def test_scenes_are_the_blocks_where_every_sample_names_one():
    cut = blocks(["b", "a", "b", "c"])
    assert (cut.count, cut.size, cut.unit) == (3, None, "scenes")
    assert cut.of_sample[0] == cut.of_sample[2]
    assert len(set(cut.of_sample.tolist())) == 3
    assert blocks(["b", "", "b"]).size == 50


def test_too_few_blocks_have_a_reason_and_enough_have_none():
    assert blocks([f"{place}" for place in range(LEAST_BLOCKS)]).too_few is None
    assert blocks(["a", "b"]).too_few == "too few scenes: 2, an interval needs at least 10"
    assert blocks([""] * 311).too_few == "too few blocks of 50 consecutive samples: 6, an interval needs at least 10"
    assert ": 0, an interval" in blocks([]).too_few


def coverage(n_blocks):
    """How often the percentile interval of a mean of normal block values covers it, Student's density summed."""
    freedom = n_blocks - 1
    edge = 1.959964 * math.sqrt(freedom / n_blocks)
    t = (np.arange(100_000) + 0.5) / 100_000 * edge
    scale = math.gamma((freedom + 1) / 2) / math.sqrt(freedom * math.pi) / math.gamma(freedom / 2)
    return 2 * edge * float(np.mean(scale * (1 + t**2 / freedom) ** (-(freedom + 1) / 2)))


def test_the_least_number_of_blocks_is_where_nine_of_ten_intervals_cover():
    assert coverage(LEAST_BLOCKS) > 0.9 > coverage(LEAST_BLOCKS - 1)
    assert round(coverage(20), 2) == 0.93
    assert round(coverage(6), 2) == 0.87


@pytest.mark.parametrize("pairs", [LEAST_SEED_PAIRS, 10, 20])
def test_equal_methods_are_called_different_in_about_one_of_twenty_cases_where_seeds_alone_vary(pairs):
    rng = np.random.default_rng(2)
    weights = draw_seed_pairs(pairs)
    called = np.mean([p_value(weights @ rng.normal(0, 1, pairs)) < 0.05 for _ in range(4000)])
    assert 0.035 < called < 0.07


@pytest.mark.parametrize(
    ("freedom", "point"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (19, 2.0930), (120, 1.9799)],
)
def test_students_points_are_those_of_the_tables(freedom, point):
    assert student_point(freedom) == pytest.approx(point, abs=5e-5)
    # Against the density, summed.
    edge = student_point(freedom, 0.9)
    t = (np.arange(200_000) + 0.5) / 200_000 * edge
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    assert 2 * edge * float(np.mean(scale * (1 + t**2 / freedom) ** (-(freedom + 1) / 2))) == pytest.approx(0.9)


def test_a_block_is_drawn_whole_and_as_many_are_drawn_as_there_are():
    cut = blocks([""] * 640)
    weights = draw_weights(cut, 200)
    assert weights.shape == (200, 640)
    assert weights.dtype == np.int32
    by_block = [weights[:, cut.of_sample == block] for block in range(12)]
    assert all((block == block[:, :1]).all() for block in by_block)
    assert (sum(block[:, 0] for block in by_block) == 12).all()


def test_blocks_are_drawn_evenly():
    drawn = draw_weights(blocks([f"{place:02d}" for place in range(20)]), 4000)
    assert abs(drawn.mean(axis=0) - 1).max() < 0.06
    assert abs((drawn == 0).mean() - (19 / 20) ** 20) < 0.01
    assert len(np.unique(drawn, axis=0)) == 4000


def test_the_same_part_gets_the_same_resamples():
    first = draw_weights(blocks([""] * 1013), 50)
    assert np.array_equal(first, draw_weights(blocks([""] * 1013), 50))
    assert not np.array_equal(first, draw_weights(blocks([""] * 1013), 50, seed=1))
    # Frozen: another generator would change every interval.
    assert draw_weights(blocks(list("abcdefgh")), 3).tolist() == [
        [2, 1, 0, 2, 1, 1, 0, 1],
        [0, 2, 0, 1, 1, 1, 1, 2],
        [1, 0, 3, 1, 0, 2, 0, 1],
    ]


def test_seed_pairs_are_drawn_apart_from_blocks():
    weights = draw_seed_pairs(5, 1000)
    assert np.allclose(weights.sum(axis=1), 1)
    assert abs(weights.mean(axis=0) - 0.2).max() < 0.05
    drawn = 5 * (0.2 + (weights - 0.2) * 1.959964 * math.sqrt(0.8) / 2.776445)
    assert np.allclose(drawn, drawn.round(), atol=1e-4)
    assert drawn.round().min() == 0
    assert not np.array_equal(drawn.round(), draw_weights(blocks(list("abcde")), 1000))
    assert draw_seed_pairs(1, 3).tolist() == [[1.0]] * 3


def test_the_interval_is_that_of_the_percentiles():
    assert interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0), abs=1e-9)
    assert interval(np.array([np.nan, 3.0, np.nan])) == (3.0, 3.0)
    assert interval(np.full(5, np.nan)) is None
    assert interval(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0), abs=1e-9)


def test_the_standard_error_is_the_spread_of_the_resamples():
    assert standard_error(np.array([1.0, 3.0, np.nan])) == pytest.approx(math.sqrt(2))
    assert standard_error(np.array([1.0])) is None


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0] * 999, 2 / 1000),
        ([-1.0] * 999, 2 / 1000),
        ([0.0] * 999, 1.0),
        ([1.0] * 990 + [-1.0] * 9, 2 * 10 / 1000),
        ([1.0] * 989 + [-1.0] * 9 + [0.0], 2 * 11 / 1000),
        ([1.0] * 500 + [-1.0] * 499, 1.0),
        ([1.0, np.nan, 1.0], 2 / 3),
    ],
)
def test_the_p_value_counts_resamples_on_either_side_of_zero(differences, expected):
    assert p_value(np.array(differences)) == pytest.approx(expected)


def test_a_p_value_of_nothing_is_none():
    assert p_value(np.array([np.nan])) is None


def test_the_p_value_is_the_level_at_which_the_interval_reaches_zero():
    rng = np.random.default_rng(0)
    for shift in rng.normal(0, 3, 40):
        differences = rng.normal(shift, 1, 9999)
        p = p_value(differences)
        if 0.001 < p < 0.9:
            # Two resamples wider or narrower: 0 is just inside, just outside.
            assert interval(differences, 1 - p + 4e-4)[0] * interval(differences, 1 - p + 4e-4)[1] < 0
            assert interval(differences, 1 - p - 4e-4)[0] * interval(differences, 1 - p - 4e-4)[1] > 0


def test_p_values_of_equal_runs_are_even():
    """Two runs whose blocks differ by noise alone are called different about as often as the level says."""
    rng = np.random.default_rng(1)
    weights = draw_weights(blocks([f"{place:02d}" for place in range(40)]), 500) / 40
    values = [p_value(weights @ rng.normal(0, 1, 40)) for _ in range(600)]
    assert 0.03 < np.mean(np.array(values) < 0.05) < 0.09
    assert 0.42 < np.mean(np.array(values) < 0.5) < 0.6


def test_holm_by_hand():
    # Sorted .005 .01 .03 .04; times 4 3 2 1: .02 .03 .06 .04, and the last no smaller than .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.6]) == (1.0, 1.0)
    assert holm([0.02]) == (0.02,)
    assert holm([]) == ()


def test_holm_by_its_definition():
    """Reject the smallest while p <= level / (those left): those whose adjusted p-value is at most the level."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        p_values = np.round(rng.random(rng.integers(1, 8)) ** 3, rng.integers(1, 4))
        for level in (0.01, 0.05, 0.2):
            rejected = set()
            for step, place in enumerate(np.argsort(p_values, kind="stable")):
                if p_values[place] * (len(p_values) - step) > level:
                    break
                rejected.add(int(place))
            assert {place for place, p in enumerate(holm(p_values)) if p <= level} == rejected

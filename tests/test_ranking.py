"""Ranks of the leaderboard: paired tests from the resamples that rows carry."""

import numpy as np
import pytest

from board_cases import add_row, empty_board, make_row
from rgbt_bench.errors import BadInputError
from rgbt_bench.leaderboard.ranking import compare_rows, interval_of, rank_track
from rgbt_bench.leaderboard.rows import encode_resamples, parse_row, row_bytes
from rgbt_bench.statistics import draw_seed_pairs, holm, interval, p_value


@pytest.fixture
def board(tmp_path):
    return empty_board(tmp_path / "leaderboards")


def drawn_as(row, resamples):
    return row.model_copy(update={"runs": (row.runs[0].model_copy(update={"resamples": resamples}),)})


def test_a_row_comes_back_from_its_bytes():
    row = make_row(seeds=(0, 1, 2), recipe="ffkd-student")
    assert parse_row(row_bytes(row), "a.json") == row


def test_ranks_are_one_more_than_the_rows_that_are_significantly_better(board):
    for name, value in {"best": 0.5, "good": 0.4, "also-good": 0.4001, "poor": 0.1}.items():
        add_row(board, make_row(name, value=value, noise=len(name)))
    places = rank_track(board, "flir/detection-rgbt")
    assert {name: place.rank for name, place in places.items()} == {"best": 1, "good": 2, "also-good": 2, "poor": 4}
    assert places["poor"].better == ("also-good", "best", "good")


def test_unpaired_noise_makes_a_tie_of_what_pairing_tells_apart(board):
    first, alike, apart = make_row("a", value=0.3), make_row("b", value=0.305), make_row("c", value=0.305, noise=5)
    assert compare_rows(first, alike).verdict == "differs on this test set, one seed"
    assert compare_rows(first, apart).verdict == "tie"


def test_several_seeds_pair_by_seed_and_say_better_from_five():
    seeds = (0, 1, 2, 3, 4)
    first, second = make_row("a", value=0.3, seeds=seeds), make_row("b", value=0.4, seeds=seeds)
    found = compare_rows(first, second)
    assert (found.seeds, found.verdict) == (5, "better")
    assert compare_rows(second, first).verdict == "worse"
    assert found.difference == pytest.approx(0.1)
    assert "2 seeds" in compare_rows(make_row("a", seeds=(3, 4)), second).verdict


def test_seeds_that_do_not_pair_are_drawn_apart():
    first, second = make_row("a", value=0.3, seeds=(0, 1)), make_row("b", value=0.4, seeds=(5, 6))
    found = compare_rows(first, second)
    assert (found.seeds, found.verdict) == (0, "differs on this test set, seeds that do not pair")
    values = [[run.drawn() for run in row.runs] for row in (first, second)]
    weights = [draw_seed_pairs(2, 1000, seed) for seed in (0, 1)]
    by_hand = (weights[1].T * values[1]).sum(axis=0) - (weights[0].T * values[0]).sum(axis=0)
    assert found.interval == pytest.approx(interval(by_hand))
    assert found.p == p_value(by_hand)


def test_many_rows_get_the_ranks_of_pairwise_tests(board):
    generator = np.random.default_rng(3)
    rows = [make_row(f"r{n}", value=float(generator.uniform(0.2, 0.5)), noise=n % 3) for n in range(12)]
    rows += [make_row(f"s{n}", value=0.35, seeds=(0, 1)) for n in range(2)]
    for row in rows:
        add_row(board, row)
    pairs = [compare_rows(a, b) for i, a in enumerate(rows) for b in rows[i + 1 :]]
    adjusted = holm([pair.p for pair in pairs])
    ranks = {row.id: 1 for row in rows}
    for pair, p in zip(pairs, adjusted, strict=True):
        if p < 0.05:
            ranks[pair.first if pair.difference > 0 else pair.second] += 1
    assert {name: place.rank for name, place in rank_track(board, "flir/detection-rgbt").items()} == ranks


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (make_row("a", standing="unofficial"), "official labels"),
        (make_row("a", track="sample/detection-rgb"), "ranks nothing"),
        (drawn_as(make_row("a"), ""), "too few"),
    ],
)
def test_what_has_no_rank_says_why(board, row, reason):
    add_row(board, row)
    place = rank_track(board, row.track)["a"]
    assert place.rank is None
    assert reason in place.reason


def test_undefined_resamples_are_left_out(board):
    row = make_row("a")
    values = row.runs[0].drawn()
    values[:100] = np.nan
    gaps = drawn_as(row, encode_resamples(values))
    other = make_row("b", value=0.5)
    found = compare_rows(gaps, other)
    assert found.p == p_value(other.runs[0].drawn() - values)
    assert interval_of(gaps) == interval(values)


def test_rows_of_different_tracks_never_compare():
    with pytest.raises(BadInputError, match="different tracks"):
        compare_rows(make_row("a"), make_row("b", track="flir/detection-rgb"))

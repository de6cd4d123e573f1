"""Ranks of the leaderboard: paired tests from the resamples that rows carry."""

import numpy as np
import pytest

from board_cases import add_row, empty_board, make_row
from rgbt_bench.errors import BadInputError
from rgbt_bench.leaderboard import ranking
from rgbt_bench.leaderboard.ranking import compare_rows, interval_of, rank_track
from rgbt_bench.leaderboard.rows import encode_resamples, parse_row, row_bytes
from rgbt_bench.statistics import draw_seed_pairs, interval, p_value


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
    assert "2 seeds" in compare_rows(make_row("a", seeds=(3, 4)), make_row("b", value=0.4, seeds=(4, 3))).verdict


def test_a_seed_in_common_chooses_no_other(board):
    honest = make_row("honest", value=0.34, seeds=(0, 1, 2))
    runs = [
        make_row("cheat", value=value, seeds=(seed,)).runs[0] for value, seed in ((0.65, 0), (0.02, 11), (0.02, 12))
    ]
    cheat = make_row("cheat", seeds=(0, 11, 12)).model_copy(update={"runs": tuple(runs)})
    found = compare_rows(honest, cheat)
    assert found.seeds == 0
    assert found.second_figure == pytest.approx(0.23), "the figure is of all seeds, as it is shown"
    add_row(board, honest)
    add_row(board, cheat)
    ranks = {name: place.rank for name, place in rank_track(board, "flir/detection-rgbt").items()}
    assert ranks["cheat"] >= ranks["honest"]


def test_an_interval_ends_where_the_range_does():
    runs = [make_row("a", value=value, seeds=(seed,)).runs[0] for value, seed in ((0.65, 0), (0.02, 1))]
    row = make_row("a", seeds=(0, 1)).model_copy(update={"runs": tuple(runs)})
    assert interval_of(row) == (0.0, 1.0)


def test_what_does_not_vary_or_is_undefined_leads_nobody(board):
    add_row(board, make_row("plain", value=0.3))
    for name, values in {"still": np.full(1000, 0.9), "gone": np.full(1000, np.nan)}.items():
        add_row(board, drawn_as(make_row(name, value=0.9), encode_resamples(values)))
    places = rank_track(board, "flir/detection-rgbt")
    assert places["plain"].better == ("still",), "it varies against plain, and gone says nothing"
    assert places["gone"].rank == 1


def test_predictions_on_the_hub_rank_once_they_were_computed_again(board):
    row = make_row("far")
    far = row.runs[0].predictions.model_copy(update={"file": None, "hub": f"hub:a/b@{'a' * 40}/far.s0.json.gz"})
    add_row(board, row.model_copy(update={"runs": (row.runs[0].model_copy(update={"predictions": far}),)}))
    place = rank_track(board, "flir/detection-rgbt")["far"]
    assert place.rank is None
    assert "nobody has computed it again" in place.reason


def test_seeds_that_do_not_pair_are_drawn_apart():
    first, second = make_row("a", value=0.3, seeds=(0, 1)), make_row("b", value=0.4, seeds=(5, 6))
    found = compare_rows(first, second)
    assert (found.seeds, found.verdict) == (0, "differs on this test set, seeds that do not pair")
    values = [[run.drawn() for run in row.runs] for row in (first, second)]
    weights = [draw_seed_pairs(2, 1000, seed) for seed in (0, 1)]
    by_hand = (weights[1].T * values[1]).sum(axis=0) - (weights[0].T * values[0]).sum(axis=0)
    assert found.interval == pytest.approx(interval(by_hand))
    assert found.p == p_value(by_hand)


def step_down(rows):
    """Romano and Wolf's step-down as it is written down: one hypothesis after the other, each maximum over the rest."""
    drawn, leads = [], []
    for place, one in enumerate(rows):
        for other in rows[place + 1 :]:
            apart = np.array([b.drawn() - a.drawn() for a, b in zip(one.runs, other.runs, strict=True)])
            found = (draw_seed_pairs(len(apart), 1000).T * apart).sum(axis=0)
            lead = other.figures()["AP"].mean - one.figures()["AP"].mean
            scale = found.std(ddof=1)
            drawn.append(np.abs(found - lead) / scale)
            leads.append(abs(lead) / scale)
    rest, adjusted, largest = set(range(len(leads))), {}, 0.0
    while rest:
        place = max(rest, key=leads.__getitem__)
        maxima = np.max([drawn[one] for one in rest], axis=0)
        largest = adjusted[place] = max(largest, (1 + (maxima >= leads[place]).sum()) / 1001)
        rest.remove(place)
    return [adjusted[place] for place in range(len(leads))]


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_many_rows_get_the_ranks_of_a_step_down_by_hand(board, seeds):
    generator = np.random.default_rng(3)
    rows = [make_row(f"r{n:02d}", value=float(generator.uniform(0.2, 0.5)), noise=n, seeds=seeds) for n in range(12)]
    for row in rows:
        add_row(board, row)
    ranks = {row.id: 1 for row in rows}
    pairs = [(a, b) for i, a in enumerate(rows) for b in rows[i + 1 :]]
    for (a, b), p in zip(pairs, step_down(rows), strict=True):
        if p < 0.05:
            ranks[min(a, b, key=lambda row: row.figures()["AP"].mean).id] += 1
    assert {name: place.rank for name, place in rank_track(board, "flir/detection-rgbt").items()} == ranks
    assert len(set(ranks.values())) > 3


@pytest.mark.parametrize("count", [8, 12])
def test_rows_far_apart_have_a_rank_each_however_many_they_are(board, count):
    for n in range(count):
        add_row(board, make_row(f"r{n:02d}", value=0.95 - 0.07 * n, noise=n))
    ranks = [place.rank for place in rank_track(board, "flir/detection-rgbt").values()]
    assert ranks == list(range(1, count + 1))


def test_equal_rows_are_told_apart_as_seldom_as_promised():
    generator = np.random.default_rng(11)
    false = 0
    for trial in range(60):
        truth = generator.normal(0.3, 0.01, 6)  # what samples made of equal methods
        rows = [make_row(f"r{n}", value=float(truth[n]), noise=1000 * trial + n) for n in range(6)]
        false += any(place.rank > 1 for place in ranking._places(rows).values())
    assert false <= 9, "of 60 boards of equal methods, 3 are expected to have a false lead"


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

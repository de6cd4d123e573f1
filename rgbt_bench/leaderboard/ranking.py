"""Ranks that say what was tested: paired tests between the rows of a track, from the resamples that rows carry."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.errors import BadInputError
from rgbt_bench.leaderboard.board import Board
from rgbt_bench.leaderboard.rows import Row, ScoredRun
from rgbt_bench.results import Figure, Interval
from rgbt_bench.statistics import (
    LEAST_SEED_PAIRS,
    SEED,
    SIGNIFICANCE,
    draw_seed_pairs,
    interval,
    p_value,
    standard_error,
)

Floats = NDArray[np.float64]
LEAST_DEFINED: Final = 0.9  # of the resamples of a pair that is tested
_AT_ONCE: Final = 2000  # pairs in memory
_OTHER_SEEDS: Final = 1  # of the draws of a side whose seeds pair with none of the other's


@dataclass(frozen=True)
class Compared:
    """The second row's main figure minus the first's, over `seeds` paired seeds, 0 where none are in common.

    `interval` and `p` are None where nothing could be resampled; then `verdict` says why.
    """

    first: str
    second: str
    figure: str
    first_figure: Figure
    second_figure: Figure
    difference: Figure
    interval: Interval
    p: float | None
    seeds: int
    verdict: str


@dataclass(frozen=True)
class Place:
    """Where a row stands on its track: 1 + the rows that are significantly better; None with the reason."""

    rank: int | None
    better: tuple[str, ...] = ()
    reason: str = ""


def compare_rows(first: Row, second: Row) -> Compared:
    """Compare two rows of one track in pairs of the same resamples, and of seeds where both have the same.

    Other seeds of a side are drawn apart; a seed is what its maker says, so a few in common choose nothing.

    Raises:
        BadInputError: they are not of one track, labels and protocol, or were drawn differently.
    """
    _require_comparable(first, second)
    common = _common(first, second)
    ours, theirs = common or (first.runs, second.runs)
    name = first.first.metrics.main
    means = [_mean([one.result.metrics.figures[name] for one in side]) for side in (ours, theirs)]
    apart = None if None in means else float(means[1]) - float(means[0])  # type: ignore[arg-type]
    drawn = _difference(ours, theirs, paired=bool(common))
    p = p_value(drawn)
    return Compared(
        first=first.id,
        second=second.id,
        figure=name,
        first_figure=means[0],
        second_figure=means[1],
        difference=apart,
        interval=interval(drawn),
        p=p,
        seeds=len(common[0]) if common else 0,
        verdict=_verdict(p, apart, len(common[0]) if common else 0, len(drawn), ranks=_ranks(first)),
    )


def interval_of(row: Row) -> Interval:
    """Return the 95 % interval of a row's main figure over its seeds and samples, None where none can be drawn.

    Few seeds make it wide; it ends where the figure's range does.
    """
    found = interval(_weighted([one.drawn() for one in row.runs], SEED))
    if found is None or not _ranks(row):
        return found
    return max(0.0, found[0]), min(1.0, found[1])


def rank_track(board: Board, track: str) -> dict[str, Place]:
    """Return the place of every row of a track by its id.

    Only rows on the official labels of a ranked track have a rank. All pairs are tested together: with 5 % at most, one
    row or more is found better than another that it equals.
    """
    rows = [row for row in board.rows.values() if row.track == track]
    ranked = [row for row in rows if why_unranked(board, row) is None]
    places = {row.id: Place(None, reason=why_unranked(board, row) or "") for row in rows}
    return places | _places(ranked)


def why_unranked(board: Board, row: Row) -> str | None:
    """Return why a row has no rank, in one sentence, or None."""
    track = board.definitions.tracks.get(row.track)
    if track is None:
        return f"leaderboard {board.version} has no track {row.track}"
    if not track.ranked:
        return "this track is for checking an installation and ranks nothing"
    if not _ranks(row):
        return "figures of fused images rank nothing"
    for run in row.runs:
        if run.result.standing != "official":
            return run.result.standing_reason
        if run.result.model is not None and run.result.model.preset != "paper":
            return f"the preset {run.result.model.preset} never ranks"
    if not all(run.resamples for run in row.runs):
        return "its samples are too few to be resampled"
    if any(run.predictions.hub for run in row.runs) and board.badge(row) == "measured":
        return "its predictions lie on the Hub, and nobody has computed it again from them yet"
    return None


def _places(rows: Sequence[Row]) -> dict[str, Place]:
    if len(rows) < 2:
        return {row.id: Place(1) for row in rows}
    better: dict[str, list[str]] = {row.id: [] for row in rows}
    pairs = _Pairs(rows)
    found = np.flatnonzero(pairs.adjusted() < SIGNIFICANCE)
    for first, second, lead in zip(pairs.first[found], pairs.second[found], pairs.leads[found], strict=True):
        winner, loser = (second, first) if lead > 0 else (first, second)
        better[rows[loser].id].append(rows[winner].id)
    return {name: Place(1 + len(above), tuple(sorted(above))) for name, above in better.items()}


class _Pairs:
    """Every pair of rows, by their places, and how far the second is ahead: in all, and in every resample."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.first, self.second = np.triu_indices(len(rows), 1)
        is_single = np.array([len(row.runs) == 1 for row in rows], dtype=np.bool_)
        self._of_seeds = ~(is_single[self.first] & is_single[self.second])
        self._drawn = np.array([row.runs[0].drawn() for row in rows])
        figures = np.array([_number(row.first.metrics.figures[row.first.metrics.main]) for row in rows])
        self.leads = figures[self.second] - figures[self.first]
        for place in np.flatnonzero(self._of_seeds):
            self.leads[place] = _number(compare_rows(*self._pair(int(place))).difference)

    def adjusted(self) -> Floats:
        """Return the p-value of each pair, such that one false lead among all pairs has 5 % at most at p < 0.05.

        Source: the step-down of maxima in Romano and Wolf, Econometrica 73 (2005) 1237-1282, with studentised
        differences; 1 is added to count and resamples, as in `statistics.p_value`. Holm's correction of p-values that
        end at 2 in 1,001 would find nothing among 28 pairs or more.
        """
        scales = np.concatenate([_scales(self._resampled(chunk)) for chunk in self._chunks(np.arange(len(self.leads)))])
        # what does not vary, or is hardly defined, is not tested
        leads = np.divide(np.abs(self.leads), scales, out=np.zeros_like(scales), where=scales > 0)
        order = np.argsort(leads, kind="stable")
        found, largest = np.ones(len(order)), np.zeros(self._drawn.shape[1:])
        for chunk in self._chunks(order):
            errors = np.abs(self._resampled(chunk) - self.leads[chunk, np.newaxis])
            errors /= np.where(scales[chunk] > 0, scales[chunk], 1.0)[:, np.newaxis]
            errors[0] = np.fmax(errors[0], largest)
            np.fmax.accumulate(errors, axis=0, out=errors)
            largest = errors[-1].copy()
            found[chunk] = (1 + (errors >= leads[chunk, np.newaxis]).sum(axis=1)) / (1 + errors.shape[1])
        # of a smaller lead it is never below that of a larger one
        found[order] = np.maximum.accumulate(found[order][::-1])[::-1]
        return found

    def _resampled(self, places: NDArray[np.int64]) -> Floats:
        """Return the differences of some pairs in every resample, float64[pairs, resamples]."""
        found = self._drawn[self.second[places]] - self._drawn[self.first[places]]
        for row in np.flatnonzero(self._of_seeds[places]):
            one, other = self._pair(int(places[row]))
            common = _common(one, other)
            found[row] = _difference(*(common or (one.runs, other.runs)), paired=bool(common))
        return np.asarray(found, dtype=np.float64)

    def _pair(self, place: int) -> tuple[Row, Row]:
        return self._rows[self.first[place]], self._rows[self.second[place]]

    def _chunks(self, places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield so many pairs as are held in memory at once."""
        for start in range(0, len(places), _AT_ONCE):
            yield places[start : start + _AT_ONCE]


def _scales(differences: Floats) -> Floats:
    """Return the standard error of each pair's difference, float64[pairs], 0 where it cannot be told."""
    if np.isnan(differences).any():
        enough = (~np.isnan(differences)).mean(axis=1) >= LEAST_DEFINED
        return np.array(
            [(standard_error(one) or 0.0) if ok else 0.0 for one, ok in zip(differences, enough, strict=True)]
        )
    return np.asarray(differences.std(axis=1, ddof=1), dtype=np.float64)


def _number(figure: Figure) -> float:
    return 0.0 if figure is None else figure


def _require_comparable(first: Row, second: Row) -> None:
    of = [(row.track, row.first.data.label_digest, row.first.protocol_digest) for row in (first, second)]
    if of[0] != of[1]:
        names = ("tracks", "labels", "protocols")
        apart = next(name for name, one, other in zip(names, *of, strict=True) if one != other)
        raise BadInputError(f"{first.id} and {second.id} are of different {apart}; nothing can be compared")
    lengths = {len(one.drawn()) for row in (first, second) for one in row.runs}
    if len(lengths) > 1:
        raise BadInputError(f"{first.id} and {second.id} were not drawn alike ({lengths}); verify both")


def _common(first: Row, second: Row) -> tuple[tuple[ScoredRun, ...], tuple[ScoredRun, ...]] | None:
    """Return all runs of both in the order of their seeds, where these are the same; single runs are always a pair."""
    if len(first.runs) == len(second.runs) == 1:
        return first.runs, second.runs
    theirs: Mapping[int | None, ScoredRun] = {one.seed: one for one in second.runs}
    if {one.seed for one in first.runs} != theirs.keys():
        return None
    return first.runs, tuple(theirs[one.seed] for one in first.runs)


def _difference(first: Sequence[ScoredRun], second: Sequence[ScoredRun], paired: bool) -> Floats:
    ours, theirs = ([one.drawn() for one in side] for side in (first, second))
    if paired:
        return _weighted([b - a for a, b in zip(ours, theirs, strict=True)], SEED)
    return _weighted(theirs, SEED + _OTHER_SEEDS) - _weighted(ours, SEED)


def _weighted(drawn: Sequence[Floats], seed: int) -> Floats:
    """Return the mean over seeds that are drawn anew in each resample, float64[resamples]."""
    values = np.array(drawn)
    weights = draw_seed_pairs(len(values), values.shape[1], seed)
    return np.asarray(np.einsum("rp,pr->r", weights, values), dtype=np.float64)


def _mean(figures: Sequence[Figure]) -> Figure:
    defined = [one for one in figures if one is not None]
    return sum(defined) / len(defined) if defined and len(defined) == len(figures) else None


def _ranks(row: Row) -> bool:
    return row.first.metrics.kind != "fusion"


def _verdict(p: float | None, difference: Figure, seeds: int, resamples: int, ranks: bool) -> str:
    if p is None or difference is None:
        return "not tested: " + ("the figure is not defined" if resamples else "too few samples to be resampled")
    if p >= SIGNIFICANCE:
        return "tie"
    if seeds < LEAST_SEED_PAIRS:
        paired = {0: "seeds that do not pair", 1: "one seed"}.get(seeds, f"{seeds} seeds")
        return f"differs on this test set, {paired}"
    if not ranks:
        return "higher" if difference > 0 else "lower"
    return "better" if difference > 0 else "worse"

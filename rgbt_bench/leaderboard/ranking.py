"""Ranks that say what was tested: paired tests between the rows of a track, from the resamples that rows carry."""

import math
from collections.abc import Mapping, Sequence
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
    """Compare two rows of one track in pairs of the same resamples, and of seeds where they have some in common.

    Without a seed in common, the seeds of each side are drawn apart.

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
    """Return the 95 % interval of a row's main figure over its seeds and samples, None where none can be drawn."""
    return interval(_weighted([one.drawn() for one in row.runs], SEED))


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
    return None


def _places(rows: Sequence[Row]) -> dict[str, Place]:
    better: dict[str, list[str]] = {row.id: [] for row in rows}
    pairs = _Pairs(rows)
    for (first, second), p in zip(pairs.names, pairs.adjusted(), strict=True):
        if p < SIGNIFICANCE:
            winner, loser = (second, first) if pairs.apart[first, second] > 0 else (first, second)
            better[loser].append(winner)
    return {name: Place(1 + len(above), tuple(sorted(above))) for name, above in better.items()}


class _Pairs:
    """Every pair of rows by how far the second is ahead, in all and in every resample."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = {row.id: row for row in rows}
        single = [row for row in rows if len(row.runs) == 1]
        self._drawn = {row.id: row.runs[0].drawn() for row in single}
        self.names = [(one.id, other.id) for place, one in enumerate(rows) for other in rows[place + 1 :]]
        self.apart = {names: self._difference(*names) for names in self.names}

    def adjusted(self) -> list[float]:
        """Return the p-value of each pair, such that one false lead among all pairs has 5 % at most at p < 0.05.

        Source: the step-down of maxima in Romano and Wolf, Econometrica 73 (2005) 1237-1282, with studentised
        differences; 1 is added to count and resamples, as in `statistics.p_value`. Holm's correction of p-values that
        end at 2 in 1,001 would find nothing among 28 pairs or more.
        """
        scales = [_scale(self._resampled(*names)) for names in self.names]
        leads = [_studentised(abs(self.apart[names]), scale) for names, scale in zip(self.names, scales, strict=True)]
        order = sorted(range(len(self.names)), key=leads.__getitem__)
        found = [1.0] * len(order)
        largest: Floats | None = None
        for start in range(0, len(order), _AT_ONCE):
            chunk = order[start : start + _AT_ONCE]
            errors = np.array([self._errors(self.names[place], scales[place]) for place in chunk])
            if largest is not None:
                errors[0] = np.fmax(errors[0], largest)
            np.fmax.accumulate(errors, axis=0, out=errors)
            largest = errors[-1].copy()
            for place, maxima in zip(chunk, errors, strict=True):
                found[place] = (1 + int(np.count_nonzero(maxima >= leads[place]))) / (1 + len(maxima))
        return _never_below_larger_leads(found, order)

    def _errors(self, names: tuple[str, str], scale: float) -> Floats:
        """Return how far each resample is from the difference itself, in standard errors."""
        return np.abs(self._resampled(*names) - self.apart[names]) / (scale or 1.0)

    def _difference(self, first: str, second: str) -> float:
        if first in self._drawn and second in self._drawn:
            one, other = (self._rows[name].runs[0].result.metrics for name in (first, second))
            return _number(other.figures[other.main]) - _number(one.figures[one.main])
        return _number(compare_rows(self._rows[first], self._rows[second]).difference)

    def _resampled(self, first: str, second: str) -> Floats:
        if first in self._drawn and second in self._drawn:
            return self._drawn[second] - self._drawn[first]
        one, other = self._rows[first], self._rows[second]
        common = _common(one, other)
        return _difference(*(common or (one.runs, other.runs)), paired=bool(common))


def _never_below_larger_leads(found: Sequence[float], order: Sequence[int]) -> list[float]:
    """Return p-values of which a smaller lead's is never below a larger one's."""
    kept = list(found)
    largest = 0.0
    for place in reversed(order):
        largest = kept[place] = max(largest, kept[place])
    return kept


def _scale(drawn: Floats) -> float:
    """Return the standard error of a difference, 0 where it cannot be told."""
    return standard_error(drawn) or 0.0


def _studentised(lead: float, scale: float) -> float:
    if scale > 0:
        return lead / scale
    return math.inf if lead > 0 else 0.0


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
    """Return the runs of the seeds that both have, in order; two single runs are a pair whatever their seeds."""
    if len(first.runs) == len(second.runs) == 1:
        return first.runs, second.runs
    theirs: Mapping[int | None, ScoredRun] = {one.seed: one for one in second.runs if one.seed is not None}
    ours = tuple(one for one in first.runs if one.seed in theirs)
    return (ours, tuple(theirs[one.seed] for one in ours)) if ours else None


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

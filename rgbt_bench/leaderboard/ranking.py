"""Ranks that say what was tested: paired tests between the rows of a track, from the resamples that rows carry."""

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
    holm,
    interval,
    p_value,
)

Floats = NDArray[np.float64]
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

    Only rows on the official labels of a ranked track have a rank, and only where every pair of them was tested. The
    p-values are Holm's over all pairs.
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
    values = {(one, other): p for one, other, p in _tested(rows)}
    adjusted = dict(zip(values, holm([abs(p) for p in values.values()]), strict=True))
    better: dict[str, list[str]] = {row.id: [] for row in rows}
    for (one, other), p in adjusted.items():
        if p < SIGNIFICANCE:
            winner, loser = (other, one) if values[one, other] > 0 else (one, other)
            better[loser].append(winner)
    return {name: Place(1 + len(above), tuple(sorted(above))) for name, above in better.items()}


def _tested(rows: Sequence[Row]) -> list[tuple[str, str, float]]:
    """Return for each pair its p-value, with the sign of the second's lead."""
    found = []
    single = [row for row in rows if len(row.runs) == 1]
    drawn = np.array([row.runs[0].drawn() for row in single])
    for place, row in enumerate(single[:-1]):
        others = single[place + 1 :]
        for other, p in zip(others, _signed_p_values(drawn[place + 1 :] - drawn[place]), strict=True):
            found.append((row.id, other.id, p))
    for place, row in enumerate(rows):
        for other in rows[place + 1 :]:
            if len(row.runs) > 1 or len(other.runs) > 1:
                one = compare_rows(row, other)
                sign = -1.0 if (one.difference or 0.0) < 0 else 1.0
                found.append((row.id, other.id, sign * (1.0 if one.p is None else one.p)))
    return found


def _signed_p_values(differences: Floats) -> list[float]:
    """Return `p_value` of each row of float64[pairs, resamples], negative where most differences are."""
    defined = (~np.isnan(differences)).sum(axis=1)
    below, above = (differences <= 0).sum(axis=1), (differences >= 0).sum(axis=1)
    p = np.minimum(1.0, 2 * (np.minimum(below, above) + 1) / (defined + 1))
    return [float(one) for one in np.where(below > above, -1.0, 1.0) * p]


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

"""What the pages say of a board, gathered once: each row with its badge, place, figures, size and times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from rgbt_bench.leaderboard.board import Board, Proof
from rgbt_bench.leaderboard.device_classes import LatencyKey, latency_key
from rgbt_bench.leaderboard.ranking import Place, interval_of, rank_track
from rgbt_bench.leaderboard.rows import Badge, Row
from rgbt_bench.leaderboard.tracks import PENDING, Leaderboard, OfficialData, Track
from rgbt_bench.results import Interval
from rgbt_bench.seeds import Summary

from .texts import PERCENT, PLAIN, Unit, day

BROUGHT: Final = "none"  # the preset of predictions from outside
_MODALITIES: Final = {"rgbt": "RGB-T", "rgb": "RGB", "thermal": "thermal", "fused": "fused"}
_BOTH: Final = "RGB-T"


@dataclass(frozen=True)
class Time:
    """A row's own time: `conditions` say all that two times need in common to be compared, `device` is its class."""

    conditions: str
    device: str
    seconds: float


@dataclass(frozen=True)
class RowFacts:
    """A row and what is known of it on its board."""

    row: Row
    badge: Badge
    proof: Proof | None
    place: Place
    figures: Mapping[str, Summary]
    interval: Interval
    times: tuple[Time, ...]

    @property
    def id(self) -> str:
        """The row's id."""
        return self.row.id

    @property
    def name(self) -> str:
        """What its authors call it."""
        return self.row.entry.name

    @property
    def main(self) -> str:
        """The name of its main figure."""
        return self.row.first.metrics.main

    @property
    def value(self) -> float | None:
        """Its main figure, the mean over its seeds."""
        return self.figures[self.main].mean

    @property
    def unit(self) -> Unit:
        """The unit that its figures are shown in."""
        return PLAIN if self.row.first.metrics.kind == "fusion" else PERCENT

    @property
    def preset(self) -> str:
        """The preset that it was made with; that of predictions from outside is `none`."""
        return self.row.first.model.preset if self.row.first.model else BROUGHT

    @property
    def day(self) -> str:
        """The day it was made on."""
        return day(self.row.created)

    @property
    def parameters(self) -> int | None:
        """Its parameters, or None."""
        return self.row.size.parameters if self.row.size else None

    @property
    def macs(self) -> int | None:
        """Its multiply-accumulates of one pair, or None."""
        return self.row.size.macs if self.row.size else None


@dataclass(frozen=True)
class TrackFacts:
    """A track with its frozen data and its rows: the ranked ones first, best first."""

    name: str
    track: Track
    data: OfficialData
    rows: tuple[RowFacts, ...]

    @property
    def dataset(self) -> str:
        """The dataset's part of the name."""
        return self.name.partition("/")[0]

    @property
    def task(self) -> str:
        """The task's part of the name, such as `detection-rgbt`."""
        return self.name.partition("/")[2]

    @property
    def modality(self) -> str:
        """What a model looks at."""
        return _MODALITIES.get(self.task.rpartition("-")[2], _BOTH)

    @property
    def ranked(self) -> tuple[RowFacts, ...]:
        """The rows with a rank."""
        return tuple(one for one in self.rows if one.place.rank is not None)

    @property
    def unranked(self) -> tuple[RowFacts, ...]:
        """The rows without one."""
        return tuple(one for one in self.rows if one.place.rank is None)

    @property
    def pending(self) -> tuple[str, ...]:
        """The digests that a rank needs and nobody has confirmed yet."""
        names = ("rgb_digest", "thermal_digest") if self.track.key == "pixels" else ("label_digest",)
        return tuple(name for name in names if getattr(self.data, name) == PENDING)

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """All digests of its data that nobody has confirmed yet."""
        names = ("label_digest", "rgb_digest", "thermal_digest")
        return tuple(name for name in names if getattr(self.data, name) == PENDING)

    @property
    def state(self) -> str:
        """In one word: open, pending, shown (nothing ranks there) or check (of an installation)."""
        if not self.track.ranked:
            return "check"
        if self.pending:
            return "pending"
        return "shown" if self.track.key == "pixels" else "open"


class BoardFacts:
    """A board as the pages need it; everything is computed once."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.version = board.version

    @property
    def definitions(self) -> Leaderboard:
        """The version's frozen definitions."""
        return self.board.definitions

    @cached_property
    def rows(self) -> dict[str, RowFacts]:
        """Every row by its id; one of a track that the version has not is there, too, without a rank."""
        places: dict[str, Place] = {}
        for track in dict.fromkeys(row.track for row in self.board.rows.values()):
            places |= rank_track(self.board, track)
        return {row.id: self._facts(row, places[row.id]) for row in self.board.rows.values()}

    @cached_property
    def tracks(self) -> dict[str, TrackFacts]:
        """Every track by its name, in the order of the definitions."""
        found: dict[str, list[RowFacts]] = {}
        for one in self.rows.values():
            found.setdefault(one.row.track, []).append(one)
        return {
            name: TrackFacts(name, track, self.definitions.data[track.data], _in_order(found.get(name, ())))
            for name, track in self.definitions.tracks.items()
        }

    @cached_property
    def newest_first(self) -> tuple[RowFacts, ...]:
        """All rows by their date, the newest first."""
        by_name = sorted(self.rows.values(), key=lambda one: one.id)
        return tuple(sorted(by_name, key=lambda one: one.row.created, reverse=True))

    def _facts(self, row: Row, place: Place) -> RowFacts:
        proof = self.board.proof(row)
        return RowFacts(
            row=row,
            badge=proof.kind if proof else "measured",
            proof=proof,
            place=place,
            figures=row.figures(),
            interval=interval_of(row) if any(run.resamples for run in row.runs) else None,
            times=tuple(own_times(row, self.board)),
        )


def own_times(row: Row, board: Board) -> list[Time]:
    """Return the row's own times that compare with others; its teacher's, in the same reports, are left out."""
    recipe = row.first.model.recipe if row.first.model else None
    found = []
    for report in row.latency:
        for one in [one for one in report.timings if one.recipe == recipe] or report.timings[:1]:
            key = latency_key(one, report.device, board.definitions, report.definition)
            if key is not None:
                frozen = board.definitions.devices.get(key.device)
                title = frozen.title if frozen else key.device
                found.append(Time(conditions(key, title), key.device, one.median_s / one.batch))
    return found


def conditions(key: LatencyKey, device: str) -> str:
    """Return in words all that two times need in common to be compared."""
    size = "×".join(map(str, key.image_size))
    return f"{device}, batch {key.batch}, {key.precision}, {key.compile_mode}, {size}, {key.includes}"


def dataset_command(data: OfficialData) -> str:
    """Return the command with which the first holder of a dataset confirms its digests."""
    from rgbt_bench.datasets.splits import dataset_name

    return f"rgbt-bench inspect {dataset_name(data.dataset, data.split)} --json"


def _in_order(rows: Sequence[RowFacts]) -> tuple[RowFacts, ...]:
    """Sort the ranked rows first, by rank and figure; the others by their figure, and where nothing ranks by name."""

    def key(one: RowFacts) -> tuple[Any, ...]:
        value = float("inf") if one.value is None or one.unit is PLAIN else -one.value
        return (one.place.rank is None, one.place.rank or 0, value, one.id)

    return tuple(sorted(rows, key=key))

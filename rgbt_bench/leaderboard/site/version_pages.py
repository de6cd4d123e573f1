"""The first page and a page a version: tracks by dataset, who leads them, what is frozen, what changed, history."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rgbt_bench.leaderboard.reported import reported_on, reported_rows
from rgbt_bench.leaderboard.tracks import PROTOCOLS

from .facts import BoardFacts, RowFacts, TrackFacts
from .links import board_file, home_page, row_page, track_page, version_page
from .rendering import Frame, render

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Leader:
    """A row of rank 1."""

    facts: RowFacts
    target: str


@dataclass(frozen=True)
class Overview:
    """A track on the first page: its rows, its leaders, and how many rows papers report."""

    facts: TrackFacts
    target: str
    leaders: tuple[Leader, ...]
    reported: int


def home(facts: BoardFacts, frame: Frame) -> tuple[str, bytes]:
    """Return the first page, of the newest version."""
    return render(
        "home",
        frame,
        home_page(),
        "rgbt-bench leaderboard",
        version=facts.version,
        datasets=_by_dataset(facts),
        rows=len(facts.rows),
        tracks=len(facts.tracks),
        reported=len(reported_rows()),
        board_file=board_file(facts.version),
    )


def version_pages(facts: BoardFacts, frame: Frame, changes: Changes | None) -> Iterator[tuple[str, bytes]]:
    """Yield a version's page.

    `changes` is what `diff_versions` finds against the version before.
    """
    yield render(
        "version",
        frame,
        version_page(facts.version),
        f"Leaderboard {facts.version}",
        version=facts.version,
        facts=facts,
        tracks=[(one, track_page(facts.version, one.name)) for one in facts.tracks.values()],
        protocols=[(name, PROTOCOLS.get(name, {}), digest) for name, digest in facts.definitions.protocols.items()],
        history=[(one, row_page(facts.version, one.id), _track_target(facts, one)) for one in facts.newest_first],
        changes=changes,
        pages={name: row_page(facts.version, name) for name in facts.rows},
        board_file=board_file(facts.version),
    )


def _track_target(facts: BoardFacts, one: RowFacts) -> str | None:
    return track_page(facts.version, one.row.track) if one.row.track in facts.tracks else None


def _by_dataset(facts: BoardFacts) -> list[tuple[str, list[Overview]]]:
    """Return the tracks by dataset, those that only check an installation last."""
    found: dict[str, list[Overview]] = {}
    for one in sorted(facts.tracks.values(), key=lambda one: one.state == "check"):
        found.setdefault(one.dataset, []).append(_overview(facts, one))
    return list(found.items())


def _overview(facts: BoardFacts, track: TrackFacts) -> Overview:
    leaders: Sequence[RowFacts] = [one for one in track.ranked if one.place.rank == 1]
    return Overview(
        facts=track,
        target=track_page(facts.version, track.name),
        leaders=tuple(Leader(one, row_page(facts.version, one.id)) for one in leaders),
        reported=len(reported_on(track.name)),
    )

"""A version's rows for programs: `board.json`."""

from dataclasses import asdict
from typing import Any

from .facts import BoardFacts, RowFacts, TrackFacts
from .links import row_page, track_page


def board_summary(facts: BoardFacts) -> dict[str, Any]:
    """Return a version's tracks and rows as JSON-ready data, figures in 0..1 or the metric's own unit."""
    return {
        "board": facts.version,
        "tracks": {name: _track(one, facts) for name, one in facts.tracks.items()},
        "rows": [_row(one, facts) for one in facts.rows.values()],
    }


def _track(one: TrackFacts, facts: BoardFacts) -> dict[str, Any]:
    return {
        "page": track_page(facts.version, one.name),
        "state": one.state,
        "protocol": one.track.protocol,
        "protocol_digest": facts.definitions.protocols[one.track.protocol],
        "data": one.data.model_dump(mode="json"),
        "rows": [row.id for row in one.rows],
    }


def _row(one: RowFacts, facts: BoardFacts) -> dict[str, Any]:
    return {
        "id": one.id,
        "digest": one.row.digest,
        "page": row_page(facts.version, one.id),
        "track": one.row.track,
        "name": one.name,
        "authors": one.row.entry.authors,
        "badge": one.badge,
        "rank": one.place.rank,
        "better": list(one.place.better),
        "unranked": one.place.reason or None,
        "preset": one.preset,
        "seeds": [run.seed for run in one.row.runs],
        "main": one.main,
        "interval": one.interval,
        "figures": {name: asdict(one.figures[name]) for name in one.row.first.metrics.figures},
        "parameters": one.parameters,
        "macs": one.macs,
        "times": [{"conditions": time.conditions, "seconds": time.seconds} for time in one.times],
        "created": one.row.created,
    }

"""Contact sheets of rows' predictions, on the images of datasets that may be shown and of no others."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rgbt_bench.datasets.splits import dataset_name
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import MissingError, UsageError
from rgbt_bench.leaderboard.board import Board
from rgbt_bench.leaderboard.packing import unpack
from rgbt_bench.leaderboard.rows import Row
from rgbt_bench.leaderboard.tracks import OfficialData
from rgbt_bench.leaderboard.verifying import packed_bytes
from rgbt_bench.opening import open_dataset
from rgbt_bench.protocols import find_protocol

from .facts import BoardFacts


def sheets(facts: BoardFacts) -> Iterator[tuple[str, bytes]]:
    """Yield the PNG of each row of a track whose images may be shown, where that very part is converted here.

    Predictions of the first seed are drawn; those on the Hub are not fetched.

    Raises:
        BadInputError: the predictions are not those of the row.
    """
    parts = {name: _part(data) for name, data in facts.definitions.data.items() if data.pictures}
    for one in facts.rows.values():
        track = facts.tracks.get(one.row.track)
        part = parts.get(track.track.data) if track else None
        if part is not None and one.row.runs[0].predictions.file is not None:
            yield one.id, _sheet(facts.board, one.row, part)


def _part(data: OfficialData) -> Part | None:
    """Return the official part as it is here; another's images, which nobody said may be shown, are never it."""
    try:
        part = open_dataset(dataset_name(data.dataset, data.split)).part(data.part)
    except (MissingError, UsageError):
        return None
    record = part.record
    ours = (record.label_digest, record.rgb_digest, record.thermal_digest)
    return part if ours == (data.label_digest, data.rgb_digest, data.thermal_digest) else None


def _sheet(board: Board, row: Row, part: Part) -> bytes:
    run = row.runs[0]
    protocol: Any = find_protocol(run.result.protocol["name"])
    data = packed_bytes(board, run.predictions)
    with tempfile.TemporaryDirectory() as folder:
        path = unpack(data, str(run.predictions.file), row.id, Path(folder))
        out = Path(folder) / "sheet.png"
        protocol.draw(out, part, protocol.read(path, part))
        return out.read_bytes()

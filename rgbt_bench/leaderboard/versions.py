"""Versions of the leaderboard: what moved between two, and the next one, made by scoring the predictions again."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgbt_bench.errors import HubError, MissingError, UsageError
from rgbt_bench.files import read_text, write_bytes, write_text
from rgbt_bench.leaderboard.board import PREDICTIONS_FOLDER, ROWS_FOLDER, Board
from rgbt_bench.leaderboard.labels_here import LabelsHere
from rgbt_bench.leaderboard.ranking import Place, rank_track
from rgbt_bench.leaderboard.rescoring import rescore_packed
from rgbt_bench.leaderboard.rows import Row, ScoredRun, encode_resamples, row_bytes
from rgbt_bench.leaderboard.standings import standing_of
from rgbt_bench.leaderboard.tracks import DEFINITIONS_FILE, PROTOCOLS, Leaderboard, protocol_digest, read_definitions
from rgbt_bench.leaderboard.verifying import packed_bytes
from rgbt_bench.paths import PARTIAL
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.results import library_versions, now


@dataclass(frozen=True)
class _Renewed:
    row: Row
    packed: Mapping[str, bytes]


def diff_versions(older: Board, newer: Board) -> dict[str, Any]:
    """Return what two versions freeze differently, and how each row moved, as JSON-ready data."""
    before, after = older.definitions, newer.definitions
    places = _places(older), _places(newer)
    moved = []
    for name in sorted({*older.rows, *newer.rows}):
        one, other = older.rows.get(name), newer.rows.get(name)
        moved.append({"row": name, "track": (one or other).track, **_moved(name, places, one, other)})  # type: ignore[union-attr]
    return {
        "older": older.version,
        "newer": newer.version,
        "protocols": _changed(before.protocols, after.protocols),
        "data": _changed(_dumped(before, "data"), _dumped(after, "data")),
        "tracks": _changed(_dumped(before, "tracks"), _dumped(after, "tracks")),
        "rows": moved,
    }


def next_version(
    board: Board,
    definitions: Path | None = None,
    skip_missing: bool = False,
    progress: Progress = no_progress,
) -> tuple[Board, list[str]]:
    """Make the version after a board's of its rows, scored again; return it and the rows that are left behind.

    The definitions are `definitions`, or the board's with the digests of the protocols as they are computed today. It
    is written aside and put in place whole; the old version stays as it is.

    Raises:
        UsageError: the next version is there already, or would be the same.
        MissingError: a row's labels or predictions are not here, unless these rows are to be left out.
        BadInputError: predictions or labels that are not those of a row.
    """
    following = Board(board.root, f"v{board.number + 1}")
    if following.folder.exists():
        raise UsageError(f"{following.folder}: is there already; a version is frozen, and made once")
    text = read_text(definitions) if definitions else _renewed_text(board)
    aside = Board(board.root, f"{following.version}{PARTIAL}")
    shutil.rmtree(aside.folder, ignore_errors=True)  # of one that was killed
    try:
        left = _write_next(board, aside, following.number, text, skip_missing, progress)
    except BaseException:
        shutil.rmtree(aside.folder, ignore_errors=True)
        raise
    aside.folder.rename(following.folder)
    return Board(board.root, following.version), left


def _write_next(
    board: Board, aside: Board, number: int, text: str, skip_missing: bool, progress: Progress
) -> list[str]:
    """Write definitions and rows of the next version aside, and return the rows that are left behind."""
    write_text(aside.folder / DEFINITIONS_FILE, text)
    _require_another(board, aside)
    labels, left = LabelsHere(), []
    for place, row in enumerate(board.rows.values()):
        try:
            renewed = _renewed(board, aside, row, number, labels)
        except (MissingError, HubError) as error:
            if not skip_missing:
                raise MissingError(f"{row.id}: {error}; --skip-missing leaves such rows in {board.version}") from None
            left.append(row.id)
        else:
            write_bytes(aside.folder / ROWS_FOLDER / f"{row.id}.json", row_bytes(renewed.row))
            for name, data in renewed.packed.items():
                write_bytes(aside.folder / PREDICTIONS_FOLDER / name, data)
        progress("scoring again", place + 1, len(board.rows))
    return left


def _renewed(board: Board, aside: Board, row: Row, number: int, labels: LabelsHere) -> _Renewed:
    runs, packed = [], {}
    for run in row.runs:
        data = packed_bytes(board, run.predictions)
        runs.append(_renewed_run(aside, run, data, labels))
        if run.predictions.file is not None:
            packed[run.predictions.file] = data
    return _Renewed(row.model_copy(update={"board": number, "runs": tuple(runs)}), packed)


def _renewed_run(aside: Board, run: ScoredRun, data: bytes, labels: LabelsHere) -> ScoredRun:
    part = labels.part(run.result)
    record = part.record.model_dump()
    again = rescore_packed(run.result, part, run.predictions, data)
    name = run.result.protocol["name"]
    result = run.result.model_copy(
        update={
            "metrics": again.metrics,
            "protocol": PROTOCOLS[name],
            "protocol_digest": protocol_digest(name),
            "data": run.result.data.model_copy(update=record | {"skipped": part.dataset.record.skipped}),
            "libraries": library_versions(),
            "created": now(),
        }
    )
    verdict, reason = standing_of(aside.definitions, result)
    result = result.model_copy(update={"standing": verdict, "standing_reason": reason})
    return run.model_copy(update={"result": result, "resamples": encode_resamples(again.drawn)})


def _renewed_text(board: Board) -> str:
    """Return a board's definitions, comments too, with the next number and the digests of today's protocols."""
    path = board.folder / DEFINITIONS_FILE
    text = path.read_text(encoding="utf-8").replace(f"version: {board.number}\n", f"version: {board.number + 1}\n", 1)
    text = text.replace(f"Leaderboard {board.version}", f"Leaderboard v{board.number + 1}", 1)
    for name, digest in board.definitions.protocols.items():
        text = text.replace(digest, protocol_digest(name))
    return text


def _require_another(board: Board, aside: Board) -> None:
    """Refuse definitions that are not the next version's, or that change nothing."""
    found = read_definitions(aside.folder / DEFINITIONS_FILE)
    wrong = None
    if found.version != board.number + 1:
        wrong = f"they are of version {found.version}, not {board.number + 1}"
    elif found.model_copy(update={"version": board.number}) == board.definitions:
        wrong = f"they define what {board.version} does; a version changes at least one protocol, split or digest"
    strange = [name for name, digest in found.protocols.items() if digest != protocol_digest(name)]
    if strange and not wrong:
        wrong = f"this rgbt-bench defines {strange[0]} as {protocol_digest(strange[0])}, and they say otherwise"
    if wrong:
        raise UsageError(f"the definitions of the next version: {wrong}")


def _places(board: Board) -> dict[str, Place]:
    tracks = {row.track for row in board.rows.values()}
    return {name: place for track in tracks for name, place in rank_track(board, track).items()}


def _moved(
    name: str, places: tuple[Mapping[str, Place], Mapping[str, Place]], one: Row | None, other: Row | None
) -> dict[str, Any]:
    before, after = _standing(places[0].get(name), one), _standing(places[1].get(name), other)
    values = before["value"], after["value"]
    return {"before": before, "after": after, "difference": None if None in values else values[1] - values[0]}


def _standing(place: Place | None, row: Row | None) -> dict[str, Any]:
    if row is None:
        return {"value": None, "rank": None, "standing": None}
    value = row.figures()[row.first.metrics.main].mean
    return {"value": value, "rank": place and place.rank, "standing": row.first.standing}


def _dumped(definitions: Leaderboard, name: str) -> dict[str, Any]:
    return {key: one.model_dump(mode="json") for key, one in getattr(definitions, name).items()}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is not the same, by name: what it was and what it is, None where it was not there."""
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }

"""The check of an entry: everything that can be said of a change without labels, and all its faults at once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

from rgbt_bench.errors import BadInputError
from rgbt_bench.leaderboard.board import ROWS_FOLDER, Board, open_board
from rgbt_bench.leaderboard.checking.changes import HOME, Change, place_problems, touches_entries, whole_problems
from rgbt_bench.leaderboard.checking.frozen import NOTHING_FOUND, frozen_problems, seeds_problems
from rgbt_bench.leaderboard.checking.network import machine_problems, network_problems
from rgbt_bench.leaderboard.checking.numbers import number_problems, scored_classes
from rgbt_bench.leaderboard.checking.predictions import name_problems, packed_problems
from rgbt_bench.leaderboard.checking.reporting import Fault, NewRow, Problem, Report, shown, shown_path, told
from rgbt_bench.leaderboard.checking.texts import skeleton, text_problems
from rgbt_bench.leaderboard.rows import Row, parse_row
from rgbt_bench.leaderboard.tracks import leaderboard

MOST_FAULTS: Final = 200  # that are told; a file gone wrong in one way has as many as numbers
_EARLIEST: Final = datetime(2025, 1, 1, tzinfo=UTC)  # before the first board
_LATEST: Final = timedelta(days=1)  # ahead, for clocks that go wrong


@dataclass(frozen=True)
class Known:
    """What a new row is held against of another one: its id, name, track and predictions."""

    id: str
    name: str
    track: str
    predictions: frozenset[str]


class Base:
    """The board of the base branch, in a folder of all versions; `leave_out` are rows that count as not there."""

    def __init__(self, root: Path, leave_out: frozenset[str] = frozenset()) -> None:
        self.board: Board = open_board(None, root)
        self._leave_out = leave_out
        if self.board.definitions != leaderboard():
            raise BadInputError(
                f"{self.board.folder}: its frozen definitions are not those of this rgbt-bench; install the version of"
                " rgbt-bench that this board is of, then check again"
            )

    @cached_property
    def paths(self) -> frozenset[str]:
        """The files below the folder, as paths of the repository."""
        root = self.board.root
        found = (path.relative_to(root) for path in root.rglob("*") if path.is_file() or path.is_symlink())
        return frozenset(f"{HOME}/{path.as_posix()}" for path in found if not self._is_left_out(path))

    @cached_property
    def rows(self) -> list[Known]:
        """The rows that are there; of one that cannot be read, its id alone."""
        found = []
        for path in sorted((self.board.folder / ROWS_FOLDER).glob("*.json")):
            if path.stem not in self._leave_out:
                try:
                    found.append(known(parse_row(path.read_bytes(), str(path))))
                except BadInputError:
                    found.append(Known(path.stem, "", "", frozenset()))
        return found

    def _is_left_out(self, path: Path) -> bool:
        return path.parts[0] == self.board.version and path.name.partition(".")[0] in self._leave_out


def known(row: Row) -> Known:
    """Return what other rows are held against of this one."""
    digests = {one.result.predictions_sha256 for one in row.runs}
    return Known(row.id, row.entry.name, row.track, frozenset(digests - {NOTHING_FOUND}))


def check_changes(base: Base | Path, changes: Sequence[Change], now: datetime | None = None) -> Report:
    """Return what an entry brings and every reason to refuse it; files are read as bytes, none is executed.

    `base` is the board of the base branch, or its folder of all versions. A change that touches neither rows nor
    predictions is no entry, and nothing is said of it.

    Raises:
        MissingError: the folder holds no board.
        BadInputError: its frozen definitions are not those of this rgbt-bench.
    """
    base = base if isinstance(base, Base) else Base(base)
    version = base.board.version
    if not any(map(touches_entries, changes)):
        return Report(version, is_entry=False)
    ordered = sorted(changes, key=lambda change: change.path)
    whole = [Fault("", *problem) for problem in whole_problems(ordered)]
    placed = [(change, list(place_problems(change, version, base.paths))) for change in ordered]
    faults = whole + [Fault(shown_path(change.path), *one) for change, found in placed for one in found]
    faults += [Fault(shown_path(path), "path", "is there twice") for path in _twice(ordered)]
    rows: tuple[NewRow, ...] = ()
    if not whole:
        # nothing more is to be learnt of a file that has no place
        entry = _Entry(base, [change for change, found in placed if not found], now or datetime.now(UTC))
        faults += entry.faults()
        rows = tuple(entry.new)
    return Report(version, True, rows, _shortened(faults))


class _Entry:
    """The rows and predictions of a change whose places are allowed."""

    def __init__(self, base: Base, changes: Sequence[Change], now: datetime) -> None:
        self._base = base
        self._now = now
        self._rows = {change.row: change for change in changes if change.row}
        self._packed = {change.name: change for change in changes if change.row_of_predictions}
        self.new: list[NewRow] = []

    def faults(self) -> Iterator[Fault]:
        """Yield every fault of rows, then of their predictions."""
        others = list(self._base.rows)
        named = set()
        for name, change in self._rows.items():
            row = None
            try:
                row = parse_row(_bytes(change), change.path)
            except BadInputError as error:
                yield Fault(change.path, "row-form", told(error, change.path))
            if row is None:
                named |= {one for one, packed in self._packed.items() if packed.row_of_predictions == name}
                continue
            yield from (Fault(change.path, *problem) for problem in self._row_problems(name, row, others))
            others.append(known(row))
            named |= {run.predictions.file for run in row.runs if run.predictions.file}
            size = change.size + sum(self._size_of(run.predictions.file) for run in row.runs)
            self.new.append(NewRow(row.id, row.track, len(row.runs), row.first.standing, size))
            yield from self._predictions_faults(row, change)
        for name, change in self._packed.items():
            if name not in named:
                yield Fault(change.path, "predictions-left-over", "no row of this change names it")

    def _row_problems(self, name: str, row: Row, others: Sequence[Known]) -> Iterator[Problem]:
        if row.id != name:
            yield Problem("row-name", f"holds the row {shown(row.id)}, and is called {name}.json")
        if row.board != self._base.board.number:
            yield Problem("row-name", f"is made for version {row.board}, and lies in {self._base.board.version}")
        yield from _time_problems("created", row.created, self._now)
        yield from text_problems(row)
        if row.entry.paper_key is not None and f"{HOME}/papers/{row.entry.paper_key}.yaml" not in self._base.paths:
            yield Problem("paper", f"entry.paper_key is {row.entry.paper_key}, and the leaderboard has no such paper")
        yield from _likeness_problems(row, others)
        definitions = self._base.board.definitions
        if row.track not in definitions.tracks:
            yield from frozen_problems(row.first, definitions)
            return
        yield from seeds_problems(row)
        yield from network_problems(row)
        for place, run in enumerate(row.runs):
            result = run.result
            found = [
                *_time_problems("result.created", result.created, self._now),
                *frozen_problems(result, definitions),
                *number_problems(run),
                *machine_problems(result.hardware, result.libraries),
                *name_problems(row.id, run),
            ]
            yield from (Problem(rule, f"runs.{place}: {what}") for rule, what in found)

    def _predictions_faults(self, row: Row, change: Change) -> Iterator[Fault]:
        for run in row.runs:
            name = run.predictions.file
            if name is None:
                continue
            packed = self._packed.get(name)
            if packed is None:
                yield Fault(change.path, "predictions-missing", f"names {shown(name)}, which the change does not add")
            elif row.track in self._base.board.definitions.tracks:
                data = _bytes(packed)
                found = packed_problems(data, run, name, scored_classes(run.result))
                yield from (Fault(packed.path, *problem) for problem in found)

    def _size_of(self, name: str | None) -> int:
        return self._packed[name].size if name in self._packed else 0


def _time_problems(place: str, text: str, now: datetime) -> Iterator[Problem]:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        yield Problem("time", f"{place} is {shown(text)}, which is no time in ISO 8601")
        return
    if time.tzinfo is None:
        yield Problem("time", f"{place} is {shown(text)}, without a time zone")
    elif text != time.replace(tzinfo=UTC).isoformat(timespec="seconds") or time < _EARLIEST:
        yield Problem("time", f"{place} is {shown(text)}, and is written as {now.isoformat(timespec='seconds')} is")
    elif time > now + _LATEST:
        yield Problem("time", f"{place} is {shown(text)}, which is to come")


def _likeness_problems(row: Row, others: Sequence[Known]) -> Iterator[Problem]:
    for other in others:
        if other.id != row.id and skeleton(other.id) == skeleton(row.id):
            yield Problem("look-alike", f"the id {shown(row.id)} looks like the row {shown(other.id)}")
        if other.track != row.track or other.id == row.id:
            continue
        if skeleton(other.name) == skeleton(row.entry.name):
            pair = f"{shown(row.entry.name)} looks like {shown(other.name)}"
            yield Problem("look-alike", f"entry.name {pair}, the name of {shown(other.id)}")
        if any(one.result.predictions_sha256 in other.predictions for one in row.runs):
            yield Problem("copied", f"has the predictions of the row {shown(other.id)}")


def _bytes(change: Change) -> bytes:
    data = change.read(change.size + 1)
    if len(data) != change.size:
        raise BadInputError(f"{shown(change.path)}: changed while it was read; check again")
    return data


def _twice(changes: Sequence[Change]) -> list[str]:
    return [path for path, count in Counter(change.path for change in changes).items() if count > 1]


def _shortened(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    kept = tuple(dict.fromkeys(faults))
    if len(kept) <= MOST_FAULTS:
        return kept
    return (
        *kept[:MOST_FAULTS],
        Fault("", "limits", f"and {len(kept) - MOST_FAULTS:,} more faults, which are not told"),
    )

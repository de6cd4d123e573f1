"""What a pull request changes, as bytes, and which of it an entry may bring."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rgbt_bench.leaderboard.board import PREDICTIONS_FOLDER, ROWS_FOLDER
from rgbt_bench.leaderboard.checking.reporting import LONGEST_PATH, Problem
from rgbt_bench.leaderboard.rows import LONGEST_ID, MAX_PACKED_BYTES, MAX_ROW_BYTES

HOME: Final = "leaderboards"  # in the repository
MAX_ROWS: Final = 50
MAX_FILES: Final = 500
MAX_TOTAL_BYTES: Final = 100 * 10**6
REGULAR: Final = 0o100644
_RESERVED: Final = {"con", "prn", "aux", "nul", "index"} | {
    f"{port}{one}" for port in ("com", "lpt") for one in range(10)
}
_MODES: Final = {0o120000: "a link", 0o160000: "a submodule", 0o100755: "a program", 0o040000: "a folder"}
_ID: Final = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_ROW_FILE: Final = re.compile(rf"{HOME}/(?P<version>v[1-9][0-9]*)/{ROWS_FOLDER}/(?P<row>{_ID})\.json")
_PREDICTIONS_FILE: Final = re.compile(
    rf"{HOME}/(?P<version>v[1-9][0-9]*)/{PREDICTIONS_FOLDER}/(?P<row>{_ID})\.s(?:[0-9]{{1,10}}|x)\.(?:json\.gz|zip)"
)
_OF_ENTRIES: Final = re.compile(rf"(^|/){HOME}/+([^/]*/)*?({ROWS_FOLDER}|{PREDICTIONS_FOLDER})(/|$)")

Kind = Literal["added", "modified", "deleted", "type changed", "other"]


@dataclass(frozen=True)
class Change:
    """One file of a change: its path from the repository's root, git's mode and its bytes; none of a deleted one.

    `read(limit)` returns at most so many of them.
    """

    path: str
    kind: Kind
    mode: int
    size: int
    read: Callable[[int], bytes]

    @property
    def row(self) -> str | None:
        """The row whose file this is, or None."""
        found = _ROW_FILE.fullmatch(self.path)
        return found["row"] if found else None

    @property
    def row_of_predictions(self) -> str | None:
        """The row whose predictions this file has by its name, or None."""
        found = _PREDICTIONS_FILE.fullmatch(self.path)
        return found["row"] if found else None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


def touches_entries(change: Change) -> bool:
    """Tell whether a change is of rows or predictions, however their folders are written."""
    if len(change.path) > LONGEST_PATH:
        return True
    folded = unicodedata.normalize("NFKC", change.path).casefold().replace("\\", "/")
    return bool(_OF_ENTRIES.search(folded))


def whole_problems(changes: Sequence[Change]) -> Iterator[Problem]:
    """Yield why a change as a whole is too large to be read."""
    rows = sum(change.row is not None for change in changes)
    if rows > MAX_ROWS:
        yield Problem("limits", f"{rows:,} rows, and at most {MAX_ROWS} are checked at once")
    if len(changes) > MAX_FILES:
        yield Problem("limits", f"{len(changes):,} files, and at most {MAX_FILES} are checked at once")
    total = sum(change.size for change in changes)
    if total > MAX_TOTAL_BYTES:
        yield Problem("limits", f"{total:,} bytes, and at most {MAX_TOTAL_BYTES:,} are checked at once")


def place_problems(change: Change, version: str, existing: frozenset[str]) -> Iterator[Problem]:
    """Yield why an entry may not bring this file, from its path, kind, mode and size alone.

    `existing` are the paths below `leaderboards/` on the base branch.
    """
    if len(change.path) > LONGEST_PATH:
        yield Problem("path", f"the path has {len(change.path):,} characters, and at most {LONGEST_PATH} are read")
        return
    if not touches_entries(change):
        yield Problem("other-files", f"{_VERBS[change.kind]} besides the rows and predictions of an entry")
        return
    found = _ROW_FILE.fullmatch(change.path) or _PREDICTIONS_FILE.fullmatch(change.path)
    if change.kind != "added":
        yield Problem("existing", f"{_VERBS[change.kind]}: it is there already")
    elif change.path in existing:
        yield Problem("taken", "is there already on the base branch")
    if found is None:
        yield Problem("path", _misnamed(change.path))
    else:
        if found["version"] != version:
            yield Problem("version", f"is of {found['version']}, and the newest version is {version}")
        if len(found["row"]) > LONGEST_ID:
            yield Problem("path", f"the row's id has {len(found['row'])} characters, and at most {LONGEST_ID} are read")
        if found["row"] in _RESERVED:
            yield Problem("path", f"{found['row']} is a name that some systems or pages keep for themselves")
    if change.kind == "deleted":
        return
    if change.mode != REGULAR:
        yield Problem("mode", f"is {_MODES.get(change.mode, 'no regular file')} (mode {change.mode:06o})")
    most = MAX_ROW_BYTES if change.row else MAX_PACKED_BYTES
    if change.size > most:
        yield Problem("size", f"has {change.size:,} bytes, and at most {most:,} are kept")


_VERBS: Final = {
    "added": "is added",
    "modified": "is changed",
    "deleted": "is deleted",
    "type changed": "becomes another kind of file",
    "other": "is changed",
}


def _misnamed(path: str) -> str:
    if "\0" in path:
        return "the path has a NUL"
    if "\\" in path:
        return "the path has a backslash"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "the path leads out of its folder, or is written in a second way"
    if not path.isascii():
        return "the path has characters that are no plain ASCII"
    if path != path.lower():
        return "the path has capital letters, which some systems take for small ones"
    return "is neither a row's file nor predictions by its name"

"""Rows of a board's folder, checked as if a pull request brought them."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from rgbt_bench.errors import unknown_name
from rgbt_bench.leaderboard.board import PREDICTIONS_FOLDER, ROWS_FOLDER, boards_home, open_board
from rgbt_bench.leaderboard.checking.changes import HOME, REGULAR, Change
from rgbt_bench.leaderboard.checking.checker import Base, check_changes
from rgbt_bench.leaderboard.checking.reporting import Report


def check_folder(root: Path | None = None, rows: Sequence[str] = ()) -> Report:
    """Check rows of the newest version in a folder, all by default, with their predictions; they count as not there.

    Raises:
        MissingError: the folder holds no board.
        UsageError: it has no such row.
    """
    board = open_board(None, root)
    there = sorted(path.stem for path in (board.folder / ROWS_FOLDER).glob("*.json"))
    for name in rows:
        if name not in there:
            raise unknown_name("row", name, there)
    chosen = frozenset(rows or there)
    packed = sorted((board.folder / PREDICTIONS_FOLDER).glob("*"))
    files = sorted((board.folder / ROWS_FOLDER).glob("*")) if not rows else [board.row_file(name) for name in rows]
    files += [path for path in packed if not rows or path.name.partition(".")[0] in chosen]
    files = [path for path in files if not path.name.startswith(".")]  # such as .gitkeep
    if not files:
        return Report(board.version, is_entry=True)
    home = boards_home() if root is None else root.expanduser()
    left_out = chosen if rows else frozenset({*chosen, *(path.name.partition(".")[0] for path in packed)})
    return check_changes(Base(home, left_out), [_change(path, home) for path in files])


def _change(path: Path, home: Path) -> Change:
    found = path.lstat()
    kind = stat.S_IFMT(found.st_mode)
    mode = REGULAR if stat.S_ISREG(found.st_mode) else kind
    return Change(f"{HOME}/{path.relative_to(home).as_posix()}", "added", mode, found.st_size, _reader(path))


def _reader(path: Path) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        # what became a link since is not followed
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as stream:
            return stream.read(limit)

    return read

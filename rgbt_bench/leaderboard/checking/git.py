"""A change as git has it, read object by object: nothing of it is checked out, and no path of it is ever opened."""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.leaderboard.board import ROWS_FOLDER
from rgbt_bench.leaderboard.checking.changes import HOME, Change, Kind
from rgbt_bench.leaderboard.checking.checker import Base, check_changes
from rgbt_bench.leaderboard.checking.reporting import Fault, Report, shown
from rgbt_bench.leaderboard.tracks import DEFINITIONS_FILE

_KINDS: Final[dict[str, Kind]] = {"A": "added", "M": "modified", "D": "deleted", "T": "type changed"}
_REF: Final = re.compile(r"(?!-)[!-~]+")
_SUBMODULE: Final = 0o160000
_FETCH: Final = "fetch it with its whole history (in a workflow: fetch-depth: 0)"
# Replaced objects would be others than those that are merged; a partial clone would fetch what is missing.
_ENVIRONMENT: Final = {
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
_LEFT_OUT: Final = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_TRACE"}


def check_git(repository: Path, base: str, head: str) -> Report:
    """Check what a commit changes since it left the base branch, against the board of the base branch.

    Raises:
        UsageError: a name that is no commit here.
        MissingError: git is not installed, this is no repository, or the base has no board.
    """
    git = _Git(repository)
    ours, theirs = (git.commit(name) for name in (base, head))
    with tempfile.TemporaryDirectory() as folder, git.objects() as objects:
        root = Path(folder) / HOME
        _lay_out(git, objects, ours, root)
        board = Base(root)
        common = git.output("merge-base", "--all", ours, theirs, may_fail=True).split()
        if len(common) != 1:
            told = "has no history in common with" if not common else f"has {len(common)} merge bases with"
            fault = Fault("", "history", f"{shown(head)} {told} {shown(base)}; rebase, or {_FETCH}")
            return Report(board.board.version, is_entry=True, faults=(fault,))
        return check_changes(board, list(_changes(git, objects, common[0].decode(), theirs)))


@dataclass(frozen=True)
class _Entry:
    """One line of git about a file: modes and object of its new side."""

    path: str
    kind: Kind
    mode: int
    object: str


class _Objects:
    """Contents of objects from one process of git."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._ask: IO[bytes] = _there(process.stdin)
        self._answer: IO[bytes] = _there(process.stdout)

    def read(self, name: str) -> bytes:
        """Return an object's bytes; ask for its size first."""
        self._ask.write(name.encode() + b"\n")
        self._ask.flush()
        told = self._answer.readline().split()
        if len(told) != 3 or told[1] != b"blob":
            raise BadInputError(f"git has no file {name}: {shown(b' '.join(told).decode(errors='replace'))}")
        content = self._answer.read(int(told[2]))
        self._answer.read(1)
        return content


class _Git:
    """Git in one repository, asked for objects alone."""

    def __init__(self, repository: Path) -> None:
        self._command = ("git", "-C", str(repository.expanduser().absolute()))
        self._environment = {name: one for name, one in os.environ.items() if name not in _LEFT_OUT} | _ENVIRONMENT

    def output(self, *arguments: str, given: bytes = b"", may_fail: bool = False) -> bytes:
        """Return what a command of git prints."""
        try:
            done = subprocess.run(  # noqa: S603  names are checked, and objects are given by digest
                [*self._command, *arguments], input=given, capture_output=True, env=self._environment, check=False
            )
        except FileNotFoundError:
            raise MissingError("git is not installed here, and --base and --head need it") from None
        if done.returncode and not may_fail:
            told = done.stderr.decode(errors="replace").strip()
            raise MissingError(f"git {arguments[0]}: {shown(told[-200:])}")
        return done.stdout

    def commit(self, name: str) -> str:
        """Return the digest of a commit that somebody names.

        Raises:
            UsageError: no commit here has this name.
        """
        if not _REF.fullmatch(name) or ".." in name:
            raise UsageError(f"{shown(name)} is no name of a commit; give a branch or a commit's digest")
        self.output("rev-parse", "--git-dir")
        found = self.output("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", may_fail=True).decode().strip()
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", found):
            raise UsageError(f"{shown(name)} is no commit of this repository; {_FETCH}")
        return found

    def sizes(self, names: list[str]) -> dict[str, int]:
        """Return the sizes of objects by their digests, without reading them."""
        lines = self.output("cat-file", "--batch-check", given="".join(f"{one}\n" for one in names).encode())
        told = (line.split() for line in lines.decode().splitlines())
        return {parts[0]: int(parts[2]) for parts in told if len(parts) == 3 and parts[1] == "blob"}

    @contextmanager
    def objects(self) -> Iterator[_Objects]:
        """Yield the reader of contents."""
        process = subprocess.Popen(  # noqa: S603
            [*self._command, "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )
        try:
            yield _Objects(process)
        finally:
            process.kill()
            process.communicate()


def _changes(git: _Git, objects: _Objects, old: str, new: str) -> Iterator[Change]:
    """Yield what two commits differ in; renames are a deletion and an addition."""
    options = ("-r", "-z", "--raw", "--no-renames", "--no-relative", "--no-abbrev", "--ignore-submodules=none")
    told = git.output("diff-tree", *options, old, new, "--").split(b"\0")[:-1]
    entries = [_entry(head, path) for head, path in zip(told[::2], told[1::2], strict=True)]
    held = [one.object for one in entries if one.kind != "deleted" and one.mode != _SUBMODULE]
    sizes = git.sizes(held)
    if lacking := [one for one in held if one not in sizes]:
        raise MissingError(f"git has no object {lacking[0]} of the head; {_FETCH}")
    for one in entries:
        yield Change(one.path, one.kind, one.mode, sizes.get(one.object, 0), _reader(objects, one.object))


def _reader(objects: _Objects, name: str) -> Callable[[int], bytes]:
    return lambda limit: objects.read(name)[:limit]


def _entry(head: bytes, path: bytes) -> _Entry:
    _, mode, _, name, status = head.decode("ascii").split(" ")
    return _Entry(path.decode("utf-8", "surrogateescape"), _KINDS.get(status[:1], "other"), int(mode, 8), name)


def _lay_out(git: _Git, objects: _Objects, commit: str, root: Path) -> None:
    """Write definitions and rows of a commit's board into a folder, and its other files empty."""
    for line in git.output("ls-tree", "-r", "-z", "--full-tree", commit, "--", f"{HOME}/").split(b"\0")[:-1]:
        told, _, name = line.partition(b"\t")
        mode, kind, digest = told.decode("ascii").split(" ")
        path = PurePosixPath(name.decode("utf-8", "surrogateescape")).relative_to(HOME)
        if kind != "blob" or mode == "120000" or ".." in path.parts:
            continue
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        is_read = path.name == DEFINITIONS_FILE or path.parent.name == ROWS_FOLDER
        place.write_bytes(objects.read(digest) if is_read else b"")
    if not root.is_dir():
        raise MissingError(f"{commit[:12]} has no folder {HOME}/; name the base branch of the leaderboard")


def _there(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("a pipe was asked for")
    return stream

"""One process at a time in a folder, and who it is."""

import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rgbt_bench.errors import BenchError, UsageError
from rgbt_bench.files import read_json, write_json
from rgbt_bench.results import now

_A_MOMENT_S = 0.3  # for as long may somebody who only looks hold it


@contextmanager
def locked(path: Path, what: str, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; `what` names in a message what it guards, such as "this run".

    With `waiting`, another process that holds it is waited for, after `waiting` was told who it is.

    The operating system's lock on `path` decides alone, and a process that dies loses it. Who holds it stands in the
    file `path`.owner, written after the lock was taken and removed before it is given back, for the message only.

    Raises:
        UsageError: another process holds it; the message says which, where that is known.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    owner = path.with_name(f"{path.name}.owner")
    try:
        lock.acquire(timeout=_A_MOMENT_S)
    except Timeout:
        if waiting is None:
            raise UsageError(f"{path.parent}: {_describe(owner)} works on {what}; wait for it, or end it") from None
        waiting(_describe(owner))
        lock.acquire(timeout=-1)
    try:
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        write_json(owner, {"pid": os.getpid(), "host": platform.node(), "since": now(), "command": command})
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _describe(owner: Path) -> str:
    try:
        found = read_json(owner)
        return f"process {found['pid']} on {found['host']} ({found['command']}, since {found['since']})"
    except (BenchError, KeyError, TypeError):
        return "another process"  # it has not written its name yet

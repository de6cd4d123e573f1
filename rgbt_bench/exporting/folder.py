"""The folder of an export: written aside and renamed, and replaced only where it holds nothing else."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rgbt_bench.errors import BadInputError, BenchError, UsageError
from rgbt_bench.files import read_json, write_json
from rgbt_bench.locking import locked

EXPORT_FILE = "export.json"


class ExportFolder:
    """A folder that is being filled; every file is a new one, so that no link is ever followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[str] = []

    def put(self, name: str, data: bytes) -> None:
        """Write a file.

        Raises:
            BadInputError: there is one of this name already.
        """
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as stream:
                stream.write(data)
        except FileExistsError:
            raise BadInputError(
                f"{name}: two samples are called so on this disk (their ids differ in case alone, perhaps);"
                " export to another file system"
            ) from None
        self.files.append(name)

    def put_text(self, name: str, text: str) -> None:
        """Write a UTF-8 text file."""
        self.put(name, text.encode())

    def finish(self, report: dict[str, Any]) -> None:
        """Write what the export is, with the names of its files, by which it is known when it is to be replaced."""
        write_json(self.root / EXPORT_FILE, {**report, "files": sorted(self.files)})


@contextmanager
def new_folder(out: Path, force: bool) -> Iterator[ExportFolder]:
    """Give a folder to fill, which is renamed to `out` when the block ends and removed when it fails.

    Raises:
        UsageError: `out` is there already and `force` is off, or it holds what no export wrote.
    """
    require_replaceable(out, force)
    place = out.resolve()  # so that `.` has a name
    aside, replaced = (place.with_name(f".{place.name}.export-{state}") for state in ("partial", "replaced"))
    with locked(place.with_name(f".{place.name}.lock"), f"the export {place.name}"):
        _tidy(place, aside, replaced)  # after an export that was killed
        require_replaceable(out, force)  # who had the lock before us may have written it
        aside.mkdir()
        try:
            yield ExportFolder(aside)
            if place.exists():
                place.rename(replaced)
            aside.rename(place)
        finally:
            _tidy(place, aside, replaced)


def _tidy(place: Path, aside: Path, replaced: Path) -> None:
    """Bring the export before back where no other took its place, and remove what was written aside."""
    if replaced.exists() and not place.exists():
        replaced.rename(place)
    for leftover in (aside, replaced):
        shutil.rmtree(leftover, ignore_errors=True)


def require_replaceable(out: Path, force: bool) -> None:
    """Raise a UsageError unless `out` is not there, or is an export with nothing else in it and `force` is on."""
    if out.is_symlink():
        raise UsageError(f"{out}: is a link; name the folder itself")
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out}: is a file; give --out a folder")
    if not force:
        raise UsageError(f"{out}: exists already; give --force to replace an export, or --out another folder")
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_symlink() or not path.is_dir()}
    if not there:
        return
    try:
        own = {EXPORT_FILE, *read_json(out / EXPORT_FILE)["files"]}
    except (BenchError, KeyError, TypeError):
        raise UsageError(f"{out}: holds no export, so --force does not replace it; give --out another folder") from None
    if others := sorted(there - own):
        more = f" and {len(others) - 1} more files" if len(others) > 1 else ""
        raise UsageError(f"{out}: {others[0]}{more}: not of the export, which --force replaces; move them elsewhere")

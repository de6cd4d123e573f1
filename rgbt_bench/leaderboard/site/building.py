"""The whole site: every page of every version, written aside and put in place whole."""

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from rgbt_bench.errors import UsageError
from rgbt_bench.files import json_bytes
from rgbt_bench.leaderboard.board import Board, open_board
from rgbt_bench.leaderboard.tracks import versions
from rgbt_bench.locking import locked
from rgbt_bench.progress import Progress, no_progress

from .facts import BoardFacts
from .links import board_file, row_picture
from .paper_pages import paper_pages
from .rendering import ASSETS, Frame
from .row_pages import row_pages
from .summary import board_summary
from .track_pages import track_pages
from .version_pages import Changes, home, version_pages

MARKER: Final = ".rgbt-bench-site"
_MARK: Final = b"made by `rgbt-bench leaderboard build`, which replaces this whole folder\n"
Files = Iterator[tuple[str, bytes]]


def build(
    out: Path,
    root: Path | None = None,
    pictures: bool = False,
    docs: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Write the site of a folder of boards, the packaged one without a name, and return what was written.

    The same boards give the same bytes. `pictures` draws predictions on the images of datasets that may be shown and
    are converted here; `docs` links to documentation that something else puts under `docs/`. A killed build leaves the
    site that was there.

    Raises:
        UsageError: `out` is something else than a site made by this, or is being built.
        BadInputError: a board that cannot be read.
        MissingError: no board.
    """
    place = out.expanduser().resolve()
    newest = open_board(None, root)
    facts = [BoardFacts(Board(newest.root, name)) for name in versions(newest.root)]
    aside, replaced = (place.with_name(f".{place.name}.site-{state}") for state in ("partial", "replaced"))
    with locked(place.with_name(f".{place.name}.lock"), f"the site {place.name}"):
        _tidy(place, aside, replaced)  # after a build that was killed
        _require_replaceable(place)
        aside.mkdir()
        try:
            written = _write(aside, site_files(facts, docs, pictures), progress)
            if place.exists():
                place.rename(replaced)
            aside.rename(place)
        finally:
            _tidy(place, aside, replaced)
    return {
        "site": str(place),
        "files": written,
        "rows": sum(len(one.rows) for one in facts),
        "versions": [one.version for one in facts],
    }


def _write(folder: Path, contents: Files, progress: Progress) -> int:
    """Write files under a folder and return how many."""
    made = {folder}
    written = 0
    for path, content in contents:
        place = folder / path
        if place.parent not in made:
            place.parent.mkdir(parents=True, exist_ok=True)
            made.add(place.parent)
        place.write_bytes(content)
        written += 1
        progress("pages", written, written)
    return written


def site_files(facts: list[BoardFacts], docs: bool, pictures: bool) -> Files:
    """Yield every file of the site by its place."""
    frame = Frame(facts[-1].version, [one.version for one in facts], docs)
    yield MARKER, _MARK
    yield from _assets()
    yield home(facts[-1], frame)
    yield from paper_pages(facts[-1], frame)
    for older, one in zip([None, *facts], facts, strict=False):
        drawn: dict[str, str] = {}
        for row, picture in _sheets(one) if pictures else ():
            drawn[row] = row_picture(one.version, row)
            yield drawn[row], picture
        yield from version_pages(one, frame, _changes(older, one) if older else None)
        yield from track_pages(one, frame)
        yield from row_pages(one, frame, drawn)
        yield board_file(one.version), json_bytes(board_summary(one))


def _changes(older: BoardFacts, newer: BoardFacts) -> Changes:
    from rgbt_bench.leaderboard.versions import diff_versions  # which scores, too: not loaded for one version alone

    return diff_versions(older.board, newer.board)


def _sheets(facts: BoardFacts) -> Files:
    from .pictures import sheets  # which reads datasets and predictions

    return sheets(facts)


def _assets() -> Files:
    for one in sorted((files("rgbt_bench") / "leaderboard" / "site" / ASSETS).iterdir(), key=lambda one: one.name):
        if one.is_file():
            yield f"{ASSETS}/{one.name}", one.read_bytes()


def _tidy(place: Path, aside: Path, replaced: Path) -> None:
    """Bring the site before back where no other took its place, and remove what was written aside."""
    if replaced.exists() and not place.exists():
        replaced.rename(place)
    for leftover in (aside, replaced):
        shutil.rmtree(leftover, ignore_errors=True)


def _require_replaceable(out: Path) -> None:
    """Refuse to replace anything but an empty folder or a site."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out}: is a file; name a folder")
    if any(out.iterdir()) and not (out / MARKER).is_file():
        raise UsageError(f"{out}: holds no site, so it is not replaced; give --out another folder")

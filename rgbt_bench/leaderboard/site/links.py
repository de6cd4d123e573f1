"""Where pages lie and how they name each other: relative links, which work from a disk and under any address."""

import posixpath
import re
from typing import Final
from urllib.parse import quote

from rgbt_bench.errors import BadInputError

BOARD_FILE: Final = "board.json"
_TRACK: Final = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")
_KEY: Final = re.compile(r"[a-z0-9-]{1,40}")
_HTTPS: Final = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/?=%+&#:@!$,;()*-]*)?")


class Page:
    """A page by its place in the site, such as `v1/rows/a.html`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def to(self, target: str) -> str:
        """Return the relative address of another file of the site, with its `#fragment` if it has one."""
        place, mark, fragment = target.partition("#")
        if place == self.path and mark:
            return f"#{quote(fragment)}"
        return quote(posixpath.relpath(place, posixpath.dirname(self.path) or ".")) + mark + quote(fragment)


def home_page() -> str:
    """Return the place of the first page."""
    return "index.html"


def version_page(version: str) -> str:
    """Return the place of a version's page."""
    return f"{version}/index.html"


def board_file(version: str) -> str:
    """Return the place of a version's machine-readable rows."""
    return f"{version}/{BOARD_FILE}"


def track_page(version: str, track: str) -> str:
    """Return the place of a track's page.

    Raises:
        BadInputError: the name is none that could be a folder's.
    """
    if not _TRACK.fullmatch(track):
        raise BadInputError(f"track {track!r} of {version}: a track is called DATASET/TASK, in small letters")
    return f"{version}/{track}/index.html"


def row_page(version: str, row: str) -> str:
    """Return the place of a row's page; a row's id is a slug."""
    return f"{version}/rows/{row}.html"


def row_picture(version: str, row: str) -> str:
    """Return the place of the contact sheet on a row's page."""
    return f"{version}/rows/{row}.png"


def papers_page() -> str:
    """Return the place of the page that lists the papers."""
    return "papers/index.html"


def paper_page(key: str) -> str:
    """Return the place of a paper's page.

    Raises:
        BadInputError: the key is none that could be a file's.
    """
    if not _KEY.fullmatch(key) or key == "index":
        raise BadInputError(f"paper {key!r}: a paper's key has small letters, digits and hyphens")
    return f"papers/{key}.html"


def outside(url: str | None) -> str | None:
    """Return an https address as it is, and None for anything else."""
    return url if url is not None and _HTTPS.fullmatch(url) else None

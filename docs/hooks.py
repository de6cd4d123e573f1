"""What the site of these pages needs beside MkDocs: their order, and links that leave docs/."""

import re
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Link, Navigation
from mkdocs.utils import nest_paths

ORDER = ("tutorial", "how-to", "reference", "explanation", "measurements")
BOARD = "../index.html"
_ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)\s#]+)(#[^)\s]*)?\)")
# What a screen reader needs and the theme leaves out.
_UNNAMED = {'data-md-component="search" role="dialog"': "Search", 'data-md-toggle="search"': "Search"}
_log = get_plugin_logger("docs")


def on_files(files: Files, *, config: Any) -> Files:
    """Put the pages in the order of a reader who is new: the start, the tutorial, how-tos, reference, explanation."""
    pages = sorted(files.documentation_pages(), key=_rank)
    config.nav = nest_paths(page.src_uri for page in pages if page.inclusion.is_in_nav())
    return files


def _rank(file: File) -> tuple[int, bool, str]:
    folder, _, rest = file.src_uri.rpartition("/")
    place = -1 if not folder else ORDER.index(folder) if folder in ORDER else len(ORDER)
    return place, rest != "README.md", file.src_uri


def on_nav(nav: Navigation, **_: Any) -> Navigation:
    """Lead back from the documentation to the board that it is published with."""
    nav.items.insert(0, Link("Leaderboard", BOARD))
    return nav


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Point links that leave docs/ at the repository, or name the file where nobody said where the repository is."""
    place, repository = page.file.src_uri, config.extra["repository"]

    def outside(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        path = normpath(join("docs", dirname(place), target))
        if path.startswith("docs/"):
            return found[0]
        if path.startswith("../") or not (_ROOT / path).exists():
            _log.warning("%s: the link to %s leads to nothing in the repository", place, target)
        kind = "tree" if (_ROOT / path).is_dir() else "blob"
        return f"[{text}]({repository}/{kind}/main/{path}{anchor})" if repository else f"{text} (`{path}`)"

    return _LINK.sub(outside, markdown)


def on_post_page(output: str, **_: Any) -> str:
    """Name what the theme leaves without a name, for those who hear the page."""
    for found, name in _UNNAMED.items():
        output = output.replace(found, f'{found} aria-label="{name}"')
    return output


def on_post_template(output: str, **_: Any) -> str:
    """Name it on the page for a wrong address, too."""
    return on_post_page(output)

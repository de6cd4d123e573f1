"""Templates to bytes: everything is escaped, and every page has the same frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from . import texts
from .links import Page

ASSETS: Final = "assets"
_TEMPLATES: Final = "leaderboard/site/templates"


@dataclass(frozen=True)
class Frame:
    """What every page of a site shares: the newest version, all versions, and whether docs lie under `docs/`."""

    newest: str
    versions: Sequence[str]
    docs: bool = False


@cache
def environment() -> Environment:
    """Return the environment of the templates; an unknown name in one is an error, and nothing is left unescaped."""
    made = Environment(
        loader=PackageLoader("rgbt_bench", _TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": texts.short_count,
        "ms": texts.milliseconds,
        "duration": texts.duration,
        "day": texts.day,
        "listed": texts.listed,
        "definition": texts.definition,
        "flat": texts.flat,
        "better_up": texts.higher_is_better,
    }
    made.globals |= {"plural": texts.plural}
    return made


def render(template: str, frame: Frame, path: str, title: str, **values: Any) -> tuple[str, bytes]:
    """Return a page's place and its bytes."""
    made = environment().get_template(f"{template}.html.jinja")
    text = made.render(frame=frame, page=Page(path), page_title=title, **values)
    return path, text.encode(errors="replace")

"""File names with places for the id of a pair, such as `images/{id}_rgb.jpg`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from rgbt_bench.errors import did_you_mean

FIELDS = ("id", "scene", "part")
_PIECES = re.compile(r"(\{[^{}]*\}|\*)")
_MOST_STARS = 2  # more make the search slow and say nothing


@dataclass(frozen=True)
class Match:
    """A file that a pattern matches: its name, and the pair's sample id and scene (empty where it has none)."""

    name: str
    sample_id: str
    scene: str


@dataclass(frozen=True)
class Pattern:
    """A relative file name in which `{id}` and `{scene}` stand for one name part each and `*` for any text in one.

    The sample id is the id, or `SCENE_ID` where the pattern has a scene; `decoded` says that both are percent-encoded.
    """

    text: str
    decoded: bool = False

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile("".join(map(_piece, _PIECES.split(self.text))))

    @property
    def _start(self) -> str:
        return _PIECES.split(self.text)[0]

    def match(self, name: str) -> Match | None:
        """Return what a file's name says, or None where the pattern does not match it."""
        found = self._expression.fullmatch(name) if name.startswith(self._start) else None
        if found is None:
            return None
        values = {key: unquote(value) if self.decoded else value for key, value in found.groupdict().items()}
        scene = values.get("scene", "")
        return Match(name, f"{scene}_{values['id']}" if scene else values["id"], scene)

    def matches(self, names: Iterable[str]) -> list[Match]:
        """Return what the names say that the pattern matches."""
        return [found for name in names if (found := self.match(name))]


def check_name(text: str) -> str:
    """Return a relative file name, in which `{part}` may stand.

    Raises:
        ValueError: it is absolute, leads out of the folder, or has another field or a brace too much.
    """
    return _checked(text, {"part"})


def check_pattern(text: str) -> str:
    """Return a pattern's text.

    Raises:
        ValueError: as `check_name`, or `{id}` is not in it once, or it has a field twice or too many `*`.
    """
    _checked(text, set(FIELDS))
    pieces = _PIECES.split(text)
    for field in ("id", "scene"):
        if pieces.count(f"{{{field}}}") > 1:
            raise ValueError(f"{text!r} has {{{field}}} twice; once is enough, and `*` stands for any text")
    if "{id}" not in pieces:
        raise ValueError(f"{text!r} has no {{id}}; write it where the pair's id is, as in images/{{id}}.jpg")
    if pieces.count("*") > _MOST_STARS:
        raise ValueError(f"{text!r} has more than {_MOST_STARS} `*`")
    if re.search(r"[}*][{*]", text.replace("{part}", "part")):
        raise ValueError(f"{text!r}: between two fields or `*` some text must stand, or no one knows where they part")
    return text


def _checked(text: str, known: set[str]) -> str:
    for piece in _PIECES.split(text):
        if piece.startswith("{") and piece[1:-1] not in known:
            raise ValueError(f"{text!r} has the field {piece}. {did_you_mean(piece[1:-1], known)}")
        if not piece.startswith("{") and re.search(r"[{}]", piece):
            raise ValueError(f"{text!r} has a single brace; fields are written {{id}}")
    if not text or text.startswith("/") or "\\" in text or {"", ".", ".."} & set(text.split("/")):
        raise ValueError(f"{text!r} is no relative file name with `/` between folders, below the set's own folder")
    return text


def _piece(piece: str) -> str:
    if piece.startswith("{"):
        return f"(?P<{piece[1:-1]}>[^/]+)"
    return "[^/]*" if piece == "*" else re.escape(piece)

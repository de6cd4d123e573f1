"""Texts of others in a Markdown page: they show as they are, and never become a link, a tag, a row or a heading."""

import re

from markupsafe import Markup, escape

_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def plain(value: object) -> Markup:
    """Return a text that stands as it is inside a paragraph or a table's cell."""
    return Markup(_SPECIAL.sub(r"\\\1", str(escape(_one_line(value)))))  # noqa: S704


def code(value: object) -> Markup:
    """Return a text as a code span, which nothing in it ends; in a table's cell, too."""
    return Markup("`" + _one_line(value).replace("`", "'").replace("|", "¦") + "`")  # noqa: S704


def code_line(value: object) -> Markup:
    """Return a text as one line of a fenced block of code, which nothing in it ends."""
    return Markup(_one_line(value).replace("```", "'''"))  # noqa: S704


def _one_line(value: object) -> str:
    return " ".join(_UNSEEN.sub(" ", str(value)).split())

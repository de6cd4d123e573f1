"""Texts that a row may show: visible, told apart from one another, and no trap for who follows or pastes them."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from rgbt_bench.leaderboard.checking.reporting import Problem, shown
from rgbt_bench.leaderboard.rows import Entry, Row

LONGEST_TEXT: Final = 1000
MOST_MARKS: Final = 2  # over one letter
_UNSEEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# letters, marks and signs that nothing is drawn for, and selectors of another look
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_ALPHABETS: Final = {"LATIN", "CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE", "GEORGIAN", "LISU", "DESERET"}
_MICRO: Final = "\u00b5"
_LETTERS: Final = "A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f"
_NAME: Final = re.compile(f"[{_LETTERS} +.,:()/&'_-]+")
_FIRST: Final = re.compile(f"[{_LETTERS}]")
_FORMULA: Final = re.compile("[=+@-]")
_LOCAL: Final = re.compile(
    r"""(?:^|(?<=[\s"'=(\[{,;|<>:]))(?:/(?!/)[\w.+-]+/|/(?:home|root|Users|mnt|tmp)\b|~[\w.-]*/)|"""
    r"""(?<![A-Za-z0-9])[A-Za-z]:[\\/](?!/)|\\\\[\w.-]+\\|\bfile:/""",
    re.IGNORECASE,
)
_HOST: Final = re.compile(r"https://([^/:?#]+)(:[0-9]*)?(?=[/?#]|$)")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NO_PUBLIC: Final = frozenset(
    ("localhost", "local", "internal", "intranet", "lan", "home", "test", "example", "invalid", "onion", "arpa")
)
_BIBTEX_START: Final = re.compile(
    r"\s*@(article|book|booklet|dataset|inbook|incollection|inproceedings|conference|manual|mastersthesis|misc|online"
    r"|phdthesis|proceedings|report|software|techreport|thesis|unpublished)\s*\{\s*[A-Za-z0-9_:./+-]+\s*,",
    re.IGNORECASE,
)
_BIBTEX_ENTRY: Final = re.compile(r"@\s*[A-Za-z]+\s*[{(]")
# what makes TeX do more than set a letter
_TEX: Final = re.compile(
    r"\\(input|include|includegraphics|write|immediate|openin|openout|read|def|edef|gdef|xdef|let|catcode|csname"
    r"|expandafter|newcommand|renewcommand|usepackage|special|directlua|href|url)(?![A-Za-z])"
)
_ALIKE: Final = str.maketrans(
    {
        "0": "o", "1": "l", "i": "l", "\u0131": "l", "\u0142": "l", "\u0111": "d", "\u00f0": "d", "\u00f8": "o",
        "\u0127": "h", "\u0167": "t", "\u0138": "k", "\u014b": "n", "\u00fe": "p", "\u00e6": "ae", "\u0153": "oe",
    }
)  # fmt: skip
_SEPARATORS: Final = re.compile(r"[\s_,:()/&'-]|(?<![0-9])\.|\.(?![0-9])")


def skeleton(name: str) -> str:
    """Return what is left of a name when all is dropped by which two names look apart only at a second glance."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    kept = "".join(one for one in plain if not unicodedata.combining(one))
    return _SEPARATORS.sub("", kept).translate(_ALIKE).replace("rn", "m").replace("vv", "w")


def text_problems(row: Row) -> Iterator[Problem]:
    """Yield what is wrong with any text of a row, keys among them, and with those of its entry."""
    content = row.model_dump(mode="json", exclude={"runs": {"__all__": {"resamples"}}})
    seen = set()
    for place, text in _texts(content, ""):
        if text not in seen:
            seen.add(text)
            yield from plain_problems(place, text)
    yield from entry_problems(row.entry)


def plain_problems(place: str, text: str) -> Iterator[Problem]:
    """Yield what no text may have, whatever it is for."""
    in_lines = place == "entry.bibtex"
    if not in_lines and len(text) > LONGEST_TEXT:
        yield Problem("text", f"{place} has {len(text):,} characters, and at most {LONGEST_TEXT:,} are shown")
        return
    if text.isascii() and text.isprintable():
        yield from _path_problems(place, text)
        return
    if hidden := next((one for one in text if _is_hidden(one, in_lines)), None):
        what = unicodedata.name(hidden, "a character without a name").lower()
        yield Problem("characters", f"{place} has U+{ord(hidden):04X}, {what}: {shown(text)}")
    elif unicodedata.normalize("NFC", text) != text:
        yield Problem("characters", f"{place} is not written in composed characters (NFC): {shown(text)}")
    elif odd := next((one for one in text if _is_compatible(one)), None):
        plain = unicodedata.normalize("NFKC", odd)
        yield Problem("characters", f"{place} has U+{ord(odd):04X}, which looks like {shown(plain)}: {shown(text)}")
    if _stacked(text):
        yield Problem("characters", f"{place} has more than {MOST_MARKS} marks over one letter: {shown(text)}")
    for word in _words(text):
        scripts = sorted({script for one in word if (script := _script(one))})
        if len(scripts) > 1:
            yield Problem("scripts", f"{place} has {' and '.join(map(str.title, scripts))} letters in {shown(word)}")
            break
    yield from _path_problems(place, text)


def entry_problems(entry: Entry) -> Iterator[Problem]:
    """Yield what is wrong with who brings a row and what it is called."""
    if not _NAME.fullmatch(entry.name) or not any(map(str.isalpha, entry.name)):
        strange = next((one for one in entry.name if not _NAME.fullmatch(one)), None)
        yield Problem("name", f"entry.name has {strange!a}" if strange else "entry.name has no letter")
    elif entry.name == entry.name.strip() and not _FIRST.match(entry.name):
        yield Problem("name", f"entry.name begins with {entry.name[0]!a}")
    for field in ("name", "authors", "paper", "note"):
        text = getattr(entry, field)
        if text != text.strip() or "  " in text:
            yield Problem("spaces", f"entry.{field} has spaces at an end, or two in a row: {shown(repr(text))}")
        if field != "name" and _FORMULA.match(text):
            yield Problem("text", f"entry.{field} begins as a formula of a spreadsheet does: {shown(text)}")
        if field in ("authors", "paper") and ("<" in text or ">" in text):
            yield Problem("text", f"entry.{field} has angle brackets: {shown(text)}")
    for field in ("paper_url", "code_url"):
        url = getattr(entry, field)
        if url is not None and (reason := _url_fault(url)):
            yield Problem("url", f"entry.{field} {reason}: {shown(url)}")
    if entry.bibtex and (reason := _bibtex_fault(entry.bibtex)):
        yield Problem("bibtex", f"entry.bibtex {reason}")


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"a key of {place or 'the row'}", key
            yield from _texts(inner, f"{place}.{shown(key)}" if place else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{place}.{number}")


def _path_problems(place: str, text: str) -> Iterator[Problem]:
    if not place.endswith("_url") and (found := _LOCAL.search(text)):
        yield Problem("local-path", f"{place} has an absolute path, {shown(text[found.start() :][:40])}")


def _is_hidden(one: str, in_lines: bool) -> bool:
    if in_lines and one in "\n\t":
        return False
    kind = unicodedata.category(one)
    return kind in _UNSEEN or (kind == "Zs" and one != " ") or bool(_BLANK.match(one))


def _is_compatible(one: str) -> bool:
    return unicodedata.category(one)[0] == "L" and one != _MICRO and unicodedata.normalize("NFKC", one) != one


def _stacked(text: str) -> bool:
    run = 0
    for one in text:
        run = run + 1 if unicodedata.category(one) in ("Mn", "Me") else 0
        if run > MOST_MARKS:
            return True
    return False


def _words(text: str) -> list[str]:
    return "".join(one if unicodedata.category(one)[0] in "LMN" else " " for one in text).split()


def _script(one: str) -> str:
    first = unicodedata.name(one, "").split(" ", 1)[0]
    return first if first in _ALPHABETS else ""


def _url_fault(url: str) -> str:
    found = _HOST.match(url)
    if found is None:
        return "names no host"
    if found[2]:
        return "names a port"
    labels = found[1].lower().split(".")
    if len(labels) < 2 or labels[-1] in _NO_PUBLIC or not labels[-1].isalpha():
        return "has no public host name"
    if any(label.startswith("xn--") for label in labels):
        return "has a host name in punycode, which is shown as other letters"
    return "" if all(map(_LABEL.fullmatch, labels)) else "has a host name that is none"


def _bibtex_fault(text: str) -> str:
    if not _BIBTEX_START.match(text):
        return "does not begin with an entry such as @article{key,"
    if len(_BIBTEX_ENTRY.findall(text)) > 1:
        return "has more than one @entry"
    if found := _TEX.search(text):
        return f"has the TeX command {shown(found[0])}"
    depth = 0
    body = text.strip()
    for place, one in enumerate(body):
        depth += (one == "{") - (one == "}")
        if depth == 0 and one == "}" and place < len(body) - 1:
            return "has something behind the entry, or an unpaired brace"
    return "" if depth == 0 else "has an unpaired brace"

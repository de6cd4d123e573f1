"""What an archive may hold: limits on members, bytes and ratio, and which names are refused."""

import re
import unicodedata
from pathlib import Path
from reprlib import Repr

from rgbt_bench.errors import BadInputError, enumerate_faults
from rgbt_bench.sources import MAX_FILE_BYTES, MAX_FILES, is_stray

MAX_TOTAL_BYTES = 256 * 1024**3
# Encoded images hardly shrink and labels shrink some ten times; a thousand times is what a bomb does.
MAX_RATIO = 200
RATIO_FREE_BYTES = 1024**2
MAX_NAME_BYTES = 1024
MAX_PART_BYTES = 255
FAULTS_SHOWN = 50

_DRIVE = re.compile(r"[A-Za-z]:")
_UNPRINTABLE = frozenset({"Cc", "Cf", "Zl", "Zp"})  # control characters, writing direction, line ends
_SHORT = Repr()
_SHORT.maxstring = 120


class Guard:
    """Collects what is wrong with an archive while it is indexed, so that one message names every faulty member."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.faults: list[str] = []
        self._seen: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._members = 0
        self._bytes = 0

    def fault(self, member: str, problem: str) -> None:
        """Note what is wrong with a member, and go on."""
        shown = member if member.isprintable() and len(member) <= _SHORT.maxstring else _SHORT.repr(member)
        self.faults.append(f"{shown or repr(shown)}: {problem}")

    def stop(self, problem: str) -> BadInputError:
        """Return the error to raise where no more can be read; what was found before is named in it."""
        return self._error([*self.faults, problem])

    def member(self) -> None:
        """Count a member of any kind.

        Raises:
            BadInputError: there are more than a set has.
        """
        self._members += 1
        if self._members > MAX_FILES:
            raise self.stop(f"more than {MAX_FILES:,} members, which no set has")

    def name(self, written: str) -> str | None:
        """Return a member's name in its one form, empty for the top folder; None where the name is a fault."""
        parts = [part for part in written.removesuffix("/").split("/") if part != "."]
        if problem := _name_fault(written, parts):
            self.fault(written, problem)
            return None
        return "/".join(parts)

    def file(self, name: str, size: int) -> bool:
        """Check a file of a sound name, and tell whether it belongs to the set.

        Raises:
            BadInputError: all files together are larger than any set.
        """
        self._bytes += size
        if self._bytes > MAX_TOTAL_BYTES:
            raise self.stop(f"{name}: with it, more than {MAX_TOTAL_BYTES:,} bytes in all, which no set has")
        if not name:
            self.fault(name, "a file without a name")
        elif size > MAX_FILE_BYTES:
            self.fault(name, f"larger than {MAX_FILE_BYTES:,} bytes, which no file of a set is")
        elif is_stray(name):
            return False
        else:
            return self._is_first(name)
        return False

    def inflated(self, packed: int, size: int) -> bool:
        """Tell whether so many bytes out of so few are a bomb's."""
        return size > RATIO_FREE_BYTES and size > MAX_RATIO * packed

    def finish(self) -> None:
        """Raise what was found.

        Raises:
            BadInputError: a member is faulty, or there is no file.
        """
        if not self.faults and not self._seen:
            raise BadInputError(f"{self.archive}: an archive without files; get it again")
        if self.faults:
            raise self._error(self.faults)

    def _is_first(self, name: str) -> bool:
        key = _folded(name)
        if key in self._seen:
            first = self._seen[key]
            twice = "occurs twice" if first == name else f"its name differs only in case or accents from {first}"
            self.fault(name, twice)
        elif key in self._folders:
            self.fault(name, f"a file, but a folder too, with {self._folders[key]} in it")
        for end in (place for place, letter in enumerate(key) if letter == "/"):
            if key[:end] in self._seen:
                self.fault(name, f"lies in {self._seen[key[:end]]}, which is a file")
            self._folders.setdefault(key[:end], name)
        return self._seen.setdefault(key, name) is name

    def _error(self, faults: list[str]) -> BadInputError:
        title = (
            f"{self.archive}: {len(faults)} fault(s) in this archive; get it again, or unpack it and give its folder:"
        )
        return BadInputError(enumerate_faults(title, faults, FAULTS_SHOWN))


def _name_fault(written: str, parts: list[str]) -> str:
    """Return what is wrong with a member's name, or an empty text."""
    try:
        encoded = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if any(unicodedata.category(letter) in _UNPRINTABLE for letter in written):
        return "a control character in its name"
    if sum(encoded) + len(encoded) - 1 > MAX_NAME_BYTES or max(encoded, default=0) > MAX_PART_BYTES:
        return "its name is too long"
    if "\\" in written:
        return "a backslash in its name"
    if written.startswith("/") or _DRIVE.match(written):
        return "an absolute path"
    if ".." in parts:
        return "a path out of the archive (`..`)"
    if not written or "" in parts:
        return "an empty name, or a folder without one"
    return ""


def _folded(name: str) -> str:
    """Return what names have in common that some file systems cannot tell apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())

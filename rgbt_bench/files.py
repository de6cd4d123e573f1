"""Files that are written whole or not at all, and the digests that name their content."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rgbt_bench.errors import BadInputError, MissingError

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Return a value's one JSON text: sorted keys, no spaces, shortest float form; NaN and infinity are refused."""
    return _CANONICAL.encode(value)


def sha256_text(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return sha256_text(canonical_json(value))


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# What is wrong when there is no room for a file, and what mends it.
NO_ROOM = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f, or the file system's own)",
}
# As `write_with` names its temporary files; eight characters are tempfile's.
_ASIDE = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}(?P<suffix>(\.[^.]+)?)")


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk and rename it into place.

    Raises:
        OSError: it cannot be written, and `path` is as it was; where there is no room, `filename` is `path`.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:  # it names the temporary file, which nobody asked for
        raise OSError(error.errno, error.strerror, str(path)) from None
    os.close(handle)
    aside = Path(name)
    try:
        write(aside)
        with aside.open("rb+") as stream:
            os.fsync(stream.fileno())
        aside.chmod(0o644)
        aside.replace(path)
    except Exception as error:
        number = _no_room(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
    finally:
        aside.unlink(missing_ok=True)


def _no_room(error: BaseException | None) -> int | None:
    """Return the errno of `NO_ROOM` behind an error; libraries wrap it in errors of their own or only name it."""
    while error is not None:
        named = re.search(r"\(os error (\d+)\)", str(error))
        number = error.errno if isinstance(error, OSError) else int(named[1]) if named else None
        if number in NO_ROOM:
            return number
        error = error.__cause__ or error.__context__
    return None


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder; nobody else may be writing there."""
    for path in folder.glob(".*"):
        found = _ASIDE.fullmatch(path.name)
        if found and found["name"].endswith(found["suffix"]):
            path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes to `path` atomically."""

    def write(aside: Path) -> None:
        aside.write_bytes(content)

    write_with(path, write)


def copy_file(source: Path, path: Path) -> None:
    """Copy a file to `path` atomically, without reading it whole."""

    def write(aside: Path) -> None:
        shutil.copyfile(source, aside)

    write_with(path, write)


def write_text(path: Path, content: str) -> None:
    """Write text to `path` atomically, as UTF-8."""
    write_bytes(path, content.encode())


def json_bytes(value: Any) -> bytes:
    """Return a value as readable JSON; NaN and infinity are refused."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # bytes of a file name that are no UTF-8: as \udcXX


def write_json(path: Path, value: Any) -> None:
    """Write a value to `path` atomically, as `json_bytes` has it."""
    write_bytes(path, json_bytes(value))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed; write a finite number")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"duplicate key {twice!r}; keep one")
    return keys


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, without its byte order mark.

    Raises:
        MissingError: there is no such file.
        BadInputError: the file cannot be read, or is not UTF-8.
    """
    try:
        return decode_text(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise MissingError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise BadInputError(f"{path}: is a folder, a file was expected") from None
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror or error}") from None


def decode_text(data: bytes, where: str) -> str:
    """Return UTF-8 bytes as a text without its byte order mark, its lines ended in the Unix way.

    Raises:
        BadInputError: not UTF-8; the message begins with `where`.
    """
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{where}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def read_json(path: Path) -> Any:
    """Read a JSON file strictly.

    Raises:
        MissingError: there is no such file.
        BadInputError: the file is not JSON, or has NaN, infinity, a duplicate key or too deep a nesting.
    """
    return parse_json(read_text(path), str(path))


def parse_json(text: str, where: str) -> Any:
    """Return the content of a JSON text, read strictly.

    Raises:
        BadInputError: not JSON, or with NaN, infinity, a duplicate key or too deep a nesting; begins with `where`.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)
    except RecursionError:
        raise BadInputError(f"{where}: nested too deeply to be read; write it with flat objects") from None
    except json.JSONDecodeError as error:
        raise BadInputError(f"{where}: not valid JSON: {error}") from None
    except ValueError as error:
        raise BadInputError(f"{where}: not valid JSON: {error}{_row_of_fault(text)}") from None


def _row_of_fault(text: str) -> str:
    """Return in which row of a list, counted from 1, strict reading ends; an empty text where there is no list."""
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)
    place, row = _after_blank(text, 0), 1
    if not text.startswith("[", place):
        return ""
    while True:
        try:
            _, place = decoder.raw_decode(text, _after_blank(text, place + 1))
        except ValueError:
            return f" (row {row})"
        place, row = _after_blank(text, place), row + 1


def _after_blank(text: str, place: int) -> int:
    while text[place : place + 1].isspace():
        place += 1
    return place

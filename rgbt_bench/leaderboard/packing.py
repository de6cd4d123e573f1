"""Predictions packed for the leaderboard: the same bytes for the same predictions, and unpacked within bounds."""

import gzip
import io
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from rgbt_bench.errors import BadInputError
from rgbt_bench.png_folders import png_files

MAX_UNPACKED_BYTES: Final = 256 * 2**20
MAX_MEMBERS: Final = 20_000
JSON_SUFFIX: Final = ".json.gz"
ZIP_SUFFIX: Final = ".zip"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_READ_WRITE: Final = 0o100644 << 16
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_GZIP_FLAGS: Final = 3
_KINDS: Final = {0, stat.S_IFREG}
_ENCRYPTED: Final = 0x1
_UTF8: Final = 0x800
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_LOCAL_HEADER: Final = 30


def pack(path: Path) -> tuple[str, bytes]:
    """Return the suffix and the bytes of packed predictions: a file as gzip, a folder of PNG files as zip.

    One machine packs the same predictions to the same bytes; they hold no time and no path.
    """
    if path.is_file():
        return JSON_SUFFIX, gzip.compress(path.read_bytes(), compresslevel=9, mtime=0)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # PNG files are compressed
        for one in png_files(path):
            member = zipfile.ZipInfo(one.relative_to(path).as_posix(), _EPOCH)
            member.external_attr = _READ_WRITE
            archive.writestr(member, one.read_bytes())
    return ZIP_SUFFIX, packed.getvalue()


def unpack_json(data: bytes, where: str, limit: int = MAX_UNPACKED_BYTES) -> bytes:
    """Return what a gzip file of one member holds.

    Raises:
        BadInputError: not such a file, cut short, with something behind it, or more than `limit` bytes.
    """
    reader = zlib.decompressobj(_GZIP_WINDOW)
    try:
        content = reader.decompress(data, limit + 1)
    except zlib.error as error:
        raise BadInputError(f"{where}: not a gzip file: {error}") from None
    if any(data[_GZIP_FLAGS : _GZIP_FLAGS + 1]):
        raise BadInputError(f"{where}: the gzip file has a name, a comment or more beside its content; pack it anew")
    if len(content) > limit:
        raise BadInputError(f"{where}: unpacks to more than {limit:,} bytes")
    if not reader.eof:
        raise BadInputError(f"{where}: the gzip file is cut short")
    if reader.unused_data:
        raise BadInputError(f"{where}: {len(reader.unused_data):,} bytes behind the end of the gzip file")
    return content


def unpack_pngs(data: bytes, where: str, limit: int = MAX_UNPACKED_BYTES) -> dict[str, bytes]:
    """Return the PNG files of a zip file by their names, `NAME.png` or `edges/NAME.png`.

    Raises:
        BadInputError: not such a file, with other members, links, members twice, or more than `limit` bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, where, limit)
            _check_ends(archive, members, where)
            return {one.filename: archive.read(one) for one in members}
    except (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, ValueError, EOFError, OSError) as error:
        raise BadInputError(f"{where}: not a readable zip file: {error}") from None


def unpack(data: bytes, name: str, where: str, folder: Path) -> Path:
    """Write what a packed file holds under an empty folder and return its place: `predictions.json` or `predictions/`.

    Raises:
        BadInputError: not such a file; begins with `where`.
    """
    if name.endswith(JSON_SUFFIX):
        path = folder / "predictions.json"
        path.write_bytes(unpack_json(data, where))
        return path
    path = folder / "predictions"
    for member, content in unpack_pngs(data, where).items():
        place = path / member
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return path


def _check_members(members: list[zipfile.ZipInfo], where: str, limit: int) -> None:
    names = [one.filename for one in members]
    if len(members) > MAX_MEMBERS:
        raise BadInputError(f"{where}: {len(members):,} members, and at most {MAX_MEMBERS:,} are read")
    if len({name.casefold() for name in names}) < len(names):
        raise BadInputError(f"{where}: a member is there twice")
    for one in members:
        path = PurePosixPath(one.filename)
        is_plain = len(path.parts) == 1 or (len(path.parts) == 2 and path.parts[0] == "edges")
        if not is_plain or path.suffix != ".png" or ".." in path.parts or one.filename != path.as_posix():
            raise BadInputError(f"{where}: the member {one.filename!r} is no NAME.png")
        if stat.S_IFMT(one.external_attr >> 16) not in _KINDS:
            raise BadInputError(f"{where}: the member {one.filename!r} is no plain file")
        if one.flag_bits & _ENCRYPTED or one.compress_type not in _METHODS:
            raise BadInputError(f"{where}: the member {one.filename!r} is encrypted, or neither stored nor deflated")
    if sum(one.file_size for one in members) > limit:
        raise BadInputError(f"{where}: unpacks to more than {limit:,} bytes")


def _check_ends(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], where: str) -> None:
    """Refuse bytes before the first member, between members, and a comment, where another file could hide."""
    at = 0
    for one in sorted(members, key=lambda one: one.header_offset):
        if one.header_offset != at or one.comment or one.extra:
            raise BadInputError(f"{where}: has bytes that are of no member, before {one.filename!r}")
        at += _LOCAL_HEADER + len(_stored_name(one)) + one.compress_size
    if archive.start_dir != at or archive.comment:
        raise BadInputError(f"{where}: has bytes that are of no member, at its end")


def _stored_name(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode("utf-8" if member.flag_bits & _UTF8 else "cp437")

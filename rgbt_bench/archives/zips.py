"""The index of a zip archive: its central directory, read by itself, and one member's bytes."""

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import MAX_FILE_BYTES

from .guard import Guard

MAX_DIRECTORY_BYTES = 512 * 1024**2
_END, _END64, _LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_ENTRY, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
_END_MARK, _END64_MARK, _LOCATOR_MARK, _ENTRY_MARK, _LOCAL_MARK = (
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"PK\x06\x07",
    b"PK\x01\x02",
    b"PK\x03\x04",
)
_MAX_COMMENT = 65_535
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_UTF8 = 0x0800
_STORED, _DEFLATED = 0, 8
_ZIP64 = 0x0001
_IN_EXTRA = 0xFFFFFFFF
_CUT = "no end of a zip archive in it: the file is cut short, or one volume of several"


class ZipMember(NamedTuple):
    """Where a file of a zip lies: its header, where that file ends at the latest, and how it is packed."""

    offset: int
    limit: int
    size: int
    packed: int
    method: int
    crc: int


class _Entry(NamedTuple):
    """One entry of the central directory."""

    raw: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int

    @property
    def name(self) -> str:
        """The name as UTF-8 where it is that, flagged or not; else as the zip format says, which cannot fail."""
        try:
            return self.raw.decode()
        except UnicodeDecodeError:
            errors = "surrogateescape"
            return self.raw.decode(errors=errors) if self.flags & _UTF8 else self.raw.decode("cp437")


def index_zip(handle: int, guard: Guard) -> dict[str, ZipMember]:
    """Return where each file of a zip lies; faulty members are noted in the guard and left out.

    Raises:
        BadInputError: the end or the directory of the archive is missing or damaged.
    """
    directory, count, start = _directory(handle, guard)
    found: dict[str, ZipMember] = {}
    entries = list(_entries(directory, count, start, guard))
    bounds = [*sorted(entry.offset for entry in entries), start]
    limits = dict(pairwise(bounds))
    taken: set[int] = set()
    for entry in entries:
        name = guard.name(entry.name)
        if name is None or entry.name.endswith("/"):
            continue
        limit = limits[entry.offset]
        if entry.offset in taken or entry.offset + _LOCAL.size + len(entry.raw) + entry.packed > limit:
            guard.fault(name, "its bytes overlap those of another member")
        taken.add(entry.offset)
        if problem := _entry_fault(entry, guard):
            guard.fault(name, problem)
        elif guard.file(name, entry.size):
            found[name] = ZipMember(entry.offset, limit, entry.size, entry.packed, entry.method, entry.crc)
    return found


def read_zip_member(handle: int, member: ZipMember, where: str) -> bytes:
    """Return a member's bytes, unpacked and checked.

    Raises:
        BadInputError: its header or its content is damaged, or more comes out than it declares; begins with `where`.
    """
    header = os.pread(handle, _LOCAL.size, member.offset)
    if len(header) < _LOCAL.size or not header.startswith(_LOCAL_MARK):
        raise BadInputError(f"{where}: its header in the archive is damaged; get the archive again")
    *_, name_size, extra_size = _LOCAL.unpack(header)
    start = member.offset + _LOCAL.size + name_size + extra_size
    if start + member.packed > member.limit:
        raise BadInputError(f"{where}: its bytes overlap those of another member; get the archive again")
    data = os.pread(handle, member.packed, start)
    if member.method == _DEFLATED:
        unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = unpacking.decompress(data, member.size + 1)
        except zlib.error as error:
            raise BadInputError(f"{where}: cannot be unpacked ({error}); get the archive again") from None
    if len(data) > member.size:
        raise BadInputError(f"{where}: more comes out of it than the {member.size:,} bytes it declares")
    if len(data) < member.size or zlib.crc32(data) != member.crc:
        raise BadInputError(f"{where}: damaged, its checksum is another; get the archive again")
    return data


def _directory(handle: int, guard: Guard) -> tuple[bytes, int, int]:
    """Return the central directory, the number of its entries and where it begins."""
    whole = os.fstat(handle).st_size
    tail_start = max(0, whole - _END.size - _MAX_COMMENT)
    tail = os.pread(handle, whole - tail_start, tail_start)
    place = _end_place(tail)
    if place < 0:
        raise guard.stop(_CUT)
    end = tail_start + place
    _, disk, first_disk, _, count, size, start, _ = _END.unpack_from(tail, place)
    locator = os.pread(handle, _LOCATOR.size, max(0, end - _LOCATOR.size))
    if locator.startswith(_LOCATOR_MARK):
        _, _, end, disks = _LOCATOR.unpack(locator)
        record = os.pread(handle, _END64.size, end)
        if len(record) < _END64.size or not record.startswith(_END64_MARK) or disks > 1:
            raise guard.stop(_CUT)
        _, _, _, _, disk, first_disk, _, count, size, start = _END64.unpack(record)
    if disk or first_disk or start + size > end:
        raise guard.stop(_CUT)
    if size > MAX_DIRECTORY_BYTES:
        raise guard.stop(f"its directory is larger than {MAX_DIRECTORY_BYTES:,} bytes, which no set needs")
    return os.pread(handle, size, start), count, start


def _end_place(tail: bytes) -> int:
    """Return where the end record begins, or -1; a comment after it may hold its mark, too."""
    place = last = tail.rfind(_END_MARK, 0, len(tail) - _END.size + len(_END_MARK))
    while place >= 0:
        if place + _END.size + _END.unpack_from(tail, place)[-1] == len(tail):
            return place
        place = tail.rfind(_END_MARK, 0, place)
    return last


def _entries(directory: bytes, count: int, start: int, guard: Guard) -> Iterator[_Entry]:
    place = read = 0
    while place < len(directory):
        if place + _ENTRY.size > len(directory) or directory[place : place + 4] != _ENTRY_MARK:
            raise guard.stop(f"its directory is damaged at byte {start + place:,}")
        guard.member()
        fields = _ENTRY.unpack_from(directory, place)
        _, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size, _, _, mode, offset = (
            fields
        )
        name_end = place + _ENTRY.size + name_size
        raw, extra = directory[name_end - name_size : name_end], directory[name_end : name_end + extra_size]
        place = name_end + extra_size + comment_size
        if place > len(directory):
            raise guard.stop(f"its directory is damaged at byte {start + len(directory):,}")
        size, packed, offset = _long_numbers(extra, size, packed, offset)
        yield _Entry(raw, flags, method, crc, packed, size, mode >> 16, offset)
        read += 1
    if read != count:
        raise guard.stop(f"its directory has {read:,} entries, but its end says {count:,}")


def _long_numbers(extra: bytes, *short: int) -> tuple[int, int, int]:
    """Return size, packed size and offset, those that need 8 bytes from the extra field."""
    longs: Iterator[tuple[int]] = iter(())
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        if kind == _ZIP64:
            field = extra[place + 4 : place + 4 + length]
            longs = struct.iter_unpack("<Q", field[: len(field) // 8 * 8])
        place += 4 + length
    size, packed, offset = (next(longs, (number,))[0] if number == _IN_EXTRA else number for number in short)
    return size, packed, offset


def _entry_fault(entry: _Entry, guard: Guard) -> str:
    """Return what is wrong with how a file is kept, or an empty text."""
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFLNK:
        return "a link, which is never followed"
    if kind not in (0, stat.S_IFREG):
        return "neither a file nor a folder"
    if entry.flags & _ENCRYPTED:
        return "encrypted"
    if entry.method not in (_STORED, _DEFLATED):
        return f"packed by method {entry.method}; stored and deflated (8) are read"
    if entry.method == _STORED and entry.packed != entry.size:
        return f"stored as {entry.packed:,} bytes, but declared as {entry.size:,}"
    if entry.packed > MAX_FILE_BYTES:
        return f"packed in {entry.packed:,} bytes, more than any file of a set has"
    if guard.inflated(entry.packed, entry.size):
        return f"{entry.size:,} bytes out of {entry.packed:,}: a decompression bomb"
    return ""

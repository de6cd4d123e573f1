"""The index of a tar archive: its headers in one pass, as they lie in a file or come out of a compressed stream."""

import os
import re
from tarfile import BLKTYPE, CHRTYPE, DIRTYPE, FIFOTYPE, LNKTYPE, SYMTYPE, HeaderError, TarInfo
from tarfile import GNUTYPE_LONGLINK as LONG_LINK
from tarfile import GNUTYPE_LONGNAME as LONG_NAME
from tarfile import GNUTYPE_SPARSE as SPARSE
from typing import BinaryIO, NamedTuple, Protocol

from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import MAX_FILE_BYTES

from .guard import Guard
from .unpacking import PIECE, Unpacking

BLOCK = 512
_MAX_HEADER_BYTES = 64 * 1024
_FILES = frozenset({b"0", b"\0", b"7"})
_EXTENDED, _EXTENDED_GLOBAL, _VOLUME_LABEL = frozenset({b"x", b"X"}), b"g", b"V"
_REFUSED = {
    SYMTYPE: "a link, which is never followed",
    LNKTYPE: "a hard link, which is never followed",
    CHRTYPE: "a device",
    BLKTYPE: "a device",
    FIFOTYPE: "a pipe",
}
_RECORD = re.compile(rb"([1-9][0-9]{0,5}) ([^=\n]+)=")


class TarMember(NamedTuple):
    """Where a file's bytes lie."""

    offset: int
    size: int


class Blocks(Protocol):
    """A tar's bytes in their order; both methods raise the guard's error where they end too early."""

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end."""

    def keep(self, count: int, wanted: bool) -> int:
        """Pass the next bytes over, and return where they can be read if they are wanted."""


class PlainBlocks:
    """A tar as it lies in its file."""

    def __init__(self, handle: int, guard: Guard) -> None:
        self._handle = handle
        self._guard = guard
        self._place = 0
        self._whole = os.fstat(handle).st_size

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        data = os.pread(self._handle, count, self._place)
        self._place += len(data)
        return data

    def keep(self, count: int, wanted: bool) -> int:
        """Pass bytes over."""
        start = self._place
        self._place += count
        if self._place > self._whole:
            raise self._guard.stop("the archive is cut short in this member's bytes")
        return start


class SpooledBlocks:
    """A compressed tar, unpacked once; the bytes that are wanted are appended to a file of ours."""

    def __init__(self, unpacked: Unpacking, spool: BinaryIO, guard: Guard) -> None:
        self._unpacked = unpacked
        self._spool = spool
        self._guard = guard

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        return self._unpacked.read(count)

    def keep(self, count: int, wanted: bool) -> int:
        """Pass bytes over, by way of the spool file if they are wanted."""
        start = self._spool.tell()
        while count:
            piece = self._unpacked.read(min(count, PIECE))
            if not piece:
                raise self._guard.stop("the archive is cut short in this member's bytes")
            count -= len(piece)
            if wanted:
                self._spool.write(piece)
        return start


def index_tar(blocks: Blocks, guard: Guard) -> dict[str, TarMember]:
    """Return where each file of a tar lies; faulty members are noted in the guard and left out.

    Raises:
        BadInputError: the archive is damaged or cut short.
    """
    found: dict[str, TarMember] = {}
    long: dict[str, str] = {}  # what headers before a member say of it
    while (header := _next_header(blocks, guard, not found)) is not None:
        if header.type in (LONG_NAME, LONG_LINK, _EXTENDED_GLOBAL) or header.type in _EXTENDED:
            _add_long(long, header, _payload(blocks, header, guard), guard)
            continue
        guard.member()
        said, long = long, {}
        name = guard.name(said.get("path", header.name))
        size = _size(said.get("size"), header, guard)
        if problem := _kind_fault(header, said):
            guard.fault(said.get("path", header.name), problem)
            if header.type not in _REFUSED:
                blocks.keep(_padded(size), wanted=False)
        elif header.type != DIRTYPE and header.type != _VOLUME_LABEL:
            wanted = name is not None and guard.file(name, size)
            if size > MAX_FILE_BYTES:
                raise guard.stop("the rest was not looked at")
            start = blocks.keep(size, wanted and not guard.faults)
            blocks.keep(_padded(size) - size, wanted=False)
            if wanted and name is not None:
                found[name] = TarMember(start, size)
    if long:
        raise guard.stop("the archive is cut short before its last member")
    _require_last(blocks, guard)
    return found


def is_tar_header(block: bytes) -> bool:
    """Tell whether a block is a tar's header."""
    try:
        TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except HeaderError:
        return False
    return True


def _require_last(blocks: Blocks, guard: Guard) -> None:
    """Read what follows the end mark: anything may, but not another archive, whose files would be missed."""
    while piece := blocks.read(PIECE):
        if not piece.strip(b"\0"):
            continue
        if any(map(is_tar_header, (piece[start : start + BLOCK] for start in range(0, len(piece), BLOCK)))):
            raise guard.stop("another archive follows the end of this one: unpack both into one folder (tar -xi)")


def _next_header(blocks: Blocks, guard: Guard, first: bool) -> TarInfo | None:
    block = blocks.read(BLOCK)
    if block and not block.strip(b"\0") and len(block) == BLOCK:
        return None
    if len(block) < BLOCK:
        raise guard.stop("the archive is cut short: its end mark is missing")
    try:
        return TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except HeaderError as error:
        inside = "what is compressed is no tar archive" if first else f"a member's header is damaged ({error})"
        raise guard.stop(inside) from None


def _payload(blocks: Blocks, header: TarInfo, guard: Guard) -> bytes:
    """Return what a header that belongs to the next member says."""
    if not 0 <= header.size <= _MAX_HEADER_BYTES:
        raise guard.stop(f"a header of {header.size:,} bytes, which no name needs")
    data = blocks.read(_padded(header.size))
    if len(data) < header.size:
        raise guard.stop("the archive is cut short in a header")
    return data[: header.size]


def _add_long(long: dict[str, str], header: TarInfo, data: bytes, guard: Guard) -> None:
    if header.type == LONG_LINK:
        return
    if header.type == LONG_NAME:
        said = {"path": data.rstrip(b"\0").decode(errors="surrogateescape")}
    else:
        said = _records(data, guard)
    if header.type == _EXTENDED_GLOBAL:
        if said.keys() & {"path", "size"}:
            raise guard.stop("a header that names every member alike")
        return
    if said.keys() & long.keys():
        raise guard.stop(f"{said.get('path', '')}: two headers before it say different things")
    long |= said


def _records(data: bytes, guard: Guard) -> dict[str, str]:
    """Return the records of a pax header."""
    found: dict[str, str] = {}
    place = 0
    while place < len(data):
        match = _RECORD.match(data, place)
        end = place + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise guard.stop("a member's extended header is damaged")
        found[match[2].decode(errors="surrogateescape")] = data[match.end() : end - 1].decode(errors="surrogateescape")
        place = end
    return found


def _size(said: str | None, header: TarInfo, guard: Guard) -> int:
    size = int(said) if said is not None and said.isascii() and said.isdigit() and len(said) < 20 else header.size
    if size < 0 or (said is not None and str(size) != said):
        raise guard.stop(f"{header.name}: its size is no number")
    return size


def _kind_fault(header: TarInfo, said: dict[str, str]) -> str:
    if header.type in _REFUSED:
        return _REFUSED[header.type]
    if header.type == SPARSE or any(key.startswith("GNU.sparse") for key in said):
        return "a sparse file; pack it without --sparse"
    if header.type not in _FILES and header.type not in (DIRTYPE, _VOLUME_LABEL):
        return f"neither a file nor a folder (type {header.type!r})"
    return ""


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def require_whole(handle: int, count: int, offset: int, where: str) -> bytes:
    """Return bytes of a file.

    Raises:
        BadInputError: the file ends before; begins with `where`.
    """
    data = os.pread(handle, count, offset)
    if len(data) < count:
        raise BadInputError(f"{where}: the archive ends in it; get the archive again")
    return data

"""An archive as a source: recognised by its content, read by an index, never unpacked by its own names."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rgbt_bench.errors import BadInputError, MissingError
from rgbt_bench.sources import FolderSource, Source

from .guard import Guard
from .tars import BLOCK, PlainBlocks, SpooledBlocks, TarMember, index_tar, is_tar_header, require_whole
from .unpacking import Unpacking
from .zips import ZipMember, index_zip, read_zip_member

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_COMPRESSED = {b"\x1f\x8b\x08": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz"}
# What people have instead of an archive that is read, by how it begins.
_OTHERS = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive, which is not read: unpack it (7z x) and give its folder",
    b"Rar!\x1a\x07": "a RAR archive, which is not read: unpack it (unrar x) and give its folder",
    b"\x28\xb5\x2f\xfd": "a zstd file, which is not read: unpack it (zstd -d) and give what comes out",
    b"<": "a web page and not the archive: the site asked something first; download it in a browser",
    b"version https://git-lfs": "a pointer of Git LFS and not the archive: fetch it with git lfs pull",
}
_READ = "zip, tar, tar.gz, tar.bz2 and tar.xz are read; unpack another archive and give its folder"

Member = ZipMember | TarMember


class ArchiveSource(Source):
    """The files of an archive; it can be read by several threads, and by several processes once it was sent to them.

    A compressed tar cannot be read at will, so its members lie in a file at `spool` until the source is closed.
    """

    def __init__(self, root: Path, spool: Path) -> None:
        self._spool = spool
        self._owner = os.getpid()
        self._data = root
        self._handle: int | None = os.open(root, os.O_RDONLY)
        try:
            self._stamp = _stamp(self._handle)
            self._members: Mapping[str, Member] = self._index(root)
        except BaseException:
            self.close()
            raise
        super().__init__(root, self._members)

    def where(self, name: str) -> str:
        """Return the archive's path and the member's name."""
        return f"{self.root}: {name}" if name else str(self.root)

    def size(self, name: str) -> int:
        """Return the member's size in bytes."""
        return self._member(name).size

    def stamp(self, name: str) -> str:
        """Return the archive's time of change and size, and the member's place."""
        return f"{self._stamp} {' '.join(map(str, self._member(name)))}"

    def read(self, name: str) -> bytes:
        """Return the member's bytes."""
        member, where = self._member(name), self.where(name)
        try:
            if isinstance(member, ZipMember):
                return read_zip_member(self._opened(), member, where)
            return require_whole(self._opened(), member.size, member.offset, where)
        except OSError as error:
            raise BadInputError(f"{where}: {error.strerror or error}") from None

    def close(self) -> None:
        """Close the archive, and remove the spool file if it is this process's."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
        if self._data == self._spool and self._owner == os.getpid():
            self._spool.unlink(missing_ok=True)

    def __getstate__(self) -> dict[str, Any]:
        own = ("root", "names", "_data", "_spool", "_members", "_stamp")
        return {name: self.__dict__[name] for name in own} | {"_owner": 0, "_handle": None}

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            with suppress(OSError):
                self.close()

    def _member(self, name: str) -> Member:
        try:
            return self._members[name]
        except KeyError:
            raise BadInputError(f"{self.where(name)}: no such file in the archive") from None

    def _opened(self) -> int:
        """Return the handle, opened again where the source was sent to another process."""
        if self._handle is None:
            handle = os.open(self._data, os.O_RDONLY)
            if self._data == self.root and _stamp(handle) != self._stamp:
                os.close(handle)
                raise BadInputError(f"{self.root}: changed while it was read; start again")
            self._handle = handle
        return self._handle

    def _index(self, root: Path) -> Mapping[str, Member]:
        assert self._handle is not None
        guard = Guard(root)
        start = os.pread(self._handle, BLOCK, 0)
        kind = next((kind for mark, kind in _COMPRESSED.items() if start.startswith(mark)), "")
        found: Mapping[str, Member]
        if start.startswith(_ZIP):
            found = index_zip(self._handle, guard)
        elif kind:
            found = self._index_compressed(kind, guard)
        elif len(start) == BLOCK and (not start.strip(b"\0") or is_tar_header(start)):
            found = index_tar(PlainBlocks(self._handle, guard), guard)
        else:
            raise BadInputError(f"{root}: {_not_read(start)}")
        guard.finish()
        return found

    def _index_compressed(self, kind: str, guard: Guard) -> dict[str, TarMember]:
        """Unpack the members into the spool file in one pass, and read from there."""
        self._data = self._spool  # from here on, closing removes it
        try:
            self._spool.parent.mkdir(parents=True, exist_ok=True)
            with guard.archive.open("rb") as packed, self._spool.open("xb") as spool:
                unpacked = Unpacking(packed, kind, guard)
                found = index_tar(SpooledBlocks(unpacked, spool, guard), guard)
        except OSError as error:
            problem = f"{self._spool}: {error.strerror or error}"
            raise BadInputError(f"{problem}; free some space, or unpack {guard.archive} and give its folder") from None
        assert self._handle is not None
        os.close(self._handle)
        self._handle = os.open(self._spool, os.O_RDONLY)
        return found


def _stamp(handle: int) -> str:
    stat = os.fstat(handle)
    return f"{stat.st_mtime_ns} {stat.st_size}"


def _not_read(start: bytes) -> str:
    """Return what a file is that is no archive of ours, and what to do with it."""
    if not start:
        return "an empty file; get the archive again"
    kinds = (kind for mark, kind in _OTHERS.items() if start.lstrip().startswith(mark))
    return next(kinds, f"not an archive that is read; {_READ}")


def open_source(root: Path, spool: Path) -> Source:
    """Return the source that a path names.

    `spool` is the one file that may be written: the content of a compressed tar, until the source is closed. What a
    killed run left there is removed.

    Raises:
        MissingError: there is nothing at the path.
        BadInputError: it can be read neither as a folder nor as an archive, or the archive holds what is refused.
    """
    if not root.exists():
        raise MissingError(f"{root}: no such file or folder")
    if not (root.is_dir() or root.is_file()):
        raise BadInputError(f"{root}: a pipe or a device; save the archive to a file and give that")
    spool.unlink(missing_ok=True)
    return FolderSource(root) if root.is_dir() else ArchiveSource(root, spool)

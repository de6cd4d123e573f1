"""The content of a compressed file as a stream, stopped where a bomb begins."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import BinaryIO

from .guard import MAX_RATIO, Guard

PIECE = 1024**2
_XZ_MEMORY = 1024**3


class _Gunzip:
    """One gzip stream, with the face of bz2's and lzma's decompressors."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_DECOMPRESSORS: dict[str, Callable[[], "_Gunzip | bz2.BZ2Decompressor | lzma.LZMADecompressor"]] = {
    "gz": _Gunzip,
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
}


class Unpacking:
    """The content of a compressed file, also of several streams in a row, that stops where a bomb begins."""

    def __init__(self, packed: BinaryIO, kind: str, guard: Guard) -> None:
        self._packed = packed
        self._new = _DECOMPRESSORS[kind]
        self._stream = self._new()
        self._guard = guard
        self._ahead = bytearray()
        self._consumed = 0
        self._made = 0

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end.

        Raises:
            BadInputError: damaged, cut short, or more comes out of it than any set has.
        """
        while len(self._ahead) < count and (piece := self._next()):
            self._ahead += piece
        data = bytes(self._ahead[:count])
        del self._ahead[:count]
        return data

    def _next(self) -> bytes:
        """Return some bytes, or none at the end."""
        try:
            piece = self._step()
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            raise self._guard.stop(f"its compressed content is damaged ({error})") from None
        self._made += len(piece)
        if self._guard.inflated(self._consumed, self._made):
            raise self._guard.stop(f"more than {MAX_RATIO} times its size comes out of it: a decompression bomb")
        return piece

    def _step(self) -> bytes:
        piece = b""
        while not piece:
            if self._stream.eof:
                rest = self._stream.unused_data.lstrip(b"\0") or self._more().lstrip(b"\0")
                if not rest:
                    return b""
                self._stream = self._new()
                piece = self._stream.decompress(rest, PIECE)
                continue
            data = self._more() if self._stream.needs_input else b""
            if not data and self._stream.needs_input:
                raise EOFError("cut short")
            piece = self._stream.decompress(data, PIECE)
        return piece

    def _more(self) -> bytes:
        data = self._packed.read(PIECE)
        self._consumed += len(data)
        return data

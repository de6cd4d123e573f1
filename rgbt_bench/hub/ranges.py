"""A file of a repository that is read in ranges, each of which is one request."""

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from rgbt_bench.errors import HubError

from .client import speaking
from .names import HubName
from .remote import Remote

_THREADS = 8
_GAP = 32 * 1024  # ranges this near to each other are asked for at once: a request costs about as much
_TAIL = 64 * 1024  # holds the footer of most shards

Range = tuple[int, int]


class RangeFile(io.RawIOBase):
    """A dataset's file on the Hub, read-only; what was held is read from memory, all else by a request of its own.

    `start` and `end` of a range count bytes, the end not among them.

    Raises:
        HubError: the Hub cannot be reached, or sends other than what was asked for.
    """

    def __init__(self, remote: Remote, path: str) -> None:
        self.name: HubName = remote.name
        self.path = path
        self.size = remote.files[path].size
        self._place = 0
        self._held: dict[Range, bytes] = {}

    def hold(self, ranges: Iterable[Range]) -> None:
        """Fetch ranges, several at once, and keep them."""
        wanted = merged(ranges, _GAP)
        if len(wanted) == 1:
            self._held[wanted[0]] = self._fetch(wanted[0])
            return
        with ThreadPoolExecutor(_THREADS, "range") as pool:
            self._held |= dict(zip(wanted, pool.map(self._fetch, wanted), strict=True))

    def hold_tail(self) -> None:
        """Fetch the end of the file, where a Parquet file says what is in it."""
        self.hold([(max(0, self.size - _TAIL), self.size)])

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Let the next read begin elsewhere."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes, all that is left where it is negative."""
        left = max(0, self.size - self._place)
        start, end = self._place, self._place + (left if size is None or size < 0 else min(size, left))
        self._place = end
        for (first, last), data in self._held.items():
            if first <= start and end <= last:
                return data[start - first : end - first]
        return self._fetch((start, end)) if end > start else b""

    def _fetch(self, wanted: Range) -> bytes:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            hf_raise_for_status,
            http_backoff,
        )

        start, end = wanted
        with speaking(self.name):
            url = hf_hub_url(self.name.repo_id, self.path, repo_type="dataset", revision=self.name.revision)
            headers = build_hf_headers(library_name="rgbt-bench") | {"Range": f"bytes={start}-{end - 1}"}
            response = http_backoff("GET", url, headers=headers)
            hf_raise_for_status(response)
            data: bytes = response.content
        if len(data) != end - start:
            raise HubError(f"{self.name}: sent {len(data)} bytes of {self.path} where {end - start} were asked for")
        return data


def merged(ranges: Iterable[Range], gap: int) -> list[Range]:
    """Return ranges in their order, those joined between which there are at most `gap` bytes."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start - found[-1][1] <= gap:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found

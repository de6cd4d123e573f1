"""Reading a pushed set where it lies: its labels at once, its images by the row groups that are asked for.

What was read is verified against the set's digests and kept below the home folder, so it is fetched once.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rgbt_bench import paths
from rgbt_bench.datasets.checks import MAX_PIXELS, label_faults
from rgbt_bench.datasets.digests import mask_digest, open_image, sample_label_digest
from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.datasets.verifying import require_columns, require_groups, sample_faults, text_faults
from rgbt_bench.errors import BadInputError, UsageError, enumerate_faults
from rgbt_bench.files import sha256_file, write_text, write_with
from rgbt_bench.schema import Image, Sample, from_row, image_from_cell, labels_from_row

from .names import PREFIX, HubName, parse_hub_name
from .pulling import open_records, remedy, require_set
from .ranges import Range, RangeFile
from .remote import open_remote

_log = logging.getLogger(__name__)
_AHEAD = 3  # row groups, of 32 pairs each
_PIXELS = ("rgb", "thermal")


def parse_hub_dataset(text: str) -> tuple[HubName, str]:
    """Return the repository and the split that `hub:owner/name`, with `@revision` and `@split` after it, names.

    Raises:
        UsageError: not such a name.
    """
    repo_id, *rest = text.removeprefix(PREFIX).split("@")
    if len(rest) > 2:
        raise UsageError(f"{text!r}: write hub:OWNER/NAME@REVISION@SPLIT, with an empty REVISION for the head")
    revision, split = [*rest, "", ""][:2]
    if len(rest) == 2 and not split:
        raise UsageError(f"{text!r}: names no split after the second @")
    name = parse_hub_name(f"{repo_id}@{revision}" if revision else repo_id)
    return name, split or DEFAULT_SPLIT


class HubDataset(Dataset):
    """A pushed set, read by ranges at one commit, under one of its named splits.

    Raises:
        MissingError: there is no such repository.
        UsageError: it has a manifest alone, or no such split.
        BadInputError: what was read is not what the set's digests say.
        HubError: the Hub cannot be reached.
    """

    def __init__(self, name: HubName, split: str = DEFAULT_SPLIT) -> None:
        self.remote = open_remote(name, "dataset")
        if require_set(self.remote)[0]:
            raise UsageError(
                f"{name}: holds no images to read; `rgbt-bench pull {self.remote.name} --originals PATH` makes a set"
                " of a manifest and your own copy"
            )
        if not name.is_pinned:
            pinned = self.remote.name
            _log.warning("%s is %s now; %s always names the same", name, pinned.revision, pinned)
        super().__init__(open_records(self.remote).root, split)
        self._cache = paths.hub_cache() / name.repo_id.replace("/", "--") / self.remote.revision
        self._footers: dict[str, pq.FileMetaData] = {}
        self._sound: set[Path] = set()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self.remedy = f"delete {self._cache}, and it is fetched again"

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.remote.name, "split": self.split}

    def under(self, split: str) -> "HubDataset":
        """Return the same set under another of its named splits; itself where it is under that one."""
        return self if split == self.split else HubDataset(self.remote.name, split)

    def _shard_file(self, shard: str) -> Path:
        """Return a local copy of a shard that lacks the images of both modalities."""
        return self._kept(f"labels/{shard}", lambda aside: self._write_labels(shard, aside))

    def _group_table(self, shard: str, group: int) -> pa.Table:
        return pa.ipc.open_file(pa.memory_map(str(self._group_file(shard, group)))).read_all()

    def _group_file(self, shard: str, group: int) -> Path:
        return self._kept(
            f"groups/{shard}.{group}.arrow", lambda aside: _write_table(self._fetch_group(shard, group), aside)
        )

    def samples(self, ids: Sequence[str]) -> Iterator[Sample]:
        """Yield samples with their encoded images; the row groups that come next are fetched meanwhile."""
        order = list(dict.fromkeys(self.look_up(self._rows, sample_id)[:2] for sample_id in ids))
        places = {group: place for place, group in enumerate(order)}
        coming: dict[int, Future[Path]] = {}
        pool = ThreadPoolExecutor(_AHEAD, "group")
        try:
            for sample_id in ids:
                here = places[self._rows[sample_id][:2]]
                for place in range(here, min(here + _AHEAD + 1, len(order))):
                    if place not in coming:
                        coming[place] = pool.submit(self._group_file, *order[place])
                coming[here].result()
                yield self.sample(sample_id)
        finally:
            pool.shutdown(cancel_futures=True)

    def _kept(self, name: str, write: Callable[[Path], None]) -> Path:
        """Return a file of the cache, written anew where it is not there or not as it was written."""
        path = self._cache / name
        note = path.with_name(f"{path.name}.sha256")
        with self._locks[name]:
            if path not in self._sound or not path.is_file():
                if not (path.is_file() and note.is_file() and note.read_bytes() == sha256_file(path).encode()):
                    write_with(path, write)
                    write_text(note, sha256_file(path))
                self._sound.add(path)
        return path

    @contextmanager
    def _remote_parquet(self, shard: str) -> Iterator[tuple[RangeFile, pq.ParquetFile]]:
        """Open a shard on the Hub; whatever is wrong with it becomes an error that names it."""
        path = f"data/{shard}"
        file = RangeFile(self.remote, path)
        try:
            if shard not in self._footers:
                file.hold_tail()
            footer = self._footers.get(shard)
            parquet = pq.ParquetFile(pa.PythonFile(file, mode="r"), metadata=footer, page_checksum_verification=True)
            self._footers[shard] = parquet.metadata
            where, mends = f"{self.remote.name}: {path}", remedy(self.remote)
            require_columns(parquet.schema_arrow, self.info, where, mends)
            require_groups(parquet.metadata, where, mends)
            yield file, parquet
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # our own disk
                raise
            raise BadInputError(
                f"{self.remote.name}: {path} is not a readable shard ({error}); ask its owner"
            ) from None

    def _write_labels(self, shard: str, path: Path) -> None:
        with self._remote_parquet(shard) as (file, parquet):
            columns = [name for name in parquet.schema_arrow.names if name not in _PIXELS]
            groups = range(parquet.num_row_groups)
            file.hold(one for group in groups for one in _column_ranges(parquet.metadata, group, columns))
            schema = pa.schema([parquet.schema_arrow.field(name) for name in columns])
            with pq.ParquetWriter(path, schema, compression="ZSTD") as writer:
                for group in groups:
                    table = parquet.read_row_group(group, columns=columns, use_threads=False)
                    self._require(fault for row in table.to_pylist() for fault in self._label_faults(row))
                    writer.write_table(table, row_group_size=max(1, len(table)))

    def _fetch_group(self, shard: str, group: int) -> pa.Table:
        with self._remote_parquet(shard) as (file, parquet):
            ranges = list(_column_ranges(parquet.metadata, group, parquet.schema_arrow.names))
            file.hold([(min(start for start, _ in ranges), max(end for _, end in ranges))])
            table: pa.Table = parquet.read_row_group(group, use_threads=False)
            samples = [from_row(row) for row in table.to_pylist()]
        recorded = self.digests
        self._require(fault for one in samples for fault in sample_faults(one, self.info, recorded.get(one.sample_id)))
        return table

    def _label_faults(self, row: dict[str, Any]) -> Iterable[str]:
        labels, mask = labels_from_row(row), image_from_cell(row["mask"])
        recorded = self.digests.get(labels.sample_id)
        faults = text_faults(labels) or [*label_faults(labels, self.info.classes)]
        if faults:
            return faults
        try:
            found = sample_label_digest(labels, self.info.classes, _mask_digest(mask) if mask else None)
        except (OSError, ValueError, IndexError) as error:
            return [f"{labels.sample_id}: {error}"]
        return [] if recorded and recorded.label == found else [f"{labels.sample_id}: label"]

    def _require(self, faults: Iterable[str]) -> None:
        found = list(faults)
        if found:
            title = f"{self.remote.name}: {len(found)} sample(s) are not what its digests say; ask its owner:"
            raise BadInputError(enumerate_faults(title, found))


def _mask_digest(mask: Image) -> str:
    with open_image(mask.data) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(f"a mask above {MAX_PIXELS} pixels")
        return mask_digest(opened)


def _column_ranges(footer: pq.FileMetaData, group: int, columns: Iterable[str]) -> Iterable[Range]:
    """Yield where the chunks of some columns lie in the file."""
    wanted = set(columns)
    row_group = footer.row_group(group)
    for place in range(row_group.num_columns):
        chunk = row_group.column(place)
        if chunk.path_in_schema.partition(".")[0] in wanted:
            start = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
                start = min(start, chunk.dictionary_page_offset)
            yield start, start + chunk.total_compressed_size


def _write_table(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)

"""Reading a converted set: a folder of Parquet shards with its record, digests and split lists."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from rgbt_bench.datasets.digests import SampleDigests, split_digests
from rgbt_bench.datasets.splits import DEFAULT_SPLIT, dataset_name, require_part, split_hash
from rgbt_bench.errors import BadInputError, MissingError, unknown_name
from rgbt_bench.files import read_json
from rgbt_bench.paths import RECORD_FILE
from rgbt_bench.schema import (
    IMAGE_COLUMNS,
    SCHEMA_VERSION,
    DatasetInfo,
    Image,
    Labels,
    Sample,
    from_row,
    image_from_cell,
    labels_from_row,
)

DIGESTS_FILE = "digests.json"
SPLITS_FOLDER = "splits"
AGAIN = "convert the set again"
ROW_GROUP = 32  # small, so that reading one sample at random reads few others
KEPT_BYTES = 64 * 1024 * 1024  # of row groups, for the samples of a small set that come at random

_T = TypeVar("_T")


class PartRecord(BaseModel):
    """One part (train, val, test) of a named split: how many samples, and the digests that name them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int
    ids_sha256: str
    label_digest: str
    rgb_digest: str
    thermal_digest: str | None


class DatasetRecord(BaseModel):
    """What `dataset.json` holds: the dataset's info, how it was made, its splits, shards and fingerprint.

    `split_origins` says of every split but the default one whose it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    info: DatasetInfo
    layout: str
    made_with: str
    skipped: int
    shards: dict[str, tuple[str, ...]]
    splits: dict[str, dict[str, PartRecord]]
    split_origins: dict[str, str] = {}
    fingerprint: str


class Part(Sequence[Sample]):
    """The samples of one part of a named split, in the order of their ids; images are read when they are asked for."""

    def __init__(self, dataset: "Dataset", split: str, name: str, ids: Sequence[str]) -> None:
        self.dataset = dataset
        self.split = split
        self.name = name
        self.ids: tuple[str, ...] = tuple(sorted(ids))

    @property
    def record(self) -> PartRecord:
        """The part's sample count and digests."""
        return self.dataset.record.splits[self.split][self.name]

    @cached_property
    def labels(self) -> tuple[Labels, ...]:
        """The labels of all samples, read without their images."""
        labels = self.dataset.labels
        return tuple(self.dataset.look_up(labels, sample_id) for sample_id in self.ids)

    def masks(self) -> Iterator[tuple[str, Image | None]]:
        """Yield every sample's id and encoded label map, or None, by shards; no other image is read."""
        wanted = set(self.ids)
        return ((sample_id, mask) for sample_id, mask in self.dataset.masks() if sample_id in wanted)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self.dataset.sample(sample_id) for sample_id in self.ids[index]]
        return self.dataset.sample(self.ids[index])

    def __iter__(self) -> Iterator[Sample]:
        return self.dataset.samples(self.ids)


class Dataset:
    """A converted set on disk, read under one of its named splits."""

    remedy = AGAIN  # what mends it where it is damaged; of a pushed set, whose owner to ask

    def __init__(self, root: Path, split: str = DEFAULT_SPLIT) -> None:
        self.root = root
        self.record = read_record(root / RECORD_FILE)
        if split not in self.record.splits:
            raise unknown_name(f"split of {self.record.info.name}", split, self.record.splits)
        self.split = split
        self._lock = threading.Lock()
        self._groups: dict[tuple[str, int], pa.Table] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "split": self.split}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def under(self, split: str) -> "Dataset":
        """Return the same set under another of its named splits; itself where it is under that one."""
        if split == self.split:
            return self
        other = Dataset(self.root, split)
        other.remedy = self.remedy
        return other

    @property
    def info(self) -> DatasetInfo:
        """The dataset's classes, tasks and declared ranges."""
        return self.record.info

    @property
    def name(self) -> str:
        """The dataset's name, with `@SPLIT` where the split is not the default one."""
        return dataset_name(self.info.name, self.split)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the split's parts."""
        return tuple(self.record.splits[self.split])

    def part(self, name: str) -> Part:
        """Return one part of the split.

        Raises:
            UsageError: the split has no such part.
        """
        require_part(self.parts, name, self.name)
        path = self.root / SPLITS_FOLDER / f"{self.split}.json"
        lists = read_json(path)
        ids = lists.get(name) if isinstance(lists, dict) else None
        if not isinstance(ids, list) or split_hash(map(str, ids)) != self.record.splits[self.split][name].ids_sha256:
            raise BadInputError(
                f"{path}: the ids of {name} are not those that {RECORD_FILE} has the hash of; {self.remedy}"
            )
        return Part(self, self.split, name, ids)

    @cached_property
    def _rows(self) -> dict[str, tuple[str, int, int]]:
        """Where each sample lies: its shard, row group and row in the group."""
        rows = {}
        for shard in self._shards:
            with self._reading(shard) as parquet:
                for group in range(parquet.num_row_groups):
                    column = parquet.read_row_group(group, columns=["sample_id"])["sample_id"].to_pylist()
                    rows.update({sample_id: (shard, group, row) for row, sample_id in enumerate(column)})
        return rows

    @cached_property
    def labels(self) -> Mapping[str, Labels]:
        """The labels of every sample of the set by id, read without images."""
        found: dict[str, Labels] = {}
        for shard in self._shards:
            with self._reading(shard) as parquet:
                columns = [name for name in parquet.schema_arrow.names if name not in IMAGE_COLUMNS]
                for row in parquet.read(columns=columns).to_pylist():
                    found[row["sample_id"]] = labels_from_row(row)
        return found

    def masks(self) -> Iterator[tuple[str, Image | None]]:
        """Yield the id and the encoded label map, or None, of every sample of the set, without its other images."""
        for shard in self._shards:
            with self._reading(shard) as parquet:
                for group in range(parquet.num_row_groups):
                    for row in parquet.read_row_group(group, columns=["sample_id", "mask"]).to_pylist():
                        yield row["sample_id"], image_from_cell(row["mask"])

    def stored_ids(self, part: str) -> list[str]:
        """Return the ids of the samples that the shards of a part of the default split hold, in their order."""
        found: list[str] = []
        for shard in self.record.shards[part]:
            with self._reading(shard) as parquet:
                found += parquet.read(columns=["sample_id"])["sample_id"].to_pylist()
        return found

    def sample(self, sample_id: str) -> Sample:
        """Return one sample with its encoded images.

        Raises:
            BadInputError: it is in no shard, or its shard is damaged.
        """
        shard, group, row = self.look_up(self._rows, sample_id)
        with self._lock:
            table = self._groups.get((shard, group))
            if table is None:
                table = self._read_group(shard, group)
        return from_row(table.slice(row, 1).to_pylist()[0])

    def samples(self, ids: Sequence[str]) -> Iterator[Sample]:
        """Yield samples with their encoded images, in the order of `ids`.

        Raises:
            BadInputError: as `sample`.
        """
        return map(self.sample, ids)

    def _read_group(self, shard: str, group: int) -> pa.Table:
        """Read a row group and keep it, in place of the oldest ones where there are too many bytes of them."""
        table = self._group_table(shard, group)
        while self._groups and table.nbytes + sum(kept.nbytes for kept in self._groups.values()) > KEPT_BYTES:
            del self._groups[next(iter(self._groups))]
        self._groups[shard, group] = table
        return table

    def _group_table(self, shard: str, group: int) -> pa.Table:
        """Return a row group with its images."""
        with self._reading(shard) as parquet:
            return parquet.read_row_group(group, use_threads=False)

    def _shard_file(self, shard: str) -> Path:
        """Return the file that a shard's labels are read from."""
        return self.root / "data" / shard

    @cached_property
    def digests(self) -> dict[str, SampleDigests]:
        """The digests of every sample by id, as they were recorded at conversion."""
        path = self.root / DIGESTS_FILE
        try:
            return {sample_id: SampleDigests(*entry) for sample_id, entry in read_json(path).items()}
        except (AttributeError, TypeError):
            raise BadInputError(f"{path}: not the digests of a converted set; {self.remedy}") from None

    def look_up(self, found: Mapping[str, _T], sample_id: str) -> _T:
        """Return what was read of a sample.

        Raises:
            BadInputError: no shard has the sample.
        """
        if sample_id not in found:
            raise BadInputError(f"{self.root}: no shard holds the sample {sample_id!r}; {self.remedy}")
        return found[sample_id]

    @property
    def _shards(self) -> list[str]:
        return [shard for shards in self.record.shards.values() for shard in shards]

    @contextmanager
    def _reading(self, shard: str) -> Iterator[pq.ParquetFile]:
        """Open a shard; whatever is wrong with it becomes an error that names the file."""
        path = self._shard_file(shard)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
                yield parquet
        except FileNotFoundError:
            raise MissingError(f"{path}: the shard is missing; {self.remedy}") from None
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"{path}: not a readable shard ({error}); {self.remedy}") from None


def part_record(
    digests: Mapping[str, SampleDigests], ids: Sequence[str], ids_sha256: str, classes: tuple[str, ...]
) -> PartRecord:
    """Return the record of the samples named by `ids`."""
    digest = split_digests(digests, ids, classes)
    return PartRecord(
        samples=len(ids),
        ids_sha256=ids_sha256,
        label_digest=digest.label,
        rgb_digest=digest.rgb,
        thermal_digest=digest.thermal,
    )


def read_record(path: Path, remedy: str = AGAIN) -> DatasetRecord:
    """Return the record of a set from its file; `remedy` is what its errors advise.

    Raises:
        MissingError: there is no such file.
        BadInputError: it is no record, or of another version; the message names it.
    """
    content = read_json(path)
    # First, because another version's record may have other fields.
    version = content.get("schema_version", SCHEMA_VERSION) if isinstance(content, dict) else SCHEMA_VERSION
    if version != SCHEMA_VERSION:
        raise BadInputError(f"{path}: schema version {version}, this rgbt-bench reads {SCHEMA_VERSION}; {remedy}")
    try:
        return DatasetRecord.model_validate(content)
    except ValidationError as error:
        raise BadInputError(f"{path}: not a dataset record of this version; {remedy}: {error}") from None

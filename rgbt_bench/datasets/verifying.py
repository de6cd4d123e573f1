"""Computing every digest of a converted set again from its stored bytes, and comparing them with its record."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq

from rgbt_bench.datasets.arrow import arrow_schema
from rgbt_bench.datasets.checks import look_at
from rgbt_bench.datasets.digests import SampleDigests, fingerprint
from rgbt_bench.datasets.splits import DEFAULT_SPLIT, split_hash
from rgbt_bench.datasets.store import DIGESTS_FILE, Dataset, part_record
from rgbt_bench.errors import BadInputError, BenchError, enumerate_faults
from rgbt_bench.paths import RECORD_FILE
from rgbt_bench.schema import DatasetInfo, Illumination, Labels, Sample
from rgbt_bench.workers import usable_cores, workers

MAX_GROUP_ROWS = 1000
MAX_GROUP_BYTES = 2 * 1024**3
SAMPLES_PER_TASK = 64
SAMPLES_PER_WORKER = 350  # fewer are checked before another process has started


def require_own_digests(dataset: Dataset) -> None:
    """Make sure that a set's digests and id lists are those that its record was made of; no image is read.

    Raises:
        BadInputError: they are not; the message names the file.
    """
    try:
        _require_own_digests(dataset)
    except UnicodeEncodeError as error:  # half a surrogate pair, which JSON can escape
        raise BadInputError(f"{dataset.root}: an id or digest is no text ({error}); {dataset.remedy}") from None


def _require_own_digests(dataset: Dataset) -> None:
    digests, record = dataset.digests, dataset.record
    if fingerprint(digests, dataset.info.classes) != record.fingerprint:
        path = dataset.root / DIGESTS_FILE
        raise BadInputError(f"{path}: these digests do not make the set's fingerprint; {dataset.remedy}")
    for split, parts in record.splits.items():
        opened = dataset.under(split)
        for name, told in parts.items():
            ids = opened.part(name).ids
            unknown = [one for one in ids if one not in digests]
            if unknown or part_record(digests, ids, split_hash(ids), dataset.info.classes) != told:
                what = f"lists {unknown[0]!r}, which is no sample of the set" if unknown else "has other digests"
                where = f"{dataset.root / RECORD_FILE}: {name} of the split {split}"
                raise BadInputError(f"{where} {what}; {dataset.remedy}")


def verify(dataset: Dataset, progress: Callable[[str, int, int], None], count: int | None = 1) -> None:
    """Decode and check every image of a set again, and compare all its digests with those that were recorded.

    `count` processes share the work; None takes the usable cores, as far as the set keeps them busy.

    Raises:
        BadInputError: something is not what was recorded of it; the message names the samples.
    """
    require_own_digests(dataset)
    whole = dataset.under(DEFAULT_SPLIT)
    ids = [sample_id for name in whole.parts for sample_id in whole.part(name).ids]
    faults = _listed_faults(whole)
    tasks = [_VerifyTask(ids[start : start + SAMPLES_PER_TASK]) for start in range(0, len(ids), SAMPLES_PER_TASK)]
    if count is None:
        count = min(usable_cores(), len(ids) // SAMPLES_PER_WORKER)
    done = 0
    with workers(min(count, len(tasks)), whole) as crew:
        for number, found in crew.run(tasks):
            faults += found
            done += len(tasks[number].ids)
            progress(f"verifying {dataset.root}", done, len(ids))
    if faults:
        title = f"{dataset.root}: {len(faults)} sample(s) are not what was recorded of them; {dataset.remedy}:"
        raise BadInputError(enumerate_faults(title, sorted(faults)))


def _listed_faults(dataset: Dataset) -> list[str]:
    """Return where the shards of a part hold other samples than the default split says."""
    faults = [f"{one}: has digests, but is in no part" for one in sorted(dataset.digests.keys() - _listed(dataset))]
    for name in dataset.parts:
        stored, listed = Counter(dataset.stored_ids(name)), Counter(dataset.part(name).ids)
        for shard in dataset.record.shards[name]:
            path = dataset.root / "data" / shard
            require_columns(pq.read_schema(path), dataset.info, str(path), dataset.remedy)
            require_groups(pq.read_metadata(path), str(path), dataset.remedy)
        faults += [f"{one}: is in a shard of {name}, but not in its list" for one in sorted(stored - listed, key=str)]
        faults += [f"{one}: is listed in {name}, but in none of its shards" for one in sorted(listed - stored)]
    return faults


def _listed(dataset: Dataset) -> set[str]:
    return {sample_id for name in dataset.parts for sample_id in dataset.part(name).ids}


@dataclass(frozen=True)
class _VerifyTask:
    """Samples to look at again."""

    ids: Sequence[str]

    def run(self, dataset: Dataset) -> list[str]:
        return [fault for sample_id in self.ids for fault in self._faults(dataset, sample_id)]

    def _faults(self, dataset: Dataset, sample_id: str) -> Sequence[str]:
        try:
            return sample_faults(dataset.sample(sample_id), dataset.info, dataset.digests.get(sample_id))
        except (BenchError, KeyError, TypeError) as error:  # the latter of a cell without a value
            return [f"{sample_id}: {error}"]


def sample_faults(sample: Sample, info: DatasetInfo, recorded: SampleDigests | None) -> Sequence[str]:
    """Return what is wrong with a sample, or which of its digests are not those that were recorded of it."""
    try:
        look = look_at(sample, info)
    except (AttributeError, KeyError, TypeError) as error:
        return [f"{sample.sample_id}: a cell has no value ({error})"]
    faults = [*look.faults, *text_faults(sample)]
    if look.digests is None or faults:
        return faults
    if recorded is None:
        return [f"{sample.sample_id}: has no digests"]
    names = [name for name in SampleDigests.__slots__ if getattr(look.digests, name) != getattr(recorded, name)]
    return [f"{sample.sample_id}: {' and '.join(names)}"] if names else []


def text_faults(labels: Labels) -> list[str]:
    """Return what is wrong with the texts of a sample, most of which no digest covers."""
    texts = (labels.sample_id, labels.scene, labels.source)
    if labels.illumination in get_args(Illumination) and all(isinstance(one, str) for one in texts):
        return []
    return [f"{labels.sample_id}: sample_id, illumination, scene or source is none that the schema has"]


def require_groups(footer: pq.FileMetaData, where: str, remedy: str) -> None:
    """Make sure that no row group of a shard is larger than what is read at once should be.

    Raises:
        BadInputError: one is; the message begins with `where`.
    """
    for place in range(footer.num_row_groups):
        group = footer.row_group(place)
        if group.num_rows > MAX_GROUP_ROWS or group.total_byte_size > MAX_GROUP_BYTES:
            told = f"{group.num_rows:,} rows, {group.total_byte_size:,} bytes"
            raise BadInputError(f"{where}: its row group {place} has {told}, which no set's has; {remedy}")


def require_columns(found: pa.Schema, info: DatasetInfo, where: str, remedy: str) -> None:
    """Make sure that a shard has the columns of the schema and no other.

    Raises:
        BadInputError: it has not; the message begins with `where` and names them.
    """
    told = arrow_schema(info.classes)
    odd = (
        dict(zip(found.names, found.types, strict=True)).items()
        ^ dict(zip(told.names, told.types, strict=True)).items()
    )
    if odd or len(found) != len(told):
        names = sorted({name for name, _ in odd})
        raise BadInputError(f"{where}: its columns are not those of a set ({', '.join(names)}); {remedy}")

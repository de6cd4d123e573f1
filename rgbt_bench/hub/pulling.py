"""Pulling a set: the pushed shards, or a rebuild from a manifest and the user's own originals, every hash verified."""

import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rgbt_bench import paths
from rgbt_bench.converters import Converter
from rgbt_bench.converting import OnError, convert, require_replaceable
from rgbt_bench.datasets.digests import SampleDigests
from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.datasets.store import DIGESTS_FILE, SPLITS_FOLDER, Dataset, DatasetRecord, read_record
from rgbt_bench.datasets.verifying import require_own_digests, verify
from rgbt_bench.datasets.writer import DOWNLOADS, PLAN_FILE, PlannedSample, put_in_place, require_own
from rgbt_bench.errors import BadInputError, MissingError, UsageError, enumerate_faults
from rgbt_bench.locking import locked
from rgbt_bench.paths import PARTIAL, RECORD_FILE
from rgbt_bench.registry import converters, load_converter
from rgbt_bench.schema import DatasetInfo

from .names import HubName
from .remote import Remote, open_remote
from .sets import is_manifest, write_hub_record

Progress = Callable[[str, int, int], None]
_SHARD = re.compile(r"[A-Za-z0-9_]+-\d{5}-of-\d{5}\.parquet")
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MAX_RECORD_BYTES = 512 * 1024 * 1024  # of a file that is read whole: a million samples' digests are half of it
_DECIDING = ("classes", "mask_classes", "thermal_range", "clip_training_boxes")  # what a set's numbers hang on
_OPTIONAL = ("README.md", "croissant.json", "conversion.json")
_THREADS = 4


@dataclass(frozen=True)
class Pulled:
    """What a pull made, and from which commit; `rebuilt` tells that its images are those of the user's originals.

    `other_splits` are named splits that the manifest has otherwise than this rgbt-bench, or that only one of them has.
    """

    repo_id: str
    revision: str
    dataset: str
    folder: str
    samples: int
    fingerprint: str
    rebuilt: bool
    other_splits: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return asdict(self)


def pull(
    name: HubName,
    out: Path | None = None,
    originals: Path | None = None,
    force: bool = False,
    progress: Progress = lambda stage, done, total: None,
    count: int | None = None,
) -> Pulled:
    """Get a pushed set, or rebuild it from a pushed manifest and `originals`, and verify every digest of it.

    It is written to `out`, or else by its name into the datasets folder, whole or not at all. A pull that was
    interrupted goes on where it stopped. `count` processes share the work of checking; None takes what the set needs.

    Raises:
        MissingError: there is no such repository, or it has a manifest and no originals are given.
        UsageError: it holds no set of ours, `out` cannot be replaced, or originals are given for a whole set.
        BadInputError: a digest is not the recorded one; nothing is left in place.
        HubError: the Hub cannot be reached.
    """
    remote = open_remote(name, "dataset")
    with_manifest, record = require_set(remote)
    place = (out or paths.datasets_home() / record.info.name).resolve()
    require_replaceable(place, force)
    if with_manifest:
        return _rebuild(remote, record, place, originals, force, progress, count)
    if originals is not None:
        raise UsageError(f"{name}: holds the whole set, which no originals are needed for; leave --originals out")
    with locked(place.with_name(f".{place.name}.lock"), f"the set {place.name}"):
        require_replaceable(place, force)
        require_own(place)
        return _download(remote, record, place, progress, count)


def remedy(remote: Remote) -> str:
    """Return what mends a pushed set that is not what it says."""
    return f"it is so at {remote.name}: ask its owner, or try a newer rgbt-bench"


def require_set(remote: Remote) -> tuple[bool, DatasetRecord]:
    """Return whether a repository holds a manifest, and the record of its set, whose names are safe to write.

    Raises:
        UsageError: it holds no set of ours.
        BadInputError: its record is damaged, or names what is not there.
    """
    if RECORD_FILE not in remote.files:
        raise UsageError(
            f"{remote.name}: no set of rgbt-bench is there (no {RECORD_FILE}); `datasets.load_dataset` reads others"
        )
    _require_small(remote, RECORD_FILE)
    record = read_record(remote.fetch(RECORD_FILE), remedy(remote))
    shards = [shard for listed in record.shards.values() for shard in listed]
    odd = [one for one in shards if not _SHARD.fullmatch(one)]
    odd += [one for one in record.splits if not _SPLIT.fullmatch(one)]
    if odd or DEFAULT_SPLIT not in record.splits or record.shards.keys() != record.splits[DEFAULT_SPLIT].keys():
        raise BadInputError(f"{remote.name}: {RECORD_FILE} names {odd[:1] or 'no default split'}, which no set has")
    needed = record_paths(record)
    without = is_manifest(remote.files)
    if not without:
        needed += [f"data/{shard}" for shard in shards]
    missing = [path for path in needed if path not in remote.files]
    if missing:
        raise BadInputError(f"{remote.name}: {', '.join(missing[:3])} is not there, which {RECORD_FILE} speaks of")
    for path in record_paths(record):
        _require_small(remote, path)
    _require_known_info(remote, record.info)
    return without, record


def _require_small(remote: Remote, path: str) -> None:
    if remote.files[path].size > _MAX_RECORD_BYTES:
        raise BadInputError(f"{remote.name}: {path} is larger than {_MAX_RECORD_BYTES:,} bytes, which no set's is")


def _require_known_info(remote: Remote, info: DatasetInfo) -> None:
    """Refuse a registered dataset that says other than its converter what its numbers hang on: no digest covers it."""
    if info.name not in converters():
        return
    known = load_converter(info.name).info
    for what in _DECIDING:
        if getattr(info, what) != getattr(known, what):
            raise BadInputError(
                f"{remote.name}: {info.name} has {what} {getattr(info, what)!r} there, and {getattr(known, what)!r} as"
                f" this rgbt-bench knows it; {remedy(remote)}"
            )


def _download(remote: Remote, record: DatasetRecord, place: Path, progress: Progress, count: int | None) -> Pulled:
    aside = place.with_name(place.name + PARTIAL)
    if (aside / PLAN_FILE).exists():  # of a conversion, whose shards are others
        shutil.rmtree(aside)
    wanted = [path for path in _paths(record) if path in remote.files]
    aside.mkdir(parents=True, exist_ok=True)
    _download_all(remote, wanted, aside, progress)
    for path in [path for path in aside.rglob("*") if path.is_file()]:
        inner = path.relative_to(aside).as_posix()
        if inner not in wanted and not inner.startswith(f"{DOWNLOADS}/"):
            path.unlink()  # of a pull of another commit
    dataset = Dataset(aside)
    dataset.remedy = remedy(remote)
    try:
        verify(dataset, progress, count)
    except BadInputError:
        shutil.rmtree(aside)
        raise
    shutil.rmtree(aside / DOWNLOADS, ignore_errors=True)
    write_hub_record(aside, remote.name, is_manifest=False)
    put_in_place(aside, place)
    return _pulled(remote, record, place, rebuilt=False)


def _paths(record: DatasetRecord) -> list[str]:
    """Return the paths of the files of a set, the small ones first."""
    shards = [f"data/{shard}" for listed in record.shards.values() for shard in listed]
    return [*record_paths(record), *_OPTIONAL, *shards]


def record_paths(record: DatasetRecord) -> list[str]:
    """Return the paths of the files that say what a set is."""
    return [RECORD_FILE, DIGESTS_FILE, *(f"{SPLITS_FOLDER}/{split}.json" for split in record.splits)]


def _download_all(remote: Remote, wanted: Sequence[str], aside: Path, progress: Progress) -> None:
    """Download what is not there yet, each file checked against the hash that the commit has of it."""
    total = sum(remote.files[path].size for path in wanted)
    done = 0
    progress("downloading, in kB", done // 1000, total // 1000)
    with ThreadPoolExecutor(_THREADS, "download") as pool:
        waiting = {pool.submit(remote.fetch, path, aside): path for path in wanted}
        try:
            for finished in as_completed(waiting):
                finished.result()
                done += remote.files[waiting[finished]].size
                progress("downloading, in kB", done // 1000, total // 1000)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _rebuild(
    remote: Remote,
    record: DatasetRecord,
    place: Path,
    originals: Path | None,
    force: bool,
    progress: Progress,
    count: int | None,
) -> Pulled:
    dataset = record.info.name
    converter = load_converter(dataset if dataset in converters() else "custom")()
    if originals is None and converter.needs_path:
        raise MissingError(
            f"{remote.name}: holds a manifest: ids, hashes and splits of {record.info.title}, no pixel and no label."
            f" Give your own copy: `rgbt-bench pull {remote.name} --originals PATH`.\n\n"
            f"{converter.instructions()}"
        )
    manifest = _Manifest(remote, converter)
    on_error: OnError = "skip" if record.skipped else "fail"
    convert(converter, originals, place, on_error, force, progress, count, require=manifest.require)
    write_hub_record(place, remote.name, is_manifest=True)
    made = Dataset(place).record
    others = [
        split
        for split in sorted(record.splits.keys() | made.splits.keys())
        if record.splits.get(split) != made.splits.get(split)
    ]
    return _pulled(remote, made, place, rebuilt=True, others=others)


def open_records(remote: Remote) -> Dataset:
    """Return a pushed set without its shards: its record, digests and id lists, which fit together.

    Raises:
        BadInputError: they do not.
        BenchError: a file is missing, or the Hub cannot be reached.
    """
    record = remote.fetch(RECORD_FILE)  # files of one commit lie in one folder of the cache
    with ThreadPoolExecutor(_THREADS, "records") as pool:
        list(pool.map(remote.fetch, record_paths(read_record(record, remedy(remote)))))
    dataset = Dataset(record.parent)
    dataset.remedy = remedy(remote)
    require_own_digests(dataset)
    return dataset


class _Manifest:
    """What a set has to be, sample by sample, before a byte of it is written."""

    def __init__(self, remote: Remote, converter: Converter) -> None:
        self._name = remote.name
        self._converter = converter
        dataset = open_records(remote)
        self._info = dataset.info
        self._digests = dataset.digests
        self._parts = {sample_id: part for part in dataset.parts for sample_id in dataset.part(part).ids}

    def require(self, planned: Sequence[PlannedSample]) -> None:
        """Compare what originals hold with what the manifest says.

        Raises:
            BadInputError: they differ; the message names the samples, or what holds for all of them.
        """
        info = self._converter.info  # what a file describes is known only now
        for what in ("name", *_DECIDING):
            wanted, here = getattr(self._info, what), getattr(info, what)
            if wanted != here:
                raise BadInputError(
                    f"{self._name}: the manifest has the {what} {wanted!r}, and what the originals are read by has"
                    f" {here!r}; nothing was written. Get the originals or the rgbt-bench that it was made with"
                )
        found = {one.sample_id: one for one in planned}
        faults = [f"{one}: not in the manifest" for one in sorted(found.keys() - self._digests.keys())]
        faults += [f"{one}: not in these originals" for one in sorted(self._digests.keys() - found.keys())]
        for one in sorted(found.keys() & self._digests.keys()):
            told, made = self._digests[one], found[one].digests
            differing = [name for name in SampleDigests.__slots__ if getattr(told, name) != getattr(made, name)]
            if found[one].item.part != self._parts.get(one):
                differing.append(f"part ({found[one].item.part}, in the manifest {self._parts.get(one)})")
            if differing:
                faults.append(f"{one}: another {', '.join(differing)}")
        if faults:
            title = (
                f"{self._name}: these originals are not the manifest's in {len(faults)} of {len(self._digests)}"
                " samples; nothing was written. Get the originals that the manifest's card names:"
            )
            raise BadInputError(enumerate_faults(title, faults))


def _pulled(remote: Remote, record: DatasetRecord, place: Path, rebuilt: bool, others: Sequence[str] = ()) -> Pulled:
    return Pulled(
        repo_id=remote.name.repo_id,
        revision=remote.revision,
        dataset=record.info.name,
        folder=str(place),
        samples=sum(part.samples for part in record.splits[DEFAULT_SPLIT].values()),
        fingerprint=record.fingerprint,
        rebuilt=rebuilt,
        other_splits=tuple(others),
    )

"""Writing a converted set: a static shard plan, shards renamed into place one by one, the folder renamed at the end."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from rgbt_bench import __version__
from rgbt_bench.datasets.arrow import arrow_schema, to_table
from rgbt_bench.datasets.card import CARD_FILE, card_text, part_sizes
from rgbt_bench.datasets.checks import checksums, sample_images
from rgbt_bench.datasets.croissant import CROISSANT_FILE, dataset_croissant, shard_files
from rgbt_bench.datasets.digests import SampleDigests, fingerprint
from rgbt_bench.datasets.splits import DEFAULT_SPLIT, split_hash
from rgbt_bench.datasets.store import (
    DIGESTS_FILE,
    ROW_GROUP,
    SPLITS_FOLDER,
    DatasetRecord,
    PartRecord,
    part_record,
)
from rgbt_bench.errors import BadInputError, BenchError, UsageError
from rgbt_bench.files import read_json, sha256_json, write_json, write_text, write_with
from rgbt_bench.paths import HUB_FILE, PARTIAL, RECORD_FILE, REPLACED
from rgbt_bench.schema import IMAGE_COLUMNS, SCHEMA_VERSION, DatasetInfo, SplitList, to_row

if TYPE_CHECKING:
    from rgbt_bench.converters import Converter, Item
    from rgbt_bench.sources import Source
    from rgbt_bench.workers import Workers

SHARD_BYTES = 256 * 1024 * 1024
PLAN_FILE = "plan.json"
REPORT_FILE = "conversion.json"
DOWNLOADS = ".cache"  # where the Hub's client keeps its own record of a download
_WRITTEN = frozenset(
    {PLAN_FILE, REPORT_FILE, RECORD_FILE, HUB_FILE, DIGESTS_FILE, SPLITS_FOLDER, CARD_FILE, CROISSANT_FILE, "data"}
    | {DOWNLOADS}
)


@dataclass(frozen=True, slots=True)
class PlannedSample:
    """A sample that passed its checks: its item and digests, and what its images weigh in bytes.

    `contents` are the checksums of the images that were checked: they, and no others, are written.
    """

    item: Item
    digests: SampleDigests
    weight: int
    contents: tuple[int, ...]

    @property
    def sample_id(self) -> str:
        """The sample's id."""
        return self.item.labels.sample_id

    @property
    def identity(self) -> list[object]:
        """All that decides its row's bytes."""
        labels = self.item.labels
        digests = [self.digests.label, self.digests.rgb, self.digests.thermal]
        told = [labels.illumination, labels.scene, labels.source]
        return [self.sample_id, *digests, self.weight, self.contents, *told]


@dataclass(frozen=True)
class ShardTask:
    """A shard to write, beside its place: who planned it puts it there, so that nobody else's shard ever is."""

    path: Path
    plan: str
    samples: Sequence[PlannedSample]
    schema: pa.Schema

    def __str__(self) -> str:
        return f"the shard {self.path.name}"

    def run(self, converter: Converter, source: Source) -> Path:
        """Write it, and return where it lies.

        Raises:
            BadInputError: an image is not the one that was checked; the message names it.
            OSError: it cannot be written; `filename` is its place.
        """
        aside = self.path.with_name(f".{self.path.name}.{self.plan[:16]}")
        try:
            write_with(aside, lambda path: self._fill(path, converter, source))
        except OSError as error:
            if error.errno is None:
                raise
            raise OSError(error.errno, os.strerror(error.errno), str(self.path)) from error  # pyarrow names no file
        return aside

    def _fill(self, path: Path, converter: Converter, source: Source) -> None:
        # Encoded images neither shrink nor repeat; labels do.
        columns = {path: path.split(".")[0] in IMAGE_COLUMNS for path in _leaf_paths(self.schema)}
        labels = [path for path, is_image in columns.items() if not is_image]
        with pq.ParquetWriter(
            path,
            self.schema,
            compression={path: "NONE" if is_image else "ZSTD" for path, is_image in columns.items()},
            use_dictionary=labels,
            write_statistics=labels,
            write_page_checksum=True,
        ) as writer:
            for start in range(0, len(self.samples), ROW_GROUP):
                rows = [_row(converter, source, one) for one in self.samples[start : start + ROW_GROUP]]
                writer.write_table(to_table(rows, self.schema), row_group_size=ROW_GROUP)


def _row(converter: Converter, source: Source, planned: PlannedSample) -> dict[str, Any]:
    sample = converter.sample(source, planned.item)
    found = checksums(sample)
    if found != planned.contents:
        same = zip(sample_images(sample), found, planned.contents, strict=False)
        kind, image = next((image for image, now, then in same if now != then), sample_images(sample)[-1])
        raise BadInputError(
            f"{sample.sample_id} ({kind}, {image.name}): changed while the set was being converted;"
            " run the same command again when nothing writes there"
        )
    return to_row(sample)


def require_own(out: Path) -> None:
    """Make sure that what lies at the places beside `out` that a conversion clears was written by one.

    Raises:
        UsageError: something else is there; the message names it.
    """
    for place in (out.with_name(out.name + suffix) for suffix in (PARTIAL, REPLACED)):
        names = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
        for name in names:
            if name not in _WRITTEN and not (name.startswith(".") and (place / name).is_file()):
                raise UsageError(f"{place / name}: not of a conversion, which clears that folder; move it elsewhere")


def put_in_place(aside: Path, out: Path) -> None:
    """Rename a finished folder to `out`, in place of the one that is there."""
    replaced = out.with_name(out.name + REPLACED)
    if out.exists():
        shutil.rmtree(replaced, ignore_errors=True)  # of a conversion killed right here
        out.rename(replaced)
    aside.rename(out)
    shutil.rmtree(replaced, ignore_errors=True)


class DatasetWriter:
    """Writes one dataset folder: into `OUT.partial` first, which a second start completes, then renamed to `OUT`."""

    def __init__(self, out: Path, info: DatasetInfo, parts: Sequence[str], layout: str, skipped: int) -> None:
        self.out = out.resolve()  # so that `.` has a name
        self.aside = self.out.with_name(self.out.name + PARTIAL)
        self.info = info
        self.parts = parts
        self.layout = layout
        self.skipped = skipped

    def write(
        self,
        planned: Sequence[PlannedSample],
        named_splits: Sequence[SplitList],
        crew: Workers,
        progress: Callable[[str, int, int], None],
    ) -> DatasetRecord:
        """Write the shards that are not there yet, then record, digests, split lists, card and Croissant, all aside."""
        shards = plan_shards(planned, self.parts)
        plan = self._adopt_plan(shards)
        try:
            self._write_shards(shards, plan, crew, progress)
        finally:
            self._remove_leftovers()
        digests = {one.sample_id: one.digests for one in planned}
        ids = {part: [one.sample_id for one in planned if one.item.part == part] for part in self.parts}
        splits = {DEFAULT_SPLIT: {part: sorted(found) for part, found in ids.items() if found}}
        for split in named_splits:
            splits[split.name] = {part: sorted(set(found) & digests.keys()) for part, found in split.parts.items()}
        record = DatasetRecord(
            schema_version=SCHEMA_VERSION,
            info=self.info,
            layout=self.layout,
            made_with=f"rgbt-bench {__version__}",
            skipped=self.skipped,
            shards={
                part: tuple(name for name in shards if name.startswith(f"{part}-")) for part in splits[DEFAULT_SPLIT]
            },
            splits={name: self._part_records(parts, digests) for name, parts in splits.items()},
            split_origins={split.name: split.origin for split in named_splits},
            fingerprint=fingerprint(digests, self.info.classes),
        )
        self._write_records(record, splits, digests)
        boxes = {part: Counter[str]() for part in splits[DEFAULT_SPLIT]}
        for one in planned:
            boxes[one.item.part].update(self.info.classes[box.category] for box in one.item.labels.objects)
        write_text(self.aside / CARD_FILE, card_text(record, boxes, part_sizes(self.aside, record)))
        write_json(self.aside / CROISSANT_FILE, dataset_croissant(record, shard_files(self.aside, record)))
        return record

    def finish(self, report: dict[str, Any]) -> None:
        """Add the conversion report and rename the finished folder into place."""
        write_json(self.aside / REPORT_FILE, report)
        (self.aside / PLAN_FILE).unlink()
        self._remove_leftovers()
        put_in_place(self.aside, self.out)

    def _adopt_plan(self, shards: Mapping[str, Sequence[PlannedSample]]) -> str:
        """Keep finished shards of an interrupted conversion of the same source; start over if the source changed."""
        content = {name: sha256_json([one.identity for one in samples]) for name, samples in shards.items()}
        plan = sha256_json([SCHEMA_VERSION, __version__, self.info.model_dump(mode="json"), content])
        plan_file = self.aside / PLAN_FILE
        if self.aside.exists() and not _holds(plan_file, plan):
            shutil.rmtree(self.aside)
        (self.aside / "data").mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        write_json(plan_file, plan)
        return plan

    def _remove_leftovers(self) -> None:
        """Remove the files that were being written when a process was stopped or killed."""
        for leftover in self.aside.rglob(".*"):
            leftover.unlink(missing_ok=True)

    def _write_shards(
        self,
        shards: Mapping[str, Sequence[PlannedSample]],
        plan: str,
        crew: Workers,
        progress: Callable[[str, int, int], None],
    ) -> None:
        data = self.aside / "data"
        schema = arrow_schema(self.info.classes)
        missing = [name for name in shards if not (data / name).exists()]
        total = sum(map(len, shards.values()))
        done = total - sum(len(shards[name]) for name in missing)
        tasks = (ShardTask(data / name, plan, shards[name], schema) for name in missing)
        for number, aside in crew.run(tasks):
            aside.replace(data / missing[number])
            done += len(shards[missing[number]])
            progress("writing", done, total)

    def _part_records(
        self, parts: Mapping[str, Sequence[str]], digests: Mapping[str, SampleDigests]
    ) -> dict[str, PartRecord]:
        return {
            part: part_record(digests, ids, split_hash(ids), self.info.classes) for part, ids in parts.items() if ids
        }

    def _write_records(
        self,
        record: DatasetRecord,
        splits: Mapping[str, Mapping[str, Sequence[str]]],
        digests: Mapping[str, SampleDigests],
    ) -> None:
        write_json(self.aside / DIGESTS_FILE, {key: list(astuple(digests[key])) for key in sorted(digests)})
        for name, parts in splits.items():
            write_json(self.aside / SPLITS_FOLDER / f"{name}.json", {part: list(ids) for part, ids in parts.items()})
        write_json(self.aside / RECORD_FILE, record.model_dump(mode="json"))


def _holds(plan_file: Path, plan: str) -> bool:
    try:
        return bool(read_json(plan_file) == plan)
    except BenchError:
        return False


def plan_shards(planned: Sequence[PlannedSample], parts: Sequence[str]) -> dict[str, list[PlannedSample]]:
    """Return the shards by file name: each part's samples in the order of their ids, about SHARD_BYTES a shard."""
    shards: dict[str, list[PlannedSample]] = {}
    for part in parts:
        groups: list[list[PlannedSample]] = []
        filled = 0
        for one in sorted((one for one in planned if one.item.part == part), key=lambda one: one.sample_id):
            if not groups or filled + one.weight > SHARD_BYTES:
                groups.append([])
                filled = 0
            groups[-1].append(one)
            filled += one.weight
        for index, group in enumerate(groups):
            shards[f"{part}-{index:05d}-of-{len(groups):05d}.parquet"] = group
    return shards


def _leaf_paths(schema: pa.Schema) -> list[str]:
    """Return the dotted column paths that Parquet knows, which per-column compression is set by."""
    sink = pa.BufferOutputStream()
    pq.write_table(to_table([], schema), sink)
    parquet = pq.ParquetFile(pa.BufferReader(sink.getvalue()))
    return [parquet.schema.column(index).path for index in range(len(parquet.schema))]

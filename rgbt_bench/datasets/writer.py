"""Writing a converted set: a static shard plan, shards renamed into place one by one, the folder renamed at the end."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rgbt_bench import __version__
from rgbt_bench.datasets.card import write_card
from rgbt_bench.datasets.digests import SampleDigests, fingerprint
from rgbt_bench.datasets.splits import DEFAULT_SPLIT, split_hash
from rgbt_bench.datasets.store import (
    DIGESTS_FILE,
    PARTIAL,
    RECORD_FILE,
    ROW_GROUP,
    SPLITS_FOLDER,
    DatasetRecord,
    PartRecord,
    part_record,
)
from rgbt_bench.errors import BenchError
from rgbt_bench.files import read_json, sha256_json, write_json, write_with
from rgbt_bench.schema import IMAGE_COLUMNS, SCHEMA_VERSION, DatasetInfo, Sample, SplitList, features, to_row

SHARD_BYTES = 256 * 1024 * 1024
PLAN_FILE = "plan.json"
REPORT_FILE = "conversion.json"


@dataclass(frozen=True)
class PlannedSample:
    """A sample that passed its checks: its part, id, how to read it again, and what its images weigh in bytes.

    `stamp` changes when anything of the sample changes that its digests do not cover.
    """

    part: str
    sample_id: str
    read: Callable[[], Sample]
    weight: int
    stamp: str


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
        digests: Mapping[str, SampleDigests],
        named_splits: Sequence[SplitList],
        progress: Callable[[str, int, int], None],
    ) -> DatasetRecord:
        """Write the shards that are not there yet, then record, digests, split lists and card, all aside."""
        shards = plan_shards(planned, self.parts)
        self._adopt_plan(shards, digests)
        done = 0
        for name, samples in shards.items():
            if not (self.aside / "data" / name).exists():
                self._write_shard(name, samples)
            done += len(samples)
            progress("writing", done, len(planned))
        ids = {part: [one.sample_id for one in planned if one.part == part] for part in self.parts}
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
            fingerprint=fingerprint(digests, self.info.classes),
        )
        self._write_records(record, splits, digests)
        return record

    def finish(self, report: dict[str, Any]) -> None:
        """Add the conversion report and rename the finished folder into place."""
        write_json(self.aside / REPORT_FILE, report)
        (self.aside / PLAN_FILE).unlink()
        replaced = self.out.with_name(self.out.name + ".replaced")
        if self.out.exists():
            shutil.rmtree(replaced, ignore_errors=True)  # of a conversion killed right here
            self.out.rename(replaced)
        self.aside.rename(self.out)
        shutil.rmtree(replaced, ignore_errors=True)

    def _adopt_plan(self, shards: Mapping[str, Sequence[PlannedSample]], digests: Mapping[str, SampleDigests]) -> None:
        """Keep finished shards of an interrupted conversion of the same source; start over if the source changed."""
        content = {
            name: [[one.sample_id, *astuple(digests[one.sample_id])] for one in samples]
            for name, samples in shards.items()
        }
        stamps = [one.stamp for samples in shards.values() for one in samples]
        plan = sha256_json([SCHEMA_VERSION, __version__, self.info.model_dump(mode="json"), content, stamps])
        plan_file = self.aside / PLAN_FILE
        if self.aside.exists() and not _holds(plan_file, plan):
            shutil.rmtree(self.aside)
        (self.aside / "data").mkdir(parents=True, exist_ok=True)
        for leftover in self.aside.rglob(".*"):  # files that were being written when an earlier start was killed
            leftover.unlink()
        write_json(plan_file, plan)

    def _write_shard(self, name: str, samples: Sequence[PlannedSample]) -> None:
        schema = features(self.info.classes).arrow_schema
        # Encoded images do not shrink further; labels do.
        compression = {column: "NONE" if column in IMAGE_COLUMNS else "ZSTD" for column in schema.names}
        compression = {path: compression[path.split(".")[0]] for path in _leaf_paths(schema)}

        def fill(path: Path) -> None:
            with pq.ParquetWriter(path, schema, compression=compression, write_page_checksum=True) as writer:
                for start in range(0, len(samples), ROW_GROUP):
                    rows = [to_row(one.read()) for one in samples[start : start + ROW_GROUP]]
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema), row_group_size=ROW_GROUP)

        write_with(self.aside / "data" / name, fill)

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
        write_card(self.aside, record)


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
        for one in sorted((one for one in planned if one.part == part), key=lambda one: one.sample_id):
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
    pq.write_table(schema.empty_table(), sink)
    parquet = pq.ParquetFile(pa.BufferReader(sink.getvalue()))
    return [parquet.schema.column(index).path for index in range(len(parquet.schema))]

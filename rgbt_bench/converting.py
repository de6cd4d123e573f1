"""What every conversion shares: validation of a source in one pass, a dataset whole or not at all, and the report."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rgbt_bench.archives.source import open_source
from rgbt_bench.cluster import clear_jobs, jobs_folder
from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.datasets.checks import Look, look_at
from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.datasets.store import DIGESTS_FILE, DatasetRecord
from rgbt_bench.datasets.writer import DatasetWriter, PlannedSample, require_own
from rgbt_bench.errors import BadInputError, BenchError, UsageError, enumerate_faults
from rgbt_bench.locking import locked
from rgbt_bench.paths import RECORD_FILE
from rgbt_bench.schema import Box, Labels
from rgbt_bench.sources import NoSource, Source
from rgbt_bench.workers import Crew, Workers, usable_cores, workers

OnError = Literal["fail", "skip"]
Progress = Callable[[str, int, int], None]
Require = Callable[[Sequence[PlannedSample]], None]
FAULTS_SHOWN = 200
_TURNED = "samples with an image that EXIF turns (read as it is stored; `load_dataset` turns it, and boxes do not fit)"
ITEMS_PER_WORKER = 350  # fewer are checked before another process has started


@dataclass(frozen=True)
class Report:
    """What a conversion did, as printed and as stored in `conversion.json`."""

    dataset: str
    out: str
    layout: str
    parts: dict[str, int]
    expected: dict[str, str]
    quirks: dict[str, int]
    faults: tuple[str, ...]
    skipped: int
    fingerprint: str

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready data."""
        return asdict(self)


def convert(
    converter: Converter,
    root: Path | None,
    out: Path,
    on_error: OnError = "fail",
    force: bool = False,
    progress: Progress = lambda stage, done, total: None,
    workers: int | None = 1,
    crew: Crew | None = None,
    require: Require = lambda planned: None,
) -> Report:
    """Convert a source into a dataset folder at `out`, whole or not at all.

    The whole source is looked at before anything is decided, so one run shows every fault. A killed conversion goes on
    where it stopped when it is started again. `workers` processes share the work, which are this one alone for 1; None
    takes the usable cores, as far as the set is large enough to keep them busy. A `crew` does the work elsewhere.
    Neither changes a byte. `require` is asked about the samples that are to be written, before any is, and raises what
    it has against them.

    Raises:
        BadInputError: faults were found and `on_error` is "fail", or nothing is left to convert.
        UsageError: `out` exists and `force` is off, it is not a converted set or not UTF-8, the source lies in it or
            is a converted set, the set is generated and has no source, something else lies at `out`.partial or
            `out`.replaced, another process is converting to it, or jobs of a killed conversion may be.
        BenchError: a worker process was killed.
    """
    require_replaceable(out, force)
    if converter.needs_path and root is None:
        raise UsageError(converter.instructions())
    if root is not None:
        if (root / RECORD_FILE).is_file() and (root / DIGESTS_FILE).is_file():
            raise UsageError(
                f"{root}: a converted set, not an original; inspect, splits, diff and export read it as it is"
            )
        root = converter.locate(root) if converter.needs_path else root
        _require_source(converter, root, out)
    place = out.resolve()  # so that `.` has a name
    with locked(place.with_name(f".{place.name}.lock"), f"the set {place.name}"):
        require_replaceable(out, force)  # who had the lock before us may have written it
        require_own(place)
        if crew is None:
            clear_jobs(jobs_folder(place))
        spool = place.with_name(f".{place.name}.spool")
        with NoSource() if root is None else open_source(root, spool) as source:
            return _convert(converter, source, out, on_error, progress, crew or workers, require)


def _convert(
    converter: Converter,
    source: Source,
    out: Path,
    on_error: OnError,
    progress: Progress,
    who: Crew | int | None,
    require: Require,
) -> Report:
    scan = converter.scan(source)
    _count_leaving_boxes(scan)
    with _hire(who, len(scan.items), out, converter, source) as crew:
        planned, skipped = _look_at_all(converter, crew, scan, progress)
        if scan.faults and on_error == "fail":
            title = f"{source.root}: {len(scan.faults)} fault(s); mend them, or leave those samples out"
            raise BadInputError(enumerate_faults(f"{title} with --on-error skip:", scan.faults, FAULTS_SHOWN))
        if not planned:
            title = f"{source.root}: no sample is left to convert" + (":" if scan.faults else "")
            raise BadInputError(enumerate_faults(title, scan.faults, FAULTS_SHOWN))
        require(planned)
        writer = DatasetWriter(out, converter.info, converter.parts, scan.layout, skipped)
        published = [split for split in converter.published_splits() if split.name != DEFAULT_SPLIT]
        record = writer.write(planned, [*published, *scan.named_splits], crew, progress)
    report = _report(converter, scan, record, out, skipped)
    writer.finish(report.to_dict())
    return report


def _hire(who: Crew | int | None, samples: int, out: Path, *state: Any) -> AbstractContextManager[Workers]:
    if who is None:
        who = min(usable_cores(), samples // ITEMS_PER_WORKER)
    if isinstance(who, int):
        return workers(min(who, samples), *state)
    return who.hire(jobs_folder(out.resolve()), *state)


def require_replaceable(out: Path, force: bool) -> None:
    """Make sure that a set may be written to `out`.

    Raises:
        UsageError: something is there, and `force` is off or it is no converted set, or it is not UTF-8.
    """
    if not _is_utf8(out.resolve()):
        raise UsageError(f"{out}: not UTF-8, which the format of the set cannot take; give --out another folder")
    if not out.exists():
        return
    if not force:
        raise UsageError(f"{out}: exists already; give --force to replace it, or --out for another folder")
    if not (out / RECORD_FILE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out}: holds no converted set, so --force does not replace it; give --out another folder")


def _require_source(converter: Converter, root: Path, out: Path) -> None:
    if not converter.needs_path:
        raise UsageError(f"{root}: {converter.info.name} is generated and reads nothing; leave the path out")
    if root.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"{root}: lies where the set is to be, {out}, and would be replaced by it; give another --out")


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class _LookTask:
    """Samples to look at."""

    items: Sequence[Item]

    def __str__(self) -> str:
        ids = [item.labels.sample_id for item in self.items]
        return f"{len(ids)} samples ({ids[0]} to {ids[-1]})"

    def run(self, converter: Converter, source: Source) -> list[Look]:
        return [self._look(converter, source, item) for item in self.items]

    def _look(self, converter: Converter, source: Source, item: Item) -> Look:
        try:
            label_file = source.where(item.label_file) if item.label_file else ""
            return look_at(converter.sample(source, item), converter.info, label_file)
        except BenchError as error:
            return Look(None, 0, (), (str(error),))


def _look_at_all(
    converter: Converter, crew: Workers, scan: Scan, progress: Progress
) -> tuple[list[PlannedSample], int]:
    """Read and check every sample; its faults are added to the scan and the sample is left out."""
    items = scan.items
    size = crew.task_size(len(items))
    found: dict[int, list[Look]] = {}
    done = 0
    for number, looks in crew.run(_LookTask(items[start : start + size]) for start in range(0, len(items), size)):
        found[number] = looks
        done += len(looks)
        progress("checking", done, len(items))
    planned: list[PlannedSample] = []
    first: dict[str, tuple[str, str]] = {}
    skipped = len(scan.faults)  # a fault of the scan cost its sample already
    for item, look in zip(items, (look for number in sorted(found) for look in found[number]), strict=True):
        faults = [*look.faults, *_place_faults(converter, item, first)]
        scan.faults.extend(faults)
        if look.digests is None or faults:
            skipped += 1
        else:
            scan.quirks[_TURNED] += look.turned
            planned.append(PlannedSample(item, look.digests, look.weight, look.contents))
    return planned, skipped


def _place_faults(converter: Converter, item: Item, first: dict[str, tuple[str, str]]) -> list[str]:
    """Return what is wrong with an item's id and part; `first` has the place and part of each id before it."""
    faults = []
    sample_id, place = item.labels.sample_id, item.labels.source
    if sample_id in first:
        before, part = first[sample_id]
        told = before if part == item.part else f"{before} in {part}, now in {item.part}"
        faults.append(f"{place}: sample id {sample_id!r} occurs twice, first as {told}")
    first.setdefault(sample_id, (place, item.part))
    if item.part not in converter.parts:
        faults.append(f"{place}: part {item.part!r} is not one of {', '.join(converter.parts)}")
    return faults


def _leaves(box: Box, labels: Labels) -> bool:
    x, y, width, height = box.bbox
    return x < 0 or y < 0 or x + width > labels.width or y + height > labels.height


def _count_leaving_boxes(scan: Scan) -> None:
    for item in scan.items:
        leaving = sum(_leaves(box, item.labels) for box in item.labels.objects)
        if leaving:
            scan.quirks[f"{item.part}: boxes that leave the image (kept for scoring, clipped for training)"] += leaving


def _report(converter: Converter, scan: Scan, record: DatasetRecord, out: Path, skipped: int) -> Report:
    parts = {name: part.samples for name, part in record.splits["default"].items()}
    expected = {}
    for names, count in converter.expected.items():
        found = sum(parts.get(name, 0) for name in names.split("+"))
        verdict = "complete" if found == count else "not the whole set"
        expected[names] = f"{found} of {count}: {verdict}"
    return Report(
        dataset=converter.info.name,
        out=str(out),
        layout=scan.layout,
        parts=parts,
        expected=expected,
        quirks={name: count for name, count in sorted(scan.quirks.items()) if count},
        faults=tuple(scan.faults),
        skipped=skipped,
        fingerprint=record.fingerprint,
    )

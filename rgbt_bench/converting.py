"""What every converter shares: the description of a source, its validation in one pass, and the conversion report."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image as Pillow

from rgbt_bench.datasets.digests import SampleDigests, open_image, sample_digests, strip_jpeg_metadata
from rgbt_bench.datasets.store import RECORD_FILE, DatasetRecord
from rgbt_bench.datasets.writer import DatasetWriter, PlannedSample
from rgbt_bench.errors import BadInputError, BenchError, UsageError, enumerate_faults
from rgbt_bench.files import canonical_json
from rgbt_bench.schema import Box, DatasetInfo, Image, Labels, Sample, SplitList
from rgbt_bench.sources import NoSource, Source, open_source

OnError = Literal["fail", "skip"]
Progress = Callable[[str, int, int], None]
MAX_PIXELS = 64_000_000
DECODERS = 2
FAULTS_SHOWN = 200


@dataclass(frozen=True)
class Images:
    """The encoded images of one sample, as a converter hands them over."""

    rgb: Image
    thermal: Image | None = None
    mask: Image | None = None


@dataclass(frozen=True)
class Item:
    """One sample as its source describes it: its part, its labels and the names of its images' files.

    A set that is not stored one file an image names the files it is made of, and its converter overrides `read`.
    """

    part: str
    labels: Labels
    rgb: str = ""
    thermal: str | None = None
    mask: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its files in the source."""
        return tuple(name for name in (self.rgb, self.thermal, self.mask) if name)


@dataclass
class Scan:
    """What a converter found: the layout, the samples, declared quirks by name and count, and faults by file."""

    layout: str
    items: list[Item] = field(default_factory=list)
    quirks: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    named_splits: list[SplitList] = field(default_factory=list)


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


class Converter(ABC):
    """From one dataset's original archive to the schema: a subclass a dataset, found by its module's name.

    `how_to_get` says where the archive comes from and under which terms, `layouts` names each layout with its tree,
    `parts` the parts of the default split in order, `expected` the number of samples of the whole set by part (parts
    joined by `+` are counted together).
    """

    info: ClassVar[DatasetInfo]
    how_to_get: ClassVar[str]
    layouts: ClassVar[Mapping[str, str]]
    parts: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    expected: ClassVar[Mapping[str, int]] = {}
    needs_path: ClassVar[bool] = True

    @abstractmethod
    def scan(self, source: Source) -> Scan:
        """Describe every sample of a source, without reading images.

        Raises:
            BadInputError: no known layout is there.
        """

    def read(self, source: Source, item: Item) -> Images:
        """Return the encoded images of one sample.

        Raises:
            BadInputError: a file is missing or cannot be read; the message names it.
        """
        thermal, mask = (read_image(source, name) if name else None for name in (item.thermal, item.mask))
        return Images(read_image(source, item.rgb), thermal, mask)

    def instructions(self) -> str:
        """Return where to get the set and which layouts are read, as text."""
        trees = "\n\n".join(f"{name}:\n{tree.rstrip()}" for name, tree in self.layouts.items())
        return f"{self.info.title}\n\n{self.how_to_get.strip()}\n\nLayouts that are read:\n\n{trees}"


def read_image(source: Source, name: str) -> Image:
    """Return a file's bytes as an encoded image.

    Raises:
        BadInputError: the file is missing or cannot be read.
    """
    return Image(source.read(name), name.rpartition("/")[2])


def convert(
    converter: Converter,
    root: Path | None,
    out: Path,
    on_error: OnError = "fail",
    force: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Report:
    """Convert a source into a dataset folder at `out`, whole or not at all.

    The whole source is looked at before anything is decided, so one run shows every fault. A killed conversion goes on
    where it stopped when it is started again.

    Raises:
        BadInputError: faults were found and `on_error` is "fail", or nothing is left to convert.
        UsageError: `out` exists and `force` is off, or it is not a converted set.
    """
    _require_replaceable(out, force)
    if converter.needs_path and root is None:
        raise UsageError(converter.instructions())
    with NoSource() if root is None else open_source(root) as source:
        return _convert(converter, source, out, on_error, progress)


def _convert(converter: Converter, source: Source, out: Path, on_error: OnError, progress: Progress) -> Report:
    scan = converter.scan(source)
    _count_leaving_boxes(scan)
    planned, digests, skipped = _look_at_all(converter, source, scan, progress)
    if scan.faults and on_error == "fail":
        title = f"{source.root}: {len(scan.faults)} fault(s); mend them, or leave those samples out"
        raise BadInputError(enumerate_faults(f"{title} with --on-error skip:", scan.faults, FAULTS_SHOWN))
    if not planned:
        title = f"{source.root}: no sample is left to convert" + (":" if scan.faults else "")
        raise BadInputError(enumerate_faults(title, scan.faults, FAULTS_SHOWN))
    writer = DatasetWriter(out, converter.info, converter.parts, scan.layout, skipped)
    record = writer.write(planned, digests, scan.named_splits, progress)
    report = _report(converter, scan, record, out, skipped)
    writer.finish(report.to_dict())
    return report


def _require_replaceable(out: Path, force: bool) -> None:
    if not out.exists():
        return
    if not force:
        raise UsageError(f"{out}: exists already; give --force to replace it, or --out for another folder")
    if not (out / RECORD_FILE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out}: holds no converted set, so --force does not replace it; give --out another folder")


def _look_at_all(
    converter: Converter, source: Source, scan: Scan, progress: Progress
) -> tuple[list[PlannedSample], dict[str, SampleDigests], int]:
    """Read and check every sample; its faults are added to the scan and the sample is left out."""
    planned: list[PlannedSample] = []
    digests: dict[str, SampleDigests] = {}
    first: dict[str, str] = {}
    skipped = len(scan.faults)  # a fault of the scan cost its sample already
    pool = ThreadPoolExecutor(DECODERS)
    try:
        looked = pool.map(lambda item: _look_at(converter, source, item), scan.items)
        for done, (item, look) in enumerate(zip(scan.items, looked, strict=True), start=1):
            progress("checking", done, len(scan.items))
            sample_id, place = item.labels.sample_id, item.labels.source
            if sample_id in first:
                look.faults.append(f"{place}: sample id {sample_id!r} occurs twice, first as {first[sample_id]}")
            first.setdefault(sample_id, place)
            if item.part not in converter.parts:
                look.faults.append(f"{place}: part {item.part!r} is not one of {', '.join(converter.parts)}")
            scan.faults.extend(look.faults)
            if look.digests is None or look.faults:
                skipped += 1
                continue
            digests[sample_id] = look.digests
            planned.append(_planned(converter, source, item, look.weight))
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted conversion does not look at all the others first
    return planned, digests, skipped


@dataclass(frozen=True)
class _Look:
    """What reading a sample showed: its digests (None where it is faulty), its images' bytes, and its faults."""

    digests: SampleDigests | None
    weight: int
    faults: list[str]


def _look_at(converter: Converter, source: Source, item: Item) -> _Look:
    classes = converter.info.classes
    try:
        sample = _to_sample(converter, source, item)
        faults = [*_image_faults(sample), *_label_faults(sample, classes)]
        weight = sum(len(image.data) for image in (sample.rgb, sample.thermal, sample.mask) if image)
        return _Look(None if faults else sample_digests(sample, classes), weight, faults)
    except BenchError as error:
        return _Look(None, 0, [str(error)])


def _planned(converter: Converter, source: Source, item: Item, weight: int) -> PlannedSample:
    labels = item.labels
    stamps = [(name, source.stamp(name)) for name in item.files]
    stamp = canonical_json([stamps, labels.illumination, labels.scene, labels.source])
    return PlannedSample(item.part, labels.sample_id, partial(_to_sample, converter, source, item), weight, stamp)


def _to_sample(converter: Converter, source: Source, item: Item) -> Sample:
    images = converter.read(source, item)
    labels = {name: getattr(item.labels, name) for name in Labels.__slots__}
    return Sample(**labels, rgb=images.rgb, thermal=images.thermal, mask=images.mask)


def _image_faults(sample: Sample) -> Iterator[str]:
    for kind, image in (("rgb", sample.rgb), ("thermal", sample.thermal), ("mask", sample.mask)):
        if image is None:
            continue
        where = f"{sample.sample_id} ({kind}, {image.name})"
        try:
            with open_image(image.data) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    yield f"{where}: {opened.width}x{opened.height} is above {MAX_PIXELS} pixels"
                    continue
                opened.load()
                if opened.format in ("JPEG", "MPO"):
                    strip_jpeg_metadata(image.data)  # a decoder mends what has no digest
                if (opened.width, opened.height) != (sample.width, sample.height):
                    size = f"{sample.width}x{sample.height}"
                    yield f"{where}: {opened.width}x{opened.height}, but the labels and the pair say {size}"
                if fault := _channel_fault(kind, opened):
                    yield f"{where}: {fault}"
        except Exception as error:  # a damaged file makes a decoder raise almost anything
            yield f"{where}: cannot be decoded: {error}"


def _channel_fault(kind: str, picture: Pillow.Image) -> str:
    """Return what is wrong with an image's channels, or an empty text."""
    mode = picture.mode
    if kind == "rgb" and mode.startswith(("I", "F")):
        return f"8-bit colour was expected, not Pillow's mode {mode}"
    if kind == "mask" and mode not in ("L", "P"):
        return f"a label map has one 8-bit channel, not Pillow's mode {mode}"
    if kind == "thermal" and mode != "L" and not mode.startswith("I"):
        values = np.asarray(picture)
        if mode != "RGB" or not (values == values[..., :1]).all():
            return f"not a thermal image: neither one channel nor three equal ones (Pillow's mode {mode})"
    return ""


def _label_faults(sample: Sample, classes: Sequence[str]) -> Iterator[str]:
    where = sample.source or sample.sample_id
    # Digests are over lines of ids.
    if not sample.sample_id.isprintable() or " " in sample.sample_id or not sample.sample_id:
        yield f"{where}: {sample.sample_id!r} is no sample id: it is empty, or has a space or a control character"
    for box in sample.objects:
        if not 0 <= box.category < len(classes):
            yield f"{where}: box {list(box.bbox)} has class number {box.category}, but there are {len(classes)} classes"
        elif fault := _box_fault(box, sample):
            yield f"{where}: {classes[box.category]} box {list(box.bbox)} {fault}"


def _box_fault(box: Box, labels: Labels) -> str:
    """Return what is wrong with a box, or an empty text."""
    x, y, width, height = box.bbox
    if not all(map(math.isfinite, (*box.bbox, box.area))):
        return "is not finite"
    if not (width > 0 and height > 0):
        return "has no area"
    if x >= labels.width or y >= labels.height or x + width <= 0 or y + height <= 0:
        return f"lies wholly outside the {labels.width}x{labels.height} image"
    return ""


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

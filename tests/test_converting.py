"""Converting bad input: every fault of a set in one pass, by file; nothing half-written; samples skipped whole."""

import io
import re
import struct
import time
import zlib
from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as Pillow

from rgbt_bench.converters import Converter, Images, Item, Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.files import read_json
from rgbt_bench.schema import Box, DatasetInfo, Image, Labels
from rgbt_converters.flir import Flir

WIDTH, HEIGHT = 64, 48
GOOD = [f"FLIR_0000{number}" for number in range(1, 4)]
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><annotation>&b;</annotation>'
CAR = ("car", 5, 6, 20, 30)


def encoded(kind="JPEG", mode="RGB", size=(WIDTH, HEIGHT), seed=0):
    shape = size[::-1] if mode == "L" else (*size[::-1], len(mode))
    stream = io.BytesIO()
    Pillow.fromarray(np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8), mode).save(stream, kind)
    return stream.getvalue()


def huge_png():
    """A PNG whose header states 10,000 x 10,000 pixels and which has none: decoding it would fail otherwise."""
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def xml(*objects, size=(WIDTH, HEIGHT), declaration=""):
    edges = ("xmin", "ymin", "xmax", "ymax")
    boxes = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(edges, corners, strict=True))
        + "</bndbox></object>"
        for name, *corners in objects
    )
    return (
        f"{declaration}<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{boxes}</annotation>"
    )


class Align:
    """A folder in FLIR's original layout with three good pairs; `add` puts another one, good unless told otherwise."""

    def __init__(self, base):
        self.base = base
        for folder in ("JPEGImages", "Annotations"):
            (base / folder).mkdir(parents=True)
        for sample_id in GOOD:
            self.add(sample_id)

    def add(self, sample_id, annotation=None, rgb=None, thermal=None):
        seed = int(sample_id[-3:])
        self.rgb(sample_id).write_bytes(encoded(seed=seed) if rgb is None else rgb)
        self.thermal(sample_id).write_bytes(encoded(mode="L", seed=seed) if thermal is None else thermal)
        content = xml(CAR) if annotation is None else annotation
        self.xml(sample_id).write_bytes(content if isinstance(content, bytes) else content.encode())
        self.line(f"{sample_id}_PreviewData")

    def line(self, text):
        with (self.base / "align_train.txt").open("a") as lines:
            lines.write(text + "\n")

    def rgb(self, sample_id):
        return self.base / f"JPEGImages/{sample_id}_RGB.jpg"

    def thermal(self, sample_id):
        return self.base / f"JPEGImages/{sample_id}_PreviewData.jpeg"

    def xml(self, sample_id):
        return self.base / f"Annotations/{sample_id}_PreviewData.xml"


@pytest.fixture
def align(tmp_path):
    return Align(tmp_path / "align")


def eps():
    stream = io.BytesIO()
    Pillow.new("RGB", (WIDTH, HEIGHT)).save(stream, "EPS")
    return stream.getvalue()


# What is wrong with a pair, and what the report must say beside the name of the file.
FAULTS = {
    "FLIR_00101": ({"rgb": encoded()[:-200]}, r"FLIR_00101_RGB\.jpg\): cannot be decoded: .*truncated"),
    "FLIR_00102": ({"thermal": b"no image"}, r"FLIR_00102_PreviewData\.jpeg\): cannot be decoded"),
    "FLIR_00103": ({"thermal": b""}, r"FLIR_00103_PreviewData\.jpeg\): cannot be decoded"),
    "FLIR_00104": (
        {"thermal": encoded(mode="L", size=(HEIGHT, WIDTH))},
        r"FLIR_00104_PreviewData\.jpeg\): 48x64, but .* 64x48",
    ),
    "FLIR_00105": (
        {"annotation": xml(("car", 66, 5, 70, 9))},
        r"FLIR_00105_PreviewData.*car box .*wholly outside.*64x48",
    ),
    "FLIR_00106": ({"annotation": xml(("car", 5, 5, 4, 9))}, r"FLIR_00106_PreviewData.*car box .* no area"),
    "FLIR_00107": ({"rgb": huge_png()}, r"FLIR_00107_RGB\.jpg\): 10000x10000 is above 64000000 pixels"),
    "FLIR_00108": (
        {"annotation": xml(("persn", 5, 5, 9, 9))},
        r"FLIR_00108_.*unknown class 'persn'. Did you mean 'person'",
    ),
    "FLIR_00109": ({"annotation": BOMB}, r"FLIR_00109_PreviewData\.xml: .*entities"),
    "FLIR_00110": ({"annotation": b""}, r"FLIR_00110_PreviewData\.xml: not a readable XML"),
    "FLIR_00111": ({"annotation": xml(CAR)[:-20]}, r"FLIR_00111_PreviewData\.xml: not a readable XML"),
    "FLIR_00112": ({"annotation": xml(("car", 5, "five", 9, 9))}, r"FLIR_00112_PreviewData\.xml: .*five"),
    "FLIR_00113": ({"annotation": xml(("car", 5, "", 9, 9))}, r"FLIR_00113_PreviewData\.xml: .*ymin.* missing"),
    "FLIR_00114": ({"annotation": xml(("car", 5, 5, "inf", 9))}, r"FLIR_00114_PreviewData.*not finite"),
    "FLIR_00115": ({"annotation": xml(("car", 5, 5, "nan", 9))}, r"FLIR_00115_PreviewData.*not finite"),
    "FLIR_00116": (
        {"annotation": xml(CAR, declaration='<?xml version="1.0" encoding="shift_jis"?>')},
        r"FLIR_00116_PreviewData\.xml: not a readable XML",
    ),
    "FLIR_00117": (
        {"annotation": xml(CAR, declaration='<?xml version="1.0" encoding="no-such"?>')},
        r"FLIR_00117_PreviewData\.xml: not a readable XML",
    ),
    "FLIR_00118": ({"annotation": xml(CAR, size=("wide", 48))}, r"FLIR_00118_PreviewData\.xml: .*wide"),
    # Pillow would hand it to Ghostscript.
    "FLIR_00119": ({"rgb": eps()}, r"FLIR_00119_RGB\.jpg\): cannot be decoded"),
    # libjpeg skips what lies between two segments; such a file has no digest.
    "FLIR_00120": (
        {"rgb": encoded()[:20] + b"\x00\x00" + encoded()[20:]},
        r"FLIR_00120_RGB\.jpg\): cannot be decoded: truncated or damaged JPEG segments",
    ),
    "FLIR_00121": ({"thermal": encoded()}, r"FLIR_00121_PreviewData\.jpeg\): not a thermal image"),
    "FLIR_00122": ({"rgb": encoded(kind="PNG", mode="L")[:60]}, r"FLIR_00122_RGB\.jpg\): cannot be decoded"),
}


def faulty(align):
    """Put every fault there is into the set, and return the pattern of each line that must report one."""
    for sample_id, (content, _) in FAULTS.items():
        align.add(sample_id, **content)
    patterns = [pattern for _, pattern in FAULTS.values()]
    for sample_id, missing in (("FLIR_00201", Align.thermal), ("FLIR_00202", Align.rgb)):
        align.add(sample_id)
        missing(align, sample_id).unlink()
        patterns.append(rf"{missing(align, sample_id).name}: missing, but {sample_id} is listed in train")
    align.line(f"{GOOD[0]}_PreviewData")
    patterns.append(rf"{GOOD[0]}_PreviewData.*occurs twice")
    align.line(".DS_Store")
    patterns.append(r"align_train\.txt: line \d+: '\.DS_Store' is no FLIR-aligned name")
    return patterns


def reported(message):
    return [line.removeprefix("  - ") for line in message.splitlines() if line.startswith("  - ")]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_one_run_names_every_fault_and_leaves_nothing(align, tmp_path):
    patterns = faulty(align)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInputError) as caught:
        convert(Flir(), align.base, tmp_path / "out")
    lines = reported(str(caught.value))
    assert f"{len(patterns)} fault(s)" in str(caught.value)
    for pattern in patterns:
        assert sum(re.search(pattern, line) is not None for line in lines) == 1, pattern
    assert len(lines) == len(patterns)
    assert sorted({*tmp_path.rglob("*")} - {tmp_path / ".out.lock"}) == before


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_skipping_drops_whole_samples_and_counts_them(align, tmp_path):
    patterns = faulty(align)
    report = convert(Flir(), align.base, tmp_path / "out", on_error="skip")
    assert report.parts == {"train": len(GOOD)}
    assert report.skipped == len(report.faults) == len(patterns)
    dataset = Dataset(tmp_path / "out")
    assert dataset.part("train").ids == tuple(GOOD)
    assert set(dataset.digests) == set(dataset.labels) == set(GOOD)
    assert dataset.record.skipped == len(patterns)
    # What is left is what a clean set of the same pairs would be.
    clean = convert(Flir(), Align(tmp_path / "clean").base, tmp_path / "clean-out")
    assert clean.fingerprint == report.fingerprint


def test_a_source_whose_path_is_not_utf8_is_reported(align, tmp_path):
    (align.base / "JPEGImages" / f"{GOOD[0]}_RGB.jpg").unlink()
    base = align.base.rename(tmp_path / "align\udcff")
    report = convert(Flir(), base, tmp_path / "out", on_error="skip")
    assert any(str(base) in fault for fault in report.faults)
    assert read_json(tmp_path / "out" / "conversion.json")["faults"] == list(report.faults)


def test_a_place_whose_path_is_not_utf8_is_refused(align, tmp_path):
    with pytest.raises(UsageError, match="not UTF-8, which the format of the set cannot take; give --out another"):
        convert(Flir(), align.base, tmp_path / "out\udcff")


def test_a_sample_with_two_faults_is_one_sample(align, tmp_path):
    align.add("FLIR_00300", annotation=xml(("car", 5, 5, 4, 9), ("car", 90, 5, 95, 9)), thermal=b"")
    report = convert(Flir(), align.base, tmp_path / "out", on_error="skip")
    assert (report.skipped, len(report.faults)) == (1, 3)


def test_where_every_sample_is_faulty_nothing_is_written_and_the_faults_are_named(tmp_path):
    align = Align(tmp_path / "align")
    for sample_id in GOOD:
        align.rgb(sample_id).write_bytes(b"")
    with pytest.raises(BadInputError, match="no sample is left to convert") as caught:
        convert(Flir(), align.base, tmp_path / "out", on_error="skip")
    assert all(any(f"{sample_id}_RGB.jpg" in line for line in reported(str(caught.value))) for sample_id in GOOD)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".out.lock", "align"]


def test_a_list_that_is_no_text_is_named(align, tmp_path):
    (align.base / "align_train.txt").write_bytes("FLIR_00001_PreviewData\n".encode("utf-16"))
    with pytest.raises(BadInputError, match=r"align_train\.txt: not UTF-8 text"):
        convert(Flir(), align.base, tmp_path / "out")


def test_windows_line_ends_blank_lines_and_a_byte_order_mark_are_no_faults(align, tmp_path):
    lines = [f"{sample_id}_PreviewData" for sample_id in GOOD]
    (align.base / "align_train.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, "", "  "]).encode())
    assert convert(Flir(), align.base, tmp_path / "out").parts == {"train": len(GOOD)}


@pytest.mark.parametrize(
    ("root", "error", "message"),
    [
        (None, UsageError, "Get FLIR ADAS"),
        ("nowhere", MissingError, "nowhere: no such file or folder"),
        ("FLIR.zip", BadInputError, "FLIR.zip: not an archive that is read"),
        ("empty", BadInputError, "no FLIR-aligned layout here"),
    ],
)
def test_a_wrong_source_says_what_to_do(root, error, message, tmp_path):
    (tmp_path / "FLIR.zip").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=message):
        convert(Flir(), root and tmp_path / root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_source_in_the_folder_to_be_replaced_is_not_lost(align, tmp_path):
    out = tmp_path / "out"
    convert(Flir(), align.base, out)
    source = align.base.rename(out / "original")
    with pytest.raises(UsageError, match=r"original: lies where the set is to be, .*; give another --out"):
        convert(Flir(), source, out, force=True)
    assert (source / "align_train.txt").is_file()
    assert convert(Flir(), source, tmp_path / "other").parts == {"train": len(GOOD)}


@pytest.mark.parametrize("name", ["out.partial", "out.replaced"])
def test_a_folder_of_the_users_beside_the_set_is_not_cleared(name, align, tmp_path):
    notes = tmp_path / name / "thesis.txt"
    notes.parent.mkdir()
    notes.write_text("precious")
    with pytest.raises(UsageError, match=r"thesis\.txt: not of a conversion, which clears that folder; move it"):
        convert(Flir(), align.base, tmp_path / "out")
    assert notes.read_text() == "precious"


def test_a_path_for_a_generated_set_is_refused(tmp_path):
    with pytest.raises(UsageError, match="made-up is generated and reads nothing; leave the path out"):
        convert(MadeUp(), tmp_path, tmp_path / "out")


class MadeUp(Converter):
    """A third party's converter over items that a test makes."""

    info = DatasetInfo(
        name="made-up",
        title="Made up",
        classes=("person", "car"),
        tasks=("detection",),
        homepage="",
        licence="",
        citation="",
        split_policy="",
    )
    how_to_get = ""
    layouts: ClassVar[dict[str, str]] = {}
    needs_path = False

    def __init__(self, *made, faults=()):
        self.items = [item for item, _ in made]
        self.readers = {item.labels.sample_id: read for item, read in made}
        self.faults = faults

    def scan(self, source):
        return Scan("memory", list(self.items), faults=list(self.faults))

    def read(self, source, item):
        return self.readers[item.labels.sample_id]()


def item(sample_id, *boxes, part="train", read=None, mask=None, rgb=None, thermal=None):
    """An item, and what its converter reads for it."""
    images = Images(
        Image(rgb or encoded("PNG"), "v.png"),
        Image(thermal or encoded("PNG", "L"), "t.png"),
        mask and Image(mask, "m.png"),
    )
    labels = Labels(sample_id=sample_id, width=WIDTH, height=HEIGHT, objects=boxes, source="dir/x")
    return Item(part, labels), read or (lambda: images)


def fault_of(made, tmp_path):
    with pytest.raises(BadInputError) as caught:
        convert(MadeUp(item("good"), made), None, tmp_path / "out")
    (line,) = reported(str(caught.value))
    return line


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: item("a", Box((1, 1, 2, 2), 2, 4.0)), "dir/x: box .* class number 2, but there are 2 classes"),
        (lambda: item("a", Box((1, 1, 2, 2), -1, 4.0)), "dir/x: box .* class number -1"),
        (lambda: item("a", Box((1, 1, 2, 2), 0, float("nan"))), "dir/x: person box .* not finite"),
        (lambda: item("a", Box((-9, 1, 9, 5), 0, 45.0)), "dir/x: person box .* wholly outside"),
        (lambda: item("a", Box((1, -9, 9, 9), 0, 81.0)), "dir/x: person box .* wholly outside"),
        (lambda: item("a", Box((1, HEIGHT, 9, 9), 1, 81.0)), "dir/x: car box .* wholly outside"),
        (lambda: item("a b"), "'a b' is no sample id"),
        (lambda: item("a\nb"), "is no sample id"),
        (lambda: item(""), "is no sample id"),
        (lambda: item("a", mask=encoded("PNG")), "m.png.*label map has one 8-bit channel"),
        (lambda: item("a", rgb=encoded_16()), "v.png.*8-bit colour was expected"),
        (lambda: item("a", thermal=encoded("PNG", "RGBA")), "t.png.*not a thermal image"),
        (
            lambda: item("a", thermal=encoded_16()),
            "t.png.*values up to 30000, but made-up declares the thermal range 0",
        ),
        (lambda: item("a", part="validation"), "dir/x: part 'validation' is not one of train, val, test"),
    ],
)
def test_what_only_a_converter_can_get_wrong_is_a_fault_too(made, message, tmp_path):
    assert re.search(message, fault_of(made(), tmp_path))


def encoded_16(value=30_000):
    stream = io.BytesIO()
    Pillow.fromarray(np.full((HEIGHT, WIDTH), value, np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def test_thermal_images_of_every_allowed_kind_pass(tmp_path):
    gray = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(np.dstack([gray] * 3)).save(stream, "PNG")
    kinds = [encoded_16(255), stream.getvalue(), encoded("PNG", "L")]
    made = [item(f"s{number}", thermal=data) for number, data in enumerate(kinds)]
    assert convert(MadeUp(*made), None, tmp_path / "out").parts == {"train": 3}


def test_boxes_that_only_leave_the_image_are_counted_and_kept(tmp_path):
    boxes = [Box((-1, 0, 5, 5), 0, 25.0), Box((60, 40, 9, 9), 1, 81.0), Box((0, 0, WIDTH, HEIGHT), 0, 9.0)]
    report = convert(MadeUp(item("a", *boxes)), None, tmp_path / "out")
    assert report.quirks == {"train: boxes that leave the image (kept for scoring, clipped for training)": 2}
    assert Counter(Dataset(tmp_path / "out").labels["a"].objects) == Counter(boxes)


def test_a_long_list_of_faults_is_cut_but_counted(tmp_path):
    made = MadeUp(item("good"), faults=[f"file {number}: bad" for number in range(1000)])
    with pytest.raises(BadInputError, match="1000 fault") as caught:
        convert(made, None, tmp_path / "out")
    assert "file 99: bad" in str(caught.value)
    assert "... and 800 more" in str(caught.value)


def test_an_interruption_does_not_wait_for_the_rest_of_the_set(tmp_path):
    read = []

    def slowly(number):
        read.append(number)
        time.sleep(0.02)
        raise BadInputError(str(number))

    def interrupt(stage, done, total):
        raise KeyboardInterrupt

    items = [item(str(number), read=lambda number=number: slowly(number)) for number in range(100)]
    with pytest.raises(KeyboardInterrupt):
        convert(MadeUp(*items), None, tmp_path / "out", progress=interrupt)
    assert len(read) < 20


def test_a_source_that_breaks_while_it_is_written_leaves_no_dataset(tmp_path):
    reads = []
    images = Images(Image(encoded("PNG"), "v.png"))

    def once():
        reads.append(None)
        if len(reads) > 1:
            raise BadInputError("disc.jpg: gone")
        return images

    with pytest.raises(BadInputError, match=r"disc\.jpg: gone"):
        convert(MadeUp(item("a", read=once)), None, tmp_path / "out")
    assert not (tmp_path / "out").exists()

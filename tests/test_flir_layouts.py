"""FLIR-aligned from the layouts that others made of it: the same pairs, splits and boxes as from the original."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from flir_cases import DAY, NIGHT, PAIRS, jpegs, put, put_coco, put_d3t, put_ir, put_voc, put_yolo, put_yolo_lists
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.voc import read_voc
from rgbt_bench.formats.yolo import read_yolo
from rgbt_bench.sources import FolderSource
from rgbt_converters._flir_layouts import LAYOUTS
from rgbt_converters.flir import Flir

DATA = Path(__file__).parents[2] / "shared" / "data"
SAME = {"voc": put_voc, "coco": put_coco, "d3t": put_d3t, "voc-ir": put_ir}
# Where the field's YOLO trees keep images and labels.
TREES = {
    "images and labels below the part": {},
    "directly in the part": {"images": "{modality}/{part}", "labels": "{modality}/{part}"},
    "labels beside the parts": {"images": "{modality}/{part}", "labels": "{modality}/labels/{part}"},
    "labels beside the images": {"labels": "{modality}/{part}/images"},
    "images first": {"images": "images/{modality}/{part}", "labels": "labels/{modality}/{part}"},
    "images first, labels once": {"images": "images/{modality}/{part}", "labels": "labels/{part}"},
    "modality first": {"images": "{modality}/images/{part}", "labels": "{modality}/labels/{part}"},
    "val for test": {"test": "val"},
    "images first, val for test": {
        "images": "images/{modality}/{part}", "labels": "labels/{modality}/{part}", "test": "val",
    },
}  # fmt: skip


def faults_of(base, tmp_path):
    with pytest.raises(BadInputError) as caught:
        convert(Flir(), base, tmp_path / "out")
    return str(caught.value)


def require_same_boxes(first, second):
    for sample_id, labels in first.labels.items():
        boxes = [
            sorted((one.category, *one.bbox) for one in data.labels[sample_id].objects) for data in (first, second)
        ]
        assert np.allclose(np.array(boxes[0]), np.array(boxes[1]), rtol=0, atol=0.01), sample_id
        assert labels.illumination == second.labels[sample_id].illumination


@pytest.mark.parametrize("layout", SAME)
def test_every_layout_of_the_original_labels_is_one_set(layout, tmp_path):
    expected = convert(Flir(), put_voc(tmp_path / "original"), tmp_path / "expected")
    report = convert(Flir(), SAME[layout](tmp_path / "in" / "set"), tmp_path / "out")
    assert report.layout == layout
    assert report.fingerprint == expected.fingerprint
    assert Dataset(tmp_path / "out").record.splits == Dataset(tmp_path / "expected").record.splits
    assert report.faults == ()


@pytest.mark.parametrize("tree", TREES)
def test_every_yolo_tree_is_the_set_with_labels_of_its_own(tree, tmp_path):
    convert(Flir(), put_voc(tmp_path / "original"), tmp_path / "expected")
    report = convert(Flir(), put_yolo(tmp_path / "in" / "align", **TREES[tree]), tmp_path / "out")
    assert report.layout == "yolo"
    expected, found = Dataset(tmp_path / "expected"), Dataset(tmp_path / "out")
    assert {name: parts.keys() for name, parts in found.record.splits.items()} == {
        name: parts.keys() for name, parts in expected.record.splits.items()
    }
    for part in expected.parts:
        assert found.part(part).ids == expected.part(part).ids
        for kind in ("rgb_digest", "thermal_digest"):
            assert getattr(found.part(part).record, kind) == getattr(expected.part(part).record, kind)
    require_same_boxes(expected, found)


def test_cft_s_lists_of_paths_name_the_parts(tmp_path):
    expected = convert(Flir(), put_yolo(tmp_path / "folders"), tmp_path / "expected")
    base = put_yolo_lists(tmp_path / "align")
    report = convert(Flir(), base, tmp_path / "out")
    assert (report.layout, report.fingerprint) == ("yolo", expected.fingerprint)
    assert convert(Flir(), base / "yolo", tmp_path / "inside").fingerprint == expected.fingerprint
    # a frame in no list, and a part whose image lies at the end of its path
    put(base / "yolo/rgb/train/images/FLIR_00003.jpg", b"unread")
    moved = base / "elsewhere/JPEGImages" / "FLIR_00002.jpg"
    moved.parent.mkdir(parents=True)
    (base / "yolo/ir/train/images/FLIR_00002.jpg").rename(moved)
    listed = base / "yolo/ir/align_train.txt"
    listed.write_text(
        listed.read_text().replace(
            "/home/somebody/align/JPEGImages/FLIR_00002", f"C:\\x\\{'elsewhere'}\\JPEGImages\\FLIR_00002"
        )
    )
    assert convert(Flir(), base, tmp_path / "tail").fingerprint == expected.fingerprint


def test_faults_of_cft_s_lists_are_named_by_line(tmp_path):
    base = put_yolo_lists(tmp_path / "align")
    with (base / "yolo/ir/align_train.txt").open("a") as lines:
        lines.write("\nx/FLIR_04444.jpg\nx/FLIR_00002.jpg\nx/.DS_Store\n")
    (base / f"yolo/rgb/test/images/{DAY}.jpg").unlink()
    message = faults_of(base, tmp_path)
    assert "4 fault(s)" in message
    assert "ir/align_train.txt: line 8: FLIR_04444 is listed in train, but neither of its images is there" in message
    assert "ir/align_train.txt: line 9: FLIR_00002 again, first in line 1; keep one" in message
    assert "ir/align_train.txt: line 10: '.DS_Store' is no FLIR-aligned name" in message
    assert f"rgb/test/images/{DAY}.jpg: missing, but {DAY} is listed in test" in message


def test_halves_of_the_train_list_are_put_together_and_said_not_to_be_the_whole(tmp_path):
    base = put_d3t(tmp_path / "set")
    assert convert(Flir(), base, tmp_path / "both").expected["train+val"] == "6 of 4129: not the whole set"
    (base / "ImageSets/Main/align_train_CarPersonBicycle_RGB.txt").unlink()
    assert convert(Flir(), base, tmp_path / "one").expected["train+val"] == "4 of 4129: not the whole set"
    with (base / "ImageSets/Main/align_train_CarPersonBicycle_IR.txt").open("a") as lines:
        lines.write("FLIR_00700_PreviewData\n")
    assert "'FLIR_00700' occurs twice" in faults_of(base, tmp_path)


def test_lists_at_the_top_go_before_those_of_d3t(tmp_path):
    base = put_voc(tmp_path / "set")
    put(base / "ImageSets/Main/align_train_CarPersonBicycle_IR.txt", "FLIR_00002_PreviewData\n")
    report = convert(Flir(), base, tmp_path / "out")
    assert (report.layout, sum(report.parts.values())) == ("voc", 8)


@pytest.mark.parametrize("layout", ["voc", "d3t", "voc-ir"])
def test_without_annotations_one_sentence_says_where_they_are_found(layout, tmp_path):
    base = SAME[layout](tmp_path / "set")
    shutil.rmtree(base / "Annotations")
    message = faults_of(base, tmp_path)
    assert message.startswith(f"{base / 'Annotations'}: no annotations")
    assert "copy Annotations/ of the original archive to this place" in message
    assert "\n" not in message


def test_layouts_that_were_looked_for_are_all_named(tmp_path):
    (tmp_path / "empty").mkdir()
    message = faults_of(tmp_path / "empty", tmp_path)
    assert all(f"({layout.name} layout)" in message and layout.tree in message for layout in LAYOUTS)
    put_voc(tmp_path / "mixed")
    put_yolo(tmp_path / "mixed")
    assert "more than one layout here" in (message := faults_of(tmp_path / "mixed", tmp_path))
    assert "mixed (voc)" in message
    assert "mixed (yolo)" in message


def test_a_missing_half_in_a_yolo_tree_is_named(tmp_path):
    base = put_yolo(tmp_path / "set")
    (base / "infrared/train/images/FLIR_00002.jpg").unlink()
    (base / f"visible/test/images/{NIGHT}_PreviewData.jpg").unlink()
    put(base / "visible/train/images/FLIR_00002_RGB.jpg", jpegs("FLIR_00002")[0])
    message = faults_of(base, tmp_path)
    assert "infrared/train/images/FLIR_00002.jpg: missing, but FLIR_00002 is listed in train" in message
    assert f"visible/test/images/{NIGHT}_PreviewData.jpeg: missing" in message
    assert "FLIR_00002_RGB.jpg: FLIR_00002 again, first" in message
    assert "3 fault(s)" in message


def test_an_image_without_a_label_file_is_background_and_counted(tmp_path):
    base = put_yolo(tmp_path / "set")
    for modality in ("visible", "infrared"):
        (base / modality / "train/labels/FLIR_00002.txt").unlink()
    (base / "visible/train/labels/FLIR_00700.txt").unlink()
    put(base / "visible/train/labels/FLIR_01800.txt", "")
    put(base / "visible/val/images/FLIR_00003.jpg", b"")
    put(base / "infrared/val/images/FLIR_00003.jpg", b"")
    report = convert(Flir(), base, tmp_path / "first")
    assert report.quirks["train: images without a label file (kept, no boxes: background)"] == 1
    assert report.quirks["pairs whose two label files differ (the thermal one is used)"] == 1
    assert [count for name, count in report.quirks.items() if name.startswith("images in val")] == [1]
    dataset = Dataset(tmp_path / "first")
    assert dataset.labels["FLIR_00002"].objects == ()
    assert len(dataset.labels["FLIR_00700"].objects) == len(dataset.labels["FLIR_01800"].objects) == 1
    for labels in base.glob("*/train/labels"):
        shutil.rmtree(labels)
    assert "no label file of any image of train; looked for txt files in labels/" in faults_of(base, tmp_path)


def test_another_order_of_classes_is_refused_where_it_is_written(tmp_path):
    base = put_yolo(tmp_path / "set")
    put(base / "infrared/train/labels/classes.txt", "person\ncar\nbike\n")
    convert(Flir(), base, tmp_path / "same")
    put(base / "infrared/train/labels/classes.txt", "person\nbicycle\ncar\n")
    message = faults_of(base, tmp_path)
    assert "classes.txt: the classes are person, bike, car; the order of this layout is person, car, bicycle" in message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3 .5 .5 .1 .1", "class number 3; the classes are 0 person, 1 car, 2 bicycle"),
        ("-1 .5 .5 .1 .1", "class number -1"),
        ("1.5 .5 .5 .1 .1", "class number 1.5"),
        ("car .5 .5 .1 .1", "could not convert string to float: 'car'"),
        ("0 .5 .5 .1 .1 .97", "6 columns: a prediction with its confidence, not a label"),
        ("0 .5 .5 .1", "4 columns; a class number and four fractions"),
        ("0 .1 .1 .2 .1 .2 .2 .1 .2", "9 columns"),
        ("0 nan .5 .1 .1", "a number that is not finite"),
        ("nan .5 .5 .1 .1", "class number nan"),
        ("0 .5 .5 inf .1", "a number that is not finite"),
        ("0 .5 .5 -.1 .1", "a box without width or height"),
        ("0 .5 .5 .1 0", "a box without width or height"),
        ("0 320 256 20 20", "a box beyond the image; fractions of its size are expected, not pixels"),
        ("0 -.5 .5 .1 .1", "a box beyond the image"),
    ],
)
def test_a_line_that_is_no_label_is_named(line, message, tmp_path):
    base = put_yolo(tmp_path / "set")
    put(base / "infrared/train/labels/FLIR_00002.txt", f"0 .5 .5 .1 .1\n\n{line}\n")
    found = faults_of(base, tmp_path)
    assert f"FLIR_00002.txt: line 3: {message}" in found
    assert "1 fault(s)" in found


def test_all_lines_of_a_file_that_are_no_labels_are_named(tmp_path):
    put(tmp_path / "a.txt", "0 .5 .5 .1 .1\nx\n0 1 2\n")
    with pytest.raises(
        BadInputError, match=r"a\.txt: 2 lines are no labels:\n.*line 2: 1 columns.*\n.*line 3: 3 columns"
    ):
        read_yolo(FolderSource(tmp_path), "a.txt", (640, 512), ("person",))


def test_six_decimals_give_every_whole_pixel_back(tmp_path):
    rng = np.random.default_rng(0)
    for width, height in ((640, 512), (1024, 768), (64, 48), (1280, 1024)):
        left, top = rng.integers(-1, width - 1, 2000), rng.integers(-1, height - 1, 2000)
        right, bottom = rng.integers(left + 1, width + 1), rng.integers(top + 1, height + 1)
        boxes = np.stack([left, top, right - left, bottom - top], axis=1)
        rows = [
            f"0 {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} {h / height:.6f}"
            for x, y, w, h in boxes
        ]
        put(tmp_path / "a.txt", "\n".join(rows))
        found = read_yolo(FolderSource(tmp_path), "a.txt", (width, height), ("person",))
        assert [one.bbox for one in found] == [tuple(map(float, box)) for box in boxes]


def test_what_is_no_whole_pixel_stays_as_it_is(tmp_path):
    put(tmp_path / "a.txt", "0 0.500000 0.500000 0.100500 0.100000")
    (found,) = read_yolo(FolderSource(tmp_path), "a.txt", (640, 512), ("person",))
    assert found.bbox == pytest.approx((320 - 32.16, 256 - 25.6, 64.32, 51.2), abs=1e-9)


def test_the_size_of_an_image_that_cannot_be_read_is_a_fault_of_its_own(tmp_path):
    base = put_yolo(tmp_path / "set")
    put(base / "infrared/train/images/FLIR_00002.jpg", b"no image")
    stream = io.BytesIO()
    Pillow.new("RGB", (10, 10)).save(stream, "JPEG")
    put(base / f"visible/test/images/{DAY}.jpg", stream.getvalue())
    message = faults_of(base, tmp_path)
    assert "infrared/train/images/FLIR_00002.jpg: cannot be decoded" in message
    assert f"{DAY} (rgb, {DAY}.jpg): 10x10, but the labels and the pair say 64x48" in message
    assert "2 fault(s)" in message


@pytest.fixture(scope="module")
def real():
    """The real pairs' parts, images and boxes."""
    base = DATA / "FLIR_aligned" / "align"
    if not base.is_dir():
        pytest.skip(f"no real data at {base}: it may not be committed")
    return base


def real_pairs(base):
    """Yield part, sample id, both images and the VOC file of each real pair."""
    source = FolderSource(base)
    for part, name in (("train", "align_train.txt"), ("test", "align_validation.txt")):
        for line in source.text(name).split():
            sample_id = line.removesuffix("_PreviewData")
            images = source.read(f"JPEGImages/{sample_id}_RGB.jpg"), source.read(f"JPEGImages/{line}.jpeg")
            yield part, sample_id, images, read_voc(source, f"Annotations/{line}.xml")


def test_the_real_pairs_are_one_set_in_every_layout(real, tmp_path):
    expected = convert(Flir(), real, tmp_path / "expected")
    main = tmp_path / "d3t/ImageSets/Main"
    for name in ("d3t", "ir"):
        for folder in ("JPEGImages", "Annotations"):
            shutil.copytree(real / folder, tmp_path / name / folder)
    (tmp_path / "ir/IR").mkdir()
    for thermal in (tmp_path / "ir/JPEGImages").glob("*.jpeg"):
        thermal.rename(tmp_path / "ir/IR" / thermal.name)
    main.mkdir(parents=True)
    for folder in (main, tmp_path / "ir"):
        for name in ("align_train.txt", "align_validation.txt"):
            shutil.copy(real / name, folder / name)
    for name in ("d3t", "ir"):
        assert convert(Flir(), tmp_path / name, tmp_path / f"{name}-out").fingerprint == expected.fingerprint
    yolo = ("person", "car", "bicycle")
    for part, sample_id, images, voc in real_pairs(real):
        rows = []
        for one in voc.objects:
            x, y, w, h = one.bbox
            numbers = (x + w / 2) / voc.width, (y + h / 2) / voc.height, w / voc.width, h / voc.height
            rows.append(f"{yolo.index(one.name)} " + " ".join(f"{number:.6f}" for number in numbers))
        for modality, data in zip(("visible", "infrared"), images, strict=True):
            put(tmp_path / f"yolo/{modality}/{part}/{sample_id}.jpg", data)
            put(tmp_path / f"yolo/{modality}/{part}/{sample_id}.txt", "\n".join(rows))
    convert(Flir(), tmp_path / "yolo", tmp_path / "yolo-out")
    found = Dataset(tmp_path / "yolo-out")
    require_same_boxes(Dataset(tmp_path / "expected"), found)
    for part in Dataset(tmp_path / "expected").parts:
        record, other = Dataset(tmp_path / "expected").part(part).record, found.part(part).record
        assert (record.rgb_digest, record.thermal_digest) == (other.rgb_digest, other.thermal_digest)


def test_the_instructions_show_every_tree():
    text = Flir().instructions()
    assert all(layout.tree.strip() in text for layout in LAYOUTS)
    assert sum(map(len, PAIRS.values())) == 8

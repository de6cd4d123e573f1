"""M3FD with YOLO labels: where they lie, in which order their classes are, and that whole pixels come back."""

import shutil
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m3fd_cases import BOX_ORDER, PAIRS, SMALL, YOLO, pngs, put, put_flat, put_tardal, put_yolo, yolo_text
from rgbt_bench.converters import Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Box, Labels
from rgbt_bench.sources import FolderSource
from rgbt_converters import _m3fd_yolo
from rgbt_converters._m3fd_labels import BOXES, CLASSES
from rgbt_converters._m3fd_pairs import Entry
from rgbt_converters._m3fd_scenes import frames
from rgbt_converters.m3fd import M3fd

# Where the field's trees keep images and labels.
TREES = {
    "visible and infrared": {"names": ("visible", "infrared")},
    "rgb and ir": {"names": ("rgb", "ir")},
    "labels once": {"labels": "labels/{part}"},
    "labels beside the images": {"labels": "images/{modality}/{part}"},
    "modality first": {"images": "{modality}/images/{part}", "labels": "{modality}/labels/{part}"},
    "part before images": {"images": "{modality}/{part}/images", "labels": "{modality}/{part}/labels"},
    "directly in the part": {"images": "{modality}/{part}", "labels": "{modality}/labels/{part}"},
    "no parts": {"images": "images/{modality}", "labels": "labels/{modality}"},
}
OTHER_ORDER = ("Car", "Truck", "People", "Bus", "Lamp", "Motorcycle")  # EAEFNet's


def faults_of(base, tmp_path):
    with pytest.raises(BadInputError) as caught:
        convert(M3fd(), base, tmp_path / "out", force=True)
    return str(caught.value)


@pytest.mark.parametrize("tree", TREES)
def test_every_tree_is_the_set_of_the_original_annotations(tree, tmp_path):
    expected = convert(M3fd(), put_flat(tmp_path / "flat"), tmp_path / "expected")
    report = convert(M3fd(), put_yolo(tmp_path / "in" / "m3fd", **TREES[tree]), tmp_path / "out")
    assert (report.layout, report.fingerprint) == ("yolo", expected.fingerprint)
    assert report.quirks["label files read in TarDAL's order of classes (no classes.txt or data.yaml is there)"] == 8


def test_the_folders_of_parts_are_a_split_of_the_archive(tmp_path):
    convert(M3fd(), put_yolo(tmp_path / "m3fd"), tmp_path / "out")
    assert Dataset(tmp_path / "out", "archive").part("val").ids == ("01530", "02779")
    convert(M3fd(), put_yolo(tmp_path / "flat", **TREES["no parts"]), tmp_path / "other")
    assert "archive" not in Dataset(tmp_path / "other").record.splits


@pytest.mark.parametrize("place", ["", "labels/"])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "\n".join(OTHER_ORDER)),
        ("classes.txt", "car\ntruck\nperson\nbus\nlamp\nmotor\n\n"),
        ("data.yaml", f"path: ../m3fd\nnc: 6\nnames: {list(OTHER_ORDER)}"),
        ("data.yaml", "names:\n" + "".join(f"  {number}: {name}\n" for number, name in enumerate(OTHER_ORDER))),
        ("data.yaml", "names: {" + ", ".join(f"{number}: {name}" for number, name in enumerate(OTHER_ORDER)) + "}"),
    ],
)
def test_another_order_is_followed_where_it_is_written(place, file, text, tmp_path):
    expected = convert(M3fd(), put_tardal(tmp_path / "tardal"), tmp_path / "expected")
    base = put_tardal(tmp_path / "m3fd", classes=OTHER_ORDER)
    put(base / f"{place}{file}", text)
    report = convert(M3fd(), base, tmp_path / "out")
    assert (report.layout, report.fingerprint) == ("tardal", expected.fingerprint)
    assert report.quirks.keys() == {"pairs without boxes (kept)"}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("classes.txt", "People\nCarr\n", "classes.txt: unknown class 'Carr'. Did you mean 'Car'"),
        ("data.yaml", "names: [People, Car", "data.yaml: line 1"),
        ("data.yaml", "nc: 6", "`names` is neither a list of classes nor numbers from 0 with classes"),
        ("data.yaml", "names: {1: People, 2: Car}", "`names` is neither"),
        ("data.yaml", "names: [1, 2]", "`names` is neither"),
        ("data.yaml", "names: &a [People]", "tags, anchors and aliases are refused"),
    ],
)
def test_a_bad_file_of_classes_is_named(file, text, message, tmp_path):
    base = put_tardal(tmp_path / "m3fd")
    put(base / file, text)
    assert message in faults_of(base, tmp_path)


def test_two_files_with_different_orders_are_named(tmp_path):
    base = put_tardal(tmp_path / "m3fd")
    put(base / "classes.txt", "\n".join(YOLO))
    put(base / "labels/classes.txt", "\n".join(OTHER_ORDER))
    assert "they name the classes in different orders; keep one" in faults_of(base, tmp_path)


def whole_set(order):
    """Entries of all ids whose boxes have the published numbers, read in TarDAL's order from labels in another."""
    numbers = [BOXES[CLASSES.index(name)] for name in order]
    boxes = [
        Box((0, 0, 1, 1), CLASSES.index(name), 1)
        for name, count in zip(YOLO, numbers, strict=True)
        for _ in range(count)
    ]
    labels = [Labels(sample_id=one, width=9, height=9) for one in frames()]
    labels[0] = Labels(sample_id="00000", width=9, height=9, objects=tuple(boxes))
    return [Entry("", "", one, "") for one in labels]


def test_the_whole_set_in_an_order_that_nobody_wrote_down_is_noticed_by_its_numbers_of_boxes():
    _m3fd_yolo._require_order(whole_set(YOLO), "classes.txt")
    _m3fd_yolo._require_order(whole_set(OTHER_ORDER)[:-1], "classes.txt")  # not the whole set: nothing to compare
    for order in (OTHER_ORDER, BOX_ORDER):
        with pytest.raises(
            BadInputError, match=f"by the numbers of their boxes the classes are {', '.join(order)}, not"
        ):
            _m3fd_yolo._require_order(whole_set(order), "classes.txt")


def test_lists_in_meta_and_their_faults(tmp_path):
    base = put_tardal(tmp_path / "m3fd")
    put(base / "meta/train.txt", "00000.png\n00255.png\n\n00255.png\n")
    put(base / "meta/val.txt", "C:\\m3fd\\ir\\02779.png\n/home/a/00537\n00300.png\n")
    put(base / "meta/pred.txt", "M3FD_00471.png\n")
    report = convert(M3fd(), base, tmp_path / "out")
    archive = Dataset(tmp_path / "out", "archive")
    assert {part: archive.part(part).ids for part in archive.parts} == {
        "train": ("00000", "00255"),
        "val": ("00537", "02779"),
    }
    assert report.quirks["lines of lists that name a pair again"] == 1
    assert report.quirks["ids in lists of the archive that have no pair"] == 1
    put(base / "meta/val.txt", "02779\nM3FD_00471.png\nx.png\n04200\n")
    message = faults_of(base, tmp_path)
    assert "meta/val.txt: line 2: 'M3FD_00471' is one of the samples of TarDAL's code" in message
    assert "meta/val.txt: line 3: 'x' is no M3FD name such as 00471" in message
    assert "meta/val.txt: line 4: 04200 is no pair of M3FD" in message


def test_missing_halves_labels_and_second_copies_are_named_or_counted(tmp_path):
    base = put_yolo(tmp_path / "m3fd")
    (base / "images/ir/train/00000.png").unlink()
    put(base / "images/ir/val/00255.png", pngs("00255", SMALL)[1])
    for modality in ("vi", "ir"):
        (base / f"labels/{modality}/train/00537.txt").unlink()
    put(base / "labels/vi/train/01301.txt", "")
    put(base / "images/ir/train/04199.png", b"no image")
    message = faults_of(base, tmp_path)
    assert "images/ir/train/00000.png: missing, but 00000 has the rest of a pair" in message
    assert "images/ir/val/00255.png: 00255 again, first images/ir/train/00255.png; keep one" in message
    assert "images/ir/train/04199.png: cannot be decoded" in message
    report = convert(M3fd(), base, tmp_path / "out", on_error="skip")
    assert report.quirks["images without a label file (kept, no boxes: background)"] == 1
    assert report.quirks["pairs whose two label files differ (the thermal one is used)"] == 1
    labels = Dataset(tmp_path / "out").labels
    assert labels["00537"].objects == ()
    assert Counter(CLASSES[box.category] for box in labels["01301"].objects) == {"Truck": 1}
    shutil.rmtree(base / "labels")
    assert "no label file such as 00000.txt of any image here" in faults_of(base, tmp_path)


def test_a_part_with_images_of_one_modality_is_not_passed_over(tmp_path):
    base = put_yolo(tmp_path / "m3fd")
    shutil.rmtree(base / "images/ir/val")
    message = faults_of(base, tmp_path)
    assert "images/ir/val/01530.png: missing, but 01530 has the rest of a pair" in message
    assert "images/ir/val/02779.png: missing, but 02779 has the rest of a pair" in message
    shutil.rmtree(base / "images/vi/val")
    report = convert(M3fd(), base, tmp_path / "out")
    assert sum(report.parts.values()) == len(PAIRS) - 2
    put(base / "labels/ir/train/04198.txt", "")
    report = convert(M3fd(), base, tmp_path / "left", force=True)
    assert report.quirks["label files of pairs without images (left out)"] == 1
    for modality in ("vi", "ir"):
        shutil.rmtree(base / "images" / modality)
    assert "no M3FD layout here" in faults_of(base, tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "6 .5 .5 .1 .1",
            "line 2: class number 6; the classes are 0 People, 1 Car, 2 Bus, 3 Lamp, 4 Motorcycle, 5 Truck",
        ),
        ("0 .5 .5 .1 .1 .9", "line 2: 6 columns: a prediction"),
        ("0 320 240 10 10", "line 2: a box beyond the image"),
    ],
)
def test_a_line_that_is_no_label_is_named(line, message, tmp_path):
    base = put_tardal(tmp_path / "m3fd")
    put(base / "labels/00000.txt", f"0 .5 .5 .1 .1\n{line}")
    found = faults_of(base, tmp_path)
    assert f"00000.txt: {message}" in found
    assert "1 fault(s)" in found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return put_tardal(tmp_path_factory.mktemp("fuzz") / "m3fd", {"00000": PAIRS["00000"]})


@given(text=st.text(st.sampled_from(" \n0123456789.-e") | st.characters(), max_size=60), at=st.integers(0, 60))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_label_text_crashes_it(text, at, place):
    whole = yolo_text(PAIRS["00000"][2], SMALL)
    for content in (text, whole[:at] + text + whole[at:]):
        put(place / "labels/00000.txt", content.encode("utf-8", "replace"))
        scan: Scan = M3fd().scan(FolderSource(place))
        assert len(scan.items) + len(scan.faults) == 1
        assert all("labels/00000.txt" in fault for fault in scan.faults)

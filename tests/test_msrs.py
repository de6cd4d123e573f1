"""MSRS: both parts of its archive, its optional label maps and boxes, and what is counted, left out or a fault."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from flir_cases import put
from mfnet_cases import HEIGHT, WIDTH, encoded, pixels
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import FolderSource
from rgbt_converters._id_lists import id_list
from rgbt_converters.msrs import Msrs, part_of

DATA = Path(__file__).parents[2] / "shared" / "data" / "MSRS"
# By folder; 00350D and 00851N lie in the blocks of val.
PARTS = {"train": ["00001D", "00003N", "00350D", "00851N"], "test": ["00004N", "00055D"]}
BOXES = "0  0.5  0.5  0.25  0.5  \n2 0.250000 0.250000 0.125000 0.125000\n"
FUSION = "detection_label/fusion"


def put_msrs(base, parts=PARTS, masks=True, boxes=True):
    for part, ids in parts.items():
        for sample_id in ids:
            pair, mask = pixels(sample_id)
            put(base / part / "vi" / f"{sample_id}.png", encoded(pair[..., :3]))
            put(base / part / "ir" / f"{sample_id}.png", encoded(pair[..., 3]))
            if masks:
                put(base / part / "Segmentation_labels" / f"{sample_id}.png", encoded(mask))
            if boxes:
                put(base / FUSION / part / f"{sample_id}.txt", BOXES)
    if boxes:
        put(base / "detection_label/classes.txt", "0 person\n1 bicycle\n2 car")
    return base


def faults_of(base, tmp_path):
    with pytest.raises(BadInputError) as caught:
        convert(Msrs(), base, tmp_path / "out")
    return str(caught.value)


def test_pairs_label_maps_and_boxes_arrive_as_they_are(tmp_path):
    report = convert(Msrs(), put_msrs(tmp_path / "in" / "MSRS"), tmp_path / "out")
    assert (report.quirks, report.faults) == ({}, ())
    assert report.parts == {"train": 2, "val": 2, "test": 2}
    assert report.expected == {"train+val": "4 of 1083: not the whole set", "test": "2 of 361: not the whole set"}
    dataset = Dataset(tmp_path / "out")
    for sample_id in (one for ids in PARTS.values() for one in ids):
        pair, mask = pixels(sample_id)
        sample = dataset.sample(sample_id)
        for image, expected in ((sample.rgb, pair[..., :3]), (sample.thermal, pair[..., 3]), (sample.mask, mask)):
            assert np.array_equal(np.asarray(Pillow.open(io.BytesIO(image.data))), expected)
        assert sample.illumination == {"D": "day", "N": "night"}[sample_id[-1]]
        assert [(dataset.info.classes[box.category], box.bbox, box.area) for box in sample.objects] == [
            ("person", (WIDTH * 0.375, HEIGHT * 0.25, WIDTH * 0.25, HEIGHT * 0.5), WIDTH * HEIGHT / 8),
            ("car", (WIDTH * 0.1875, HEIGHT * 0.1875, WIDTH * 0.125, HEIGHT * 0.125), WIDTH * HEIGHT / 64),
        ]


def test_val_is_every_tenth_block_of_fifty_train_numbers(tmp_path):
    convert(Msrs(), put_msrs(tmp_path / "in"), tmp_path / "out")
    assert Dataset(tmp_path / "out").part("val").ids == ("00350D", "00851N")
    assert Dataset(tmp_path / "out", "official").parts == ("train", "test")
    assert Dataset(tmp_path / "out", "official").part("train").ids == tuple(PARTS["train"])
    train = id_list("msrs_train")
    val = [sample_id for sample_id in train if part_of(sample_id, "train") == "val"]
    assert (len(val), sum(one.endswith("D") for one in val)) == (111, 54)
    assert part_of("00350D", "test") == "test"


def test_the_published_lists_are_every_fourth_pair_and_cut_across_those_of_mfnet():
    train, test = id_list("msrs_train"), id_list("msrs_test")
    both = sorted({*train, *test})
    assert (len(train), len(test), len(both)) == (1083, 361, 1444)
    assert both[3::4] == sorted(test)
    assert sum(one.endswith("D") for one in both) == 715
    assert len(set(train) & set(id_list("mfnet_test"))) == 277
    assert len(set(test) & set(id_list("mfnet_train"))) == 182
    every = {sample_id for part in ("train", "val", "test") for sample_id in id_list(f"mfnet_{part}")}
    assert (set(both) <= every, len(every - set(both))) == (True, 125)


def test_without_label_maps_and_boxes_there_are_pairs_alone(tmp_path):
    report = convert(Msrs(), put_msrs(tmp_path / "in", masks=False, boxes=False), tmp_path / "out")
    assert report.quirks == {
        "no detection_label/, so no pair has boxes": 1,
        "train: pairs without a label map (kept)": 4,
        "test: pairs without a label map (kept)": 2,
    }
    dataset = Dataset(tmp_path / "out")
    assert dataset.sample("00004N").mask is None
    assert "detection" not in dataset.record.splits


def test_what_is_not_read_is_counted(tmp_path):
    base = put_msrs(tmp_path / "in")
    put(base / "detection_label/infrared/test/00004N.txt", BOXES)
    put(base / "detection_label/visible/train/00001D.txt", f"{BOXES}\n{BOXES}")
    put(base / f"{FUSION}/test/00008N.txt", BOXES)
    put(base / "detection/vi/1042.png", b"")
    put(base / "detection/labels/1042.txt", "0 .5 .5 .1 .1")
    put(base / "test/Segmentation_labels/00008N.png", b"unread")
    put(base / "test/Segmentation_visualize/00004N.png", b"unread")
    put(base / "test/vi/.DS_Store", b"")
    put(base / "train/vi/readme.png", b"unread")
    (base / f"{FUSION}/train/00003N.txt").unlink()
    put(base / f"{FUSION}/train/00001D.txt", "")
    report = convert(Msrs(), base, tmp_path / "out")
    assert report.quirks == {
        "detection_label/infrared: boxes left out (drawn on that picture alone)": 2,
        "detection_label/visible: boxes left out (drawn on that picture alone)": 4,
        "detection_label/fusion: label files of no pair (left out)": 1,
        "files in detection/ (left out: their names are bare numbers, their classes unnamed)": 2,
        "test: label maps of no pair (left out)": 1,
        "test: other files (left out)": 1,
        "train: other files (left out)": 1,
        "train: pairs without a detection label (kept without boxes; not in msrs@detection)": 1,
    }
    labelled = Dataset(tmp_path / "out", "detection")
    assert labelled.part("train").ids == ("00001D",)
    assert labelled.part("val").ids == ("00350D", "00851N")
    assert labelled.labels["00001D"].objects == ()


def test_pairs_that_the_published_parts_have_elsewhere_are_counted(tmp_path):
    parts = {"train": ["00001D", "00004N", "09999D"], "test": ["00055D"]}
    report = convert(Msrs(), put_msrs(tmp_path / "in", parts), tmp_path / "out")
    assert report.quirks == {
        "train: pairs that neither published part has": 1,
        "train: pairs that the published set has in the other part": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 person\n1 car\n2 bicycle", "the classes are 0 person, 1 car, 2 bicycle; here they are 0 person, 1 bike"),
        ("1 person\n2 bicycle\n3 car", "the classes are 1 person, 2 bicycle, 3 car"),
        ("person\nbicycle", "the classes are person, bicycle"),
        ("", "the classes are missing"),
        ("person\nbike\ncar\n", None),
        ("\ufeff0 Person\r\n1 Bicycle\r\n2 Car\r\n\r\n", None),
    ],
)
def test_other_numbers_of_the_classes_are_refused_where_they_are_written(text, message, tmp_path):
    base = put_msrs(tmp_path / "in")
    put(base / "detection_label/classes.txt", text)
    if message is None:
        assert convert(Msrs(), base, tmp_path / "out").quirks == {}
        return
    assert f"classes.txt: {message}" in faults_of(base, tmp_path)


def test_classes_that_no_file_names_are_taken_for_granted_and_counted(tmp_path):
    base = put_msrs(tmp_path / "in")
    (base / "detection_label/classes.txt").unlink()
    quirks = convert(Msrs(), base, tmp_path / "out").quirks
    assert quirks == {"no detection_label/classes.txt: the classes are taken to be 0 person, 1 bike, 2 car": 1}


def test_broken_files_are_all_named_in_one_run(tmp_path):
    base = put_msrs(tmp_path / "in")
    (base / "train/ir/00001D.png").unlink()
    (base / "test/vi/00055D.png").unlink()
    put(base / f"{FUSION}/train/00003N.txt", "0 .5 .5 .1 .1\n3 .5 .5 .1 .1\n0 .5 .5\n")
    put(base / "train/Segmentation_labels/00350D.png", encoded(pixels("00350D")[1] + 7))
    put(base / "train/vi/00851N.png", encoded(pixels("00851N")[0][:9, :, :3]))
    shutil.copy(base / "train/ir/00003N.png", base / "test/ir/00003N.png")
    shutil.copy(base / "train/vi/00003N.png", base / "test/vi/00003N.png")
    put(base / "test/Segmentation_labels/00004N.png", b"no picture")
    message = faults_of(base, tmp_path)
    assert "ir/00001D.png: missing, but " in message
    assert "vi/00055D.png: missing, but " in message
    assert "00003N.txt: 2 lines are no labels" in message
    assert "00350D (mask, 00350D.png): a label map with the value(s) 9" in message
    assert "00851N (rgb, 00851N.png): 32x9, but the labels and the pair say 32x24" in message
    assert "test/vi/00003N.png: 00003N again, first in " in message
    assert "Segmentation_labels/00004N.png: cannot be decoded" in message
    assert "7 fault(s)" in message
    put(base / f"{FUSION}/train/00003N.txt", BOXES)
    convert(Msrs(), base, tmp_path / "out", on_error="skip")
    dataset = Dataset(tmp_path / "out")
    assert dataset.parts == ("train",)
    assert dataset.part("train").ids == ("00003N",)


def test_a_part_that_is_missing_is_empty_and_nothing_at_all_is_refused(tmp_path):
    report = convert(Msrs(), put_msrs(tmp_path / "in", {"train": ["00001D"]}), tmp_path / "one")
    assert report.quirks == {"test: no pictures, so this part is empty": 1}
    (tmp_path / "empty").mkdir()
    message = faults_of(tmp_path / "empty", tmp_path)
    assert "no MSRS layout here: looked for train/vi/00001D.png or test/vi/00001D.png" in message


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_are_the_same_set(kind, tmp_path):
    base = put_msrs(tmp_path / "in")
    files = [path for path in sorted(base.rglob("*")) if path.is_file()]
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for path in files:
                archive.write(path, f"MSRS/{path.relative_to(base).as_posix()}")
    else:
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            archive.add(base, "MSRS")
    expected = convert(Msrs(), base, tmp_path / "expected")
    assert convert(Msrs(), tmp_path / f"a.{kind}", tmp_path / "out").fingerprint == expected.fingerprint


@settings(max_examples=80, deadline=None)
@given(text=st.one_of(st.binary(max_size=60), st.text("0123456789.-+einfax \n\t", max_size=80).map(str.encode)))
def test_no_text_of_a_label_file_crashes_the_converter(text, tmp_path_factory):
    base = tmp_path_factory.getbasetemp() / "msrs-labels"
    if not base.is_dir():
        put_msrs(base, {"test": ["00004N", "00055D"]})
    put(base / f"{FUSION}/test/00004N.txt", text)
    scan = Msrs().scan(FolderSource(base))
    assert len(scan.items) + len(scan.faults) == 2
    assert all("00004N.txt" in fault for fault in scan.faults)


def test_the_real_pairs_and_their_boxes(tmp_path):
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}: it may not be committed")
    report = convert(Msrs(), DATA, tmp_path / "out")
    assert (report.parts, report.faults) == ({"test": 11}, ())
    assert report.quirks == {
        "detection_label/infrared: boxes left out (drawn on that picture alone)": 50,
        "detection_label/visible: boxes left out (drawn on that picture alone)": 27,
        "test: pairs without a label map (kept)": 11,
        "train: no pictures, so this part is empty": 1,
    }
    dataset = Dataset(tmp_path / "out")
    boxes = [dataset.info.classes[box.category] for one in dataset.labels.values() for box in one.objects]
    assert {name: boxes.count(name) for name in dataset.info.classes} == {"person": 25, "bike": 1, "car": 8}
    assert set(dataset.labels) <= set(id_list("msrs_test"))
    assert Dataset(tmp_path / "out", "detection").part("test").record == dataset.part("test").record

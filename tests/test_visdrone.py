"""VisDrone: its eight columns become boxes and regions, every tree is one set, what is wrong is named by line."""

import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Box
from rgbt_bench.sources import FolderSource
from rgbt_converters._visdrone_labels import CLASSES, scene_of
from rgbt_converters.visdrone import VisDrone
from visdrone_cases import LINES, PUBLISHED, jpeg, put, put_original, put_yolo

DATA = Path(__file__).parents[2] / "shared" / "data"
SHORT = {"train": "train", "val": "val", "test": "test", "challenge": "challenge"}
# Trees that keep the original annotations.
ORIGINAL = {
    "published": {},
    "short names": {"names": SHORT},
    "short published names": {"names": {**SHORT, "test": "test-dev", "challenge": "test-challenge"}},
    "ultralytics": {"names": SHORT, "images": "images/{name}", "annotations": "annotations/{name}"},
}
FIRST, SECOND, EMPTY = LINES["train"]


@pytest.fixture
def expected(tmp_path):
    return convert(VisDrone(), put_original(tmp_path / "expected-in"), tmp_path / "expected")


def faults_of(base, tmp_path):
    with pytest.raises(BadInputError) as caught:
        convert(VisDrone(), base, tmp_path / "out")
    return str(caught.value)


def with_lines(tmp_path, text, stem=FIRST):
    base = put_original(tmp_path / "in")
    put(base / f"{PUBLISHED['train']}/annotations/{stem}.txt", text)
    return base


def test_every_column_arrives(expected, tmp_path):
    labels = Dataset(tmp_path / "expected").labels
    assert expected.parts == {"train": 3, "val": 1, "test": 2, "challenge": 2}
    assert labels[FIRST].objects == (
        Box((4, 5, 9, 20), 0, 180, truncation=0, occlusion=0),
        Box((30, 30, 5, 5), 3, 25, truncation=1, occlusion=2),
    )
    assert labels[FIRST].ignore_regions == ((1, 1, 20, 20),)
    assert labels[SECOND].objects == (
        Box((10, 10, 0, 7), 3, 0, ignore=True, truncation=0, occlusion=0),
        Box((20, 8, 6, 6), 1, 36, ignore=True, truncation=0, occlusion=1),
        Box((3, 3, 8, 8), 10, 64, ignore=True, truncation=0, occlusion=0),
    )
    assert labels[SECOND].ignore_regions == ()
    assert labels["0000001_02999_d_0000005"].objects[1] == Box((2, 2, 8, 8), 10, 64, ignore=True)
    assert {one.illumination for one in labels.values()} == {"unknown"}
    assert labels[FIRST].source == f"{PUBLISHED['train']}/images/{FIRST}.jpg"
    assert Dataset(tmp_path / "expected").part("train")[0].thermal is None


def test_what_is_not_usual_is_counted(expected):
    assert expected.quirks == {
        "boxes with score 0 (ignored)": 2,
        "boxes without area (kept, ignored)": 1,
        "challenge: images without published labels (kept; unlabelled, not background)": 2,
        "ignored regions (category 0)": 1,
        "ignored regions without area (dropped)": 1,
        "others with score 1 (ignored: no class that is evaluated)": 1,
        "test: images without boxes (kept)": 1,
        "train: images without boxes (kept)": 1,
        "val: boxes that leave the image (kept for scoring, clipped for training)": 1,
    }
    assert expected.expected["challenge"] == "2 of 1580: not the whole set"


@pytest.mark.parametrize("tree", ORIGINAL)
def test_every_tree_with_the_original_annotations_is_one_set(tree, expected, tmp_path):
    for place in ("here", "above/VisDrone"):
        base = put_original(tmp_path / tree / place, **ORIGINAL[tree])
        report = convert(VisDrone(), base.parent if place != "here" else base, tmp_path / f"{tree}-{place[:4]}")
        assert (report.layout, report.fingerprint) == ("original", expected.fingerprint)


def test_images_that_ultralytics_moved_find_their_annotations(expected, tmp_path):
    base = put_original(tmp_path / "in", images="images/{name}", names=SHORT, annotations="nowhere/{name}")
    shutil.rmtree(base / "nowhere")
    for part in ("train", "val", "test"):
        for stem, rows in LINES[part].items():
            put(base / PUBLISHED[part] / f"annotations/{stem}.txt", "\n".join(rows))
    put_yolo(base)
    report = convert(VisDrone(), base, tmp_path / "out")
    assert (report.layout, report.fingerprint) == ("original", expected.fingerprint)


def test_a_copy_beside_the_original_is_left_out_and_counted(expected, tmp_path):
    base = put_yolo(put_original(tmp_path / "in"))
    report = convert(VisDrone(), base, tmp_path / "out")
    assert (report.layout, report.fingerprint) == ("original", expected.fingerprint)
    assert report.quirks["train: another copy of the images (left out)"] == 3
    # also where the copy's folders are those of the published tree
    copy = put_yolo(tmp_path / "copy", images="{name}/images", labels="{name}/labels", names=PUBLISHED)
    put_original(copy, names=SHORT, images="images/{name}", annotations="annotations/{name}")
    report = convert(VisDrone(), copy, tmp_path / "copy-out")
    assert (report.layout, report.fingerprint) == ("original", expected.fingerprint)


@pytest.mark.parametrize("part", PUBLISHED)
def test_one_part_alone_keeps_its_name_in_a_folder_and_in_archives(part, tmp_path):
    name = PUBLISHED[part]
    base = put_original(tmp_path / "in", lines={part: LINES[part]})
    with tarfile.open(tmp_path / f"{name}.tar.gz", "w:gz") as archive:
        archive.add(base / name, name)
    shutil.make_archive(tmp_path / name, "zip", base / name)  # without the folder in it
    roots = [base, base / name, tmp_path / f"{name}.tar.gz", tmp_path / f"{name}.zip"]
    reports = [convert(VisDrone(), root, tmp_path / f"out-{number}") for number, root in enumerate(roots)]
    assert {report.fingerprint for report in reports} == {reports[0].fingerprint}
    assert all(report.parts == {part: len(LINES[part])} for report in reports)


def test_all_parts_in_one_zip_are_the_set(expected, tmp_path):
    shutil.make_archive(tmp_path / "all", "zip", put_original(tmp_path / "in"))
    assert convert(VisDrone(), tmp_path / "all.zip", tmp_path / "out").fingerprint == expected.fingerprint


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"images": "{name}/images", "labels": "{name}/labels"},
        {"images": "{name}/images", "labels": "{name}/labels", "names": PUBLISHED},
    ],
    ids=["ultralytics", "by part", "yolov5"],
)
def test_yolo_labels_alone_are_a_set_of_their_own(tree, expected, tmp_path):
    base = put_yolo(tmp_path / "in", **tree)
    (label,) = base.rglob(f"{EMPTY}.txt")
    label.unlink()  # as older scripts leave it where no row counts
    report = convert(VisDrone(), base, tmp_path / "out")
    assert report.layout == "yolo"
    assert report.fingerprint != expected.fingerprint
    assert sum("are lost in this layout" in quirk for quirk in report.quirks) == 1
    assert report.quirks["train: images without a label file (kept, no boxes: background)"] == 1
    labels = Dataset(tmp_path / "out").labels
    assert labels[FIRST].objects == (Box((4, 5, 9, 20), 0, 180), Box((30, 30, 5, 5), 3, 25))
    assert labels[SECOND].objects == (Box((10, 10, 0, 7), 3, 0, ignore=True),)
    assert labels["0000001_02999_d_0000005"].objects[1] == Box((2, 2, 8, 8), 10, 64, ignore=True)


def test_parts_of_both_kinds_and_a_part_twice_are_refused(tmp_path):
    base = put_yolo(tmp_path / "in")
    put_original(base, lines={"val": LINES["val"]})
    assert "train (yolo), val (original), test (yolo); put the original" in faults_of(base, tmp_path)
    put_original(tmp_path / "twice/a")
    put_original(tmp_path / "twice/b", lines={"val": LINES["val"]})
    message = faults_of(tmp_path / "twice", tmp_path)
    assert "val is there twice: " in message
    assert "name one of the folders" in message


@pytest.mark.parametrize(
    "text",
    [
        "4,5,9,20,1,1,0,0,\n30,30,5,5,1,4,1,2,\n1,1,20,20,0,0,0,0,",
        "4,5,9,20,1,1,0,0\r\n30,30,5,5,1,4,1,2\r\n1,1,20,20,0,0,0,0\r\n",
        "\ufeff4,5,9,20,1,1,0,0\n\n \n30,30,5,5,1,4,1,2\n1,1,20,20,0,0,0,0\n\n",
        " 4 , 5,9,20 ,1,1,0,0 , \n+30,30,5,5,1,4,1,2\n1,1,20,20,0,0,0,0",
    ],
    ids=["trailing comma", "CRLF", "BOM and blank lines", "spaces"],
)
def test_every_way_of_writing_a_file_is_read(text, expected, tmp_path):
    report = convert(VisDrone(), with_lines(tmp_path, text), tmp_path / "out")
    assert report.fingerprint == expected.fingerprint


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3,4,1,1,0", "7 columns between commas; 8 columns are expected: left, top, width, height, score"),
        ("1,2,3,4,1,1,0,0,0", "9 columns"),
        ("1,2,3,4,1,1,0,0,,", "9 columns"),
        ("1 2 3 4 1 1 0 0", "1 columns between commas; 8 columns"),
        ("0 0.5 0.5 0.1 0.1", "like a line of YOLO's labels, which belong into labels/; here 8 columns are expected"),
        ("1,2,3.0,4,1,1,0,0", "width '3.0' is no whole number of at most nine digits"),
        ("1,2,,4,1,1,0,0", "width '' is no whole number"),
        ("1,2,x,4,1,1,0,0", "width 'x' is no whole number"),
        ("1,2,1_0,4,1,1,0,0", "width '1_0' is no whole number"),
        ("1,2,٣,4,1,1,0,0", "width '٣' is no whole number"),
        (f"1,2,{'9' * 5000},4,1,1,0,0", f"width '{'9' * 40}' is no whole number"),
        ("1,2,3,4,2,1,0,0", "score 2; 0 to 1 are expected"),
        ("1,2,3,4,-1,1,0,0", "score -1"),
        ("1,2,3,4,1,12,0,0", "category 12; 0 to 11 are expected"),
        ("1,2,3,4,1,-1,0,0", "category -1"),
        ("1,2,3,4,1,1,2,0", "truncation 2; -1 to 1 are expected"),
        ("1,2,3,4,1,1,0,3", "occlusion 3; -1 to 2 are expected"),
        ("1,2,-3,4,1,1,0,0", "a box of -3x4 pixels; a size of 0 or more"),
        ("1,2,3,-4,0,0,0,0", "a box of 3x-4 pixels"),
    ],
)
def test_a_line_that_is_no_label_is_named(line, message, tmp_path):
    base = with_lines(tmp_path, f"4,5,9,20,1,1,0,0\n\n{line}\n")
    found = faults_of(base, tmp_path)
    assert f"{FIRST}.txt: line 3: {message}" in found
    assert "1 fault(s)" in found


def test_all_bad_lines_of_all_files_are_named_at_once(tmp_path):
    base = with_lines(tmp_path, "x\n4,5,9,20,1,1,0,0\n1,2\n")
    put(base / f"{PUBLISHED['train']}/annotations/{SECOND}.txt", b"\xff\xfe")
    message = faults_of(base, tmp_path)
    assert "2 lines are no labels:" in message
    assert "line 1: 1 columns" in message
    assert "line 3: 2 columns" in message
    assert f"{SECOND}.txt" in message
    assert "2 fault(s)" in message


def test_halves_that_are_missing_are_named(tmp_path):
    base = put_original(tmp_path / "in")
    train = base / PUBLISHED["train"]
    (train / f"images/{FIRST}.jpg").unlink()
    (train / f"annotations/{SECOND}.txt").unlink()
    put(train / "images/notes.txt", "")
    put(train / f"images/{EMPTY}.png", b"")
    message = faults_of(base, tmp_path)
    assert "3 fault(s)" in message
    assert f"{FIRST}.txt: there is no image {FIRST} in" in message
    assert f"{SECOND}.jpg: no annotation file of this image, but others of train have one; an empty file" in message
    assert f"{EMPTY}.png: {EMPTY} again" in message
    report = convert(VisDrone(), base, tmp_path / "skip", on_error="skip")
    assert report.parts["train"] == 1
    assert report.quirks["files among the images that are none (left out)"] == 1


def test_a_part_without_annotations_and_no_part_at_all_say_so(tmp_path):
    base = put_original(tmp_path / "in")
    shutil.rmtree(base / PUBLISHED["val"] / "annotations")
    message = faults_of(base, tmp_path)
    assert "annotations: no annotations of the images of val" in message
    put(tmp_path / "other/images/a.jpg", b"")
    message = faults_of(tmp_path / "other", tmp_path)
    assert "no VisDrone2019-DET layout here" in message
    assert "which must keep its name" in message


def test_damaged_and_misplaced_images_are_faults(tmp_path):
    base = put_original(tmp_path / "in")
    put(base / f"{PUBLISHED['train']}/images/{FIRST}.jpg", jpeg(FIRST)[:300])
    put(base / f"{PUBLISHED['train']}/images/{SECOND}.jpg", b"")
    put(base / f"{PUBLISHED['val']}/images/{EMPTY}.jpg", jpeg(EMPTY))
    put(base / f"{PUBLISHED['val']}/annotations/{EMPTY}.txt", "")
    put(base / f"{PUBLISHED['test']}/annotations/0000006_00159_d_0000002.txt", "64,1,5,5,1,4,0,0")
    message = faults_of(base, tmp_path)
    assert "4 fault(s)" in message
    assert f"{FIRST} (rgb, {FIRST}.jpg): cannot be decoded" in message or f"{FIRST}.jpg: cannot be decoded" in message
    assert f"{SECOND}.jpg: cannot be decoded" in message
    assert f"{EMPTY!r} occurs twice" in message
    assert "car box [64.0, 1.0, 5.0, 5.0] lies wholly outside the 64x48 image" in message


def test_a_scene_is_the_first_number_of_a_name():
    assert scene_of("0000001_02999_d_0000005") == "0000001"
    # Collections of photographs share the second number, not the first.
    assert scene_of("9999938_00000_d_0000208") != scene_of("9999999_00000_d_0000208")
    assert scene_of("somebody's own") == ""


NUMBERS = st.lists(st.integers(-3, 70), min_size=7, max_size=9).map(lambda row: ",".join(map(str, row)))
GOOD = st.tuples(
    *(st.integers(0, 40) for _ in range(4)), st.integers(0, 1), st.integers(0, 11), st.integers(-1, 1),
    st.integers(-1, 2),
).map(lambda row: ",".join(map(str, row)))  # fmt: skip


@pytest.fixture(scope="module")
def one_image(tmp_path_factory):
    return put_original(tmp_path_factory.mktemp("any"), lines={"train": {FIRST: []}})


@settings(max_examples=100, deadline=None)
@given(text=st.lists(st.one_of(GOOD, NUMBERS, st.text(max_size=20))).map("\n".join) | st.binary(max_size=60))
def test_no_text_crashes_it(text, one_image):
    name = f"{PUBLISHED['train']}/annotations/{FIRST}.txt"
    (one_image / name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    scan = VisDrone().scan(FolderSource(one_image))
    assert len(scan.items) + len(scan.faults) == 1
    assert all(fault.startswith(str(one_image / name)) for fault in scan.faults)
    boxes = [box for item in scan.items for box in item.labels.objects]
    assert all(0 <= box.category < len(CLASSES) and min(box.bbox[2:]) >= 0 for box in boxes)
    assert all(box.ignore for box in boxes if box.area == 0 or box.category == CLASSES.index("others"))


@pytest.fixture(scope="module")
def real():
    if not (DATA / PUBLISHED["train"]).is_dir():
        pytest.skip(f"no real data at {DATA}: it may not be committed")
    return DATA


def test_the_real_images_are_what_their_lines_say(real, tmp_path):
    report = convert(VisDrone(), real, tmp_path / "out")
    dataset = Dataset(tmp_path / "out")
    assert report.parts == {"train": 1, "val": 1, "test": 1}
    assert (report.layout, report.faults) == ("original", ())
    for part, (boxes, regions, size) in {
        "train": (205, 7, (1360, 765)),
        "val": (48, 2, (1920, 1080)),
        "test": (74, 0, (1360, 765)),
    }.items():
        (labels,) = dataset.part(part).labels
        assert (len(labels.objects), len(labels.ignore_regions), (labels.width, labels.height)) == (
            boxes, regions, size,
        )  # fmt: skip
        assert labels.scene == labels.sample_id[:7]
    (test,) = dataset.part("test").labels
    assert sum(CLASSES[box.category] == "others" and box.ignore for box in test.objects) == 2
    assert sum(box.ignore for labels in dataset.labels.values() for box in labels.objects) == 2

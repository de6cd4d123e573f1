"""What one file of VisDrone annotations may hold, through the command line: nothing, no class, hundreds of lines."""

import json
import shutil

import pytest

from rgbt_bench.datasets.store import Dataset
from visdrone_cases import HEIGHT, LINES, PUBLISHED, WIDTH, put, put_original

STEM, OTHER, _ = LINES["train"]
MANY = [f"{number % (WIDTH - 4)},{number % (HEIGHT - 4)},4,4,1,{1 + number % 10},0,0" for number in range(600)]
QUIET = "train: images without boxes (kept)"


@pytest.fixture
def place(tmp_path):
    """Write the annotations of the one image of a set, and return its folder."""

    def write(text, lines=None):
        base = put_original(tmp_path / "in", lines=lines or {"train": {STEM: []}})
        put(base / PUBLISHED["train"] / "annotations" / f"{STEM}.txt", text)
        return base

    return write


@pytest.mark.parametrize(
    ("text", "boxes", "ignored", "regions", "quirks"),
    [
        ("", 0, 0, 0, {QUIET: 1}),
        ("\r\n \n", 0, 0, 0, {QUIET: 1}),
        ("1,1,20,20,0,0,0,0\n30,1,20,20,0,0,0,0\n", 0, 0, 2, {QUIET: 1, "ignored regions (category 0)": 2}),
        (
            "1,1,20,20,1,11,0,0\n30,1,20,20,0,11,0,0\n", 2, 2, 0,
            {"boxes with score 0 (ignored)": 1, "others with score 1 (ignored: no class that is evaluated)": 1},
        ),
        ("1,1,0,20,1,4,0,0\n30,1,20,0,1,4,0,0\n9,9,0,0,1,4,0,0", 3, 3, 0, {"boxes without area (kept, ignored)": 3}),
        ("\n".join(MANY), 600, 0, 0, {}),
        ("4,5,9,20,1,1,0,0,\r\n30,30,5,5,1,4,1,2,\r\n", 2, 0, 0, {}),
    ],
    ids=["empty", "blank", "only regions", "only others", "no area", "600 objects", "CRLF and trailing comma"],
)  # fmt: skip
def test_a_file_that_is_unusual_converts_and_says_so(text, boxes, ignored, regions, quirks, place, bench, tmp_path):
    code, out, err = bench("convert", "visdrone", place(text), "--out", tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(out)["quirks"] == quirks
    (labels,) = Dataset(tmp_path / "out").part("train").labels
    assert (len(labels.objects), len(labels.ignore_regions)) == (boxes, regions)
    assert sum(box.ignore for box in labels.objects) == ignored
    code, _, err = bench("inspect", tmp_path / "out", "--sheet", tmp_path / "sheet.png")
    assert code == 0, err


def test_every_object_of_hundreds_keeps_its_place(place, bench, tmp_path):
    assert bench("convert", "visdrone", place("\n".join(MANY)), "--out", tmp_path / "out")[0] == 0
    (labels,) = Dataset(tmp_path / "out").part("train").labels
    found = [(*map(int, box.bbox), box.category + 1) for box in labels.objects]
    assert found == [tuple(int(cell) for cell in (*line.split(",")[:4], line.split(",")[5])) for line in MANY]


def test_a_corrupt_line_in_the_middle_is_named_and_nothing_is_written(place, bench, tmp_path):
    base = place("\n".join([*MANY[:299], MANY[299].replace("4", "?", 1), *MANY[300:]]))
    code, out, err = bench("convert", "visdrone", base, "--out", tmp_path / "out")
    name = base / PUBLISHED["train"] / "annotations" / f"{STEM}.txt"
    assert (code, out) == (3, "")
    assert f"{name}: line 300: " in err
    assert "is no whole number of at most nine digits" in err
    assert "--on-error skip" in err
    assert not (tmp_path / "out").exists()


def test_an_image_without_annotations_is_named_and_can_be_left_out(place, bench, tmp_path):
    base = place("4,5,9,20,1,1,0,0", {"train": {STEM: [], OTHER: []}})
    (base / PUBLISHED["train"] / "annotations" / f"{OTHER}.txt").unlink()
    code, _, err = bench("convert", "visdrone", base, "--out", tmp_path / "out")
    assert code == 3
    assert f"{OTHER}.jpg: no annotation file of this image, but others of train have one; an empty file" in err
    assert bench("convert", "visdrone", base, "--out", tmp_path / "out", "--on-error", "skip")[0] == 0
    assert Dataset(tmp_path / "out").part("train").ids == (STEM,)


@pytest.mark.parametrize("left", [{}, {"val": LINES["val"]}], ids=["alone", "beside a whole part"])
def test_annotations_without_images_are_no_part_that_is_passed_over(left, tmp_path, bench):
    base = put_original(tmp_path / "in/deep", lines={"train": {STEM: []}, **left})
    shutil.rmtree(base / PUBLISHED["train"] / "images")
    code, _, err = bench("convert", "visdrone", base, "--out", tmp_path / "out")
    assert code == 3
    assert f"{PUBLISHED['train']}/annotations: annotations of train, but no images of it in" in err
    if left:
        assert bench("convert", "visdrone", base.parent, "--out", tmp_path / "out")[2] == err

"""A user's own pairs, described by a YAML file."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from export_cases import encode
from flir_cases import put
from rgbt_bench.converting import convert
from rgbt_bench.custom.converter import Custom
from rgbt_bench.custom.description import check_description
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.listing import listing
from rgbt_bench.opening import dataset_info

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT = 24, 16
BOXES = {"a1D": [("person", 2, 3, 4, 5)], "a2N": [("car", 0, 0, 24, 16), ("person", 1, 1, 2, 2)], "dusk3": []}
PARTS = {"train": ["a1D", "a2N"], "test": ["dusk3"]}
BASE = {
    "name": "mine",
    "classes": ["person", "car"],
    "rgb": "vis/{id}.jpg",
    "thermal": "ir/{id}.png",
    "parts": {part: {"ids": f"{part}.txt"} for part in PARTS},
}


def picture(seed, kind, deep=False):
    shape = (HEIGHT, WIDTH, 3) if kind == "JPEG" else (HEIGHT, WIDTH)
    high, dtype = (65536, np.uint16) if deep else (256, np.uint8)
    return encode(np.random.default_rng(seed).integers(0, high, shape, dtype=dtype), kind)


def voc(boxes, first=1, last=1):
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x + first}</xmin><ymin>{y + first}</ymin>"
        f"<xmax>{x + w - last + first}</xmax><ymax>{y + h - last + first}</ymax></bndbox></object>"
        for name, x, y, w, h in boxes
    )
    return f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>{objects}</annotation>"


def yolo(boxes):
    rows = (
        (BASE["classes"].index(name), (x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT)
        for name, x, y, w, h in boxes
    )
    return "".join(f"{row[0]} {row[1]:.6f} {row[2]:.6f} {row[3]:.6f} {row[4]:.6f}\n" for row in rows)


def coco(names, called="{}.jpg"):
    images = [{"id": one, "file_name": called.format(one), "width": WIDTH, "height": HEIGHT} for one in names]
    annotations = [{"image_id": one, "category_id": name, "bbox": box} for one in names for name, *box in BOXES[one]]
    categories = [{"id": name, "name": name} for name in BASE["classes"]]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


LABELS = {
    "voc": ({"voc": "labels/{id}.xml"}, "labels/{}.xml", voc),
    "voc zero-based": ({"voc": "labels/{id}.xml", "boxes": "zero-based"}, "labels/{}.xml", lambda b: voc(b, 0, 1)),
    "voc corners": ({"voc": "labels/{id}.xml", "boxes": "corners"}, "labels/{}.xml", lambda b: voc(b, 0, 0)),
    "yolo": ({"yolo": "labels/{id}.txt"}, "labels/{}.txt", yolo),
    "coco": ({"coco": "labels/{part}.json"}, None, None),
}


def describe(base, **changes):
    content = {key: value for key, value in {**BASE, **changes}.items() if value != "left out"}
    with (base / "rgbt-bench.yaml").open("w") as stream:
        YAML().dump(content, stream)
    return base


def put_pairs(base, kind="voc", **changes):
    """Write the pairs with labels of a kind, and their description."""
    labels, name, write = LABELS[kind]
    for seed, (sample_id, boxes) in enumerate(BOXES.items()):
        put(base / f"vis/{sample_id}.jpg", picture(seed, "JPEG"))
        put(base / f"ir/{sample_id}.png", picture(seed, "PNG"))
        if name:
            put(base / name.format(sample_id), write(boxes))
    for part, names in PARTS.items():
        put(base / f"{part}.txt", "".join(f"{one}\n" for one in names))
        put(base / f"labels/{part}.json", coco(names))
    return describe(base, **{"labels": labels, **changes})


@pytest.fixture
def fault(tmp_path):
    """Convert pairs that were changed; return the error."""

    def convert_(base):
        with pytest.raises(BadInputError) as caught:
            convert(Custom(), base, tmp_path / "out")
        return str(caught.value)

    return convert_


def test_every_kind_of_labels_gives_one_set(tmp_path):
    reports = {kind: convert(Custom(), put_pairs(tmp_path / kind, kind), tmp_path / f"{kind}-out") for kind in LABELS}
    assert len({report.fingerprint for report in reports.values()}) == 1
    for report in reports.values():
        assert (report.dataset, report.parts) == ("mine", {"train": 2, "test": 1})
    assert Dataset(tmp_path / "yolo-out").labels["a2N"].objects[0].bbox == (0.0, 0.0, 24.0, 16.0)


def test_the_example_of_the_documentation_converts(tmp_path):
    text = re.search(r"```yaml\n(.*?)```", (ROOT / "docs/reference/custom.md").read_text(), re.DOTALL)[1]
    put(tmp_path / "in/pairs.yaml", text)
    objects = {"a1D": [("pedestrian", 2, 3, 4, 5), ("dog", 1, 1, 2, 2)], "a2N": [("car", 1, 1, 3, 3)], "dusk3": []}
    for seed, (sample_id, boxes) in enumerate(objects.items()):
        put(tmp_path / f"in/images/{sample_id}_rgb.jpg", picture(seed, "JPEG"))
        put(tmp_path / f"in/images/{sample_id}_ir.png", picture(seed, "PNG", deep=True))
        put(tmp_path / f"in/masks/{sample_id}.png", encode(np.full((HEIGHT, WIDTH), seed, np.uint8), "PNG"))
        put(tmp_path / f"in/Annotations/{sample_id}.xml", voc(boxes))
    put(tmp_path / "in/lists/train.txt", "a1D\nsomewhere/else/a2N_rgb.jpg\n")
    put(tmp_path / "in/lists/test.txt", "dusk3\n")
    report = convert(Custom(), tmp_path / "in/pairs.yaml", tmp_path / "out")
    assert report.quirks == {"objects named 'dog' (left out)": 1}
    found = Dataset(tmp_path / "out")
    assert {one: labels.illumination for one, labels in found.labels.items()} == {
        "a1D": "day", "a2N": "night", "dusk3": "night",
    }  # fmt: skip
    assert [box.category for box in found.labels["a1D"].objects] == [0]
    assert found.info.tasks == ("detection", "segmentation")
    assert found.info.thermal_range == (0, 65535)
    assert "ask whoever made the set" in found.info.licence


def test_an_archive_is_named_by_the_description(tmp_path):
    expected = convert(Custom(), put_pairs(tmp_path / "in"), tmp_path / "expected")
    with zipfile.ZipFile(tmp_path / "pairs.zip", "w") as archive:
        for path in (tmp_path / "in").rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path / "in"))
    describe(tmp_path, labels=LABELS["voc"][0], path="pairs.zip")
    assert convert(Custom(), tmp_path / "rgbt-bench.yaml", tmp_path / "out").fingerprint == expected.fingerprint


def test_scenes_in_the_pattern_keep_frames_of_one_name_apart(tmp_path):
    files = {"s1": 0, "s2": 1}
    for scene, seed in files.items():
        put(tmp_path / f"in/{scene}/visible/001.jpg", picture(seed, "JPEG"))
        put(tmp_path / f"in/{scene}/lwir/001.png", picture(seed, "PNG"))
    content = json.loads(coco(["a1D", "a2N"]))
    for image, scene in zip(content["images"], files, strict=True):
        image["file_name"] = f"{scene}/visible/001.jpg"
    put(tmp_path / "in/all.json", json.dumps(content))
    patterns = {"rgb": "{scene}/visible/{id}.jpg", "thermal": "{scene}/lwir/{id}.png", "parts": ["train"]}
    describe(tmp_path / "in", **patterns, labels={"coco": "all.json"})
    convert(Custom(), tmp_path / "in", tmp_path / "out")
    found = Dataset(tmp_path / "out").labels
    assert {one: (labels.scene, len(labels.objects)) for one, labels in found.items()} == {
        "s1_001": ("s1", 1), "s2_001": ("s2", 2),
    }  # fmt: skip


def test_rgb_alone_halves_that_may_be_missing_and_further_splits(tmp_path):
    base = put_pairs(tmp_path / "in", thermal=None)
    convert(Custom(), base, tmp_path / "rgb")
    assert all(sample.thermal is None for sample in Dataset(tmp_path / "rgb").part("train"))
    (base / "ir/a1D.png").unlink()
    put(base / "other.txt", "a2N.jpg\n")
    describe(base, labels=LABELS["voc"][0], optional=["thermal"], splits={"few": {"train": "other.txt"}})
    report = convert(Custom(), base, tmp_path / "some")
    found = Dataset(tmp_path / "some")
    assert [sample.thermal is None for sample in found.part("train")] == [True, False]
    assert Dataset(tmp_path / "some", "few").part("train").ids == ("a2N",)
    assert report.quirks == {".json files that no part uses (left out)": 2}
    describe(base, labels=LABELS["voc"][0], optional=["thermal"], splits={"few": dict.fromkeys(PARTS, "other.txt")})
    report = convert(Custom(), base, tmp_path / "twice")
    assert report.quirks["split few: pairs in more than one part"] == 1


def test_meta_goes_before_the_patterns(tmp_path):
    base = put_pairs(tmp_path / "in", meta="meta.csv", illumination={"day": "*"})
    put(base / "meta.csv", 'id,scene,illumination,weather\na1D,"s, 1",overcast,rain\na2N,,,\nx9,,,\n')
    report = convert(Custom(), base, tmp_path / "out")
    found = Dataset(tmp_path / "out").labels
    assert {one: (labels.illumination, labels.scene) for one, labels in found.items()} == {
        "a1D": ("overcast", "s, 1"), "a2N": ("day", ""), "dusk3": ("day", ""),
    }  # fmt: skip
    assert report.quirks["meta.csv: column 'weather' (not read)"] == 1
    assert report.quirks["meta.csv: ids that are no pair here"] == 1


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"meta": "no.txt"}, "meta"),
        ({"exact": "no.txt"}, "exact"),
        ({"labels": {"coco": "no.txt"}}, "labels.coco (part train)"),
        ({"splits": {"few": {"test": "no.txt"}}}, "splits.few.test"),
    ],
)
def test_a_missing_file_is_told_with_the_key_that_names_it(changes, key, fault, tmp_path):
    error = fault(put_pairs(tmp_path / "in", **changes))
    assert error.endswith(f"in/no.txt: No such file or directory, which rgbt-bench.yaml names as {key}")


# What is done to the pairs, with which labels, and what the error says.
FAULTS = {
    "half": ("voc", lambda b: (b / "ir/a1D.png").unlink(), "vis/a1D.jpg: no thermal image ir/a1D.png for a1D"),
    "rgb half": ("voc", lambda b: (b / "vis/a1D.jpg").unlink(), "ir/a1D.png: no rgb image vis/a1D.jpg for a1D"),
    "no xml": ("voc", lambda b: (b / "labels/a1D.xml").unlink(), "vis/a1D.jpg: no VOC file for a1D"),
    "class": (
        "voc",
        lambda b: put(b / "labels/a1D.xml", voc([("persn", 1, 1, 2, 2)])),
        "labels/a1D.xml: unknown class 'persn'. Did you mean 'person'?",
    ),
    "number": ("yolo", lambda b: put(b / "labels/a1D.txt", "2 .5 .5 .1 .1"), "a1D.txt: line 1: class number 2"),
    "no labels": (
        "yolo",
        lambda b: [path.unlink() for path in (b / "labels").glob("*.txt")],
        "no label file of any pair of train: looked for 'labels/{id}.txt'",
    ),
    "not in coco": (
        "coco", lambda b: put(b / "labels/train.json", coco(["a1D"])), "no image called as vis/a2N.jpg or ir/a2N.png",
    ),
    "another's coco": (
        "coco",
        lambda b: put(b / "labels/train.json", coco(["a1D", "a2N"], "x{}.jpg")),
        "none of its images is a pair of train: its file names are 'xa1D.jpg'",
    ),
    "coco twice": (
        "coco",
        lambda b: put(b / "labels/train.json", coco(["a1D", "a2N"], "a1D.jpg")),
        "2 images are called 'a1D.jpg'",
    ),
    "listed": ("voc", lambda b: put(b / "test.txt", "dusk3\nnone\n"), "test.txt: line 2: 'none' is no pair"),
    "twice": ("voc", lambda b: put(b / "test.txt", "dusk3\ndusk3.jpg\n"), "line 2: dusk3 again, first in line 1"),
    "both parts": (
        "voc", lambda b: put(b / "test.txt", "a1D\n"), "'a1D' occurs twice, first as vis/a1D.jpg in train, now in test",
    ),
    "empty list": ("voc", lambda b: put(b / "test.txt", "\n"), "test.txt: names no pair that is there"),
    "no list": (
        "voc",
        lambda b: (b / "test.txt").unlink(),
        "test.txt: No such file or directory, which rgbt-bench.yaml names as parts.test.ids",
    ),
    "no images": (
        "voc",
        lambda b: [one.unlink() for one in b.rglob("*.??g")],
        "no image of the part train: looked for 'vis/{id}.jpg' (rgb) and 'ir/{id}.png' (thermal)",
    ),
    "no rgb": (
        "voc",
        lambda b: [one.unlink() for one in b.rglob("*.jpg")],
        "no image of the part train: looked for 'vis/{id}.jpg' (rgb). There are",
    ),
    "size": ("yolo", lambda b: put(b / "ir/a1D.png", encode(np.zeros((4, 4), np.uint8), "PNG")), "4x4, but the labels"),
    "broken": ("yolo", lambda b: put(b / "vis/a1D.jpg", b"\xff\xd8\xff"), "vis/a1D.jpg: cannot be decoded"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_with_the_files_is_named(name, tmp_path, fault):
    kind, change, message = FAULTS[name]
    base = put_pairs(tmp_path / "in", kind)
    change(base)
    assert message in fault(base)


def test_two_files_of_one_id_and_two_lights_are_faults(tmp_path, fault):
    base = put_pairs(tmp_path / "in", rgb="vis/{id}.*", illumination={"day": "a*", "night": "*N"})
    put(base / "vis/a1D.png", picture(0, "PNG"))
    found = fault(base)
    assert "a1D.jpg and vis/a1D.png: two rgb files for a1D; keep one" in found
    assert "a2N: the patterns under `illumination` say day and night" in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clases": ["x"]}, "unknown key 'clases'. Did you mean 'classes'"),
        ({"parts": {"train": {"rbg": "x"}}}, "unknown key 'parts.train.rbg'. Did you mean 'rgb'?"),
        ({"labels": {"vco": "x"}}, "unknown key 'labels.vco'. Did you mean 'voc'?"),
        ({"labels": {"voc": "{id}.xml", "yolo": "{id}.txt"}}, "labels: name one of coco, voc and yolo"),
        ({"labels": {"yolo": "{id}.txt", "boxes": "corners"}}, "leave it out"),
        ({"labels": {"voc": "{id}.xml", "boxes": "0"}}, "labels.boxes: Input should be 'one-based'"),
        ({"rgb": "vis/{idd}.jpg"}, "rgb: 'vis/{idd}.jpg' has the field {idd}. Did you mean 'id'?"),
        ({"rgb": "vis/x.jpg"}, "rgb: 'vis/x.jpg' has no {id}"),
        ({"rgb": "../{id}.jpg"}, "is no relative file name"),
        ({"rgb": "/vis/{id}.jpg"}, "is no relative file name"),
        ({"rgb": "left out"}, "parts.train: rgb is missing"),
        ({"thermal": "left out"}, "parts.train: thermal is missing; write `thermal: null`"),
        ({"rgb": "{scene}/{id}.jpg"}, "{scene} is in some of the patterns"),
        ({"mask": "m/{id}.png"}, "mask is given, but no mask_classes"),
        ({"classes": []}, "labels are given, but no classes"),
        ({"classes": ["a", "a"]}, "there twice"),
        ({"rename": {"x": "prson"}}, "rename: 'prson' is not one of classes"),
        ({"illumination": {"dawn": "*"}}, "illumination.dawn"),
        ({"parts": []}, "parts"),
        ({"parts": ["a/b"]}, "parts.a/b"),
        ({"name": "My Set"}, "name"),
        ({"name": "sample"}, "'sample' is a registered dataset"),
        ({"thermal_range": [5, 5]}, "write [lowest, highest]"),
        ({"splits": {"default": {"train": "a.txt"}}}, "splits: 'default' is the split of `parts`; choose another"),
        ({"mask_classes": ["a"], "palette": [[0, -5, 999]]}, "palette.0.1: Input should be greater than or equal to 0"),
        ({"mask_classes": ["a"], "palette": [[0, 0, 0], [9, 9, 9]]}, "palette: 2 colours for 1 mask_classes"),
    ],
)
def test_what_is_wrong_with_a_description_is_named(changes, message):
    content = {**BASE, "labels": {"voc": "{id}.xml"}, **changes}
    content = {key: value for key, value in content.items() if value != "left out"}
    with pytest.raises(BadInputError) as caught:
        check_description(content, "f.yaml")
    assert str(caught.value).startswith("f.yaml: ")
    assert message in str(caught.value)
    assert ": :" not in str(caught.value)


def test_the_command_writes_to_the_described_name(bench, home, tmp_path):
    base = put_pairs(tmp_path / "in")
    code, out, err = bench("convert", "custom", base, "--json")
    assert code == 0, err
    assert json.loads(out)["out"] == str(home / "datasets" / "mine")
    assert bench("inspect", "mine")[0] == 0
    assert "rgbt-bench.yaml" in bench("convert", "custom")[1]


def test_what_is_no_description_is_named(bench, tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK")
    err = bench("convert", "custom", tmp_path / "x.zip")[2]
    assert "not a description of a set" in err
    assert "`path: x.zip`" in err
    code, _, err = bench("convert", "custom", tmp_path)
    assert (code, f"{tmp_path}/rgbt-bench.yaml: no such file; `rgbt-bench convert custom` shows" in err) == (4, True)
    with pytest.raises(MissingError):
        convert(Custom(), tmp_path / "none.yaml", tmp_path / "out")


def test_a_set_of_ones_own_is_listed_known_and_says_how_it_is_made_again(bench, home, tmp_path):
    put_pairs(tmp_path / "in")
    assert bench("convert", "custom", tmp_path / "in")[0] == 0
    (home / "datasets" / "torn").mkdir()
    (home / "datasets" / "torn" / "dataset.json").write_text("{")
    rows = {row["name"]: row for row in listing("datasets")}
    assert rows["mine"]["classes"] == "person, car"
    assert "doctor" in rows["torn"]["title"]
    assert dataset_info("mine").classes == ("person", "car")
    with pytest.raises(UsageError, match="Did you mean 'mine'"):
        dataset_info("mien")
    card = (home / "datasets" / "mine" / "README.md").read_text()
    assert "rgbt-bench convert custom DESCRIPTION.yaml" in card
    assert "convert mine" not in card

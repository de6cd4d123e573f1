"""Exports: what goes out as files of the field comes back as the same set."""

import json
import tempfile
import xml.etree.ElementTree as ET
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image as Pillow
from pycocotools.coco import COCO
from ruamel.yaml import YAML

from export_cases import Made, made_images, made_sets
from rgbt_bench.converting import convert
from rgbt_bench.custom.converter import Custom
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.exporting.exporter import export
from rgbt_bench.exporting.layouts import LAYOUTS
from rgbt_bench.schema import Box, Labels
from rgbt_converters.flir import Flir

DATA = Path(__file__).parents[2] / "shared" / "data"
BOXES = ("coco", "yolo", "voc")
SOME = Box((1.0, 1.0, 4.0, 4.0), 0, 16.0)
numbers = count()


def told(dataset):
    """Everything of a set that no digest covers, by sample."""
    return {one: (labels.illumination, labels.scene) for one, labels in dataset.labels.items()}


def require_same_again(dataset, folder, format_name):
    """Export a set, convert the export, and compare."""
    out = folder / f"export-{next(numbers)}"
    report = export(dataset, format_name, out)
    assert report.fingerprint == dataset.record.fingerprint
    again = folder / f"again-{next(numbers)}"
    assert convert(Custom(), out, again).fingerprint == dataset.record.fingerprint
    found = Dataset(again)
    assert found.record.splits == dataset.record.splits
    assert told(found) == told(dataset)
    skipped = {"name"}
    assert found.info.model_dump(exclude=skipped) == dataset.info.model_dump(exclude=skipped)
    return out, report


def made(objects=(), regions=(), size=(20, 16), **more):
    shape = {"sample_id": "a1", "width": size[0], "height": size[1]}
    labels = Labels(**shape, objects=tuple(objects), ignore_regions=tuple(regions))
    return Made([("train", labels, made_images(0, size, False, True, True))], ("train",), **more)


@pytest.fixture
def one(tmp_path):
    """Convert a set of one sample with these boxes."""

    def make(*objects, regions=(), **more):
        folder = tmp_path / f"set-{next(numbers)}"
        convert(made(objects, regions, **more), None, folder)
        return Dataset(folder)

    return make


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(made_sets())
def test_whatever_a_set_holds_comes_back_from_every_format(converter):
    with tempfile.TemporaryDirectory() as folder:
        convert(converter, None, Path(folder) / "set")
        dataset = Dataset(Path(folder) / "set")
        formats = LAYOUTS if any(images.mask for _, _, images in converter.samples) else BOXES
        for format_name in formats:
            require_same_again(dataset, Path(folder), format_name)


@pytest.mark.parametrize("format_name", LAYOUTS)
def test_the_sample_set_comes_back(tiny, tmp_path, format_name):
    _, report = require_same_again(tiny, tmp_path, format_name)
    assert report.parts == {"train": 12, "val": 4, "test": 12}
    assert report.exact == 0 or format_name != "coco"


@pytest.mark.parametrize("format_name", BOXES)
def test_the_real_flir_pairs_come_back(tmp_path, format_name):
    if not DATA.is_dir():
        pytest.skip("the real pairs are in ../shared/data, which is not here")
    convert(Flir(), DATA / "FLIR_aligned" / "align", tmp_path / "flir")
    dataset = Dataset(tmp_path / "flir")
    out, report = require_same_again(dataset, tmp_path, format_name)
    leaving = {one for one, labels in dataset.labels.items() if any(min(box.bbox) < 0 for box in labels.objects)}
    assert leaving
    assert report.exact == (len(leaving) if format_name == "yolo" else 0)
    originals = {sample.sample_id: sample.rgb.data for part in dataset.parts for sample in dataset.part(part)}
    written = {path.stem: path.read_bytes() for path in out.rglob("*.jpg") if "infrared" not in str(path)}
    assert written == originals


def test_pycocotools_reads_the_coco_file_as_it_is(one, tmp_path, capsys):
    box = Box((-1.0, 2.5, 4.0, 1 / 3), 1, 77.5, iscrowd=True, occlusion=2)
    export(one(box, Box((1.0, 2.0, 3.0, 4.0), 0, 12.0)), "coco", tmp_path / "out")
    coco = COCO(tmp_path / "out" / "annotations" / "train.json")
    assert coco.loadImgs(1)[0]["file_name"] == "a1.jpg"
    assert (tmp_path / "out" / "visible" / "train" / "a1.jpg").is_file()
    assert [category["id"] for category in coco.loadCats(coco.getCatIds())] == [1, 2, 3]
    crowd, plain = coco.loadAnns(coco.getAnnIds())
    assert (crowd["bbox"], crowd["area"], crowd["iscrowd"]) == ([-1, 2.5, 4, 1 / 3], 77.5, 1)
    assert (plain["bbox"], plain["category_id"]) == ([1, 2, 3, 4], 1)


def test_torchvision_reads_the_voc_files(one, tmp_path):
    detection = pytest.importorskip("torchvision.datasets").VOCDetection
    export(one(Box((0.0, 1.0, 3.0, 4.0), 1, 12.0)), "voc", tmp_path / "out")
    content = detection.parse_voc_xml(ET.parse(tmp_path / "out" / "Annotations" / "a1.xml").getroot())["annotation"]
    assert content["size"]["width"] == "20"
    assert content["object"][0]["name"] == "bike & <cart>"
    assert content["object"][0]["bndbox"] == {"xmin": "1", "ymin": "2", "xmax": "3", "ymax": "5"}
    assert (tmp_path / "out" / "ImageSets" / "Main" / "train.txt").read_text() == "a1\n"


def test_yolo_files_keep_the_rules_of_their_loaders(one, tmp_path):
    boxes = [Box((-1.0, 3.0, 9.0, 20.0), 2, 180.0), Box((1.0, 2.0, 3.0, 4.0), 0, 12.0, ignore=True)]
    report = export(one(*boxes, Box((1 / 3, 1.0, 2.0, 3.0), 0, 6.0)), "yolo", tmp_path / "out")
    assert report.exact == 1
    for modality, suffix in (("visible", "jpg"), ("infrared", "jpg")):
        image = tmp_path / "out" / modality / "images" / "train" / f"a1.{suffix}"
        assert image.is_file()
        label = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt")  # as the loaders find it
        rows = [line.split() for line in label.read_text().splitlines()]
        assert [row[0] for row in rows] == ["2", "0"]
        assert all(0 <= float(value) <= 1 for row in rows for value in row[1:])
        assert rows[0][1:] == ["0.200000", "0.593750", "0.400000", "0.812500"]
    data = YAML(typ="safe").load((tmp_path / "out" / "data.yaml").read_text())
    assert (tmp_path / "out" / data["train"]).is_dir()
    assert (tmp_path / "out" / data["train_ir"]).is_dir()
    assert (data["nc"], data["names"][2]) == (3, "Auto ä")


@pytest.mark.parametrize(
    ("format_name", "box", "exact"),
    [
        ("yolo", Box((1.0, 2.0, 3.0, 4.0), 0, 12.0), 0),
        ("yolo", Box((-1.0, 2.0, 3.0, 4.0), 0, 12.0), 1),
        ("yolo", Box((1.0, 2.0, 3.0, 4.0), 0, 12.0, iscrowd=True), 1),
        ("yolo", Box((1.0, 2.0, 3.0, 4.0), 0, 12.5), 1),
        ("voc", Box((-1.0, 2.0, 3.0, 4.0), 0, 12.0), 0),
        ("voc", Box((0.5, 2.0, 3.25, 4.0), 0, 13.0), 0),
        ("voc", Box((1.0, 2.0, 3.0, 4.0), 0, 12.0, ignore=True), 0),
        ("voc", Box((1.0, 2.0, 3.0, 4.0), 0, 12.0, truncation=1), 1),
        ("coco", Box((0.1, 2.0, 1e-9, 4.0), 0, 7.0, True, True, 1, 2), 0),
        ("masks", Box((1.0, 2.0, 3.0, 4.0), 0, 12.0), 1),
    ],
)
def test_only_what_a_format_cannot_hold_is_kept_beside_it(one, tmp_path, format_name, box, exact):
    out, report = require_same_again(one(box), tmp_path, format_name)
    assert report.exact == exact
    assert (out / "rgbt-bench-labels.json").is_file() == bool(exact)


@pytest.mark.parametrize("format_name", BOXES)
def test_a_set_without_boxes_gets_no_label_files_which_would_say_background(tmp_path, format_name):
    convert(made(), None, tmp_path / "set")
    out, _ = require_same_again(Dataset(tmp_path / "set"), tmp_path, format_name)
    assert not [one for pattern in ("labels/**/*.txt", "*.xml", "annotations/*") for one in out.rglob(pattern)]
    assert "labels" not in YAML(typ="safe").load(out / "rgbt-bench.yaml")


@pytest.mark.parametrize(("format_name", "named"), [("coco", ("empty",)), ("yolo", ("empty",)), ("masks", ())])
def test_a_part_without_any_box_is_named(tmp_path, format_name, named):
    shape = {"width": 20, "height": 16}
    samples = [
        (part, Labels(sample_id=part, **shape, objects=objects), made_images(0, (20, 16), False, True, True))
        for part, objects in (("full", (SOME,)), ("empty", ()))
    ]
    convert(Made(samples, ("full", "empty")), None, tmp_path / "set")
    _, report = require_same_again(Dataset(tmp_path / "set"), tmp_path, format_name)
    assert report.without_boxes == named


def test_labels_changed_after_the_export_are_not_hidden(one, tmp_path):
    export(one(Box((-1.0, 2.0, 3.0, 4.0), 0, 12.0)), "yolo", tmp_path / "out")
    (tmp_path / "out/visible/labels/train/a1.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    with pytest.raises(BadInputError, match=r"rgbt-bench-labels.json: a1: the label file was changed after the export"):
        convert(Custom(), tmp_path / "out", tmp_path / "again")


def test_one_part_and_one_split_can_be_exported_alone(tiny, tmp_path):
    report = export(tiny, "coco", tmp_path / "out", ["test"])
    assert report.parts == {"test": 12}
    again = convert(Custom(), tmp_path / "out", tmp_path / "again")
    assert again.fingerprint == report.fingerprint
    assert Dataset(tmp_path / "again").part("test").record == tiny.part("test").record


def test_images_are_called_by_their_real_format_and_dangerous_ids_stay_inside(tmp_path):
    names = ("..", "../up", "/etc/x", "%2e", "a:b")
    samples = [
        (
            "train",
            Labels(sample_id=name, width=20, height=16, objects=(SOME,)),
            made_images(place, (20, 16), False, True, False),
        )
        for place, name in enumerate(names)
    ]
    convert(Made(samples, ("train",)), None, tmp_path / "set")
    out, _ = require_same_again(Dataset(tmp_path / "set"), tmp_path / "in", "yolo")
    assert {path.parent for path in (tmp_path / "in").rglob("*.txt")} == {
        out / modality / "labels" / "train" for modality in ("visible", "infrared")
    }
    for path in out.rglob("images/**/*.*"):
        with Pillow.open(path) as image:
            assert image.format == {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP"}[path.suffix]


def test_an_id_too_long_for_a_file_is_named(tmp_path):
    labels = Labels(sample_id="é" * 101, width=20, height=16)
    convert(Made([("train", labels, made_images(0, (20, 16), False, True, False))], ("train",)), None, tmp_path / "set")
    with pytest.raises(BadInputError, match="more than 200 bytes"):
        export(Dataset(tmp_path / "set"), "voc", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failed_export_leaves_nothing(one, tmp_path, monkeypatch):
    def fails(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rgbt_bench.exporting.exporter.description_yaml", fails)
    folder = tmp_path / "x"
    with pytest.raises(OSError, match="No space"):
        export(one(), "coco", folder / "out")
    assert [path.name for path in folder.iterdir() if not path.name.endswith(".lock")] == []


def test_the_export_before_stays_where_the_new_one_cannot_take_its_place(one, tmp_path, monkeypatch):
    dataset, out = one(SOME), tmp_path / "x" / "out"
    export(dataset, "coco", out)
    real = Path.rename

    def fails_at_last(self, target):
        if self.name.endswith("partial"):
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails_at_last)
    with pytest.raises(KeyboardInterrupt):
        export(dataset, "voc", out, force=True)
    assert (out / "annotations" / "train.json").is_file()
    assert [path.name for path in out.parent.iterdir() if not path.name.endswith(".lock")] == ["out"]


def test_only_an_export_is_replaced(one, tmp_path):
    dataset, out = one(SOME), tmp_path / "out"
    export(dataset, "coco", out)
    with pytest.raises(UsageError, match="exists already; give --force"):
        export(dataset, "coco", out)
    export(dataset, "voc", out, force=True)
    assert not (out / "annotations").exists()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"mine.txt: not of the export"):
        export(dataset, "coco", out, force=True)
    (out / "mine.txt").unlink()
    (out / "export.json").unlink()
    with pytest.raises(UsageError, match="holds no export"):
        export(dataset, "coco", out, force=True)
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(UsageError, match="is a link"):
        export(dataset, "coco", tmp_path / "link", force=True)
    with pytest.raises(UsageError, match="lies in the set itself"):
        export(dataset, "coco", dataset.root / "out")
    assert (out / "Annotations" / "a1.xml").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("sampel", "--format", "coco"), 2, "Did you mean 'sample'"),
        (("sample", "--format", "cocoo"), 2, "Did you mean 'coco'"),
        (("sample", "--format", "coco", "--part", "tset"), 2, "Did you mean 'test'"),
        (("./nowhere", "--format", "coco"), 4, "no converted set here"),
    ],
)
def test_mistakes_are_named_at_the_command_line(bench, home, tiny_folder, tmp_path, arguments, code, message):
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "sample").symlink_to(tiny_folder)
    found, _, err = bench("export", *arguments, "--out", tmp_path / "out")
    assert (found, message in err) == (code, True), err
    assert not (tmp_path / "out").exists()


def test_the_command_prints_what_it_wrote_and_its_export_converts(bench, home, tiny_folder, tmp_path):
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "sample").symlink_to(tiny_folder)
    code, out, err = bench("export", "sample", "--format", "voc", "--out", tmp_path / "out", "--json")
    assert code == 0, err
    code, again, err = bench("convert", "custom", tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(again)["fingerprint"] == json.loads(out)["fingerprint"]
    assert (home / "datasets" / "sample-export" / "dataset.json").is_file()
    # Without --out a set of one's own, whose name the export keeps, would be in its own way.
    printed = bench("export", "sample", "--format", "coco", "--out", tmp_path / "b")[1]
    assert f"rgbt-bench convert custom {tmp_path / 'b'} --out FOLDER" in "".join(printed.splitlines()[-2:])

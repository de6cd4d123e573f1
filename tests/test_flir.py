"""FLIR-aligned: its two layouts are one set, its quirks are kept and counted, its splits are the published ones."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image as Pillow
from ruamel.yaml import YAML

import rgbt_leaderboards
from flir_cases import DAY, NIGHT, PAIRS, coco, put, put_coco, put_voc
from rgbt_bench.converting import convert
from rgbt_bench.datasets.digests import label_digest, sample_label_digest
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.coco import read_coco
from rgbt_bench.sources import FolderSource
from rgbt_converters._flir_labels import CLASSES, labels_of_coco, part_of
from rgbt_converters._id_lists import id_list
from rgbt_converters.flir import Flir

DATA = Path(__file__).parents[2] / "shared" / "data"
BUILDERS = {"voc": put_voc, "coco": put_coco}
LAYOUTS = pytest.mark.parametrize("layout", BUILDERS)


def converted(layout, tmp_path, pairs=PAIRS, **options):
    """The report and the set that a made-up archive of one layout becomes."""
    source = BUILDERS[layout](tmp_path / layout, pairs)
    report = convert(Flir(), source, tmp_path / f"{layout}-out", **options)
    return report, Dataset(tmp_path / f"{layout}-out")


def test_both_layouts_are_the_same_set(tmp_path):
    (voc, in_voc), (coco, in_coco) = (converted(layout, tmp_path) for layout in BUILDERS)
    assert (voc.layout, coco.layout) == ("voc", "coco")
    assert voc.fingerprint == coco.fingerprint
    assert voc.parts == coco.parts == {"train": 4, "val": 2, "test": 2}
    assert in_voc.digests == in_coco.digests
    assert in_voc.record.splits == in_coco.record.splits


@LAYOUTS
def test_every_box_arrives_as_published_and_only_dogs_go(layout, tmp_path):
    report, dataset = converted(layout, tmp_path)
    for sample_id, boxes in (PAIRS["train"] | PAIRS["test"]).items():
        kept = Counter(
            (CLASSES[box.category].replace("bike", "bicycle"), *box.bbox) for box in dataset.labels[sample_id].objects
        )
        assert kept == Counter(box for box in boxes if box[0] != "dog")
        assert all(box.area == box.bbox[2] * box.bbox[3] for box in dataset.labels[sample_id].objects)
    assert report.quirks["dog boxes dropped (not a class of FLIR-aligned)"] == 2
    assert report.quirks["boxes that begin at -1"] == 3
    assert report.quirks["train: pairs without boxes (kept)"] == 1
    assert report.skipped == 0


@LAYOUTS
def test_the_layout_is_found_from_the_folder_above_and_the_one_above_that(layout, tmp_path):
    BUILDERS[layout](tmp_path / "download" / "unpacked" / "align")
    reports = [
        convert(Flir(), root, tmp_path / f"out-{number}")
        for number, root in enumerate((tmp_path / "download", tmp_path / "download" / "unpacked"))
    ]
    assert [report.layout for report in reports] == [layout, layout]
    assert reports[0].fingerprint == reports[1].fingerprint


def test_two_layouts_in_one_folder_are_named_and_neither_is_guessed(tmp_path):
    put_voc(tmp_path / "mixed")
    put_coco(tmp_path / "mixed")
    put_voc(tmp_path / "copies" / "a")
    put_voc(tmp_path / "copies" / "b")
    with pytest.raises(BadInputError, match=r"more than one layout here: .*mixed \(voc\), .*mixed \(coco\)"):
        convert(Flir(), tmp_path / "mixed", tmp_path / "out")
    with pytest.raises(BadInputError, match=r"copies.a \(voc\), .*copies.b \(voc\)"):
        convert(Flir(), tmp_path / "copies", tmp_path / "out")


@LAYOUTS
def test_a_thermal_image_that_no_list_names_is_left_out_and_counted(layout, tmp_path):
    base = BUILDERS[layout](tmp_path / layout)
    name = "JPEGImages/FLIR_00003_PreviewData.jpeg"
    put(base / (name if layout == "voc" else "images_thermal_test/data/FLIR_00003_PreviewData.jpg"), b"unread")
    put((base / name).with_name(".DS_Store"), b"")
    report = convert(Flir(), base, tmp_path / "out")
    assert [count for quirk, count in report.quirks.items() if "left out" in quirk] == [1]
    assert "FLIR_00003" not in Dataset(tmp_path / "out").labels
    assert not any("left out" in quirk for quirk in converted(layout, tmp_path / "clean")[0].quirks)


def test_one_listed_train_pair_may_lack_its_annotations(tmp_path):
    # An image is 64x48 here and 640x512 in the published set, which the missing file cannot say.
    pairs = {"train": {"FLIR_00002": [("car", 1, 1, 5, 5)], "FLIR_00003": []}, "test": {}}
    base = put_voc(tmp_path / "align", pairs)
    (base / "Annotations/FLIR_00003_PreviewData.xml").unlink()
    for image in base.glob("JPEGImages/FLIR_00003_*"):
        with Pillow.open(image) as opened:
            opened.resize((640, 512)).save(image, "JPEG")
    report = convert(Flir(), base, tmp_path / "out")
    assert report.quirks["train: listed pair without an annotation file (kept, no boxes)"] == 1
    assert Dataset(tmp_path / "out").labels["FLIR_00003"].objects == ()


@pytest.mark.parametrize("without", [["FLIR_00002", "FLIR_00699"], [DAY]], ids=["two of train", "one of test"])
def test_more_missing_annotations_are_faults_and_their_samples_go_when_skipped(without, tmp_path):
    base = put_voc(tmp_path / "align")
    for sample_id in without:
        (base / f"Annotations/{sample_id}_PreviewData.xml").unlink()
    with pytest.raises(BadInputError, match=f"{len(without)} fault") as caught:
        convert(Flir(), base, tmp_path / "out")
    assert all(f"{sample_id}_PreviewData.xml: no such annotation file" in str(caught.value) for sample_id in without)
    report = convert(Flir(), base, tmp_path / "out", on_error="skip")
    assert report.skipped == len(without)
    assert not set(without) & Dataset(tmp_path / "out").labels.keys()


def test_a_set_of_one_list_says_so(tmp_path):
    base = put_voc(tmp_path / "align")
    (base / "align_validation.txt").unlink()
    report = convert(Flir(), base, tmp_path / "out")
    assert report.quirks["test: no list align_validation.txt, so this part is empty"] == 1
    assert report.parts == {"train": 4, "val": 2}


def test_counts_are_told_against_the_whole_set(tmp_path):
    report, _ = converted("voc", tmp_path)
    assert report.expected == {"train+val": "6 of 4129: not the whole set", "test": "2 of 1013: not the whole set"}


def test_every_tenth_block_of_a_hundred_train_frames_is_val(tmp_path):
    _, dataset = converted("voc", tmp_path)
    assert dataset.part("val").ids == ("FLIR_00700", "FLIR_01799")
    published = {*id_list("flir_rgbxfusion_train"), *id_list("flir_rgbxfusion_val")}
    assert len(published) == 4128
    assert {sample_id for sample_id in published if part_of(sample_id, "train") == "val"} == set(id_list("flir_val"))
    assert part_of("FLIR_09701", "test") == "test"


def test_the_official_split_has_no_val_and_the_field_s_own_is_there_too(tmp_path):
    _, dataset = converted("coco", tmp_path)
    official = Dataset(dataset.root, "official")
    assert official.parts == ("train", "test")
    assert official.part("train").ids == tuple(sorted(PAIRS["train"]))
    assert official.part("test").ids == dataset.part("test").ids
    assert official.part("test").record == dataset.part("test").record
    field = Dataset(dataset.root, "rgbxfusion")
    assert field.part("val").ids == ("FLIR_00008",)
    assert field.part("train").ids == tuple(sorted(PAIRS["train"].keys() - {"FLIR_00008"}))
    assert field.part("test").record == official.part("test").record
    assert not set(id_list("flir_rgbxfusion_train")) & set(id_list("flir_rgbxfusion_val"))


def test_a_pair_in_both_lists_is_a_fault_and_is_never_tested_on_when_skipped(tmp_path):
    pairs = {"train": PAIRS["train"], "test": PAIRS["test"] | {"FLIR_00699": PAIRS["train"]["FLIR_00699"]}}
    with pytest.raises(BadInputError, match="'FLIR_00699' occurs twice"):
        converted("voc", tmp_path, pairs)
    convert(Flir(), tmp_path / "voc", tmp_path / "out", on_error="skip")
    for split in ("default", "official"):
        dataset = Dataset(tmp_path / "out", split)
        assert "FLIR_00699" in dataset.part("train").ids
        assert "FLIR_00699" not in dataset.part("test").ids


def test_day_and_night_are_known_for_the_test_list_only(tmp_path):
    day, night = set(id_list("flir_test_day")), set(id_list("flir_test_night"))
    assert (len(day), len(night), len(day | night)) == (702, 311, 1013)
    stems = "\n".join(sorted(sample_id.removeprefix("FLIR_") for sample_id in day | night))
    assert hashlib.sha256(stems.encode()).hexdigest().startswith("1b1a14e15689836f")
    _, dataset = converted("voc", tmp_path)
    assert {sample_id: labels.illumination for sample_id, labels in dataset.labels.items()} == {
        **dict.fromkeys(PAIRS["train"], "unknown"),
        DAY: "day",
        NIGHT: "night",
    }


def broken(change):
    content = coco({"FLIR_00002": [("car", 1, 1, 5, 5)], "FLIR_00003": []})
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("categories"), "not a COCO file"),
        (lambda c: c.update(images=None), "not iterable"),
        (lambda c: c["images"].append(c["images"][0]), "entry 2 of `images`: id 'FLIR_00003_PreviewData' occurs twice"),
        (lambda c: c["images"].append(7), "entry 2 of `images`"),
        (lambda c: c["images"][1].pop("width"), "entry 1 of `images`: the key 'width' is missing"),
        (lambda c: c["images"][1].update(width="1e400"), "entry 1 of `images`"),
        (lambda c: c["images"][0].update(file_name="/etc/passwd"), "'/etc/passwd' is no FLIR-aligned name"),
        (lambda c: c["images"][0].update(file_name="../FLIR_00002_RGB.jpg"), "is no FLIR-aligned name"),
        (lambda c: c["images"][0].update(file_name="FLIR_00002_PreviewData (1).jpg"), "is no FLIR-aligned name"),
        (lambda c: c["annotations"][0].update(image_id="x"), "annotation 0: it points at image 'x'"),
        (lambda c: c["annotations"][0].update(image_id=[]), "annotation 0: unhashable"),
        (lambda c: c["annotations"][0].update(category_id=9), "annotation 0: it has category 9"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "annotation 0: not enough values"),
        (lambda c: c["annotations"][0].update(bbox="1234"), "annotation 0: its box is not a list"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3, 10**400]), "annotation 0: int too large"),
        (lambda c: c["annotations"][0].pop("bbox"), "annotation 0: the key 'bbox' is missing"),
        (lambda c: c["categories"].append({"id": 9, "name": "persn"}), None),
        (lambda c: c["categories"][2].update(name="carr"), "unknown class 'carr'. Did you mean 'car'"),
    ],
)
def test_a_broken_coco_file_is_named_with_the_entry(change, message, tmp_path):
    base = put_coco(tmp_path / "coco", {"train": {"FLIR_00002": [], "FLIR_00003": []}, "test": {}})
    put(base / "meta/thermal/flir_train.json", json.dumps(broken(change)))
    if message is None:  # a class that no box has harms nobody
        convert(Flir(), base, tmp_path / "out")
        return
    with pytest.raises(BadInputError) as caught:
        convert(Flir(), base, tmp_path / "out")
    assert "flir_train.json" in str(caught.value) or "FLIR_00002" in str(caught.value)
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def real():
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}: it may not be committed")
    return DATA


def published(path):
    """The labels of one published COCO file and what the converter counted on the way."""
    quirks = Counter()
    return [
        labels_of_coco(image, image.file_name, quirks, path.name)
        for image in read_coco(FolderSource(path.parent), path.name)
    ], quirks


def test_the_real_pairs_are_the_same_set_in_both_layouts(real, tmp_path):
    roots = {"voc": real / "FLIR_aligned", "coco": real / "FLIR_Aligned_coco"}
    reports = {layout: convert(Flir(), root, tmp_path / layout) for layout, root in roots.items()}
    assert reports["voc"].fingerprint == reports["coco"].fingerprint
    for layout, report in reports.items():
        dataset = Dataset(tmp_path / layout)
        assert report.layout == layout
        assert report.parts["train"] + report.parts["val"] == 25
        assert report.parts["test"] == 10
        boxes = Counter(name for name in dataset.parts for one in dataset.part(name).labels for _ in one.objects)
        assert (boxes["train"] + boxes["val"], boxes["test"]) == (178, 71)
        listed = set(id_list("flir_val"))
        assert set(dataset.part("val").ids) == listed & dataset.labels.keys()
    with pytest.raises(BadInputError, match=r"\(voc\)"):
        convert(Flir(), real, tmp_path / "both")


@pytest.mark.parametrize("name", ["thermal_test__thermal-val-flir", "thermal_test_with_dog__thermal-val-coco"])
def test_the_official_label_digest_is_that_of_the_published_test_list(name, real):
    folder = Path(rgbt_leaderboards.__file__).parent
    frozen = YAML(typ="safe").load(folder / "v1/leaderboard.yaml")["data"]["flir-test"]
    samples, quirks = published(real / f"annotations_full/flir_aligned/{name}.json")
    assert len(samples) == frozen["samples"] == 1013
    assert sum(len(one.objects) for one in samples) == frozen["boxes"] == 8591
    assert quirks["boxes that begin at -1"] == 277
    assert quirks["dog boxes dropped (not a class of FLIR-aligned)"] == (13 if "with_dog" in name else 0)
    digests = {one.sample_id: sample_label_digest(one, CLASSES) for one in samples}
    assert label_digest(digests, CLASSES) == frozen["label_digest"]
    by_light = Counter(one.illumination for one in samples)
    assert by_light == {"day": 702, "night": 311}


def test_the_published_train_files_are_what_the_lists_and_figures_say(real):
    folder = real / "annotations_full/flir_aligned"
    parts = {
        "train": ["thermal_train_day_flir", "thermal_train_night__night_flir_train"],
        "val": ["thermal_val_day__day_flir_val", "thermal_val_night__night_flir_val"],
    }
    boxes, ids = Counter(), Counter()
    for part, names in parts.items():
        samples = [one for name in names for one in published(folder / f"{name}.json")[0]]
        assert {one.sample_id for one in samples} == set(id_list(f"flir_rgbxfusion_{part}"))
        ids.update(one.sample_id for one in samples)
        boxes.update(CLASSES[box.category] for one in samples for box in one.objects)
    assert (len(ids), max(ids.values())) == (4128, 1)
    assert boxes == {"person": 8987, "bike": 2566, "car": 20608}
    assert boxes.total() == 32161

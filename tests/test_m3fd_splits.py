"""M3FD's splits: ours cuts no scene and is what its script makes of the published labels; the field's are frozen."""

import importlib.util
import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import rgbt_leaderboards
from m3fd_cases import LISTS, PAIRS, put, put_flat, put_tardal, yolo_text
from rgbt_bench.converting import convert
from rgbt_bench.datasets.digests import label_digest, sample_label_digest
from rgbt_bench.datasets.splits import split_hash
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.formats.coco import read_coco
from rgbt_bench.formats.yolo import read_yolo
from rgbt_bench.sources import FolderSource
from rgbt_bench.splitting import describe_splits
from rgbt_converters._m3fd_coco import labels_of_coco
from rgbt_converters._m3fd_labels import BOXES, CLASSES, Object, make_labels
from rgbt_converters._m3fd_scenes import frames
from rgbt_converters._m3fd_yolo import YOLO_CLASSES
from rgbt_converters.m3fd import M3fd

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
PARTS = ("train", "val", "test")
# Samples, boxes, and the beginnings of the SHA-256 of the ids and of the label digest, of each part.
FROZEN = {
    ("default", "train"): (2882, 24515, "6cce435c1c58a553", "0be0a020498e0a49"),
    ("default", "val"): (488, 3393, "13ec37fec136f290", "817a3fe1837a64dd"),
    ("default", "test"): (830, 6499, "47f76f9537f01451", "d3039cfacae20b53"),
    ("rgbxfusion", "train"): (2727, 22169, "034b3e2c2bb8607d", "d13bf87a0e4fc30d"),
    ("rgbxfusion", "val"): (633, 5176, "6e9071b77f5cec20", "01789e084f7e5c46"),
    ("rgbxfusion", "test"): (840, 7062, "70c20eee59e83f77", "8c3b71e1488d96d7"),
    ("random82", "train"): (3360, 27345, "d891afe09ce17e75", "e07235ecd6fb04c1"),
    ("random82", "test"): (840, 7062, "70c20eee59e83f77", "8c3b71e1488d96d7"),
    ("togethernet", "train"): (3402, 27871, "2a97e7958275b81f", "c7a17d231dcabaa8"),
    ("togethernet", "val"): (378, 3036, "50a0b938a5424601", "8ad8491a2cde6c48"),
    ("togethernet", "test"): (420, 3500, "51c78f2f8a6c51cf", "52395d52f90d13b6"),
}


def splits():
    """Every split that a conversion has, by its name and part."""
    return {(split.name, part): ids for split in M3fd().published_splits() for part, ids in split.parts.items()}


def test_the_ids_of_every_part_are_frozen():
    found = {key: (len(ids), split_hash(ids)[:16]) for key, ids in splits().items()}
    assert found == {key: (samples, ids) for key, (samples, _, ids, _) in FROZEN.items()}
    for name in {name for name, _ in FROZEN}:
        ids = Counter(one for (of, _), found in splits().items() if of == name for one in found)
        assert list(ids) and set(ids) == set(frames())  # noqa: PT018
        assert max(ids.values()) == 1


def test_every_published_split_says_whose_it_is():
    ours, *others = M3fd().published_splits()
    assert ours.name == "default"
    assert (ROOT / ours.origin.removeprefix("this project's split by scene: ")).is_file()
    assert all(re.search(r"[\w-]+/[\w-]+: |[\w-]+/TarDAL", split.origin) for split in others)
    assert "only the ends of the list were seen" in next(one.origin for one in others if one.name == "random82")


def test_our_split_is_listed_with_its_hashes_before_anything_is_converted(tmp_path, monkeypatch):
    monkeypatch.setenv("RGBT_BENCH_HOME", str(tmp_path))
    content = describe_splits("m3fd")["splits"]
    assert list(content) == ["default", "rgbxfusion", "random82", "togethernet"]
    for (name, part), (samples, _, ids, _) in FROZEN.items():
        found = content[name]["parts"][part]
        assert (found["published_samples"], found["published_ids_sha256"][:16]) == (samples, ids)


def test_what_is_converted_of_our_split_is_held_against_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RGBT_BENCH_HOME", str(tmp_path))
    convert(M3fd(), put_flat(tmp_path / "M3FD"), tmp_path / "datasets/m3fd")
    content = describe_splits("m3fd")["splits"]
    assert list(content) == ["default", "rgbxfusion", "random82", "togethernet"]
    test = content["default"]["parts"]["test"]
    assert (test["samples"], test["published_samples"], test["as_published"]) == (3, 830, False)


def test_the_table_has_every_id_once_and_no_scene_in_two_parts():
    assert list(frames()) == [f"{number:05d}" for number in range(4200)]
    parts, names = defaultdict(set), defaultdict(set)
    for frame in frames().values():
        parts[frame.scene].add(frame.part)
        name = frame.scene.rpartition("-")[0]
        names[name if name != "unnamed" else frame.scene].add(frame.part)
    assert len(parts) == 102
    assert {scene for scene, found in (parts | names).items() if len(found) > 1} == set()


def test_every_illumination_is_in_every_part():
    found = {part: Counter(frame.illumination for frame in frames().values() if frame.part == part) for part in PARTS}
    whole = sum(found.values(), Counter())
    assert whole == {"day": 1513, "overcast": 1141, "night": 736, "challenge": 699, "unknown": 111}
    assert found["test"] == {"overcast": 330, "night": 225, "challenge": 128, "day": 111, "unknown": 36}
    assert found["val"] == {"overcast": 226, "night": 124, "challenge": 80, "unknown": 34, "day": 24}


def test_a_conversion_has_every_split_with_the_pairs_that_are_there(tmp_path):
    convert(M3fd(), put_flat(tmp_path / "M3FD"), tmp_path / "out")
    dataset = Dataset(tmp_path / "out")
    assert set(dataset.record.splits) == {"default", "rgbxfusion", "random82", "togethernet"}
    assert dataset.part("test").ids == ("00000", "00002", "02779")
    assert Dataset(dataset.root, "random82").part("test").ids == ("00002", "00255")
    assert Dataset(dataset.root, "rgbxfusion").part("val").ids == ("01530",)


@pytest.mark.parametrize("split", ["default", "rgbxfusion", "random82"])
def test_lists_of_a_known_split_are_no_split_of_the_archive(split, tmp_path):
    base = put_flat(tmp_path / "M3FD")
    for number, ((name, _), ids) in enumerate(splits().items()):
        if name == split:  # whatever its parts are called
            part = ("val", "train", "test")[number % 3]
            put(base / f"meta/{part}.txt", "\n".join(one for one in ids if one in PAIRS))
    convert(M3fd(), base, tmp_path / "out")
    assert "archive" not in Dataset(tmp_path / "out").record.splits


def test_unknown_lists_are_a_split_of_the_archive_unless_a_pair_is_in_two(tmp_path):
    base = put_tardal(tmp_path / "m3fd")
    for part, ids in LISTS.items():
        put(base / f"meta/{part}.txt", "\n".join(f"{one}.png" for one in ids))
    convert(M3fd(), base, tmp_path / "out")
    archive = Dataset(tmp_path / "out", "archive")
    assert {part: archive.part(part).ids for part in archive.parts} == LISTS
    assert "archive that was converted" in archive.record.split_origins["archive"]
    put(base / "meta/test.txt", "00002\n00000\n")
    report = convert(M3fd(), base, tmp_path / "twice")
    assert report.quirks["pairs in more than one list of the archive (which are no split: left out)"] == 1
    assert "archive" not in Dataset(tmp_path / "twice").record.splits


@pytest.fixture(scope="module")
def real():
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}: it may not be committed")
    return DATA


@pytest.fixture(scope="module")
def published(real):
    """The labels of all 4,200 pairs as the converter reads RGBXFusion's COCO files, by sample id."""
    source = FolderSource(real / "annotations_full/m3fd_coco")
    images = [image for part in PARTS for image in read_coco(source, f"m3fd-{part}.json")]
    return {image.file_name.removesuffix(".png"): labels_of_coco(image, image.file_name) for image in images}


def test_the_labels_of_every_part_are_frozen(published):
    digests = {one: sample_label_digest(labels, CLASSES) for one, labels in published.items()}
    for (name, part), ids in splits().items():
        boxes = sum(len(published[one].objects) for one in ids)
        digest = label_digest({one: digests[one] for one in ids}, CLASSES)[:16]
        assert (boxes, digest) == (FROZEN[name, part][1], FROZEN[name, part][3]), (name, part)
    whole = Counter(box.category for labels in published.values() for box in labels.objects)
    assert tuple(whole[number] for number in range(len(CLASSES))) == BOXES
    assert whole.total() == 34407
    assert {(box.iscrowd, box.ignore) for labels in published.values() for box in labels.objects} == {(False, False)}


def test_every_class_is_in_every_part_of_ours(published):
    for part in PARTS:
        found = Counter(box.category for one in splits()["default", part] for box in published[one].objects)
        assert min(found[number] for number in range(len(CLASSES))) >= 35, part


def test_the_leaderboard_s_labels_are_those_of_our_test_part(published):
    folder = Path(rgbt_leaderboards.__file__).parent
    board = YAML(typ="safe").load(folder / "v1/leaderboard.yaml")
    frozen = board["data"]["m3fd-test"]
    ids = splits()["default", frozen["part"]]
    assert len(ids) == frozen["samples"]
    assert sum(len(published[one].objects) for one in ids) == frozen["boxes"]
    digests = {one: sample_label_digest(published[one], CLASSES) for one in ids}
    assert label_digest(digests, CLASSES) == frozen["label_digest"]
    tracks = {name: track for name, track in board["tracks"].items() if track["data"] == "m3fd-test"}
    tasks = (*(f"detection-{modality}" for modality in ("rgbt", "rgb", "thermal")), "detection-on-fused", "fusion")
    assert set(tracks) == {f"m3fd/{task}" for task in tasks}


def test_six_decimals_give_the_labels_of_all_pairs_back(published, tmp_path):
    for one, labels in published.items():
        boxes = [(CLASSES[box.category], *box.bbox) for box in labels.objects]
        put(tmp_path / f"{one}.txt", yolo_text(boxes, (labels.width, labels.height)))
    source = FolderSource(tmp_path)
    for one, labels in published.items():
        size = labels.width, labels.height
        found = read_yolo(source, f"{one}.txt", size, YOLO_CLASSES)
        objects = (Object(yolo.name, yolo.bbox, yolo.bbox[2] * yolo.bbox[3]) for yolo in found)
        assert make_labels(one, labels.source, size, objects, one) == labels


def test_the_script_makes_the_packaged_table_and_cuts_nowhere_where_labels_go_on(real):
    path = ROOT / "docs/measurements/m3fd_split.py"
    spec = importlib.util.spec_from_file_location("m3fd_split", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    runs, groups, parts, images = script.split(real / "annotations_full")
    packaged = (ROOT / "converters/splits/m3fd_scenes.txt").read_text().splitlines()
    assert script.table(runs, parts, images) == packaged
    assert len(set(groups.values())) == 25
    cuts = [(a.last, b.first) for a, b in pairwise(runs) if parts[a] != parts[b]]
    assert len(cuts) == 22
    assert not any(script.goes_on(images, *cut) for cut in cuts)


def test_the_real_pairs_have_the_boxes_and_the_scenes_of_the_published_files(real, published, tmp_path):
    report = convert(M3fd(), real / "M3FD", tmp_path / "out")
    assert (report.layout, report.faults, report.quirks) == ("flat", (), {})
    dataset = Dataset(tmp_path / "out")
    assert set(dataset.labels) == {"00000", "00255", "01869", "01952", "03865"}
    for one, labels in dataset.labels.items():
        assert sample_label_digest(labels, CLASSES) == sample_label_digest(published[one], CLASSES)
        assert (labels.scene, labels.illumination) == (published[one].scene, published[one].illumination)
    assert "archive" not in dataset.record.splits

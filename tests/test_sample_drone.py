"""The generated views from a drone: the same bits everywhere, tight boxes, many small objects, and no thermal image."""

import hashlib
import io
from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as PillowImage

from rgbt_bench.converting import convert
from rgbt_bench.datasets.sample_drone import INFO, SPLITS, box, draw, scenes, view
from rgbt_bench.datasets.sample_drone_converter import SampleDroneConverter
from rgbt_bench.datasets.sample_drone_views import BLOCK
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import UsageError
from rgbt_bench.files import canonical_json
from rgbt_bench.leaderboard.tracks import leaderboard
from rgbt_bench.statistics import LEAST_BLOCKS, blocks

GOLDEN = "4813a198a4bf45e5a6bf340cb95bf77ff5c0cba13f3b5eaed4dc9b94af4dbf8e"
OTHERS = INFO.classes.index("others")
DETECTABLE = 10.0  # grey levels between an object's mean and that of what is around it


class TestPart(SampleDroneConverter):
    """The whole test part alone."""

    __test__ = False
    expected: ClassVar[dict[str, int]] = {"test": SPLITS["test"]}


@pytest.fixture(scope="module")
def parts():
    return {"train": list(scenes("train", 24)), "val": list(scenes("val", 8)), "test": list(scenes("test"))}


@pytest.fixture(scope="module")
def every(parts):
    return [sample for samples in parts.values() for sample in samples]


@pytest.fixture(scope="module")
def drawings():
    """One drawing of each of twelve blocks, in which every layout occurs sparse and dense."""
    return [draw(f"sample_drone_train_{index:04d}", view("train", index // BLOCK)) for index in range(0, 48, BLOCK)]


@pytest.fixture(scope="module")
def converted(tmp_path_factory, parts):
    home = tmp_path_factory.mktemp("home")
    convert(TestPart(), None, home / "datasets" / "sample-drone")
    return home


def pixels(sample):
    return np.asarray(PillowImage.open(io.BytesIO(sample.rgb.data)))


def test_it_draws_the_same_bits_twice_and_for_any_count(parts):
    view.cache_clear()
    again = [draw(f"sample_drone_test_{index:04d}", view("test", index // BLOCK)).rgb for index in (9, 1, 33)]
    for index, rgb in zip((9, 1, 33), again, strict=True):
        assert np.array_equal(rgb, pixels(parts["test"][index]))
    assert list(scenes("test", 0)) == []


def test_pixels_and_labels_are_the_frozen_ones(parts):
    digest = hashlib.sha256()
    for sample in parts["train"]:
        digest.update(pixels(sample).tobytes())
        boxes = [
            [list(box.bbox), box.category, box.area, box.ignore, box.truncation, box.occlusion]
            for box in sample.objects
        ]
        regions = [list(region) for region in sample.ignore_regions]
        digest.update(canonical_json([sample.sample_id, sample.illumination, sample.scene, boxes, regions]).encode())
    assert digest.hexdigest() == GOLDEN


def test_the_test_part_is_the_official_one(converted):
    record = Dataset(converted / "datasets" / "sample-drone").part("test").record
    data = leaderboard().data["sample-drone-test"]
    for name in ("samples", "ids_sha256", "label_digest", "rgb_digest", "thermal_digest"):
        assert getattr(record, name) == getattr(data, name), name


def test_the_official_boxes_are_counted(parts):
    assert leaderboard().data["sample-drone-test"].boxes == sum(len(sample.objects) for sample in parts["test"])


def test_image_formats(every):
    for sample in every:
        picture = PillowImage.open(io.BytesIO(sample.rgb.data))
        assert (picture.mode, picture.size) == ("RGB", (sample.width, sample.height)) == ("RGB", (256, 256))
        assert sample.thermal is None
        assert sample.mask is None


def test_boxes_are_tight_around_what_is_seen(drawings):
    whole = 0
    for drawing in drawings:
        for number, thing in enumerate(drawing.things, 1):
            label = box(thing)
            x, y, width, height = map(int, label.bbox)
            rows, columns = np.nonzero(drawing.owner == number)
            assert 0 <= x <= columns.min()
            assert 0 <= y <= rows.min()
            assert columns.max() < x + width <= 256
            assert rows.max() < y + height <= 256
            assert label.area == width * height
            if label.occlusion == 0:
                seen = columns.min(), rows.min(), columns.max() + 1 - columns.min(), rows.max() + 1 - rows.min()
                assert seen == (x, y, width, height)
                whole += 1
            if label.truncation:
                assert x == 0 or y == 0 or x + width == 256 or y + height == 256
    assert whole > 400


def test_objects_stand_out_from_what_is_around_them(drawings):
    found = []
    for drawing in drawings:
        for number, thing in enumerate(drawing.things, 1):
            label = box(thing)
            if not label.ignore:
                x, y, width, height = map(int, label.bbox)
                around = np.zeros(drawing.owner.shape, bool)
                around[max(y - 3, 0) : y + height + 3, max(x - 3, 0) : x + width + 3] = True
                around &= drawing.owner == 0
                own = drawing.rgb[drawing.owner == number].mean(axis=0)
                found.append(np.abs(own - drawing.rgb[around].mean(axis=0)).max() >= DETECTABLE)
    assert np.mean(found) >= 0.98


def test_there_are_many_objects_and_most_are_small(every):
    counts = [len(sample.objects) for sample in every]
    assert min(counts) >= 10
    assert max(counts) <= 200
    assert 30 <= np.median(counts) <= 60
    sides = np.array([max(box.bbox[2:]) for sample in every for box in sample.objects])
    assert sides.min() >= 4
    assert min(min(box.bbox[2:]) for sample in every for box in sample.objects) >= 2
    assert np.mean(sides <= 16) > 0.85
    assert 0.02 < np.mean((sides > 16) & (sides <= 40)) < 0.15
    assert np.mean(sides > 40) < 0.01


def test_some_images_have_more_of_one_class_than_the_cap_on_detections(parts):
    most = [max(Counter(box.category for box in sample.objects if not box.ignore).values()) for sample in parts["test"]]
    assert sum(count > 100 for count in most) >= 10


def test_classes_are_as_unequal_as_from_a_drone(parts):
    counted = Counter(INFO.classes[box.category] for sample in parts["test"] for box in sample.objects)
    assert set(counted) == set(INFO.classes)
    assert counted["pedestrian"] > counted["car"] > 3 * counted["van"]
    assert counted["van"] > counted["truck"] > counted["bus"] >= 50


def test_what_nobody_can_be_expected_to_find_is_ignored(drawings, every):
    assert all(box.ignore for sample in every for box in sample.objects if box.category == OTHERS)
    hidden = 0
    for drawing in drawings:
        for number, thing in enumerate(drawing.things, 1):
            label = box(thing)
            assert thing.seen == np.count_nonzero(drawing.owner == number) > 0
            if label.ignore and label.category != OTHERS:
                assert label.occlusion == 2
                hidden += 1
    assert hidden > 3
    boxes = [box for sample in every for box in sample.objects]
    assert {box.occlusion for box in boxes} == {0, 1, 2}
    assert {box.truncation for box in boxes} == {0, 1}
    assert np.mean([box.ignore for box in boxes]) < 0.05


def test_a_region_that_is_ignored_holds_its_crowd_and_nobody_else(drawings, parts):
    crowds = [drawing for drawing in drawings if drawing.crowd]
    assert crowds
    for drawing in crowds:
        ((x, y, width, height),) = drawing.regions
        assert 0 <= x < x + width <= 256
        assert 0 <= y < y + height <= 256
        for person in drawing.crowd:
            rows, columns = person.picture.windows()[0]
            assert y <= rows.start <= rows.stop <= y + height
            assert x <= columns.start <= columns.stop <= x + width
        assert len(drawing.crowd) > 10
    assert all(drawing.regions == () for drawing in drawings if not drawing.crowd)
    assert sum(bool(sample.ignore_regions) for sample in parts["test"]) >= 10


def test_a_quarter_of_the_places_is_at_night_and_looks_it(parts):
    light = {"day": [], "night": []}
    for sample in parts["test"]:
        light[sample.illumination].append(pixels(sample).mean())
    assert len(light["day"]) == 3 * len(light["night"])
    assert min(light["day"]) > max(light["night"])


def test_splits_share_no_id_scene_or_picture(parts):
    for look in (lambda s: s.sample_id, lambda s: s.scene, lambda s: s.rgb.data):
        seen = [{look(sample) for sample in samples} for samples in parts.values()]
        assert len(set.union(*seen)) == sum(map(len, seen))
    cut = blocks([sample.scene for sample in parts["test"]])
    assert (cut.unit, cut.count) == ("scenes", SPLITS["test"] // BLOCK)
    assert cut.count >= LEAST_BLOCKS


@pytest.mark.parametrize(("split", "count"), [("training", None), ("val", 33), ("val", -1)])
def test_what_is_not_there_is_refused_at_once(split, count):
    with pytest.raises(UsageError, match=r"'train'|sample-drone has 32 samples"):
        scenes(split, count)


def test_every_command_works_without_a_thermal_image(converted, bench, tmp_path, monkeypatch):
    monkeypatch.setenv("RGBT_BENCH_HOME", str(converted))
    code, out, err = bench("inspect", "sample-drone", "--sheet", tmp_path / "sheet.png")
    assert (code, "illumination: night" in out) == (0, True), err
    assert PillowImage.open(tmp_path / "sheet.png").width > 500
    code, _, err = bench("export", "sample-drone", "--format", "coco", "--out", tmp_path / "coco")
    assert code == 0, err
    code, out, err = bench("convert", "custom", tmp_path / "coco", "--out", tmp_path / "back")
    assert code == 0, err
    code, out, err = bench("diff", "sample-drone", tmp_path / "back", "--sheet", tmp_path / "diff.png")
    assert (code, out.startswith("equal: ")) == (0, True), out + err

"""The embedded sample set: the same bits everywhere, labels that agree, and objects that need both modalities."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from rgbt_bench.datasets.sample import INFO, SPLITS, scenes
from rgbt_bench.errors import UsageError
from rgbt_bench.files import canonical_json
from rgbt_bench.schema import VOID

GOLDEN = "742140cb4576a9d5da2e902f06ff21764013ce188f480f1c3af753d38e87b51e"
DETECTABLE = 10.0  # grey levels between an object's mean and that of the ring around its box


def decode(image):
    picture = PillowImage.open(io.BytesIO(image.data))
    return picture.mode, np.asarray(picture)


def pixels(sample):
    return [decode(image)[1] for image in (sample.rgb, sample.thermal, sample.mask)]


def extent(box):
    x, y, width, height = map(int, box.bbox)
    return slice(y, y + height), slice(x, x + width)


def own_pixels(box, mask):
    solid = np.zeros(mask.shape, bool)
    solid[extent(box)] = mask[extent(box)] == box.category + 1
    return solid


def contrast(image, box, mask):
    rows, columns = extent(box)
    ring = np.zeros(mask.shape, bool)
    ring[max(rows.start - 4, 0) : rows.stop + 4, max(columns.start - 4, 0) : columns.stop + 4] = True
    ring[rows, columns] = False
    return np.abs(image[own_pixels(box, mask)].mean(axis=0) - image[ring].mean(axis=0)).max()


@pytest.fixture(scope="module")
def parts():
    return {split: list(scenes(split, 64)) for split in SPLITS}


@pytest.fixture(scope="module")
def every(parts):
    return [sample for samples in parts.values() for sample in samples]


@pytest.fixture(scope="module")
def labelled(every):
    return [(sample, pixels(sample)) for sample in every]


def test_it_draws_the_same_bits_twice_and_for_any_count(parts):
    assert list(scenes("val", 19)) == parts["val"][:19]
    assert list(scenes("test", 0)) == []
    # Another split in between changes nothing: no state is carried from scene to scene.
    mixed = list(zip(scenes("train", 9), scenes("test", 9), strict=True))
    assert mixed == list(zip(parts["train"][:9], parts["test"][:9], strict=True))


def test_pixels_and_boxes_are_the_frozen_ones(parts):
    digest = hashlib.sha256()
    for sample in parts["train"][:16]:  # a day and a night camera
        for array in pixels(sample):
            digest.update(canonical_json([list(array.shape), str(array.dtype)]).encode() + array.tobytes())
        boxes = [[list(box.bbox), box.category, box.area, box.truncation, box.occlusion] for box in sample.objects]
        digest.update(canonical_json([sample.sample_id, sample.illumination, sample.scene, boxes]).encode())
    assert digest.hexdigest() == GOLDEN


def test_image_formats(labelled):
    for sample, (rgb, thermal, mask) in labelled:
        assert [decode(image)[0] for image in (sample.rgb, sample.thermal, sample.mask)] == ["RGB", "L", "L"]
        assert rgb.shape == (sample.height, sample.width, 3) == (96, 96, 3)
        assert thermal.shape == mask.shape == (96, 96)
        assert set(np.unique(mask)) <= {0, VOID, *range(1, len(INFO.classes) + 1)}


def test_boxes_lie_inside_and_keep_the_limits(every):
    sides = []
    for sample in every:
        assert 2 <= len(sample.objects) <= 5
        for box in sample.objects:
            x, y, width, height = box.bbox
            assert x >= 0
            assert y >= 0
            assert x + width <= sample.width
            assert y + height <= sample.height
            assert box.area == width * height
            assert box.category in range(len(INFO.classes))
            sides.append(max(width, height))
            if box.truncation:
                assert x == 0 or y == 0 or x + width == sample.width or y + height == sample.height
    sides = np.array(sides)
    assert sides.min() >= 5
    assert sides.max() <= 40
    assert np.mean((sides >= 15) & (sides <= 36)) > 0.8
    assert 0.03 < np.mean(sides < 15) < 0.2


def test_every_kind_of_object_and_label_occurs(every):
    boxes = [box for sample in every for box in sample.objects]
    for category in range(len(INFO.classes)):
        assert np.mean([box.category == category for box in boxes]) > 0.1
    assert {box.occlusion for box in boxes} == {0, 1, 2}
    assert {box.truncation for box in boxes} == {0, 1}


def test_classes_differ_in_shape(every):
    whole = [box for sample in every for box in sample.objects if not box.truncation]
    ratios = [[box.bbox[2] / box.bbox[3] for box in whole if box.category == wanted] for wanted in range(3)]
    assert max(ratios[0]) < 1 < min(ratios[1])
    assert max(ratios[1]) < min(ratios[2])


def test_masks_agree_with_boxes_and_classes(labelled):
    compared = 0
    for sample, (_, _, mask) in labelled:
        explained = (mask == 0) | (mask == VOID)
        for box in sample.objects:
            solid = own_pixels(box, mask)
            assert solid.any()
            explained |= solid
        assert explained.all()
        for box in sample.objects:
            around = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in extent(box))
            others = np.zeros(mask.shape, bool)
            for other in sample.objects:
                if other is not box:
                    others[extent(other)] = True
            if box.occlusion == 0 and not others[around].any():
                rows, columns = np.nonzero(own_pixels(box, mask))
                left, top = columns.min(), rows.min()
                assert (left, top, columns.max() + 1 - left, rows.max() + 1 - top) == box.bbox
                compared += 1
    assert compared > 100


def test_objects_are_bordered_by_void(labelled):
    for _, (_, _, mask) in labelled:
        for one, next_to_it in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])):
            touching = (one != next_to_it) & (one != VOID) & (next_to_it != VOID)
            assert not touching.any()


def test_day_and_night_are_halves_and_look_it(labelled):
    light = {"day": [], "night": []}
    for sample, (rgb, _, _) in labelled:
        light[sample.illumination].append(rgb.mean())
    assert len(light["day"]) == len(light["night"])
    assert min(light["day"]) > max(light["night"])


def test_splits_share_no_id_scene_or_picture(parts):
    for look in (lambda s: s.sample_id, lambda s: s.scene, lambda s: s.rgb.data, lambda s: s.thermal.data):
        seen = [{look(sample) for sample in samples} for samples in parts.values()]
        assert len(set.union(*seen)) == sum(map(len, seen))
    assert all(len({sample.sample_id for sample in samples}) == 64 for samples in parts.values())
    assert all(len({sample.scene for sample in samples}) == 8 for samples in parts.values())


def test_neither_modality_alone_shows_all_objects(labelled):
    found = np.array(
        [
            [contrast(image.astype(float), box, mask) >= DETECTABLE for image in (rgb, thermal)]
            for sample, (rgb, thermal, mask) in labelled
            for box in sample.objects
        ]
    )
    in_rgb, in_thermal = found.T
    assert np.mean(in_thermal & ~in_rgb) >= 0.15
    assert np.mean(in_rgb & ~in_thermal) >= 0.15
    # The generator draws again what shows in neither; the rest is where a same-class neighbour blurs this measure.
    assert np.mean(in_rgb | in_thermal) >= 0.99


def test_default_counts(parts):
    assert dict(SPLITS) == {"train": 256, "val": 64, "test": 128}
    assert list(scenes("val")) == parts["val"]


@pytest.mark.parametrize(("split", "count"), [("training", None), ("val", 65), ("val", -1)])
def test_what_is_not_there_is_refused_at_once(split, count):
    with pytest.raises(UsageError, match=r"'train'|has 64 samples"):
        scenes(split, count)

"""Looking at a sample: a JPEG of which few pixels are made breaks where a whole decode breaks."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from rgbt_bench.datasets.checks import look_at
from rgbt_bench.datasets.digests import strip_jpeg_metadata
from rgbt_bench.schema import Box, DatasetInfo, Image, Sample

SIZE = (64, 48)
INFO = DatasetInfo(
    name="made-up",
    title="",
    classes=("car",),
    tasks=("segmentation",),
    homepage="",
    licence="",
    citation="",
    split_policy="",
    mask_classes=("unlabeled", "car", "person"),
)
CASES = 600


def encoded(rng, mode="RGB"):
    shape = (6, 8, 3) if mode == "RGB" else (6, 8)
    picture = Pillow.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).resize(SIZE, Pillow.Resampling.BICUBIC)
    stream = io.BytesIO()
    how = {
        "subsampling": int(rng.integers(3)),
        "progressive": bool(rng.integers(2)),
        "quality": int(rng.integers(30, 95)),
    }
    picture.save(stream, "JPEG", **how)
    return stream.getvalue()


def damaged(rng, data):
    """Cut off, overwritten in a few places, or without a stretch."""
    found = bytearray(data)
    match int(rng.integers(3)):
        case 0:
            del found[rng.integers(2, len(found)) :]
        case 1:
            for place in rng.integers(2, len(found), rng.integers(1, 6)):
                found[place] = rng.integers(256)
        case 2:
            start = rng.integers(2, len(found))
            del found[start : start + rng.integers(1, 40)]
    return bytes(found)


def decodes(data, mode):
    """Tell whether a whole decode succeeds, and a digest can be made, of a picture of the right size and mode."""
    try:
        with Pillow.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            picture.load()
        strip_jpeg_metadata(data)
    except Exception:
        return False
    return picture.size == SIZE and (mode == "RGB" or picture.mode == mode)


@pytest.mark.parametrize(("kind", "mode"), [("rgb", "RGB"), ("thermal", "L")])
def test_a_damaged_jpeg_is_refused_where_a_whole_decode_fails(kind, mode):
    rng = np.random.default_rng(0)
    images = {"rgb": Image(encoded(rng), "c.jpg"), "thermal": Image(encoded(rng, "L"), "t.jpg")}
    seen = {True: 0, False: 0}
    for case in range(CASES):
        data = damaged(rng, encoded(rng, mode))
        sample = Sample(sample_id="a", width=SIZE[0], height=SIZE[1], **images | {kind: Image(data, "d.jpg")})
        whole = decodes(data, mode)
        assert (not look_at(sample, INFO).faults) == whole, case
        seen[whole] += 1
    assert min(seen.values()) > CASES / 10, seen


@pytest.mark.parametrize(("mode", "fault"), [("RGB", "neither one channel nor three equal ones"), ("L", "")])
def test_thermal_colours_are_still_looked_at(mode, fault):
    rng = np.random.default_rng(0)
    images = {"rgb": Image(encoded(rng), "c.jpg"), "thermal": Image(encoded(rng, mode), "t.jpg")}
    faults = look_at(Sample(sample_id="a", width=SIZE[0], height=SIZE[1], **images), INFO).faults
    assert [fault in one for one in faults] == ([True] if fault else [])


def png(array):
    stream = io.BytesIO()
    Pillow.fromarray(array).save(stream, "PNG")
    return Image(stream.getvalue(), "m.png")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ((0, 1, 2, 255), ""),
        ((0, 3, 254), "a label map with the value(s) 3, 254; class numbers are 0..2, and 255 is void"),
        (range(0, 20), "value(s) 3, 4, 5, 6, 7 and 12 more values"),
    ],
)
def test_a_mask_has_class_numbers_and_void_alone(values, fault):
    rgb = png(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask.flat[: len(values)] = values
    look = look_at(Sample(sample_id="a", width=SIZE[0], height=SIZE[1], rgb=rgb, mask=png(mask)), INFO)
    assert [fault in one for one in look.faults] == ([True] if fault else [])
    assert (look.digests is None) == bool(fault)


def test_a_mask_of_a_dataset_without_mask_classes_is_a_fault():
    rgb = png(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    sample = Sample(sample_id="a", width=SIZE[0], height=SIZE[1], rgb=rgb, mask=png(np.zeros(SIZE[::-1], np.uint8)))
    assert "declares none" in look_at(sample, INFO.model_copy(update={"mask_classes": ()})).faults[0]


@pytest.mark.parametrize(
    ("size", "ignore", "fault"),
    [((0, 5), True, ""), ((0, 0), True, ""), ((-1, 5), True, "no area"), ((0, 5), False, "no area")],
)
def test_only_an_ignored_box_may_be_without_area(size, ignore, fault):
    rgb = png(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    box = Box((3.0, 4.0, *map(float, size)), 0, 0.0, ignore=ignore)
    faults = look_at(Sample(sample_id="a", width=SIZE[0], height=SIZE[1], rgb=rgb, objects=(box,)), INFO).faults
    assert [fault in one for one in faults] == ([True] if fault else [])


def test_a_faulty_box_names_the_file_that_it_was_read_from():
    rgb = png(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    box = Box((90.0, 4.0, 5.0, 5.0), 0, 25.0)
    sample = Sample(sample_id="a", width=SIZE[0], height=SIZE[1], rgb=rgb, objects=(box,), source="ir/a.png")
    told = [look_at(sample, INFO, *file).faults[0].partition(" box")[0] for file in ((), ("set/labels/a.xml",))]
    assert told == ["ir/a.png: car", "set/labels/a.xml: a: car"]

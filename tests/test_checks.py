"""Looking at a sample: a JPEG of which few pixels are made breaks where a whole decode breaks."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from rgbt_bench.datasets.checks import look_at
from rgbt_bench.datasets.digests import strip_jpeg_metadata
from rgbt_bench.schema import Image, Sample

SIZE = (64, 48)
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
        assert (not look_at(sample, ()).faults) == whole, case
        seen[whole] += 1
    assert min(seen.values()) > CASES / 10, seen


@pytest.mark.parametrize(("mode", "fault"), [("RGB", "neither one channel nor three equal ones"), ("L", "")])
def test_thermal_colours_are_still_looked_at(mode, fault):
    rng = np.random.default_rng(0)
    images = {"rgb": Image(encoded(rng), "c.jpg"), "thermal": Image(encoded(rng, mode), "t.jpg")}
    faults = look_at(Sample(sample_id="a", width=SIZE[0], height=SIZE[1], **images), ()).faults
    assert [fault in one for one in faults] == ([True] if fault else [])

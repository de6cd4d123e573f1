"""The digests: frozen on a hand-made sample, blind to what is no content, and awake to every pixel and label."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageChops

from rgbt_bench.datasets.digests import (
    SampleDigests,
    fingerprint,
    image_digest,
    open_image,
    sample_digests,
    split_digests,
    strip_jpeg_metadata,
)
from rgbt_bench.datasets.splits import split_hash
from rgbt_bench.schema import Box, Image, Sample

CLASSES = ("person", "bike", "car")
END = b"\xff\xd9"


def segment(marker, payload):
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


# Segments by hand, so that no encoder's version decides what is frozen below.
TABLES = segment(0xDB, bytes(range(65))) + segment(0xC0, bytes([8, 0, 2, 0, 3, 1, 1, 0x11, 0]))
SCAN = segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + b"\x12\xff\x00\x34\xff\xd0\x56"
JPEG = b"\xff\xd8" + TABLES + SCAN + END


def png(array, **options):
    stream = io.BytesIO()
    Pillow.fromarray(np.asarray(array)).save(stream, "PNG", **options)
    return stream.getvalue()


def jpeg(**options):
    stream = io.BytesIO()
    picture = Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))
    picture.save(stream, "JPEG", **options)
    return stream.getvalue()


def pixels(data):
    with Pillow.open(io.BytesIO(data)) as opened:
        return opened.convert("RGB")


def with_segments(data, *segments):
    """A JPEG with more segments right after its start."""
    return data[:2] + b"".join(segments) + data[2:]


WIDE = np.arange(6, dtype=np.uint16).reshape(2, 3) * 10_000
BOXES = (
    Box((-1.0, 0.0, 2.0, 1.5), 0, 3.0, truncation=1, occlusion=2),
    Box((0.1, 0.2, 1.0, 1.0), 2, 1.0, iscrowd=True),
    Box((0.1, 0.2, 1.0, 1.0), 2, 1.0, ignore=True),
)
SAMPLE = Sample(
    sample_id="a-1",
    width=3,
    height=2,
    objects=BOXES,
    ignore_regions=((1.0, 0.0, 2.0, 1.0), (0.0, 0.0, 1.0, 1.0)),
    illumination="night",
    scene="yard",
    source="a/1.jpg",
    rgb=Image(JPEG, "1.jpg"),
    thermal=Image(png(WIDE), "1.png"),
    mask=Image(png(np.array([[0, 1, 2], [255, 0, 1]], np.uint8)), "m.png"),
)
OTHER = Sample(sample_id="b é", width=1, height=1, rgb=Image(png(np.zeros((1, 1, 3), np.uint8)), "x.png"))


def label(sample, classes=CLASSES):
    return sample_digests(sample, classes).label


def test_the_definition_is_frozen():
    # Whoever changes one of these changes what every published number is keyed by: raise SCHEMA_VERSION.
    one, other = (sample_digests(sample, CLASSES) for sample in (SAMPLE, OTHER))
    assert one == SampleDigests(
        label="a6ddfe2f75c702b57b6a920b4be9627174d1a51ec08281caa85ab968054b912b",
        rgb="fd6a81171112eb62be5ab98d52eec2ba940e6ff16adc4a32b1b40c5e3c3bf3ee",
        thermal="d3b9acbadc9c5d00762f1f8e3efc1aef3451e1c46c612847056158e1302af1e1",
    )
    digests = {"a-1": one, "b é": other}
    both = split_digests(digests, digests, CLASSES)
    assert (both.label, both.rgb, both.thermal) == (
        "4145dc99ee352851e3f010e4d66f385d7319b45f449877c27a4b3a2ce9dd685b",
        "180c3690c1fb6c22da0123deeea87549d4ede4797c5d7036a3c470738c642402",
        "4cbe71ba7f1fe5e1265c3fa5f4ca309e642957645a952581bbba0a7108ff78e7",
    )
    assert fingerprint(digests, CLASSES) == "5298a484e24189aebed2a1a4f5f7343b2ca2fc60a542e7d692ce9b701f2f4b21"
    assert split_hash(["b", "a"]) == "7e18f737311b2dc3b2f269dd78396b0351f14fb66efa879f768cb23181883c78"


def test_order_is_not_content_but_repetition_is():
    assert label(replace(SAMPLE, objects=BOXES[::-1], ignore_regions=SAMPLE.ignore_regions[::-1])) == label(SAMPLE)
    assert label(replace(SAMPLE, objects=(*BOXES, BOXES[0]))) != label(SAMPLE)
    assert label(replace(SAMPLE, ignore_regions=SAMPLE.ignore_regions * 2)) != label(SAMPLE)
    digests = {sample.sample_id: sample_digests(sample, CLASSES) for sample in (SAMPLE, OTHER)}
    backwards = dict(reversed(digests.items()))
    assert fingerprint(backwards, CLASSES) == fingerprint(digests, CLASSES)
    assert split_digests(backwards, list(backwards), CLASSES) == split_digests(digests, list(digests), CLASSES)


def test_what_is_not_scored_is_in_no_digest():
    elsewhere = replace(SAMPLE, illumination="day", scene="", source="b/2.png", rgb=Image(JPEG, "other name.jpeg"))
    assert sample_digests(elsewhere, CLASSES) == sample_digests(SAMPLE, CLASSES)


@pytest.mark.parametrize(
    "change",
    [
        {"bbox": (-1.0, 0.0, 2.0, 1.5000000000000002)},
        {"category": 1},
        {"area": 3.5},
        {"iscrowd": True},
        {"ignore": True},
        {"truncation": None},
        {"occlusion": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_of_a_box_counts(change):
    assert label(replace(SAMPLE, objects=(replace(BOXES[0], **change), *BOXES[1:]))) != label(SAMPLE)


@pytest.mark.parametrize(
    "change", [{"sample_id": "a-2"}, {"width": 4}, {"height": 4}, {"ignore_regions": ()}, {"mask": None}]
)
def test_every_scored_field_of_a_sample_counts(change):
    assert label(replace(SAMPLE, **change)) != label(SAMPLE)


def test_a_number_is_its_value_not_its_spelling():
    whole = replace(SAMPLE, objects=(Box((0, 0, 2, 1), 0, 2),))
    written = replace(SAMPLE, objects=(Box((-0.0, 0.0, 2.0, 1.0), 0, 2.0, iscrowd=0, ignore=np.bool_(False)),))
    assert label(whole) == label(written)


def test_the_class_list_is_part_of_the_label_digest():
    digests = {"a-1": sample_digests(SAMPLE, CLASSES)}
    assert split_digests(digests, digests, CLASSES).label != split_digests(digests, digests, (*CLASSES, "dog")).label
    # The class a box has is its name, not its number.
    renumbered = replace(SAMPLE, objects=tuple(replace(box, category=2 - box.category) for box in BOXES))
    assert label(renumbered, CLASSES[::-1]) == label(SAMPLE)


def test_jpeg_metadata_is_no_picture():
    exif = Pillow.Exif()
    exif[0x0110] = "camera"
    plain = jpeg(quality=80)
    dressed = jpeg(quality=80, exif=exif, comment=b"hello", dpi=(300, 300), icc_profile=b"profile")
    assert plain != dressed
    assert image_digest(dressed) == image_digest(plain)
    bare = strip_jpeg_metadata(dressed)
    assert b"hello" not in bare
    assert b"JFIF" not in bare
    assert ImageChops.difference(pixels(bare), pixels(plain)).getbbox() is None
    assert strip_jpeg_metadata(bare) == bare


@pytest.mark.parametrize("marker", [*range(0xE0, 0xEE), 0xEF, 0xFE])
def test_every_application_and_comment_segment_is_left_out(marker):
    # The payload holds the markers of a scan and of the end: lengths count, not look-alikes.
    assert strip_jpeg_metadata(with_segments(JPEG, segment(marker, b"\xff\xda\xff\xd9"))) == JPEG


def test_app14_changes_the_colours_and_stays():
    adobe = segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00")
    assert strip_jpeg_metadata(with_segments(JPEG, adobe)) == with_segments(JPEG, adobe)
    picture = jpeg(quality=80)
    assert image_digest(with_segments(picture, adobe)) != image_digest(picture)


def test_what_follows_the_end_of_a_jpeg_is_ignored():
    for rest in (b"\x00" * 10, b"trailing \xff\xd9 garbage", JPEG):
        assert strip_jpeg_metadata(JPEG + rest) == JPEG


def test_fill_bytes_before_a_marker_are_no_content():
    filled = b"\xff\xd8" + b"\xff\xff" + TABLES + SCAN + END
    assert strip_jpeg_metadata(filled) == JPEG


def test_a_progressive_jpeg_keeps_all_its_scans():
    data = jpeg(quality=80, progressive=True, comment=b"hello")
    bare = strip_jpeg_metadata(data)
    assert bare.count(b"\xff\xda") == data.count(b"\xff\xda") > 3
    assert ImageChops.difference(pixels(bare), pixels(data)).getbbox() is None


def test_restart_markers_and_stuffed_bytes_do_not_end_a_scan():
    data = jpeg(quality=95, restart_marker_blocks=1)
    assert b"\xff\xd0" in data
    assert b"\xff\x00" in data
    assert ImageChops.difference(pixels(strip_jpeg_metadata(data)), pixels(data)).getbbox() is None


@pytest.mark.parametrize("cut", range(2, len(JPEG)))
def test_a_jpeg_cut_anywhere_is_refused(cut):
    with pytest.raises(ValueError, match=r"JPEG segments|end of image"):
        strip_jpeg_metadata(JPEG[:cut])


def test_one_changed_byte_of_a_scan_changes_the_digest():
    assert image_digest(JPEG.replace(b"\x12\xff\x00\x34", b"\x13\xff\x00\x34")) != image_digest(JPEG)


def test_a_png_is_its_pixels():
    array = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    best, plain = png(array, compress_level=9), png(array, compress_level=0, dpi=(72, 72))
    assert best != plain
    assert image_digest(best) == image_digest(plain)
    array[7, 7, 1] += 1
    assert image_digest(png(array)) != image_digest(best)
    # The same bytes in another shape are another picture.
    assert image_digest(png(array.reshape(30, 20, 3))) != image_digest(png(array))


def test_a_16_bit_png_keeps_its_low_bits():
    changed = WIDE.copy()
    changed[0, 0] += 1
    assert image_digest(png(WIDE, compress_level=9)) == image_digest(png(WIDE, compress_level=1))
    assert image_digest(png(changed)) != image_digest(png(WIDE))
    assert image_digest(png(WIDE.astype(np.uint8))) != image_digest(png(WIDE))


@pytest.mark.parametrize("kind", ["EPS", "GIF", "PPM"])
def test_formats_that_no_dataset_comes_in_are_not_even_opened(kind):
    stream = io.BytesIO()
    Pillow.new("RGB", (4, 4)).save(stream, kind)
    with pytest.raises(OSError, match="not a readable JPEG, PNG, TIFF or BMP"):
        open_image(stream.getvalue())


def palette_png(indices, palette):
    picture = Pillow.fromarray(np.asarray(indices, np.uint8), "P")
    picture.putpalette(palette)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def test_a_palette_is_colour_in_a_picture_and_dress_in_a_mask():
    indices = [[0, 1], [1, 0]]
    red, blue = palette_png(indices, [0, 0, 0, 255, 0, 0]), palette_png(indices, [0, 0, 0, 0, 0, 255])
    swapped = palette_png([[1, 0], [0, 1]], [255, 0, 0, 0, 0, 0])
    assert image_digest(red) != image_digest(blue)
    assert image_digest(red) == image_digest(swapped)
    gray = png(np.array(indices, np.uint8))
    masks = [replace(SAMPLE, mask=Image(data, "m.png")) for data in (red, blue, gray, swapped)]
    assert label(masks[0]) == label(masks[1]) == label(masks[2]) != label(masks[3])

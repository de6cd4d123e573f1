"""What is counted in a converted set, and what a contact sheet shows of it."""

import io
import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageColor

from rgbt_bench.converters import Converter, Images, Item, Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.inspecting import inspect_dataset, size_class
from rgbt_bench.datasets.sheet import COLOURS, DrawnBox, contact_sheet, spread
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.schema import Box, DatasetInfo, Image, Labels, Sample, SplitList

WIDTH, HEIGHT = 40, 20
TILE = 160  # pixels a picture: four times the sample's size
CAPTION, GAP, LEGEND = 16, 4, 20
BLUE = (0, 0, 200)
INFO = DatasetInfo(
    name="made-up",
    title="Made up",
    classes=("person", "bike", "car"),
    tasks=("detection",),
    homepage="",
    licence="",
    citation="",
    split_policy="",
    thermal_range=(1_000, 5_000),
)


def png(value, dtype=np.uint8):
    """A picture of one value, which resizing does not change."""
    shape = (HEIGHT, WIDTH, 3) if isinstance(value, tuple) else (HEIGHT, WIDTH)
    stream = io.BytesIO()
    Pillow.fromarray(np.full(shape, value, dtype)).save(stream, "PNG")
    return Image(stream.getvalue(), "x.png")


def sample(*boxes, thermal=None, **labels):
    return Sample(
        **{"sample_id": "a", "width": WIDTH, "height": HEIGHT} | labels, objects=boxes, rgb=png(BLUE), thermal=thermal
    )


def box(category, area, **flags):
    return Box((1.0, 1.0, 5.0, 5.0), category, area, **flags)


SAMPLES = {
    "train": [
        sample(box(0, 1024.0), box(0, 1024.5), box(2, 9216.0), sample_id="t1", illumination="day"),
        sample(box(2, 9216.5, iscrowd=True), box(2, 1.0, ignore=True), sample_id="t2", illumination="night"),
        sample(sample_id="t3", illumination="day"),
    ],
    "test": [sample(sample_id="e1", thermal=png(7))],
}


class MadeUp(Converter):
    info = INFO
    how_to_get = ""
    layouts: ClassVar[dict[str, str]] = {}
    needs_path = False

    def scan(self, source):
        items = [item(part, one) for part, samples in SAMPLES.items() for one in samples]
        return Scan("memory", items, named_splits=[SplitList("small", {"train": ("t2",)})])

    def read(self, source, item):
        (one,) = (one for one in SAMPLES[item.part] if one.sample_id == item.labels.sample_id)
        return Images(one.rgb, one.thermal)


def item(part, one):
    labels = Labels(**{name: getattr(one, name) for name in Labels.__slots__})
    return Item(part, labels)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "set"
    convert(MadeUp(), None, folder)
    return folder


def test_everything_is_counted_by_part(made):
    found = inspect_dataset(Dataset(made))
    record = Dataset(made).record
    assert json.loads(json.dumps(found)) == found
    assert (found["name"], found["layout"], found["skipped"]) == ("made-up", "memory", 0)
    assert found["splits"] == ["default", "small"]
    assert found["fingerprint"] == record.fingerprint
    digests = found["parts"]["train"].pop("digests")
    assert found["parts"]["train"] == {
        "samples": 3,
        "samples_without_boxes": 1,
        "boxes": 5,
        "classes": {"person": 2, "bike": 0, "car": 3},
        "sizes": {"small": 2, "medium": 2, "large": 1},
        "illumination": {"day": 2, "night": 1},
        "ignored_boxes": 2,
        "ignore_regions": 0,
        "masks": 0,
        "mask_pixels": {},
    }
    assert digests == {
        name: getattr(record.splits["default"]["train"], name)
        for name in ("ids_sha256", "label_digest", "rgb_digest", "thermal_digest")
    }
    assert digests["thermal_digest"] is None
    test = found["parts"]["test"]
    assert (test["samples"], test["boxes"], test["illumination"]) == (1, 0, {"unknown": 1})
    assert len(test["digests"]["thermal_digest"]) == 64


def test_the_pixels_of_masks_are_counted_by_class(tmp_path):
    class Masked(MadeUp):
        info = INFO.model_copy(update={"mask_classes": ("unlabeled", "car")})

        def read(self, source, item):
            values = np.zeros((HEIGHT, WIDTH), np.uint8)
            values[0, :3], values[1, :5] = 1, 255
            stream = io.BytesIO()
            Pillow.fromarray(values).save(stream, "PNG")
            return replace(super().read(source, item), mask=Image(stream.getvalue(), "m.png"))

    convert(Masked(), None, tmp_path / "set")
    train = inspect_dataset(Dataset(tmp_path / "set"))["parts"]["train"]
    assert train["masks"] == 3
    assert train["mask_pixels"] == {"unlabeled": 3 * (WIDTH * HEIGHT - 8), "car": 9, "void": 15}
    assert inspect_dataset(Dataset(tmp_path / "set", "small"))["parts"]["train"]["masks"] == 1


def test_a_named_split_is_counted_alone(made):
    found = inspect_dataset(Dataset(made, "small"))
    assert found["name"] == "made-up@small"
    assert {part: content["boxes"] for part, content in found["parts"].items()} == {"train": 2}


@pytest.mark.parametrize(
    ("area", "name"),
    [(0, "small"), (32**2, "small"), (32**2 + 1e-9, "medium"), (96**2, "medium"), (96**2 + 1, "large")],
)
def test_a_bound_belongs_to_the_smaller_size_class(area, name):
    assert size_class(area) == name


def test_an_area_above_every_bound_is_large():
    assert size_class(1e12) == "large"


def rgb(colour):
    return ImageColor.getrgb(colour)


def at(sheet, x, y, picture=0, tile=0):
    """The sheet's pixel at a sample's pixel, in the RGB (0) or thermal (1) picture of a tile of the first row."""
    left = GAP + tile * (2 * TILE + 2 * GAP) + picture * (TILE + GAP)
    return sheet.getpixel((left + round(x * TILE / WIDTH), LEGEND + GAP + CAPTION + round(y * TILE / WIDTH)))


def test_a_sheet_has_room_for_its_tiles():
    for count, rows in ((1, 1), (2, 1), (3, 2), (5, 3)):
        sheet = contact_sheet([sample(thermal=png(90))] * count, INFO, tile_width=TILE)
        tile = CAPTION + TILE * HEIGHT // WIDTH
        assert sheet.mode == "RGB"
        assert sheet.size == (2 * (2 * TILE + GAP) + 3 * GAP, LEGEND + rows * (tile + GAP) + GAP)
    assert contact_sheet([], INFO, tile_width=TILE).size == (2 * (2 * TILE + GAP) + 3 * GAP, LEGEND)


def test_labels_are_drawn_in_their_class_colour_on_both_pictures():
    boxes = [Box((4.0, 5.0, 10.0, 8.0), 0, 80.0), Box((20.0, 2.0, 15.0, 15.0), 2, 225.0)]
    sheet = contact_sheet([sample(), sample(*boxes, thermal=png(90))], INFO, tile_width=TILE)
    for picture, ground in enumerate((BLUE, (90, 90, 90))):
        for one in boxes:
            x, y, width, height = one.bbox
            colour = rgb(COLOURS[one.category])
            corners = [(x, y), (x + width, y), (x, y + height), (x + width, y + height), (x + width / 2, y)]
            assert {at(sheet, *corner, picture, tile=1) for corner in corners} == {colour}
            assert at(sheet, x + width / 2, y + height / 2, picture, tile=1) == ground
            assert at(sheet, x - 1, y, picture, tile=1) == ground
        assert at(sheet, 10, 5, 0, tile=0) == BLUE
    # The first pair has no thermal picture.
    assert at(sheet, 10, 5, 1, tile=0) == rgb("#202020")
    legend = {sheet.getpixel((x, 10)) for x in range(sheet.width)}
    assert {rgb(colour) for colour in COLOURS[:3]} <= legend
    assert rgb(COLOURS[3]) not in legend


def test_detections_are_coloured_and_labels_are_white_beside_them():
    label, found = Box((4.0, 8.0, 10.0, 8.0), 0, 80.0), DrawnBox((20.0, 8.0, 10.0, 8.0), 1, 0.5)
    pair = sample(label, thermal=png(90))
    sheet = contact_sheet([pair, replace(pair, sample_id="b")], INFO, {"a": [found]}, tile_width=TILE)
    for picture in (0, 1):
        assert at(sheet, 4, 16, picture) == at(sheet, 14, 16, picture) == rgb("#ffffff")
        assert at(sheet, 20, 16, picture) == at(sheet, 30, 16, picture) == rgb(COLOURS[1])
        assert at(sheet, 20, 16, picture, tile=1) == (BLUE, (90, 90, 90))[picture]


def test_boxes_that_leave_the_image_are_drawn_where_they_are_in_it():
    sheet = contact_sheet([sample(Box((-1.0, 5.0, 11.0, 100.0), 1, 9.0), thermal=png(90))], INFO, tile_width=TILE)
    assert at(sheet, 10, 5) == at(sheet, 10, 19) == rgb(COLOURS[1])
    assert at(sheet, 0, 10) == BLUE


@pytest.mark.parametrize(("value", "gray"), [(1_000, 0), (3_000, 127), (5_000, 255), (0, 0), (65_535, 255)])
def test_16_bit_thermal_is_drawn_by_the_declared_range(value, gray):
    # A picture of one value: scaling by its own range could not tell these apart.
    sheet = contact_sheet([sample(thermal=png(value, np.uint16))], INFO, tile_width=TILE)
    assert at(sheet, 20, 10, picture=1) == (gray, gray, gray)


def test_8_bit_thermal_is_drawn_as_it_is():
    assert at(contact_sheet([sample(thermal=png(90))], INFO, tile_width=TILE), 20, 10, picture=1) == (90, 90, 90)


def test_without_a_thermal_image_the_rgb_one_takes_its_room():
    sheet = contact_sheet([sample(), sample()], INFO, tile_width=TILE)
    wide = 2 * TILE + GAP
    assert sheet.size == (2 * wide + 3 * GAP, LEGEND + CAPTION + wide * HEIGHT // WIDTH + 2 * GAP)
    assert {sheet.getpixel((GAP + x, LEGEND + GAP + CAPTION + 5)) for x in (0, wide // 2, wide - 1)} == {BLUE}


def swatches(sheet, colour):
    """How often the legend's first line shows a colour: ten pixels of it and more, which no letter has."""
    line = [sheet.getpixel((x, 10)) == colour for x in range(sheet.width)]
    return sum(all(line[x : x + 10]) and not line[x - 1] for x in range(1, sheet.width - 10))


def test_what_is_ignored_is_grey():
    pair = sample(
        Box((4.0, 5.0, 10.0, 8.0), 0, 80.0, ignore=True), ignore_regions=((20.0, 4.0, 10.0, 10.0),), thermal=png(90)
    )
    sheet = contact_sheet([pair], INFO, tile_width=TILE)
    grey = rgb("#a0a0a0")
    assert {at(sheet, *corner) for corner in [(4, 5), (14, 13), (20, 4), (30, 14), (25, 9)]} == {grey}
    assert swatches(sheet, grey) == 1
    plain = contact_sheet([sample(thermal=png(90))], INFO, tile_width=TILE)
    assert swatches(plain, grey) == 0


MASKED = INFO.model_copy(update={"mask_classes": ("unlabeled", "car", "person"), "classes": ()})


@pytest.mark.parametrize(
    ("palette", "colour"), [((), (0, 200, 255)), (((0, 0, 0), (64, 0, 128), (64, 64, 0)), (64, 0, 128))]
)
def test_a_mask_tints_both_pictures_and_the_background_does_not(palette, colour):
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[:, 20:] = 1
    values[:, 30:] = 255
    stream = io.BytesIO()
    Pillow.fromarray(values).save(stream, "PNG")
    pair = replace(sample(thermal=png(90)), mask=Image(stream.getvalue(), "m.png"))
    info = MASKED.model_copy(update={"palette": palette})
    sheet = contact_sheet([pair], info, tile_width=TILE)
    for picture, ground in enumerate((BLUE, (90, 90, 90))):
        tinted = [tuple(int(part * 0.55 + tint * 0.45) for part, tint in zip(ground, one, strict=True))
                  for one in (colour, (255, 255, 255))]  # fmt: skip
        assert [at(sheet, x, 10, picture) for x in (10, 25, 35)] == [ground, *tinted]
    legend = {sheet.getpixel((x, 10)) for x in range(sheet.width)}
    assert colour in legend
    beside_detections = contact_sheet([pair], info, {"a": []}, tile_width=TILE)
    assert at(beside_detections, 25, 10) == BLUE


def test_a_long_legend_takes_more_lines():
    many = INFO.model_copy(update={"classes": tuple(f"class number {place}" for place in range(20))})
    sheet = contact_sheet([sample(thermal=png(90))], many, tile_width=TILE)
    lines = (sheet.height - contact_sheet([sample(thermal=png(90))], INFO, tile_width=TILE).height) // LEGEND + 1
    assert lines > 2
    shown = [sheet.getpixel((8, LEGEND * line + 10)) for line in range(lines)]
    assert all(colour in {rgb(one) for one in COLOURS} for colour in shown)


def test_a_very_wide_picture_still_has_a_row():
    shape = {"width": 1000, "height": 1}
    stream = io.BytesIO()
    Pillow.new("RGB", (1000, 1)).save(stream, "PNG")
    wide = replace(sample(), rgb=Image(stream.getvalue(), "w.png"), **shape)
    assert contact_sheet([wide], INFO, tile_width=TILE).height == LEGEND + CAPTION + 1 + 2 * GAP


@pytest.mark.parametrize(
    ("count", "wanted", "indices"),
    [(3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (9, 1, [0]), (9, 0, []), (0, 4, [])],
)
def test_pairs_are_spread_over_the_part(count, wanted, indices):
    assert spread(count, wanted) == indices

"""Random sets with whatever the schema can hold, for what goes out and must come back."""

import io
from typing import ClassVar

import numpy as np
from hypothesis import strategies as st
from PIL import Image as Pillow

from rgbt_bench.converters import Converter, Images, Item, Scan
from rgbt_bench.schema import Box, DatasetInfo, Image, Labels, SplitList

CLASSES = ("person", "bike & <cart>", "Auto ä")
MASK_CLASSES = ("background", "person", "car")


def encode(array, kind):
    stream = io.BytesIO()
    Pillow.fromarray(array).save(stream, kind)
    return stream.getvalue()


def made_images(seed, size, deep, thermal, mask):
    """A pair's images under names that say nothing true of their formats."""
    width, height = size
    noise = np.random.default_rng(seed)
    rgb = noise.integers(0, 256, (height, width, 3), dtype=np.uint8)
    warm = noise.integers(0, 65536 if deep else 256, (height, width), dtype=np.uint16 if deep else np.uint8)
    labels = noise.choice(np.array([0, 1, 2, 255], np.uint8), (height, width))
    return Images(
        Image(encode(rgb, ("JPEG", "PNG", "BMP")[seed % 3]), "picture.tiff"),
        Image(encode(warm, "PNG" if deep or seed % 2 else "JPEG"), "x") if thermal else None,
        Image(encode(labels, "PNG"), "mask.jpg") if mask else None,
    )


class Made(Converter):
    """A set of given samples: (part, labels, images)."""

    how_to_get = ""
    layouts: ClassVar = {}
    needs_path = False

    def __init__(self, samples, parts, classes=CLASSES, mask_classes=MASK_CLASSES, name="made", splits=()):
        self.samples, self.parts, self.splits = samples, parts, splits
        self.info = DatasetInfo(
            name=name,
            title="Made: up",
            classes=classes,
            tasks=("fusion",),
            homepage="none",
            licence="# none",
            citation='"quoted"\nand long',
            split_policy="null",
            thermal_range=(0.0, 65535.0),
            mask_classes=mask_classes,
            palette=((0, 0, 0), (1, 2, 3)) if mask_classes else (),
        )

    def scan(self, source):
        items = [Item(part, labels, rgb=str(place)) for place, (part, labels, _) in enumerate(self.samples)]
        return Scan("made", items, named_splits=list(self.splits))

    def read(self, source, item):
        return self.samples[int(item.rgb)][2]


whole = st.integers(-1, 20).map(float)
real = st.floats(-3, 25, allow_nan=False) | st.sampled_from([0.1, 1 / 3, -0.0, 1e-7, 19.999999999999996])
side = st.integers(1, 20).map(float) | st.floats(1e-9, 30, allow_nan=False)
flags = st.booleans() | st.just(False)


@st.composite
def boxes(draw, size, classes):
    x, y = (min(draw(whole | real), limit - 0.25) for limit in size)
    across, down = (max(draw(side), 0.25 - start) if start < 0 else draw(side) for start in (x, y))
    plain = draw(st.booleans())
    return Box(
        (x, y, across, down),
        draw(st.integers(0, classes - 1)),
        across * down if plain else draw(st.floats(0, 1e6, allow_nan=False)),
        *((False, False) if plain else (draw(flags), draw(flags))),
        truncation=None if plain else draw(st.sampled_from([None, 0, 1])),
        occlusion=None if plain else draw(st.sampled_from([None, 0, 1, 2])),
    )


regions = st.tuples(whole | real, whole | real, side, side)
odd = st.sampled_from(["a", "A.b", "a.jpg", "..", ".hid", "x%2Fy", "x/y", "é", "日本", "C:d", "01", "{id}", "*?"])
ids = odd | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
scenes = st.sampled_from(["", "", "scene 1", "a,b", '"q"', " x "])


@st.composite
def made_sets(draw):
    classes = draw(st.sampled_from([CLASSES, CLASSES, ()]))
    mask_classes = draw(st.sampled_from([MASK_CLASSES, ()]))
    has_thermal = draw(st.sampled_from(["all", "all", "some", "none"]))
    deep = draw(st.booleans())
    names = draw(st.lists(ids, min_size=1, max_size=5, unique_by=str.casefold))
    parts = draw(st.sampled_from([("train",), ("train", "val", "test"), ("b", "a_1")]))
    samples = []
    for place, name in enumerate(names):
        size = draw(st.sampled_from([(20, 16), (17, 23)]))
        labels = Labels(
            sample_id=name,
            width=size[0],
            height=size[1],
            objects=tuple(draw(st.lists(boxes(size, len(classes)), max_size=4))) if classes else (),
            ignore_regions=tuple(draw(st.lists(regions, max_size=1))),
            illumination=draw(st.sampled_from(["unknown", "day", "night", "overcast", "challenge"])),
            scene=draw(scenes),
        )
        thermal = has_thermal == "all" or (has_thermal == "some" and draw(st.booleans()))
        mask = bool(mask_classes) and draw(st.booleans())
        samples.append((draw(st.sampled_from(parts)), labels, made_images(place, size, deep, thermal, mask)))
    splits = [SplitList("other-1", {"train": tuple(names[:2]), "test": tuple(names[2:])})]
    return Made(samples, parts, classes, mask_classes, splits=splits)

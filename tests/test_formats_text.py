"""Whatever text a label file or a description holds: it is read, or an error names the file."""

import json
import math
import re
from string import printable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rgbt_bench.converters import Scan
from rgbt_bench.custom.description import Description, check_description, read_description
from rgbt_bench.custom.exact import read_exact
from rgbt_bench.custom.meta import read_meta
from rgbt_bench.custom.patterns import Pattern
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.coco import read_coco
from rgbt_bench.formats.voc import read_voc
from rgbt_bench.formats.yolo import read_yolo
from rgbt_bench.sources import MemorySource

READERS = {
    "coco": lambda source: read_coco(source, "f"),
    "voc": lambda source: read_voc(source, "f"),
    "yolo": lambda source: read_yolo(source, "f", (20, 16), ("person", "car")),
    "exact": lambda source: read_exact(source, "f"),
    "meta": lambda source: read_meta(source, "f", Scan("")),
}
texts = ["0", "1", "-1", "0.5", "1e999", "nan", "inf", "-0", "1_0", "٣", "0x1", "", "1e-320", "9" * 400]
numbers = st.sampled_from(texts)
few = settings(max_examples=60, deadline=None)


def outcome(read, *arguments):
    """Return what a reader returns and an empty text, or None and its error."""
    try:
        return read(*arguments), ""
    except BadInputError as error:
        return None, str(error)


def require_told(reader, data):
    """Return what bytes hold, or None where the error names the file and says more."""
    found, error = outcome(READERS[reader], MemorySource({"f": data}))
    assert found is not None or re.match(r"f: .", error)
    return found


def finite(boxes):
    return all(math.isfinite(value) for box in boxes for value in box)


@pytest.mark.parametrize("reader", READERS)
@few
@given(st.binary(max_size=60) | st.text(printable, max_size=60).map(str.encode))
def test_no_bytes_crash_a_reader(reader, data):
    require_told(reader, data)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
image_keys = ("id", "file_name", "width", "height", "ignore_regions")
image = st.fixed_dictionaries({}, optional={key: anything | st.sampled_from([1, 20, "a.jpg"]) for key in image_keys})
annotation = st.fixed_dictionaries(
    {},
    optional={
        key: anything | st.sampled_from([1, [1, 2, 3, 4]])
        for key in ("image_id", "category_id", "bbox", "area", "iscrowd", "ignore", "truncation", "occlusion")
    },
)
category = st.fixed_dictionaries({}, optional={"id": anything | st.just(1), "name": anything | st.just("car")})


@few
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "images": st.lists(image, max_size=2) | anything,
            "annotations": st.lists(annotation, max_size=2) | anything,
            "categories": st.lists(category, max_size=2) | anything,
        },
    )
)
def test_no_json_crashes_coco_and_what_is_read_is_finite(content):
    images = require_told("coco", json.dumps(content).encode())
    for one in images or ():
        assert finite([box.bbox for box in one.objects])
        assert finite(one.ignore_regions)


def test_coco_that_is_whole_is_read_among_these():
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 20, "ignore_regions": [[1, 2, 3, 4]]}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "occlusion": 2, "truncation": "much"}],
        "categories": [{"id": 1, "name": "car"}],
    }
    (found,) = require_told("coco", json.dumps(content).encode())
    assert found.ignore_regions == ((1.0, 2.0, 3.0, 4.0),)
    assert (found.objects[0].occlusion, found.objects[0].truncation, found.objects[0].area) == (2, None, 12.0)


@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_a_flag_of_coco_that_is_neither_0_nor_1_is_named(key):
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 20}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], key: "0"}],
        "categories": [{"id": 1, "name": "car"}],
    }
    _, error = outcome(READERS["coco"], MemorySource({"f": json.dumps(content).encode()}))
    assert error == f"f: annotation 0: its {key} is '0', which is neither 0 nor 1"


@pytest.mark.parametrize("size", [(-1, 48), (64, 0)])
def test_an_image_without_pixels_is_named_where_it_is_said(size):
    width, height = size
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}],
        "annotations": [],
        "categories": [],
    }
    voc = f"<annotation><size><width>{width}</width><height>{height}</height></size></annotation>"
    told = [
        outcome(READERS[reader], MemorySource({"f": text.encode()}))[1]
        for reader, text in (("coco", json.dumps(coco)), ("voc", voc))
    ]
    words = f"an image of {width}x{height} pixels"
    assert told == [f"f: entry 0 of `images`: {words}", f"f: {words} in <size>"]


@few
@given(st.lists(numbers, min_size=6, max_size=6), st.sampled_from(["car", "", "<", "&amp;", "&x;", "\0", "é"]))
def test_no_voc_field_crashes_and_what_is_read_is_finite(values, name):
    width, height, *edges = values
    named = zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
    box = "".join(f"<{edge}>{value}</{edge}>" for edge, value in named)
    text = f"<annotation><size><width>{width}</width><height>{height}</height></size><object><name>{name}</name>"
    found = require_told("voc", f"{text}<bndbox>{box}</bndbox></object></annotation>".encode())
    assert found is None or finite([one.corners for one in found.objects])


@few
@given(st.lists(st.lists(numbers, max_size=7), max_size=3))
@example([["0", "0.5", "0.5", "1e-320", "0.5"]])
def test_no_yolo_line_crashes_and_what_is_read_is_finite(rows):
    found = require_told("yolo", "\n".join(" ".join(row) for row in rows).encode())
    assert found is None or finite([one.bbox for one in found])


@few
@given(st.dictionaries(st.sampled_from([*Description.model_fields, "nmae"]), anything, max_size=6))
def test_no_content_crashes_a_description(content):
    found, error = outcome(check_description, content, "f.yaml")
    assert found is not None or error.startswith("f.yaml: ")


@few
@given(st.text(printable + "{}:é\x85\ufffe", max_size=80))
def test_no_text_crashes_a_description(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "description.yaml"
    path.write_text(text, encoding="utf-8")
    found, error = outcome(read_description, path)
    assert found is not None or error.startswith(f"{path}: ")


pieces = ["{id}", "{scene}", "{part}", "*", "/", "..", "a", "\\", "{", "{x}", "."]
pattern_text = st.lists(st.sampled_from(pieces), max_size=6).map("".join)


@few
@given(pattern_text, pattern_text)
@example("{scene}/{part}-{id}.*", "{scene}/{id}")
def test_no_pattern_crashes_a_description_and_what_is_taken_matches_its_own_names(rgb, thermal):
    content = {"name": "x", "rgb": rgb, "thermal": thermal, "parts": ["p"]}
    found, error = outcome(check_description, content, "f.yaml")
    if found is None:
        assert error.startswith("f.yaml: ")
        return
    text = found.part("p").rgb.replace("{part}", "p")
    match = Pattern(text).match(text.replace("{id}", "1").replace("{scene}", "s").replace("*", "z"))
    assert match is not None
    assert "1" in match.sample_id


@few
@given(st.dictionaries(st.sampled_from(["version", "samples"]), anything | st.just({"a": {"width": 10**400}})))
@example({"samples": {"a": {"width": 1, "height": 1, "ignore_regions": [[1, 2, 3, 10**400]]}}})
def test_no_json_crashes_exact_labels(content):
    require_told("exact", json.dumps(content).encode())

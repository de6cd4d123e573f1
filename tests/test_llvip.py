"""LLVIP on made files in its documented layout, and on three real pairs whose annotations are made."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Box
from rgbt_bench.sources import FolderSource
from rgbt_converters.llvip import Llvip, part_of
from visdrone_cases import put

DATA = Path(__file__).parents[2] / "shared" / "data" / "LLVIP"
WIDTH, HEIGHT = 64, 48
# By part and id: corners as an annotation has them.
PAIRS = {
    "train": {"010001": [(4, 5, 13, 25)], "070001": [(0, 0, 64, 48)], "070012": [], "250003": [(1, 1, 2, 2)] * 2},
    "test": {"190001": [(40, 10, 60, 30)], "260536": []},
}


def jpegs(sample_id):
    """A made-up pair's bytes; the thermal image has three equal channels, as the real ones have."""
    noise = np.random.default_rng(int(sample_id)).integers(0, 255, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    streams = io.BytesIO(), io.BytesIO()
    for stream, array in zip(streams, (noise[..., :3], noise[..., 3:].repeat(3, axis=2)), strict=True):
        Pillow.fromarray(array).save(stream, "JPEG")
    return [stream.getvalue() for stream in streams]


def xml(boxes, size=(WIDTH, HEIGHT), name="person"):
    objects = "".join(
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><bndbox>"
        f"<xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    head = "<folder>JPEGImages</folder><filename>x.jpg</filename><path></path>"
    size_text = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>1</depth></size>"
    return f"<annotation>{head}{size_text}<segmented>0</segmented>{objects}</annotation>"


def put_llvip(base, pairs=PAIRS):
    for part, boxes_of in pairs.items():
        for sample_id, boxes in boxes_of.items():
            for modality, data in zip(("visible", "infrared"), jpegs(sample_id), strict=True):
                put(base / modality / part / f"{sample_id}.jpg", data)
            put(base / "Annotations" / f"{sample_id}.xml", xml(boxes))
    return base


def faults_of(base, tmp_path):
    with pytest.raises(BadInputError) as caught:
        convert(Llvip(), base, tmp_path / "out")
    return str(caught.value)


def test_the_parts_are_the_published_ones_with_two_videos_held_out(tmp_path):
    report = convert(Llvip(), put_llvip(tmp_path / "in"), tmp_path / "out")
    dataset = Dataset(tmp_path / "out")
    assert report.parts == {"train": 2, "val": 2, "test": 2}
    assert dataset.part("val").ids == ("070001", "070012")
    official = Dataset(tmp_path / "out", "official")
    assert official.parts == ("train", "test")
    assert official.part("train").ids == tuple(PAIRS["train"])
    assert official.part("test").record == dataset.part("test").record
    assert report.expected == {"train+val": "4 of 12025: not the whole set", "test": "2 of 3463: not the whole set"}
    assert report.quirks == {"test: pairs without boxes (kept)": 1, "train: pairs without boxes (kept)": 1}
    assert {one: part_of(f"{one}0001", "train") for one in ("07", "17", "27", "70")} == {
        "07": "val", "17": "val", "27": "train", "70": "train",
    }  # fmt: skip
    assert part_of("070001", "test") == "test"


def test_boxes_are_as_the_authors_tools_write_them(tmp_path):
    convert(Llvip(), put_llvip(tmp_path / "in"), tmp_path / "out")
    labels = Dataset(tmp_path / "out").labels
    assert labels["010001"].objects == (Box((4, 5, 9, 20), 0, 180),)
    assert labels["070001"].objects == (Box((0, 0, 64, 48), 0, 64 * 48),)
    assert (labels["260536"].scene, labels["260536"].source) == ("26", "visible/test/260536.jpg")


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_an_archive_and_a_folder_above_are_the_same_set(form, tmp_path):
    expected = convert(Llvip(), put_llvip(tmp_path / "in" / "a" / "LLVIP"), tmp_path / "expected")
    shutil.make_archive(tmp_path / "LLVIP", form, tmp_path / "in" / "a")
    for number, root in enumerate((tmp_path / "in", tmp_path / "in/a/LLVIP", tmp_path / f"LLVIP.{form}")):
        assert convert(Llvip(), root, tmp_path / f"out-{number}").fingerprint == expected.fingerprint


def test_corrected_annotations_have_another_label_digest(tmp_path):
    reports = []
    for number, boxes in enumerate(([(4, 5, 13, 25)], [(4, 5, 14, 25)])):
        base = put_llvip(tmp_path / f"in-{number}")
        put(base / "Annotations/190001.xml", xml(boxes))
        convert(Llvip(), base, tmp_path / f"out-{number}")
        reports.append(Dataset(tmp_path / f"out-{number}").part("test").record)
    assert reports[0].label_digest != reports[1].label_digest
    assert reports[0].rgb_digest == reports[1].rgb_digest


def test_no_annotations_at_all_is_said_in_one_sentence(tmp_path):
    base = put_llvip(tmp_path / "in")
    shutil.rmtree(base / "Annotations")
    message = faults_of(base, tmp_path)
    assert message.startswith(f"{base / 'Annotations'}: no annotations (010001.xml and so on): LLVIP.zip has them")
    assert "\n" not in message


def test_annotations_in_capitals_are_read(tmp_path):
    plain = convert(Llvip(), put_llvip(tmp_path / "plain"), tmp_path / "a")
    for path in (put_llvip(tmp_path / "capitals") / "Annotations").iterdir():
        path.rename(path.with_suffix(".XML"))
    assert convert(Llvip(), tmp_path / "capitals", tmp_path / "b").fingerprint == plain.fingerprint


def test_what_is_missing_or_odd_is_named(tmp_path):
    base = put_llvip(tmp_path / "in")
    (base / "infrared/train/010001.jpg").unlink()
    (base / "visible/test/190001.jpg").unlink()
    (base / "Annotations/070012.xml").unlink()
    for modality in ("visible", "infrared"):
        put(base / modality / "test/fused.jpg", jpegs("190001")[0])
        put(base / modality / "test/readme.txt", "")
    put(base / "Annotations/090009.xml", xml([]))
    message = faults_of(base, tmp_path)
    assert f"{base / 'infrared/train/010001.jpg'}: missing, but {base / 'visible/train/010001.jpg'} is there" in message
    assert f"{base / 'visible/test/190001.jpg'}: missing" in message
    assert f"{base / 'Annotations/070012.xml'}: missing, but its images are there" in message
    assert "fused.jpg: 'fused' is no LLVIP name such as 010001" in message
    assert "4 fault(s)" in message
    report = convert(Llvip(), base, tmp_path / "skip", on_error="skip")
    assert report.quirks["annotations without images (left out)"] == 1
    assert report.quirks["files among the images that are none (left out)"] == 2
    assert report.parts == {"train": 1, "val": 1, "test": 1}


def test_a_part_alone_is_a_set_and_one_modality_is_not(tmp_path):
    base = put_llvip(tmp_path / "in", {"test": PAIRS["test"]})
    report = convert(Llvip(), base, tmp_path / "part")
    assert (report.parts, report.quirks["train: no images, so this part is empty"]) == ({"test": 2}, 1)
    shutil.rmtree(base / "infrared")
    assert "no LLVIP layout here: looked for visible/train and infrared/train" in faults_of(base, tmp_path)


def test_a_pair_in_both_parts_is_never_tested_on(tmp_path):
    pairs = {"train": PAIRS["train"], "test": {**PAIRS["test"], "010001": []}}
    base = put_llvip(tmp_path / "in", pairs)
    assert "'010001' occurs twice" in faults_of(base, tmp_path)
    convert(Llvip(), base, tmp_path / "skip", on_error="skip")
    for split in ("default", "official"):
        dataset = Dataset(tmp_path / "skip", split)
        assert "010001" in dataset.part("train").ids
        assert "010001" not in dataset.part("test").ids


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (xml([(4, 5, 13, 25)], name="persn"), "unknown class 'persn'. Did you mean 'person'?"),
        (xml([(13, 5, 4, 25)]), "has no area"),
        (xml([("nan", 5, 4, 25)]), "is not finite"),
        (xml([(70, 5, 80, 25)]), "lies wholly outside the 64x48 image"),
        (xml([], size=(1280, 1024)), "64x48, but the labels and the pair say 1280x1024"),
        (xml([("", 5, 13, 25)]), "<xmin> is missing or empty"),
        (xml([(1, 5, 13, 25)])[:-30], "not a readable XML file"),
        (f'<!DOCTYPE a [<!ENTITY b "{"c" * 50}">]><a>&b;</a>', "XML with a DTD or entities is refused"),
        ("", "not a readable XML file"),
        ("<annotation/>", "<size/width> is missing or empty"),
    ],
)
def test_a_bad_annotation_is_named(content, message, tmp_path):
    base = put_llvip(tmp_path / "in")
    put(base / "Annotations/190001.xml", content)
    found = faults_of(base, tmp_path)
    assert message in found
    assert "190001" in found


def test_a_damaged_image_is_a_fault(tmp_path):
    base = put_llvip(tmp_path / "in")
    put(base / "infrared/test/190001.jpg", jpegs("190001")[1][:200])
    put(base / "visible/test/260536.jpg", b"")
    put(base / "infrared/train/010001.jpg", jpegs("010001")[0])
    message = faults_of(base, tmp_path)
    assert "190001 (thermal, 190001.jpg): cannot be decoded" in message
    assert "260536 (rgb, 260536.jpg): cannot be decoded" in message
    assert "010001 (thermal, 010001.jpg): not a thermal image" in message


@pytest.fixture(scope="module")
def one_pair(tmp_path_factory):
    return put_llvip(tmp_path_factory.mktemp("any"), {"test": {"190001": []}})


NUMBERS = st.sampled_from(["1", "64", "-3", "nan", "1e400", "", "x", "0x1", " 7 ", "&#65;", "<b/>"])
TAGS = st.sampled_from(["<object>", "</object>", "<name>person</name>", "<bndbox>", "<size>", "<!--", "&x;", "]]>", ""])


@settings(max_examples=100, deadline=None)
@given(
    content=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=3).map(xml)
    | st.tuples(st.lists(TAGS).map("".join)).map("<annotation>{0[0]}</annotation>".format)
    | st.binary(max_size=50)
)
def test_no_annotation_crashes_it(content, one_pair):
    put(one_pair / "Annotations/190001.xml", content)
    scan = Llvip().scan(FolderSource(one_pair))
    assert len(scan.items) + len(scan.faults) == 1
    assert all(fault.startswith(str(one_pair / "Annotations/190001.xml")) for fault in scan.faults)


def test_the_real_pairs_convert_where_annotations_are_added(tmp_path):
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}: it may not be committed")
    assert "no annotations" in faults_of(DATA, tmp_path)
    shutil.copytree(DATA, tmp_path / "LLVIP")
    for number in (1, 2, 3):
        put(tmp_path / f"LLVIP/Annotations/19000{number}.xml", xml([(1, 1, 50, 90)], size=(1280, 1024)))
    report = convert(Llvip(), tmp_path / "LLVIP", tmp_path / "out")
    assert (report.parts, report.faults) == ({"test": 3}, ())
    assert Dataset(tmp_path / "out").part("test").record.thermal_digest is not None

"""MFNet: one set in every layout that keeps its pixels; flipped copies go, lists are checked, faults are named."""

import io
import shutil
import tarfile
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from flir_cases import put
from mfnet_cases import (
    IDS,
    PARTS,
    encoded,
    pixels,
    put_cekd,
    put_cmx,
    put_flips,
    put_gmnet,
    put_lists,
    put_original,
    put_rtfnet,
)
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import FolderSource
from rgbt_converters._mfnet_layouts import LAYOUTS
from rgbt_converters._mfnet_lists import published
from rgbt_converters.mfnet import Mfnet

SAME = {
    "original": (put_original, "original"),
    "rtfnet": (put_rtfnet, "original"),
    "cekd": (put_cekd, "original"),
    "gmnet": (put_gmnet, "gmnet"),
    "cmx": (put_cmx, "cmx"),
    "cmx with Thermal": (lambda base: put_cmx(base, modal="Thermal"), "cmx"),
}


def faults_of(base, tmp_path):
    with pytest.raises(BadInputError) as caught:
        convert(Mfnet(), base, tmp_path / "out")
    return str(caught.value)


def array(image):
    return np.asarray(Pillow.open(io.BytesIO(image.data)))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The report and the set of the made-up archive in its original layout."""
    folder = tmp_path_factory.mktemp("mfnet")
    return convert(Mfnet(), put_original(folder / "in"), folder / "out"), Dataset(folder / "out")


@pytest.mark.parametrize("layout", SAME)
def test_every_lossless_layout_is_one_set(layout, original, tmp_path):
    builder, name = SAME[layout]
    report = convert(Mfnet(), builder(tmp_path / "in" / "set"), tmp_path / "out")
    assert (report.layout, report.faults) == (name, ())
    assert report.parts == {part: len(ids) for part, ids in PARTS.items()}
    assert report.fingerprint == original[0].fingerprint
    assert Dataset(tmp_path / "out").record.splits == original[1].record.splits


def test_the_split_pictures_have_the_pixels_of_the_original(original):
    assert original[0].quirks == {}
    for sample_id in IDS:
        pair, mask = pixels(sample_id)
        sample = original[1].sample(sample_id)
        assert (pair[..., 3] == 0).any()
        assert pair[pair[..., 3] == 0][:, :3].any()
        assert np.array_equal(array(sample.rgb), pair[..., :3])
        assert np.array_equal(array(sample.thermal), pair[..., 3])
        assert np.array_equal(array(sample.mask), mask)
        assert sample.illumination == {"D": "day", "N": "night"}[sample_id[-1]]
        assert (sample.objects, sample.scene, sample.source) == ((), "", f"images/{sample_id}.png")


def test_jpeg_copies_are_a_set_of_other_pixels_and_the_same_labels(original, tmp_path):
    report = convert(Mfnet(), put_cmx(tmp_path / "in", kind="JPEG", suffix="jpg"), tmp_path / "out")
    assert [count for name, count in report.quirks.items() if "kept as JPEG" in name] == [8]
    for part in PARTS:
        found, expected = (one.part(part).record for one in (Dataset(tmp_path / "out"), original[1]))
        assert found.label_digest == expected.label_digest
        assert found.rgb_digest != expected.rgb_digest
        assert found.thermal_digest != expected.thermal_digest


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_are_the_same_set(kind, original, tmp_path):
    base = put_cekd(tmp_path / "in")
    files = [path for path in sorted(base.rglob("*")) if path.is_file()]
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for path in files:
                archive.write(path, path.relative_to(base).as_posix())
    else:
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            for path in files:
                archive.add(path, path.relative_to(base).as_posix())
    assert convert(Mfnet(), tmp_path / f"a.{kind}", tmp_path / "out").fingerprint == original[0].fingerprint


def test_what_lies_beside_is_left_out_and_counted(tmp_path):
    quirks = convert(Mfnet(), put_cekd(tmp_path / "cekd"), tmp_path / "a").quirks
    assert quirks["files in edge_4x/ (left out)"] == 8
    assert quirks["_flip files in images/ (left out)"] == quirks["_flip files in labels/ (left out)"] == 3
    assert quirks["train: flipped copies in train.txt (left out: augmentation is the recipe's business)"] == 3
    base = put_gmnet(tmp_path / "gmnet")
    put(base / "labels/readme.md", "")
    put(base / "labels/00002D.png", b"unread")
    put(base / "seperated_images/00002D_rgb.png", b"unread")
    put(base / "seperated_images/.DS_Store", b"")
    quirks = convert(Mfnet(), base, tmp_path / "b").quirks
    assert quirks["files in bound/ (left out)"] == quirks["files in binary_labels/ (left out)"] == 8
    assert quirks["files with other names in labels/ (left out)"] == 1
    assert quirks["pictures that no list names (left out)"] == 1
    assert len(quirks) == 4


def test_pictures_that_are_both_whole_and_split_are_read_whole(original, tmp_path):
    base = put_original(put_gmnet(tmp_path / "set"))
    report = convert(Mfnet(), base, tmp_path / "out")
    assert (report.layout, report.fingerprint) == ("original", original[0].fingerprint)
    assert report.quirks["files in seperated_images/ (left out)"] == 16


@pytest.mark.parametrize(
    "line",
    [
        "{}\r\n",
        "{}.png\n",
        "images/{}.png\n",
        "C:\\x\\{}.png\n",
        "{}\n\n",
        "RGB/{0}.png Label/{0}.png\n",
        " {} \n.DS_Store\n",
    ],
)
def test_lists_are_read_as_they_circulate(line, original, tmp_path):
    base = put_original(tmp_path / "set")
    put_lists(base, line=line)
    assert convert(Mfnet(), base, tmp_path / "out").fingerprint == original[0].fingerprint


def test_faults_of_the_lists_are_named_by_line_and_the_first_place_stays(tmp_path):
    base = put_original(tmp_path / "set")
    for part, lines in {
        "train": "00001D\n00003N\n00101D\n00001D\nfoo\n00001D 00003N\n00498D_flip\n",
        "test": "01189N\n00101D\n01402D\n01606D\n1D\n00044N\n",
    }.items():
        put(base / f"{part}.txt", lines)
    message = faults_of(base, tmp_path)
    assert "train.txt: line 4: 00001D again, first in" in message
    assert "train.txt: line 5: 'foo' is no MFNet name such as 00001D" in message
    assert "train.txt: line 6: '00001D 00003N' is no MFNet name such as 00001D, nor names of one pair" in message
    assert "train.txt: line 7: 00498D_flip without its original 00498D in this list" in message
    assert "test.txt: line 2: 00101D again, first in" in message
    assert "test.txt: line 5: '1D' is no MFNet name" in message
    assert "images/00044N.png and " in message
    assert "labels/00044N.png: missing, but " in message
    assert "test.txt: line 6 has 00044N" in message
    assert "7 fault(s)" in message
    report = convert(Mfnet(), base, tmp_path / "out", on_error="skip")
    assert report.parts == {"train": 3, "val": 2, "test": 3}
    assert "00101D" in Dataset(tmp_path / "out").part("train").ids


def test_a_flipped_copy_without_its_original_is_a_fault(tmp_path):
    base = put_flips(put_original(tmp_path / "set"))
    (base / "images/00001D.png").unlink()
    message = faults_of(base, tmp_path)
    assert "00001D_flip.png: a flipped copy without its original 00001D; bring that back" in message
    assert "images/00001D.png: missing, but " in message
    assert "2 fault(s)" in message


@pytest.mark.parametrize("spelling", ["test", "text"])
def test_day_and_night_lists_are_compared_and_not_believed(spelling, tmp_path):
    base = put_original(tmp_path / "set")
    for light in ("day", "night"):
        (base / f"test_{light}.txt").unlink()
    put(base / f"{spelling}_day.txt", "01402D\n01189N\n00001D\n")
    put(base / f"{spelling}_night.txt", "01189N\n")
    report = convert(Mfnet(), base, tmp_path / "out")
    assert report.quirks == {
        "names in the day list of test that end otherwise (the name is believed)": 1,
        "names in the day list of test that test.txt does not have": 1,
        "test pairs in neither the day nor the night list": 1,
    }
    assert Dataset(tmp_path / "out").labels["01189N"].illumination == "night"


def test_other_lists_than_the_published_ones_are_counted(tmp_path):
    parts = {"train": [*PARTS["train"], "00498D", "09999N"], "val": ["01002N"], "test": PARTS["test"]}
    report = convert(Mfnet(), put_original(tmp_path / "set", parts), tmp_path / "out")
    assert report.quirks == {
        "train: pairs that no published list has": 1,
        "train: pairs that the published lists have in another part (mfnet@official)": 1,
    }
    official = Dataset(tmp_path / "out", "official")
    assert official.part("val").ids == ("00498D", "01002N")
    assert official.part("train").ids == tuple(PARTS["train"])
    assert report.expected["train"] == "5 of 784: not the whole set"


def test_a_missing_or_empty_list_is_an_empty_part_and_no_list_at_all_the_published_ones(original, tmp_path):
    base = put_original(tmp_path / "set")
    (base / "val.txt").unlink()
    put(base / "train.txt", "\n")
    report = convert(Mfnet(), base, tmp_path / "a")
    assert report.parts == {"test": 3}
    assert report.quirks["val: no list val.txt, so this part is empty"] == 1
    assert report.quirks["train: train.txt names no pair, so this part is empty"] == 1
    (base / "train.txt").unlink()
    (base / "test.txt").unlink()
    report = convert(Mfnet(), base, tmp_path / "b")
    assert (report.skipped, report.expected["train"]) == (0, "3 of 784: not the whole set")
    assert report.fingerprint == original[0].fingerprint
    (base / "labels" / "00001D.png").unlink()
    faults = faults_of(base, tmp_path)
    assert "00001D.png: missing, but the published train list has 00001D" in faults
    assert "00002D" not in faults


def test_the_published_lists_have_the_published_counts():
    lists = published()
    ids = [one for part in lists.values() for one in part]
    assert {part: len(ids) for part, ids in lists.items()} == Mfnet.expected
    assert len(set(ids)) == len(ids) == 1569
    assert (sum(one.endswith("D") for one in ids), sum(one.endswith("N") for one in ids)) == (820, 749)
    assert (sum(one.endswith("D") for one in lists["test"]), len(lists["test"])) == (205, 393)
    assert (min(ids), max(ids)) == ("00001D", "01606D")


def palette_png(mask):
    stream = io.BytesIO()
    picture = Pillow.fromarray(mask)
    picture.putpalette([value for colour in Mfnet.info.palette for value in colour])
    picture.save(stream, "PNG")
    return stream.getvalue()


def test_label_maps_with_a_palette_are_the_same_labels(original, tmp_path):
    base = put_original(tmp_path / "set")
    for sample_id in IDS:
        put(base / f"labels/{sample_id}.png", palette_png(pixels(sample_id)[1]))
    assert convert(Mfnet(), base, tmp_path / "out").fingerprint == original[0].fingerprint


def rgba(change=None):
    pair = pixels("00001D")[0]
    return encoded(change(pair) if change else pair)


def rgba16():
    """A 16-bit RGBA PNG, which Pillow would open as an 8-bit one."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(32 * 8) for _ in range(24))
    header = struct.pack(">IIBBBBB", 32, 24, 16, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("images", rgba(lambda pair: pair[..., :3]), "the thermal channel is missing: 3 channels"),
        ("images", rgba(lambda pair: pair[..., 0]), "8-bit RGBA PNG was expected"),
        ("images", rgba16(), "8-bit RGBA PNG was expected"),
        ("images", encoded(pixels("00001D")[0][..., :3], "JPEG"), "the thermal channel is missing"),
        ("images", rgba(lambda pair: pair[:10]), "32x10, but its label is 32x24"),
        ("images", rgba()[:-600], "cannot be decoded"),
        ("images", b"", "cannot be decoded"),
        ("labels", b"no picture", "cannot be decoded"),
        ("labels", encoded(pixels("00001D")[1])[:60], "cannot be decoded"),
        ("labels", encoded(pixels("00001D")[1] + 1), "a label map with the value(s) 9"),
        ("labels", rgba(lambda pair: pair[..., :3]), "a label map has one 8-bit channel"),
    ],
)
def test_a_broken_picture_is_named(name, content, message, tmp_path):
    base = put_original(tmp_path / "set")
    put(base / f"{name}/00001D.png", content)
    found = faults_of(base, tmp_path)
    assert message in found
    assert "00001D" in found.splitlines()[1]
    assert "1 fault(s)" in found
    assert convert(Mfnet(), base, tmp_path / "out", on_error="skip").skipped == 1


def test_a_thermal_picture_of_three_different_channels_is_a_fault(tmp_path):
    base = put_gmnet(tmp_path / "set")
    put(base / "seperated_images/00001D_th.png", rgba(lambda pair: pair[..., :3]))
    assert "neither one channel nor three equal ones" in faults_of(base, tmp_path)
    (base / "seperated_images/00001D_th.png").unlink()
    assert "seperated_images/00001D_th.png: missing" in faults_of(base, tmp_path)


@pytest.mark.parametrize(("builder", "kind"), [(put_original, "labels"), (put_gmnet, "labels"), (put_cmx, "Label")])
def test_a_layout_without_any_label_map_is_refused_at_once(builder, kind, tmp_path):
    base = builder(tmp_path / "set")
    shutil.rmtree(base / kind)
    message = faults_of(base, tmp_path)
    assert f"{base / kind}" in message
    assert "no picture such as 00001D.png" in message


def test_layouts_that_were_looked_for_are_all_named_and_none_is_guessed(tmp_path):
    (tmp_path / "empty").mkdir()
    message = faults_of(tmp_path / "empty", tmp_path)
    assert all(f"({layout.name} layout)" in message and layout.tree in message for layout in LAYOUTS)
    put_gmnet(tmp_path / "mixed")
    put_cmx(tmp_path / "mixed")
    message = faults_of(tmp_path / "mixed", tmp_path)
    assert "more than one layout here" in message
    assert "mixed (gmnet)" in message
    assert "mixed (cmx)" in message


@settings(max_examples=60, deadline=None)
@given(text=st.one_of(st.binary(max_size=60), st.text("0123456789DN_flipng.\n /\\", max_size=60).map(str.encode)))
def test_no_text_of_a_list_crashes_the_converter(text, tmp_path_factory):
    base = tmp_path_factory.getbasetemp() / "mfnet-lists"
    if not base.is_dir():
        put_original(base)
    put(base / "train.txt", text)
    scan = None
    with suppress(UnicodeDecodeError):
        text.decode()
        scan = Mfnet().scan(FolderSource(base))
    if scan is None:
        with pytest.raises(BadInputError, match=r"train\.txt"):
            Mfnet().scan(FolderSource(base))
        return
    assert all("train.txt: line " in fault or "test.txt: line " in fault for fault in scan.faults)
    assert {item.labels.sample_id for item in scan.items} <= set(IDS)

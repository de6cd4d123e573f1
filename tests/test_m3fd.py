"""M3FD: its layouts are one set, in each the same ids, boxes and illuminations, and what does not belong is named."""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m3fd_cases import BUILDERS, LISTS, PAIRS, SMALL, coco, pngs, put, put_coco, put_flat, put_old, voc_xml
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import FolderSource
from rgbt_converters._m3fd_labels import CLASSES
from rgbt_converters.m3fd import LAYOUTS, M3fd

ONE = {"00000": PAIRS["00000"]}
IN_EVERY_LAYOUT = pytest.mark.parametrize("layout", BUILDERS)


def faults_of(base, tmp_path):
    with pytest.raises(BadInputError) as caught:
        convert(M3fd(), base, tmp_path / "out", force=True)
    return str(caught.value)


@IN_EVERY_LAYOUT
def test_every_layout_is_the_same_set(layout, tmp_path):
    expected = convert(M3fd(), put_flat(tmp_path / "flat"), tmp_path / "expected")
    report = convert(M3fd(), BUILDERS[layout](tmp_path / "in" / "M3FD"), tmp_path / "out")
    assert report.layout == layout.partition(",")[0]
    assert report.fingerprint == expected.fingerprint
    assert report.parts == {"train": 3, "val": 2, "test": 3}
    assert report.faults == ()
    assert Dataset(tmp_path / "out").record.splits["default"] == Dataset(tmp_path / "expected").record.splits["default"]


@IN_EVERY_LAYOUT
def test_every_box_arrives_with_its_published_class(layout, tmp_path):
    convert(M3fd(), BUILDERS[layout](tmp_path / "in"), tmp_path / "out")
    dataset = Dataset(tmp_path / "out")
    assert dataset.labels.keys() == PAIRS.keys()
    for sample_id, (size, _, boxes) in PAIRS.items():
        labels = dataset.labels[sample_id]
        found = sorted((CLASSES[box.category], *box.bbox) for box in labels.objects)
        assert found == sorted(boxes)
        assert all(box.area == box.bbox[2] * box.bbox[3] for box in labels.objects)
        assert (labels.width, labels.height) == size
        assert labels.source.endswith(f"{sample_id}.png")


@IN_EVERY_LAYOUT
def test_illumination_and_scene_come_from_the_table(layout, tmp_path):
    convert(M3fd(), BUILDERS[layout](tmp_path / "in"), tmp_path / "out")
    labels = Dataset(tmp_path / "out").labels
    assert {one: found.illumination for one, found in labels.items()} == {
        "00000": "overcast",
        "00002": "overcast",
        "00255": "challenge",
        "00537": "night",
        "01301": "challenge" if layout == "old" else "unknown",  # the folder says what the table does not
        "01530": "challenge",
        "02779": "day",
        "04199": "overcast",
    }
    assert labels["00000"].scene == labels["00002"].scene == "overcast-lake-00000"
    assert labels["01301"].scene == "unnamed-01301"


def test_a_folder_of_the_old_layout_that_contradicts_the_table_is_counted(tmp_path):
    base = put_old(tmp_path / "M3FD", {"00000": (SMALL, "Night/Lake", []), "00002": PAIRS["00002"]})
    report = convert(M3fd(), base, tmp_path / "out")
    assert [count for name, count in report.quirks.items() if "scenario.json does not give" in name] == [1]
    assert Dataset(tmp_path / "out").labels["00000"].illumination == "overcast"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_the_files_is_the_same_set(kind, tmp_path):
    base = put_flat(tmp_path / "M3FD_Detection")
    expected = convert(M3fd(), base, tmp_path / "expected")
    path = tmp_path / f"m3fd.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(base.rglob("*.*")):
                archive.write(file, file.relative_to(tmp_path).as_posix())
    else:
        with tarfile.open(path, "w") as archive:
            archive.add(base, base.name)
    assert convert(M3fd(), path, tmp_path / "out").fingerprint == expected.fingerprint


@pytest.mark.parametrize("named", ["drive", "drive/M3FD"])
def test_the_300_fusion_pairs_are_left_out_and_counted(named, tmp_path):
    expected = convert(M3fd(), put_flat(tmp_path / "drive/M3FD/M3FD_Detection"), tmp_path / "expected")
    for sample_id in ("00000", "00299"):
        for folder in ("Vis", "Ir"):
            put(tmp_path / "drive/M3FD/M3FD_Fusion" / folder / f"{sample_id}.png", b"unread")
    report = convert(M3fd(), tmp_path / named, tmp_path / "out")
    assert report.fingerprint == expected.fingerprint
    assert [count for name, count in report.quirks.items() if name.startswith("pairs of M3FD_Fusion")] == [2]
    message = faults_of(tmp_path / "drive/M3FD/M3FD_Fusion", tmp_path)
    assert "no labels: Annotation/ of M3FD_Detection belongs beside them" in message
    assert "other pictures than the detection pairs of the same ids" in message


def test_the_samples_of_tardals_code_are_refused(tmp_path):
    base = put_flat(tmp_path / "M3FD")
    put(base / "Ir/M3FD_00471.png", b"unread")
    message = faults_of(base, tmp_path)
    assert "1 fault(s)" in message
    assert "'M3FD_00471' is one of the samples of TarDAL's code, which are pairs for fusion" in message


def test_an_id_beyond_the_last_is_named(tmp_path):
    base = put_flat(tmp_path / "M3FD", ONE | {"04200": (SMALL, "", [])})
    message = faults_of(base, tmp_path)
    assert message.count("04200 is no pair of M3FD, whose detection pairs are 00000 to 04199") == 3


def test_other_files_are_left_out_and_counted(tmp_path):
    base = put_flat(tmp_path / "M3FD", ONE)
    put(base / "Ir/00000 (1).png", b"unread")
    put(base / "Vis/Thumbs.db", b"")
    put(base / "Annotation/note.xml", b"unread")
    report = convert(M3fd(), base, tmp_path / "out")
    assert report.quirks == {"files with another name than M3FD's (left out)": 2}


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("Ir/00255.png", "00255.png: missing, but 00255 has the rest of a pair"),
        ("Vis/00255.png", "00255.png: missing, but 00255 has the rest of a pair"),
        ("Annotation/00255.xml", "00255.xml: missing, but 00255 has an image"),
    ],
)
def test_a_missing_half_is_named_and_its_sample_goes_when_skipped(gone, message, tmp_path):
    base = put_flat(tmp_path / "M3FD")
    (base / gone).unlink()
    found = faults_of(base, tmp_path)
    assert f"{base / gone}".rpartition("/")[0] in found
    assert message in found
    assert "1 fault(s)" in found
    assert convert(M3fd(), base, tmp_path / "out", on_error="skip").skipped == 1
    assert "00255" not in Dataset(tmp_path / "out").labels


@pytest.mark.parametrize("missing", ["Vis", "Ir", "Annotation"])
def test_without_one_of_its_folders_no_layout_is_there(missing, tmp_path):
    base = put_flat(tmp_path / "M3FD", ONE)
    shutil.rmtree(base / missing)
    if missing == "Annotation":
        assert "no labels: Annotation/ of M3FD_Detection belongs" in faults_of(base, tmp_path)
    else:
        message = faults_of(base, tmp_path)
        assert all(f"({layout.name} layout)" in message and layout.tree in message for layout in LAYOUTS)


def test_annotations_that_are_none_of_m3fds_are_refused(tmp_path):
    base = put_flat(tmp_path / "M3FD", ONE)
    (base / "Annotation/00000.xml").rename(base / "Annotation/a.xml")
    assert faults_of(base, tmp_path) == f"{base / 'Annotation'}: no annotation such as 00000.xml in it"


@pytest.mark.parametrize(
    ("spelling", "published"),
    [
        ("person", "People"),
        ("Person", "People"),
        ("people", "People"),
        ("motorcycle", "Motorcycle"),
        ("motor", "Motorcycle"),
        ("TRUCK", "Truck"),
        ("lamp", "Lamp"),
    ],
)
def test_spellings_of_a_class_are_that_class(spelling, published, tmp_path):
    base = put_flat(tmp_path / "M3FD", {"00000": (SMALL, "", [(spelling, 1, 1, 5, 5)])})
    convert(M3fd(), base, tmp_path / "out")
    (box,) = Dataset(tmp_path / "out").labels["00000"].objects
    assert CLASSES[box.category] == published


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (voc_xml([("Buss", 1, 1, 5, 5)], SMALL), "unknown class 'Buss'. Did you mean 'Bus'"),
        (voc_xml([("dog", 1, 1, 5, 5)], SMALL), "unknown class 'dog'. Known: "),
        ("<annotation>", "not a readable XML file"),
        (voc_xml([], SMALL)[:40], "not a readable XML file"),
        ("<annotation></annotation>", "<size/width> is missing"),
        (voc_xml([], (65, 48)), "64x48, but the labels and the pair say 65x48"),
        (voc_xml([("Car", 10, 10, 0, 5)], SMALL), "has no area"),
        (voc_xml([("Car", 100, 10, 5, 5)], SMALL), "lies wholly outside the 64x48 image"),
    ],
)
def test_a_bad_annotation_is_named(xml, message, tmp_path):
    base = put_flat(tmp_path / "M3FD", ONE)
    put(base / "Annotation/00000.xml", xml)
    found = faults_of(base, tmp_path)
    assert "00000" in found
    assert message in found


def test_a_truncated_image_and_colour_where_heat_belongs_are_named(tmp_path):
    base = put_flat(tmp_path / "M3FD")
    put(base / "Vis/00000.png", pngs("00000", SMALL)[0][:200])
    put(base / "Ir/00002.png", pngs("00002", SMALL)[0])
    message = faults_of(base, tmp_path)
    assert "00000 (rgb, 00000.png): cannot be decoded" in message
    assert "00002 (thermal, 00002.png): not a thermal image" in message
    assert "2 fault(s)" in message


def test_an_id_twice_is_a_fault_in_every_way_it_can_be(tmp_path):
    base = put_flat(tmp_path / "flat", ONE)
    put(base / "Ir/00000.jpg", b"unread")
    assert "00000.png: 00000 again, first" in faults_of(base, tmp_path)
    old = put_old(tmp_path / "old")
    put_flat(old / "Night/Fair", ONE)
    assert "sample id '00000' occurs twice" in faults_of(old, tmp_path)
    field = put_coco(tmp_path / "coco")
    put(field / "meta/m3fd-val.json", json.dumps(coco(PAIRS, (*LISTS["val"], "00000"))))
    assert "sample id '00000' occurs twice" in faults_of(field, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"][0].update(file_name="M3FD_00471.png"), "is one of the samples of TarDAL's code"),
        (lambda c: c["images"][0].update(file_name="../00000.png"), "'../00000' is no M3FD name such as 00471"),
        (lambda c: c["images"][0].update(file_name="99999.png"), "99999 is no pair of M3FD"),
        (lambda c: c["categories"][0].update(name="Persons"), "unknown class 'Persons'. Did you mean 'Person'"),
        (lambda c: c.pop("images"), "not a COCO file"),
        (lambda c: c["annotations"][0].update(image_id="x"), "annotation 0: it points at image 'x'"),
    ],
)
def test_a_bad_coco_file_is_named(change, message, tmp_path):
    base = put_coco(tmp_path / "M3FD", ONE)
    content = coco(ONE, LISTS["train"])
    change(content)
    put(base / "meta/m3fd-train.json", json.dumps(content))
    found = faults_of(base, tmp_path)
    assert "m3fd-train.json" in found
    assert message in found


def test_a_coco_part_that_is_missing_is_said_and_its_pairs_are_left_out(tmp_path):
    base = put_coco(tmp_path / "M3FD")
    (base / "meta/m3fd-val.json").unlink()
    report = convert(M3fd(), base, tmp_path / "out")
    assert report.quirks["val: no meta/m3fd-val.json, so its pairs are left out"] == 1
    assert report.quirks["thermal images that no json lists (left out)"] == len(LISTS["val"])
    assert report.expected == {"train+val+test": f"{len(PAIRS) - 2} of 4200: not the whole set"}
    shutil.rmtree(base / "Vis")
    assert "no images in Vis/ and Ir/ beside meta/" in faults_of(base, tmp_path)


def test_original_annotations_go_before_what_was_made_from_them(tmp_path):
    base = put_coco(put_flat(tmp_path / "M3FD"))
    assert convert(M3fd(), base, tmp_path / "out").layout == "flat"
    put_flat(tmp_path / "two" / "a", ONE)
    put_flat(tmp_path / "two" / "b", ONE)
    assert "more than one layout here" in faults_of(tmp_path / "two", tmp_path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return put_flat(tmp_path_factory.mktemp("fuzz") / "M3FD", ONE)


@given(
    text=st.text(st.sampled_from("<>/&;!?\"' \n019.-eaPeople") | st.characters(), max_size=80), at=st.integers(0, 300)
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_annotation_text_crashes_it(text, at, place):
    whole = voc_xml(PAIRS["00000"][2], SMALL)
    for content in (text, whole[:at] + text + whole[at:]):
        put(place / "Annotation/00000.xml", content.encode("utf-8", "replace"))
        scan = M3fd().scan(FolderSource(Path(place)))
        assert len(scan.items) + len(scan.faults) == 1
        assert all("Annotation/00000.xml" in fault for fault in scan.faults)


def test_the_instructions_show_every_tree():
    text = M3fd().instructions()
    assert all(layout.tree.strip() in text for layout in LAYOUTS)

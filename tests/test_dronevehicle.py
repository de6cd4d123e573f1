"""DroneVehicle on made files in its documented layout: frames, polygons, names as typed."""

import io
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from rgbt_bench.converting import convert
from rgbt_bench.datasets.digests import open_image
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Box
from rgbt_bench.sources import FolderSource
from rgbt_converters.dronevehicle import DroneVehicle
from visdrone_cases import put

FRAMED, PLAIN = (840, 712), (640, 512)


def picture(seed, size=FRAMED, frame=255, thermal=False):
    """A made-up image of few details; with the frame where its size has room for it."""
    rng = np.random.default_rng(seed)
    content = np.kron(rng.integers(0, 255, (8, 10, 3), dtype=np.uint8), np.ones((64, 64, 1), dtype=np.uint8))
    if thermal:
        content = content[..., :1].repeat(3, axis=2)
    if size == FRAMED:
        content = np.pad(content, ((100, 100), (100, 100), (0, 0)), constant_values=frame)
    return Pillow.fromarray(content).resize(size)


def encoded(image, form="JPEG"):
    stream = io.BytesIO()
    image.save(stream, form, quality=90)
    return stream.getvalue()


def polygon(*corners):
    points = zip(("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4"), corners, strict=True)
    return "<polygon>" + "".join(f"<{tag}>{value}</{tag}>" for tag, value in points) + "</polygon>"


def bndbox(*corners):
    points = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    return "<bndbox>" + "".join(f"<{tag}>{value}</{tag}>" for tag, value in points) + "</bndbox>"


def rectangle(x, y, width, height):
    return polygon(x, y, x + width, y, x + width, y + height, x, y + height)


def xml(objects, size=FRAMED):
    told = "".join(f"<object><name>{name}</name>{extent}</object>" for name, extent in objects)
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    return f"<annotation><filename>00001.jpg</filename>{stated}{told}</annotation>"


CAR = ("car", polygon(150, 200, 210, 220, 200, 260, 140, 240))
SET = {
    "train": {"00001": [CAR, ("bus", bndbox(300, 300, 340, 330))], "00002": []},
    "val": {"00001": [("van", rectangle(110.5, 120, 30, 40))]},
    "test": {"00001": [CAR, CAR]},
}


def put_set(base, objects=SET, size=FRAMED):
    for part, labels in objects.items():
        for number, (stem, told) in enumerate(labels.items()):
            folder = base / part
            put(folder / f"{part}img/{stem}.jpg", encoded(picture(number, size)))
            put(folder / f"{part}imgr/{stem}.jpg", encoded(picture(number + 9, size, thermal=True)))
            put(folder / f"{part}labelr/{stem}.xml", xml(told, size))
            put(folder / f"{part}label/{stem}.xml", xml([]))
    return base


def one(tmp_path, told, size=FRAMED):
    return put_set(tmp_path / "in", {"train": {"00001": told}}, size)


def faults_of(base, tmp_path):
    with pytest.raises(BadInputError) as caught:
        convert(DroneVehicle(), base, tmp_path / "out")
    return str(caught.value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return convert(DroneVehicle(), put_set(folder / "in"), folder / "out"), Dataset(folder / "out")


def test_ids_carry_the_part_as_numbers_begin_anew(whole):
    report, dataset = whole
    assert report.parts == {"train": 2, "val": 1, "test": 1}
    assert list(dataset.labels) == ["train_00001", "train_00002", "val_00001", "test_00001"]
    assert report.expected["test"] == "1 of 8980: not the whole set"
    assert report.quirks == {
        **{f"{part}: labels of RGB images (not read)": count for part, count in report.parts.items()},
        "train: pairs without boxes (kept)": 1,
    }
    assert dataset.labels["val_00001"].source == "val/valimgr/00001.jpg"


def test_boxes_enclose_their_polygons_and_count_from_the_frame_s_edge(whole):
    labels = whole[1].labels
    car, bus = labels["train_00001"].objects
    assert car == Box((40, 100, 70, 60), 0, 4200)
    assert bus == Box((200, 200, 40, 30), 2, 1200)
    assert labels["val_00001"].objects == (Box((10.5, 20, 30, 40), 3, 1200),)
    assert labels["test_00001"].objects == (car, car)


def test_the_frame_is_cropped_and_nothing_else_is_lost(whole):
    sample = whole[1].part("train")[0]
    assert (sample.width, sample.height) == PLAIN
    for image, thermal in ((sample.rgb, False), (sample.thermal, True)):
        original = Pillow.open(io.BytesIO(encoded(picture(9 if thermal else 0, thermal=thermal)))).convert("RGB")
        with open_image(image.data) as stored:
            assert (stored.format, stored.mode, stored.size) == ("PNG", "L" if thermal else "RGB", PLAIN)
            assert np.array_equal(np.asarray(stored.convert("RGB")), np.asarray(original)[100:612, 100:740])
        assert image.name == "00001.png"


def test_one_part_and_archives_and_folders_above_are_the_same_samples(whole, tmp_path):
    base = put_set(tmp_path / "in/a/DroneVehicle", {"val": SET["val"]})
    for form in ("zip", "tar"):
        shutil.make_archive(tmp_path / "val", form, base)
    roots = [tmp_path / "in/a", base, base / "val", tmp_path / "val.zip", tmp_path / "val.tar"]
    for number, root in enumerate(roots):
        convert(DroneVehicle(), root, tmp_path / f"out-{number}")
        assert Dataset(tmp_path / f"out-{number}").part("val").record == whole[1].part("val").record


def test_images_that_are_cropped_already_are_taken_as_they_are(whole, tmp_path):
    told = [("car", rectangle(40, 100, 70, 60)), ("bus", bndbox(200, 200, 240, 230))]
    base = one(tmp_path, told, PLAIN)
    report = convert(DroneVehicle(), base, tmp_path / "out")
    assert report.quirks["pairs of 640x512 pixels (cropped already: taken as they are)"] == 1
    dataset = Dataset(tmp_path / "out")
    assert dataset.labels["train_00001"].objects == whole[1].labels["train_00001"].objects
    assert dataset.part("train")[0].rgb.data == (base / "train/trainimg/00001.jpg").read_bytes()


def test_cropped_images_with_labels_of_the_frame_are_refused_and_the_other_way_round(tmp_path):
    base = one(tmp_path, [CAR], PLAIN)
    put(base / "train/trainlabelr/00001.xml", xml([CAR], FRAMED))
    assert "labels of 840x712 pixels, but the image has 640x512: crop both or none" in faults_of(base, tmp_path)
    put(base / "train/trainlabelr/00001.xml", xml([CAR], None))
    convert(DroneVehicle(), base, tmp_path / "silent")
    base = put_set(tmp_path / "other", {"train": {"00001": [CAR]}})
    put(base / "train/trainlabelr/00001.xml", xml([CAR], PLAIN))
    assert "labels of 640x512 pixels, but the image has 840x712" in faults_of(base, tmp_path)


def test_images_that_are_not_as_published_are_faults(tmp_path):
    stems = [f"{number:05d}" for number in range(1, 8)]
    base = put_set(tmp_path / "in", {"train": {stem: [] for stem in stems}})
    rgb, thermal = base / "train/trainimg", base / "train/trainimgr"
    put(rgb / "00001.jpg", encoded(picture(0, frame=90)))
    put(thermal / "00002.jpg", encoded(picture(0, (320, 256))))
    put(rgb / "00003.jpg", encoded(picture(0, PLAIN)))
    put(rgb / "00004.jpg", (rgb / "00004.jpg").read_bytes()[:-500])
    put(thermal / "00005.jpg", encoded(picture(0)))
    put(thermal / "00007.jpg", (thermal / "00007.jpg").read_bytes()[:-2])  # which a decoder mends
    shifted = Pillow.new("RGB", FRAMED, "white")
    shifted.paste(picture(0, PLAIN), (140, 100))
    put(rgb / "00006.jpg", encoded(shifted))
    message = faults_of(base, tmp_path)
    assert "7 fault(s)" in message
    assert "trainimgr/00007.jpg: cannot be decoded: no end of image" in message
    assert "trainimg/00001.jpg: its frame of 100 pixels is not white" in message
    assert "trainimgr/00002.jpg: 320x256 pixels; 840x712 or 640x512 (cropped) are expected" in message
    assert "trainimgr/00003.jpg: one has the white frame, the other has not: crop both or none" in message
    assert "trainimg/00004.jpg: cannot be decoded" in message
    assert "train_00005 (thermal, 00005.png): not a thermal image" in message
    assert "trainimg/00006.jpg: its frame of 100 pixels is not white" in message


def test_a_frame_that_compression_left_grey_specks_in_is_white(tmp_path):
    base = one(tmp_path, [CAR])
    stream = io.BytesIO()
    picture(0).save(stream, "JPEG", quality=5)
    put(base / "train/trainimg/00001.jpg", stream.getvalue())
    assert convert(DroneVehicle(), base, tmp_path / "out").parts == {"train": 1}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("car", "car"), ("feright car", "freight car"), ("feright_car", "freight car"), ("feright", "freight car"),
        ("freight_car", "freight car"), ("truvk", "truck"), (" Bus ", "bus"), ("van", "van"),
    ],
)  # fmt: skip
def test_names_are_read_as_they_were_meant(typed, meant, tmp_path):
    report = convert(DroneVehicle(), one(tmp_path, [(typed, CAR[1])]), tmp_path / "out")
    (box,) = Dataset(tmp_path / "out").labels["train_00001"].objects
    assert DroneVehicle.info.classes[box.category] == meant
    counted = [name for name in report.quirks if name.startswith("objects named")]
    told = typed.strip()
    assert counted == ([] if told == meant else [f"objects named {told!r} (taken for {meant})"])


def test_what_has_no_name_no_extent_or_lies_in_the_frame_is_dropped_and_counted(tmp_path):
    told = [
        ("*", CAR[1]), ("", ""), ("car", "<point><x>200</x><y>200</y></point>"), ("car", ""),
        ("car", rectangle(20, 300, 80, 40)), ("car", rectangle(300, 612, 10, 10)), ("van", rectangle(90, 300, 20, 40)),
    ]  # fmt: skip
    report = convert(DroneVehicle(), one(tmp_path, told), tmp_path / "out")
    (box,) = Dataset(tmp_path / "out").labels["train_00001"].objects
    assert box == Box((-10, 200, 20, 40), 3, 800)
    assert report.quirks == {
        "boxes wholly outside the image without its frame (dropped)": 2,
        "objects without a name, or named * (dropped)": 2,
        "objects without polygon and bndbox, or with a point alone (dropped)": 2,
        "train: boxes that leave the image (kept for scoring, clipped for training)": 1,
        "train: labels of RGB images (not read)": 1,
    }


def test_only_labels_of_infrared_images_count(tmp_path):
    base = put_set(tmp_path / "in")
    (base / "train/trainlabelr/00002.xml").unlink()
    put(base / "train/trainlabelr/00009.xml", xml([]))
    report = convert(DroneVehicle(), base, tmp_path / "left-out")
    assert report.quirks["train: pairs of which the RGB image alone is labelled (left out)"] == 1
    assert report.quirks["train: labels without images (left out)"] == 1
    assert report.parts["train"] == 1
    (base / "train/trainlabel/00002.xml").unlink()
    (base / "val/valimgr/00001.jpg").unlink()
    put(base / "val/valimgr/00002.jpg", b"")
    message = faults_of(base, tmp_path)
    assert "3 fault(s)" in message
    assert "trainlabelr/00002.xml: missing, but its images are there" in message
    assert "valimgr/00001.jpg: missing, but" in message
    assert "valimg/00002.jpg: missing, but" in message
    shutil.rmtree(base / "test/testlabelr")
    message = faults_of(base, tmp_path)
    assert "testlabelr: no labels of the infrared images of test" in message
    assert "\n" not in message


def test_a_part_twice_and_no_part_are_said(tmp_path):
    put_set(tmp_path / "in/a", {"val": SET["val"]})
    put_set(tmp_path / "in/b", {"val": SET["val"]})
    assert "val is there twice" in faults_of(tmp_path / "in", tmp_path)
    put(tmp_path / "empty/val/valimg/00001.jpg", b"")
    assert "no DroneVehicle layout here: looked for trainimg and trainimgr" in faults_of(tmp_path / "empty", tmp_path)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([CAR, ("lorry", CAR[1])], "object 2: unknown class 'lorry'. Known: bus, car"),
        ([("trucks", CAR[1])], "object 1: unknown class 'trucks'. Did you mean 'truck'"),
        ([("car", "<polygon><x1>1</x1></polygon>")], "object 1: <y1> is missing or empty"),
        ([("car", bndbox(1, 2, "x", 4))], "object 1: could not convert string to float: 'x'"),
        ([("car", bndbox(1, 2, "inf", 4))], "object 1: <xmax> is not finite"),
        ([("car", rectangle(200, 200, 0, 9))], "has no area"),
        ([("lorry", ""), ("lorry", "")], "2 objects are no labels:"),
    ],
)
def test_objects_that_are_no_labels_are_named(told, message, tmp_path):
    found = faults_of(one(tmp_path, told), tmp_path)
    assert message in found
    assert "1 fault(s)" in found


def test_an_entity_bomb_is_refused(tmp_path):
    base = one(tmp_path, [CAR])
    bomb = '<!DOCTYPE a [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><annotation>&b;</annotation>'
    put(base / "train/trainlabelr/00001.xml", bomb)
    assert "00001.xml: XML with a DTD or entities is refused" in faults_of(base, tmp_path)


@pytest.fixture(scope="module")
def one_pair(tmp_path_factory):
    return put_set(tmp_path_factory.mktemp("any"), {"train": {"00001": []}})


NUMBERS = st.sampled_from(["1", "300", "-3", "nan", "1e400", "", "x", " 7 ", "<b/>", "&y;"])
EXTENTS = st.tuples(*[NUMBERS] * 8).map(lambda row: polygon(*row)) | st.tuples(*[NUMBERS] * 4).map(
    lambda row: bndbox(*row)
)
OBJECTS = st.tuples(st.sampled_from(["car", "truvk", "*", "", "lorry", "<i/>", "&lt;"]), EXTENTS | st.just(""))


@settings(max_examples=100, deadline=None)
@given(content=st.lists(OBJECTS, max_size=3).map(xml) | st.binary(max_size=50) | st.text(max_size=20))
def test_no_label_file_crashes_it(content, one_pair):
    name = one_pair / "train/trainlabelr/00001.xml"
    name.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    scan = DroneVehicle().scan(FolderSource(one_pair))
    assert len(scan.items) + len(scan.faults) == 1
    assert all(fault.startswith(str(name)) for fault in scan.faults)

"""RoadScene: every layout is one set, pairs are of one size and of one name, and nothing needs a class or a box."""

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from rgbt_bench.converting import convert
from rgbt_bench.datasets.splits import split_hash
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_converters.roadscene import RoadScene

REAL = Path(__file__).parents[2] / "shared" / "data" / "RoadScene"
SIZES = {"FLIR_00006": (50, 32), "FLIR_04269": (46, 30), "FLIR_video_02829": (41, 33)}
PLACES = {
    "original": ("crop_LR_visible", "cropinfrared"),
    "vi-ir": ("vi", "ir"),
    "vis-ir": ("vis", "ir"),
    "visible-infrared": ("visible", "infrared"),
}
LAYOUTS = pytest.mark.parametrize("layout", PLACES)


def picture(size, seed, mode, form="JPEG"):
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(noise).convert(mode).save(stream, form)
    return stream.getvalue()


def made(base, layout="original", sizes=SIZES):
    for seed, (stem, size) in enumerate(sizes.items()):
        for folder, mode in zip(PLACES[layout], ("RGB", "L"), strict=True):
            (base / folder).mkdir(parents=True, exist_ok=True)
            (base / folder / f"{stem}.jpg").write_bytes(picture(size, seed, mode))
    return base


def converted(base, **options):
    out = base.with_name(base.name + "-out")
    report = convert(RoadScene(), base, out, **options)
    return report, Dataset(out)


def refused(base):
    with pytest.raises(BadInputError) as caught:
        convert(RoadScene(), base, base.with_name("out"))
    return str(caught.value)


def test_the_layouts_are_one_set(tmp_path):
    found = {layout: converted(made(tmp_path / layout, layout)) for layout in PLACES}
    assert {layout: report.layout for layout, (report, _) in found.items()} == {
        layout: layout for layout in RoadScene.layouts
    }
    assert len({report.fingerprint for report, _ in found.values()}) == 1
    report, dataset = found["original"]
    assert report.parts == {"test": 3}
    assert report.expected == {"test": "3 of 221: not the whole set"}
    assert report.quirks == {}
    assert {one: (labels.width, labels.height) for one, labels in dataset.labels.items()} == SIZES
    assert dataset.sample("FLIR_00006").rgb.data == (tmp_path / "original/crop_LR_visible/FLIR_00006.jpg").read_bytes()


def test_an_archive_is_the_same_set(tmp_path):
    base = made(tmp_path / "RoadScene-master")
    archives = [shutil.make_archive(str(tmp_path / "set"), form, tmp_path, base.name) for form in ("zip", "tar")]
    with tarfile.open(archives[1]) as tar:
        assert any(name.endswith("FLIR_00006.jpg") for name in tar.getnames())
    expected = converted(base)[0].fingerprint
    for number, archive in enumerate(archives):
        assert convert(RoadScene(), Path(archive), tmp_path / f"out{number}").fingerprint == expected


def test_datasets_reads_a_set_without_classes(tmp_path):
    converted(made(tmp_path / "a"))
    pairs = load_dataset(str(tmp_path / "a-out"), cache_dir=str(tmp_path / "cache"))["test"]
    assert pairs.features["objects"].feature["category"].names == []
    first = pairs[0]
    assert (first["sample_id"], first["objects"], first["rgb"].size) == ("FLIR_00006", [], (50, 32))
    card = (tmp_path / "a-out/README.md").read_text()
    assert "| part | pairs |\n|---|---|\n| test | 3 |\n" in card
    assert "bbox` is" not in card


def test_every_command_of_a_set_takes_one_without_classes(bench, tmp_path):
    base = made(tmp_path / "a")
    commands = [
        ("convert", "roadscene", str(base)),
        ("inspect", "roadscene", "--sheet", str(tmp_path / "sheet.png")),
        ("list", "datasets"),
        ("diff", "roadscene", "roadscene"),
    ]
    for command in commands:
        code, out, err = bench(*command)
        assert (code, "roadscene" in out) == (0, True), err
    with Pillow.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 100
    (base / "crop_LR_visible/FLIR_00006.jpg").write_bytes(picture(SIZES["FLIR_00006"], 9, "RGB"))
    converted(base)
    code, out, err = bench("diff", "roadscene", str(tmp_path / "a-out"), "--sheet", str(tmp_path / "diff.png"))
    assert (code, "FLIR_00006" in out) == (0, True), err
    assert (tmp_path / "diff.png").is_file()


@LAYOUTS
@pytest.mark.parametrize("half", [0, 1], ids=["rgb", "thermal"])
def test_a_missing_half_is_named_and_its_pair_goes_when_skipped(layout, half, tmp_path):
    base = made(tmp_path / "a", layout)
    (base / PLACES[layout][half] / "FLIR_04269.jpg").unlink()
    places = [base / folder for folder in PLACES[layout]]
    assert f"{places[1 - half]}/FLIR_04269.jpg: no image of that name in {places[half]}" in refused(base)
    report, dataset = converted(base, on_error="skip")
    assert report.skipped == 1
    assert sorted(dataset.labels) == ["FLIR_00006", "FLIR_video_02829"]


def test_high_resolution_images_alone_are_refused_and_beside_the_pairs_are_counted(tmp_path):
    base = made(tmp_path / "a")
    shutil.copytree(base / "crop_LR_visible", base / "crop_HR_visible")
    shutil.copytree(base / "cropinfrared", base / "infrared")
    shutil.copytree(base / "cropinfrared", base / "visible")
    report, _ = converted(base)
    assert (report.layout, report.quirks) == ("original", {"images in other folders (left out)": 9})
    shutil.rmtree(base / "crop_LR_visible")
    assert "crop_HR_visible: these images have other sizes than those of cropinfrared" in refused(base)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("crop_LR_visible/FLIR_00006.jpg", picture((50, 33), 0, "RGB"), "50x33, but the labels and the pair say 50x32"),
        ("cropinfrared/FLIR_00006.jpg", picture((50, 32), 0, "RGB"), "neither one channel nor three equal ones"),
        ("cropinfrared/FLIR_00006.jpg", picture((50, 32), 0, "L")[:300], "FLIR_00006.jpg"),
        ("cropinfrared/FLIR_00006.jpg", b"", "cropinfrared/FLIR_00006.jpg: cannot be decoded"),
        ("crop_LR_visible/FLIR_00006.jpg", b"no image", "FLIR_00006 (rgb, FLIR_00006.jpg): cannot be decoded"),
        ("cropinfrared/FLIR_00006.png", b"", "FLIR_00006.png: FLIR_00006 again, first"),
        ("crop_LR_visible/17.jpg", b"", "17.jpg: no name of RoadScene such as FLIR_00006"),
    ],
    ids=["size", "colour", "truncated", "empty", "text", "twice", "renumbered"],
)
def test_a_bad_file_is_named(file, content, said, tmp_path):
    base = made(tmp_path / "a")
    (base / file).write_bytes(content)
    assert said in refused(base)
    assert len(converted(base, on_error="skip")[1].labels) >= 2


def test_three_equal_channels_are_one_thermal_image(tmp_path):
    base = made(tmp_path / "a")
    with Pillow.open(base / "cropinfrared/FLIR_00006.jpg") as grey:
        grey.convert("RGB").save(base / "cropinfrared/FLIR_00006.png")
    (base / "cropinfrared/FLIR_00006.jpg").unlink()
    assert converted(base)[0].skipped == 0


@pytest.mark.parametrize("folders", [(), ("crop_LR_visible",), ("cropinfrared",)], ids=["nothing", "rgb", "thermal"])
def test_no_pairs_at_all_is_no_layout(folders, tmp_path):
    base = made(tmp_path / "a")
    for folder in set(PLACES["original"]) - set(folders):
        shutil.rmtree(base / folder)
    assert "no RoadScene layout here: looked for crop_LR_visible beside cropinfrared" in refused(base)


def test_two_layouts_side_by_side_are_not_guessed_between(tmp_path):
    made(made(tmp_path / "a", "vi-ir"), "vis-ir")
    assert "more than one layout here" in refused(tmp_path / "a")


def test_other_files_are_counted(tmp_path):
    base = made(tmp_path / "a")
    (base / "cropinfrared/notes.txt").write_text("")
    (base / "cropinfrared/.DS_Store").write_text("")
    assert converted(base)[0].quirks == {"files in the folders of images that are none (left out)": 1}


@pytest.mark.parametrize(
    ("name", "count", "digest"),
    [
        ("cddfuse", 50, "25493050ce3e19a1b072c03f84110cda04c6e1c9bf90dff29ab7cf711f4361d8"),
        ("danet", 25, "31900734bfb56d8d584a745ca021f5162d613a7ec6bfb014868d1efe4697d188"),
    ],
)
def test_the_test_pairs_of_two_papers_are_named_splits(name, count, digest, tmp_path):
    split = next(split for split in RoadScene().published_splits() if split.name == name)
    assert (len(set(split.parts["test"])), split_hash(split.parts["test"])) == (count, digest)
    converted(made(tmp_path / "a"))
    held = set(SIZES) & set(split.parts["test"])
    assert set(Dataset(tmp_path / "a-out", name).part("test").ids) == held != set()


@settings(max_examples=40, deadline=None)
@given(name=st.from_regex(r"\A[A-Za-z0-9_. é-]{1,24}\Z"), data=st.binary(max_size=40))
def test_no_file_crashes_the_conversion(name, data, tmp_path_factory):
    base = made(tmp_path_factory.mktemp("any") / "a", sizes={"FLIR_00006": (8, 8)})
    path = base / "cropinfrared" / name
    if path.name not in (".", ".."):
        path.write_bytes(data)
    refusal = ""
    try:
        converted(base)
    except BadInputError as error:
        refusal = str(error)
    assert (name in refusal) == bool(refusal)
    if not refusal:
        assert list(Dataset(base.with_name("a-out")).labels) == ["FLIR_00006"]


@pytest.mark.skipif(not REAL.is_dir(), reason="no real RoadScene in ../shared/data")
def test_the_real_pairs_convert_whole(tmp_path):
    report = convert(RoadScene(), REAL, tmp_path / "out")
    labels = Dataset(tmp_path / "out").labels
    assert (report.parts, report.quirks, report.skipped) == ({"test": 162}, {}, 0)
    assert report.fingerprint == "fbe9499240e6c5a662bde368de0d56521d5e16be779bca65e72681c7a8248a73"
    assert len({(one.width, one.height) for one in labels.values()}) == 159
    assert sum(name.startswith("FLIR_video_") for name in labels) == 13

"""`evaluate` on folders of fused images: of a set and of loose pairs, side by side, drawn, and with each mistake."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from cli_cases import only_object
from rgbt_bench.files import read_json
from rgbt_bench.metrics.fusion import METRICS, fusion_figures, luma_of
from rgbt_bench.metrics.fusion.conventions import find_convention
from rgbt_bench.png_folders import png_digest

SIZE = (34, 45)
NAMES = ("000001", "000002", "FLIR_0007", "night scene")  # six digits from 1 on, and a space: all seen in the field


def image(seed, colours=False):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3) if colours else SIZE).astype(np.uint8)


def put(folder, pictures, suffix=".png"):
    folder.mkdir(parents=True)
    for name, picture in pictures.items():
        Pillow.fromarray(picture).save(folder / f"{name}{suffix}")
    return folder


def rgb():
    return {name: image(place, True) for place, name in enumerate(NAMES)}


def thermal():
    return {name: image(10 + place) for place, name in enumerate(NAMES)}


def fused():
    return {name: (luma_of(rgb()[name]) // 2 + thermal()[name] // 2) for name in NAMES}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The words VIS, IR, A, B stand for folders in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rgbt_bench.protocols.fusion.CONTROLS", two_controls())
    put(tmp_path / "pairs" / "visible", rgb())
    put(tmp_path / "pairs" / "infrared", thermal())
    put(tmp_path / "a", fused())
    put(tmp_path / "b", thermal())
    return tmp_path


def two_controls():
    from rgbt_bench.fusion.controls import CONTROLS

    return {name: CONTROLS[name] for name in ("infrared", "noise")}  # the rest take the time


@pytest.fixture
def on_sample(home, tiny, tiny_folder, here):
    """The tiny set as `sample`, which has label maps as well, and a folder `night` of its thermal images."""
    shutil.copytree(tiny_folder, home / "datasets" / "sample")
    part = tiny.part("test")
    (here / "night").mkdir()
    for name, sample in zip(part.ids, part, strict=True):
        (here / "night" / f"{name}.png").write_bytes(sample.thermal.data)


def evaluated(bench, *words):
    code, out, err = bench("evaluate", *words, "--json")
    assert code == 0, err
    return only_object(out)


def means(method, convention=None):
    rows = []
    for name in NAMES:
        if convention:
            rows.append(find_convention(convention).figures(rgb()[name], thermal()[name], method[name]))
        else:
            rows.append(fusion_figures(luma_of(rgb()[name]), thermal()[name], method[name]))
    return {name: np.mean([row[name] for row in rows]) for name in rows[0]}


def test_fused_images_of_a_folder_of_pairs_are_each_held_against_their_own_pair(bench):
    content = evaluated(bench, "a", "--dataset", "pairs")
    assert (content["track"], content["standing"], content["evaluator"]) == ("pairs/fusion", "unofficial", "rgbt-bench")
    assert content["standing_reason"] == "leaderboard v1 has no track pairs/fusion"
    assert list(content["metrics"]["figures"]) == list(METRICS)
    for name, value in means(fused()).items():
        assert (
            np.isnan(value)
            if content["metrics"]["figures"][name] is None
            else (content["metrics"]["figures"][name] == pytest.approx(value, rel=1e-12))
        )
    assert content["predictions_sha256"] == png_digest(Path("a"))
    assert content["data"]["samples"] == 4
    assert content["model"] is None


@pytest.mark.parametrize("names", [("Vis", "Ir"), ("vi", "ir"), ("VISIBLE", "INFRARED"), ("rgb", "thermal")])
def test_the_fields_names_of_the_folders_are_known(here, bench, names):
    for name, now in zip(("visible", "infrared"), names, strict=True):
        (here / "pairs" / name).rename(here / "pairs" / f"{name}.aside")
        (here / "pairs" / f"{name}.aside").rename(here / "pairs" / now)
    (here / "pairs" / "readme.txt").write_text("x")
    assert evaluated(bench, "a", "--dataset", "pairs")["metrics"]["figures"]["MI"] == pytest.approx(
        means(fused())["MI"]
    )


def test_a_sub_folder_of_a_converted_sets_name_is_no_folder_of_pairs(here, bench, on_sample):
    (here / "pairs").rename(here / "sample")
    content = evaluated(bench, "night", "--dataset", "sample", "--task", "fusion")
    assert content["data"]["samples"] == 12
    assert evaluated(bench, "a", "--dataset", "./sample")["data"]["samples"] == 4


def test_several_stand_side_by_side(bench):
    content = evaluated(bench, "a", "b", "--dataset", "pairs")
    assert list(content["results"]) == ["a", "b"]
    assert content["results"]["b"]["metrics"]["figures"] == pytest.approx(
        content["results"]["a"]["metrics"]["controls"]["infrared"]
    )
    code, out, _ = bench("evaluate", "a", "b", "--dataset", "pairs")
    assert code == 0
    header = next(line for line in out.splitlines() if "(infrared)" in line)
    assert header.split() == ["a", "b", "(infrared)", "(noise)"]
    assert "fusion metrics rank nothing" in out


def test_equal_names_in_two_folders_are_told_apart(here, bench):
    for name in ("one", "two"):
        shutil.copytree(here / "a", here / name / "fused")
    content = evaluated(bench, "one/fused", "two/fused", "--dataset", "pairs")
    assert list(content["results"]) == ["one/fused", "two/fused"]


@pytest.mark.parametrize("name", ["vifb", "tang-matlab", "ivif-zoo", "cddfuse"])
def test_as_another_toolbox(bench, name):
    content = evaluated(bench, "a", "--dataset", "pairs", "--as", name)
    expected = means(fused(), name)
    assert (content["evaluator"], content["standing"]) == (name, "unofficial")
    assert content["standing_reason"] == f"computed as {name}, not as rgbt-bench"
    for key, value in content["metrics"]["figures"].items():
        assert value is None or value == pytest.approx(expected[key], rel=1e-12)
    assert set(content["metrics"]["controls"]["infrared"]) == set(expected)
    out = bench("evaluate", "a", "--dataset", "pairs", "--as", name)[1]
    assert f"computed as {name}: docs/explanation/fusion-metrics.md says what differs" in out


def test_as_ourselves_is_the_default(bench):
    plain, named = (evaluated(bench, "a", "--dataset", "pairs", *more) for more in ((), ("--as", "rgbt-bench")))
    assert plain["metrics"] == named["metrics"]


def test_pictures_and_the_result_are_written(here, bench):
    words = ("a", "b", "--dataset", "pairs", "--plot", "box.png", "--sheet", "sheet.png")
    evaluated(bench, *words)
    assert Pillow.open("box.png").width > 600
    assert Pillow.open("sheet.png").width > 4 * 256
    content = evaluated(bench, "a", "--dataset", "pairs", "--out", "new/result.json")
    assert content == read_json(here / "new" / "result.json")
    assert png_digest(here / "a") == content["predictions_sha256"]


def test_a_set_with_label_maps_too_takes_fused_images_where_it_is_said(bench, on_sample):
    assert evaluated(bench, "night", "--dataset", "sample", "--task", "fusion")["track"] == "sample/fusion"
    for more in (("--sheet", "s.png"), ("--plot", "p.png"), ("--as", "cddfuse")):
        assert evaluated(bench, "night", "--dataset", "sample", *more)["track"] == "sample/fusion"
    code, _, err = bench("evaluate", "night", "--dataset", "sample")
    assert code == 3
    assert "are no class" in err
    assert "they were taken for label maps; of fused images say --task fusion" in err


def lose(path):
    return lambda here: (here / path).unlink()


def add(path, picture):
    return lambda here: Pillow.fromarray(picture).save(here / path)


FAULTS = {
    "a --as vifbb": (None, 2, "Did you mean 'vifb'"),
    "a --evaluator hotcoco": (None, 2, "unknown evaluator 'hotcoco'. Known: cddfuse, ivif-zoo, rgbt-bench"),
    "a --as vifb --evaluator vifb": (None, 2, "--evaluator and --as: of fused images --as says it alone"),
    "a --task fusoin": (None, 2, "Did you mean 'fusion'"),
    "a --task detection-rgbt": (None, 3, "pairs: the part loose has no boxes to score against"),
    "a --task detection-rgbt --as vifb": (None, 2, "--as is for fused images, and the task is detection-rgbt"),
    "a --part val": (None, 2, "--part val: pairs is a folder of pairs, which has no parts"),
    "a a": (None, 2, "the same predictions are given twice"),
    "a ./a/": (None, 2, "the same predictions are given twice"),
    "a b --out r.json": (None, 2, "--out r.json: a file holds one result; evaluate one at a time, or take --json"),
    "a --out a/r.json": (None, 2, "--out a/r.json: is among the predictions"),
    "a --sheet a/s.png": (None, 2, "--sheet a/s.png: is among the predictions"),
    "a --plot a/s.png": (None, 2, "--plot a/s.png: is among the predictions"),
    "a --plot p.pdf": (None, 2, "--plot p.pdf: name a .png file"),
    "a --sheet s.jpg": (None, 2, "--sheet s.jpg: name a .png file"),
    "a --plot pairs": (None, 2, "--plot pairs: is a folder; name a file in it"),
    "a --plot s.png --sheet ./s.png": (None, 2, "--out, --sheet and --plot: two of them are one file"),
    "nowhere": (None, 4, "nowhere: no such f"),
    "nowhere --as vifb": (None, 4, "nowhere: no such file or folder"),
    "a nowhere --task fusion": (None, 4, "nowhere: no such folder"),
    "a/000001.png": (None, 3, "000001.png: is a file; fused images are a folder with one .png a sample"),
    "a a/000001.png --plot p.png": (None, 3, "000001.png: is a file; fused images are a folder"),
    "a --sheet late.png": (lose("a/000002.png"), 3, "1 of 4 samples have no fused image: 000002.png"),
    "a --json": (add("a/000003.png", image(1)), 3, "000003.png: no sample of this part is called so"),
    "b --json": (add("b/FLIR_0007.png", image(1)[:-1]), 3, "FLIR_0007.png: 45x33, but its sources are 45x34"),
    "b": (add("b/FLIR_0007.png", image(1, True)), 3, "1 are RGB and 3 are grey, such as FLIR_0007.png"),
    "a --as cddfuse": (lose("pairs/visible/000002.png"), 3, "no partner of the same name"),
    "b --as cddfuse": (add("pairs/visible/000002.png", image(1, True)[:-1]), 3, "of a pair are registered and of one"),
    "b --as vifb": (lambda here: (here / "pairs" / "ir").mkdir(), 2, "infrared and ir can both hold the thermal"),
    "a --as tang-matlab": (lambda here: shutil.rmtree(here / "pairs" / "visible"), 4, "pairs: no converted set here"),
}  # fmt: skip


@pytest.mark.parametrize("line", FAULTS)
def test_each_fault_is_one_object_with_its_code_and_writes_nothing(here, bench, line):
    change, expected, message = FAULTS[line]
    if change:
        change(here)
    before = {path: path.is_file() and path.read_bytes() for path in here.rglob("*") if "home" not in path.parts}
    words = line.removesuffix(" --json").split()
    code, out, err = bench("evaluate", *words, "--dataset", "./pairs" if "tang" in line else "pairs", "--json")
    content = only_object(out)
    assert (code, content["exit_code"]) == (expected, expected), err
    assert message in content["error"]
    assert before == {
        path: path.is_file() and path.read_bytes() for path in here.rglob("*") if "home" not in path.parts
    }

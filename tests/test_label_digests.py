"""The label digests of FLIR-aligned's and M3FD's splits are those of a conversion, and FLIR's are frozen here."""

import importlib.util
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import rgbt_leaderboards
from flir_cases import put_voc
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_converters._flir_labels import CLASSES
from rgbt_converters.flir import Flir
from rgbt_converters.m3fd import M3fd
from test_m3fd_splits import FROZEN as M3FD

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "annotations_full"
# Samples, boxes, and the beginnings of the SHA-256 of the ids and of the label digest; test is the leaderboard's.
FLIR = {
    ("default", "train"): (3713, 27858, "caa6794c7a779961", "1d31c3ded6c138e5"),
    ("default", "val"): (415, 4303, "22a4f2b4e6bd88fe", "3516e684a0cee8a5"),
    ("official", "train"): (4128, 32161, "b54d71181be04310", "3e759777c2cee738"),
    ("rgbxfusion", "train"): (3302, 26191, "b2ec8fa8f1ab8d7f", "75018613c85700bb"),
    ("rgbxfusion", "val"): (826, 5970, "aca0e27e2fee6883", "1e9a9e54dc78595d"),
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("label_digests", ROOT / "docs/measurements/label_digests.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data():
    if not DATA.is_dir():
        pytest.skip(f"no published labels at {DATA}: they may not be committed")
    return DATA


def brief(rows):
    return {
        (row.split, row.part): (row.samples, sum(row.boxes), row.ids_sha256[:16], row.label_digest[:16]) for row in rows
    }


def test_the_digests_are_those_of_a_converted_set(script, tmp_path):
    convert(Flir(), put_voc(tmp_path / "in"), tmp_path / "out")
    record = Dataset(tmp_path / "out").record
    splits = {
        name: {part: opened.part(part).ids for part in opened.parts}
        for name, opened in ((name, Dataset(tmp_path / "out", name)) for name in record.splits)
    }
    rows = script.rows(Dataset(tmp_path / "out").labels.values(), splits, CLASSES)
    assert {(row.split, row.part): (row.samples, row.ids_sha256, row.label_digest) for row in rows} == {
        (name, part): (one.samples, one.ids_sha256, one.label_digest)
        for name, parts in record.splits.items()
        for part, one in parts.items()
    }
    assert {row.part: row.boxes for row in rows if row.split == "default"} == {
        "train": (1, 2, 2), "val": (1, 0, 1), "test": (1, 0, 1),
    }  # fmt: skip


def test_a_table_has_as_many_digits_as_are_asked_for(script):
    row = script.Row("default", "train", 1234, (5678, 1), "ab" * 32, "cd" * 32)
    heads, rule, line = script.table([row], ["person", "car"], 4)
    assert line == "| default | train | 1,234 | 5,679 | 5,678 | 1 | `abab` | `cdcd` |"
    assert heads.count("|") == rule.count("|") == line.count("|")
    assert f"`{'cd' * 32}`" in script.table([row], ["person", "car"], 64)[2]


def test_the_labels_of_flir_s_parts_are_frozen(script, data):
    labels, splits = script.read_flir(data)
    rows = script.rows(labels, splits, CLASSES)
    board = YAML(typ="safe").load(Path(rgbt_leaderboards.__file__).parent / "v1/leaderboard.yaml")["data"]["flir-test"]
    tests = [row for row in rows if row.part == "test"]
    assert [row.split for row in tests] == ["default", "official", "rgbxfusion"]
    assert {(row.samples, sum(row.boxes), row.label_digest) for row in tests} == {
        (board["samples"], board["boxes"], board["label_digest"])
    }
    assert board["boxes"] == 8591
    assert {key: value for key, value in brief(rows).items() if key[1] != "test"} == FLIR
    for split in splits:
        assert sum(sum(row.boxes) for row in rows if row.split == split and row.part != "test") == 32161


def test_the_labels_of_m3fd_s_parts_are_the_frozen_ones(script, data):
    labels, splits = script.read_m3fd(data)
    assert brief(script.rows(labels, splits, M3fd.info.classes)) == M3FD

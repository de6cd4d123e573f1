"""The script docs/measurements/fusion_rosetta.py: means over pairs, and what it prints of them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusion_images import triple
from rgbt_bench.metrics.fusion.conventions import CONVENTIONS

SCRIPT = Path(__file__).parent.parent / "docs" / "measurements" / "fusion_rosetta.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("fusion_rosetta", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_conventions_means_are_those_of_its_figures(script):
    pairs = [triple(30, 40, seed=seed) for seed in (0, 1)]
    found = script.rosetta(pairs)
    for convention in CONVENTIONS:
        assert tuple(found[convention.name]) == convention.metrics
        deviation = np.mean([convention.figures(*pair, names=["SD"])["SD"] for pair in pairs])
        assert float(found[convention.name]["SD"]) == pytest.approx(deviation, abs=1e-3)


def test_a_mean_says_how_many_pairs_have_no_figure(script):
    assert script.mean([1.0, np.nan, 3.0]) == "2.0000 (1 undefined)"
    assert script.mean([np.nan]) == "undefined"


def test_the_script_prints_a_table_of_a_control_and_of_a_folder(script, tmp_path, monkeypatch, capsys):
    for stem in "abc":
        rgb, thermal, fused = triple(50, 60, seed=ord(stem), colour=True)
        for folder, image in (("rgb", rgb), ("thermal", thermal), ("fused", fused[..., 1])):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / folder / f"{stem}.png")
    folders = [str(tmp_path / name) for name in ("rgb", "thermal", "fused")]
    (tmp_path / "pairs.txt").write_text("c\na\n")
    (tmp_path / "rgb" / "b.png").unlink()  # reading a pair that is not listed would fail
    options = ["infrared", "--list", str(tmp_path / "pairs.txt"), "--convention", "cddfuse", "--jpeg", "95", "--colour"]
    monkeypatch.setattr(sys, "argv", ["fusion_rosetta.py", *folders, *options])
    script.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| metric | fused | infrared |"
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in CONVENTIONS[-1].metrics]
    assert len(set(lines[3].split(" | "))) == 3

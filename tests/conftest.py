import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

# One thread a process: two torch threads on a shared core can be many times slower than one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from hypothesis import settings

from cli_cases import run_in_process
from hub_fixtures import hub  # noqa: F401
from rgbt_bench.converters import Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.sample import scenes
from rgbt_bench.datasets.sample_converter import SampleConverter, to_item
from rgbt_bench.datasets.store import Dataset

# The same examples in every run; HYPOTHESIS_PROFILE=default draws new ones.
settings.register_profile("same", derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

TINY = {"train": 12, "val": 4, "test": 12}


class TinySample(SampleConverter):
    """The first scenes of each part of the embedded set: enough to run everything in seconds."""

    expected = TINY

    def scan(self, source):
        return Scan(
            "generated", [to_item(part, sample) for part, count in TINY.items() for sample in scenes(part, count)]
        )


class ManyScenes(TinySample):
    """The tiny set with a scene for each sample, so that there are enough of them to be resampled."""

    def scan(self, source):
        found = super().scan(source)
        items = [replace(one, labels=replace(one.labels, scene=one.labels.sample_id)) for one in found.items]
        return Scan(found.layout, items)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Every test has its own home: nothing of the user's is read or written."""
    folder = tmp_path / "home"
    monkeypatch.setenv("RGBT_BENCH_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "sample"
    convert(TinySample(), None, folder)
    return folder


@pytest.fixture(scope="session")
def scenes_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "sample"
    convert(ManyScenes(), None, folder)
    return folder


@pytest.fixture
def tiny(tiny_folder):
    return Dataset(tiny_folder)


@pytest.fixture(scope="session")
def trained_home(tiny_folder, tmp_path_factory):
    """A runs home with one small network that was really trained on the tiny set; take copies, leave it as it is."""
    pytest.importorskip("torch")
    from model_cases import train

    return train(tiny_folder, tmp_path_factory.mktemp("trained") / "runs")


@pytest.fixture
def trained(trained_home, home):
    """The folder of a small trained run in the home of this test."""
    shutil.copytree(trained_home, home / "runs")
    (folder,) = (home / "runs").glob("*/*/*")
    return folder


@pytest.fixture
def bench(monkeypatch, capsys):
    """Run the command line in this process; return its exit code, stdout and stderr."""
    return lambda *arguments: run_in_process(monkeypatch, capsys, arguments)


@pytest.fixture(scope="session")
def pip_install():
    """Install a project or wheel into a folder as a user does, without the network."""
    paths = []
    if find_spec("pip") is None:  # an environment made by uv; Python's own copy of pip does as well
        import ensurepip

        paths = [str(path) for path in Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")]
        if not paths:
            pytest.skip("neither pip nor Python's bundled copy of it is here")

    def install(what, target):
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(what)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return install


@pytest.fixture
def written(tmp_path):
    """Write a changed copy of a registered recipe under another name, and return its file as a recipe name."""

    def write(changes=(), of="ffkd-teacher-rgb", name="mine"):
        from rgbt_bench.recipes import recipe_path

        text = recipe_path(of).read_text().replace(f"name: {of}\n", f"name: {name}\n", 1)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return str(path)

    return write

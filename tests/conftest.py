import os

# One thread a process: two torch threads on a shared core can be many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from rgbt_bench.converting import Scan, convert
from rgbt_bench.datasets.sample import scenes
from rgbt_bench.datasets.sample_converter import SampleConverter, to_item
from rgbt_bench.datasets.store import Dataset

TINY = {"train": 12, "val": 4, "test": 12}


class TinySample(SampleConverter):
    """The first scenes of each part of the embedded set: enough to run everything in seconds."""

    expected = TINY

    def scan(self, root):
        return Scan(
            "generated", [to_item(part, sample) for part, count in TINY.items() for sample in scenes(part, count)]
        )


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


@pytest.fixture
def tiny(tiny_folder):
    return Dataset(tiny_folder)

"""Pushing and streaming generated 640x512 pairs over loopback: against `datasets`' own routes to the same Hub."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from generate_pairs import generate
from hub_fixtures import hub  # noqa: F401 - a fixture
from rgbt_bench.converting import convert
from rgbt_converters.flir import Flir

PAIRS = 1000
ROUNDS = 3
ROUTES = Path(__file__).parent / "hub_routes.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("hub")
    generate(place / "align", PAIRS)
    convert(Flir(), place / "align", place / "flir")
    return place / "flir"


@pytest.fixture
def route(hub, folder, tmp_path, monkeypatch):  # noqa: F811
    """Take a route, each time with nothing kept from before; return the least time and memory of some rounds."""
    monkeypatch.setenv("USE_TORCH", "0")  # or `datasets` imports it, which is no part of either route

    def take(name, repo="ann/flir"):
        found = []
        for number in range(ROUNDS):
            kept = tmp_path / f"{name}-{number}"
            monkeypatch.setenv("RGBT_BENCH_HOME", str(kept / "home"))
            for variable in ("HF_HUB_CACHE", "HF_DATASETS_CACHE"):
                monkeypatch.setenv(variable, str(kept / variable))
            target = f"{repo}-{number}" if name.startswith("push") else repo
            done = subprocess.run(
                [sys.executable, ROUTES, name, folder, target], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            found.append(json.loads(done.stdout.splitlines()[-1]))
        assert len({one["pairs"] for one in found}) == 1
        return {"pairs": found[0]["pairs"], **{key: min(one[key] for one in found) for key in ("seconds", "peak_mb")}}

    return take


def compare(benchmark, ours, theirs):
    assert ours["pairs"] == theirs["pairs"]
    speed, memory = theirs["seconds"] / ours["seconds"], ours["peak_mb"] / theirs["peak_mb"]
    benchmark.extra_info |= {
        "speed_over_datasets": round(speed, 2),
        "memory_over_datasets": round(memory, 2),
        "pairs_per_second": round(ours["pairs"] / ours["seconds"]),
        "peak_mb": round(ours["peak_mb"]),
        "datasets_pairs_per_second": round(theirs["pairs"] / theirs["seconds"]),
        "datasets_peak_mb": round(theirs["peak_mb"]),
    }
    benchmark.pedantic(lambda: None)
    return speed, memory


def test_a_push_is_no_slower_and_no_larger_than_push_to_hub(benchmark, route):
    speed, memory = compare(benchmark, route("push"), route("push_by_datasets", "ann/theirs"))
    assert speed > 1
    assert memory < 1


# Ours decodes every image to verify it and keeps it on disk; so the first, where `datasets` decodes nothing, is dearer.
@pytest.mark.parametrize(("what", "least"), [("", 0.25), ("_decoded", 0.6), ("_epochs", 0.8)])
def test_streaming_keeps_up_with_datasets(benchmark, route, what, least):
    route("push")
    ours, theirs = (route(f"stream{what}{by}", "ann/flir-0") for by in ("", "_by_datasets"))
    speed, memory = compare(benchmark, ours, theirs)
    assert speed > least
    assert memory < 1


def test_one_pair_costs_its_row_group_and_the_labels(benchmark, route, hub, folder):  # noqa: F811
    route("push")
    hub.reset()
    route("one_pair", "ann/flir-0")
    sent = hub.bytes_sent(r"parquet") / ROUNDS
    whole = sum(path.stat().st_size for path in (folder / "data").iterdir())
    benchmark.extra_info |= {"share_of_the_set": round(sent / whole, 3)}
    benchmark.pedantic(lambda: None)
    assert sent < 0.2 * whole

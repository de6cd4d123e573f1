"""Training steps fed from disk against the same steps on batches in memory; run with `--benchmark-enable`."""

import sys
from itertools import islice
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from profile_training import prepared, steps, training_part
from rgbt_bench.datasets import store, torch_views

MOST_RATIO = 1.1
TURNS = 6


@pytest.fixture(scope="module")
def flir_sized(tmp_path_factory):
    return training_part(tmp_path_factory.mktemp("pairs"), "paper")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return training_part(tmp_path_factory.mktemp("sample"), "quick")


def check(benchmark, task, count):
    """Take the first steps of an epoch from memory and from the loader by turns, and compare the quickest of each."""
    held = list(islice(task.batches(0), count))
    assert len(held) == count
    steps(task, held[:1])
    loaded = lambda: steps(task, islice(task.batches(0), count))  # noqa: E731
    turns = [(steps(task, held)[0], *loaded()) for _ in range(TURNS)]
    memory, fed, waited = (min(times) for times in zip(*turns, strict=True))
    benchmark.extra_info |= {
        "with_loader_over_in_memory": round(fed / memory, 3),
        "waited_share": round(waited / fed, 3),
        "in_memory_s_a_step": round(memory / count, 3),
    }
    benchmark.pedantic(loaded, rounds=1)
    assert fed <= MOST_RATIO * memory, benchmark.extra_info


def test_a_step_at_the_papers_size_waits_little_for_its_data(benchmark, flir_sized, monkeypatch):
    """The network with the shortest step a pair; every pair is read, decoded and augmented again."""
    monkeypatch.setattr(store, "KEPT_BYTES", 0)  # as of a set far larger than what is kept
    check(benchmark, prepared("paper", flir_sized, "schedule.batch_size=2"), 4)


def test_a_quick_step_waits_little_for_its_data(benchmark, sample):
    """Small pairs are kept decoded; the first batches are read before anything is timed."""
    check(benchmark, prepared("quick", sample), 16)


def test_a_quick_step_that_decodes_its_pairs_waits_little_for_them(benchmark, sample, monkeypatch):
    """As in the first epoch."""
    monkeypatch.setattr(torch_views, "_KEPT_BYTES", 0)
    check(benchmark, prepared("quick", sample), 16)

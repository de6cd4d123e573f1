"""A step of RDR-KD's student with its teacher against a step of the student alone; run with `--benchmark-enable`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "docs" / "measurements"))

from rdrkd_step import BOXES, ROWS, labelled, medians, network, stepping


def check(benchmark, teacher, size, batch, steps, most):
    """Take steps of each kind by turns, and hold the one with all three terms to a ratio."""
    images = labelled(size, batch, BOXES, "cpu")
    tasks = {name: stepping(network("yolov8n", teacher, terms, "cpu"), images) for name, terms in ROWS.items()}
    spent = medians(tasks, steps, "cpu")
    ratios = {name: round(one / spent["plain"], 2) for name, one in spent.items()}
    benchmark.extra_info |= {"plain_cpu_s_a_step": round(spent["plain"], 3), "over_plain": ratios}
    benchmark.pedantic(tasks["all three"], rounds=1)
    assert ratios["all three"] <= most, benchmark.extra_info
    assert all(ratios[name] <= ratios["all three"] * 1.1 for name in ROWS), benchmark.extra_info


def test_a_quick_step(benchmark):
    check(benchmark, "yolov8s", 256, 8, 3, 4.5)


def test_a_step_at_the_papers_size(benchmark):
    check(benchmark, "yolov8l", 640, 1, 1, 12)

"""Scoring a FLIR-size set: hotcoco against pycocotools; run with `pytest benchmarks --benchmark-enable`."""

import statistics
import time

from rgbt_bench.metrics.detection import coco_figures

LEAST_RATIO = 30


def seconds(case, evaluator):
    start = time.perf_counter()
    coco_figures(*case, evaluator)
    return time.perf_counter() - start


def test_scoring_is_several_times_faster_than_pycocotools(benchmark, flir_size):
    assert benchmark(coco_figures, *flir_size) == coco_figures(*flir_size, "pycocotools")
    # Timed here as well, one beside the other: the ratio must hold under --benchmark-disable too.
    ratio = seconds(flir_size, "pycocotools") / statistics.median(seconds(flir_size, "hotcoco") for _ in range(5))
    benchmark.extra_info["times_faster_than_pycocotools"] = round(ratio, 1)
    assert ratio >= LEAST_RATIO, f"{ratio:.1f} times faster, at least {LEAST_RATIO} expected"

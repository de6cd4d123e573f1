"""The fusion metrics of a 640x480 pair on one thread against scikit-learn's mutual information and a plain VIF."""

import time

import numpy as np
import pytest

from rgbt_bench.metrics.fusion import METRICS, fusion_figures
from rgbt_bench.metrics.fusion.structure import VIF_SIZES, gaussian

LEAST_INFORMATION_RATIO, LEAST_VIF_RATIO = 50, 60
MOST_RATIO_OF_ALL = 0.3  # of the plain VIF's seconds; FMI takes most of it
ROUNDS = 15


@pytest.fixture(scope="module")
def images():
    """Shades and noise in both sources, and their mean."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:480, :640]
    luma = 128 + 60 * np.sin(x / 37) + 40 * np.cos(y / 23) + rng.normal(0, 12, y.shape)
    thermal = 128 + 80 * np.cos(x / 51 + y / 40) + rng.normal(0, 8, y.shape)
    luma, thermal = (image.clip(0, 255).astype(np.uint8) for image in (luma, thermal))
    return luma, thermal, ((luma.astype(int) + thermal) // 2).astype(np.uint8)


def seconds(work, rounds=ROUNDS):
    """The least over some rounds, after one that is not timed: other work on the machine adds."""
    work()
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent)


def plain_vif(source, fused):
    """VIFp as it is mostly written: five two-dimensional convolutions a scale."""
    from scipy.signal import convolve2d

    source, fused = source.astype(float), fused.astype(float)
    kept = had = 0.0
    for scale, size in enumerate(VIF_SIZES):
        window = np.outer(gaussian(size, size / 5), gaussian(size, size / 5))

        def mean(image, window=window):
            return convolve2d(image, window, mode="valid")

        if scale:
            source, fused = mean(source)[::2, ::2], mean(fused)[::2, ::2]
        a, f = mean(source), mean(fused)
        variance, own = np.maximum(mean(source**2) - a * a, 0), np.maximum(mean(fused**2) - f * f, 0)
        covariance = mean(source * fused) - a * f
        gain = np.maximum(covariance / (variance + 1e-10), 0)
        rest = np.maximum(own - gain * covariance, 1e-10)
        kept += np.log10(1 + gain**2 * variance / (rest + 2)).sum()
        had += np.log10(1 + variance / 2).sum()
    return kept / had


def test_entropy_information_and_deviation_are_many_times_faster_than_scikit_learns_information(benchmark, images):
    from sklearn.metrics import mutual_info_score

    luma, thermal, fused = (image.ravel() for image in images)

    def peer():
        return mutual_info_score(luma, fused) + mutual_info_score(thermal, fused)

    figures = benchmark(fusion_figures, *images, ["EN", "MI", "SD"])
    assert figures["MI"] == pytest.approx(peer() / np.log(2), rel=1e-10)
    ours = seconds(lambda: fusion_figures(*images, ["EN", "MI", "SD"]))
    ratio = seconds(peer, 3) / ours
    benchmark.extra_info["times_faster_than_scikit_learn"] = round(ratio, 1)
    assert ratio >= LEAST_INFORMATION_RATIO, f"{ratio:.1f} times faster, at least {LEAST_INFORMATION_RATIO} expected"


def test_vif_is_many_times_faster_than_two_dimensional_convolution(benchmark, images):
    luma, thermal, fused = images

    def peer():
        return plain_vif(luma, fused) + plain_vif(thermal, fused)

    figures = benchmark(fusion_figures, *images, ["VIF"])
    assert figures["VIF"] == pytest.approx(peer(), rel=1e-6)
    theirs = seconds(peer, 3)
    ratio = theirs / seconds(lambda: fusion_figures(*images, ["VIF"]))
    every = seconds(lambda: fusion_figures(*images), 5)
    each = {name: seconds(lambda name=name: fusion_figures(*images, [name]), 5) for name in METRICS}
    benchmark.extra_info["times_faster_than_convolution"] = round(ratio, 1)
    benchmark.extra_info["ms_of_each_metric"] = {name: round(1e3 * spent, 2) for name, spent in each.items()}
    benchmark.extra_info["ms_of_all_metrics"] = round(1e3 * every, 1)
    assert ratio >= LEAST_VIF_RATIO, f"{ratio:.1f} times faster, at least {LEAST_VIF_RATIO} expected"
    assert every <= MOST_RATIO_OF_ALL * theirs, f"all metrics take {1e3 * every:.0f} ms"

"""The default fusion metrics by name, and all of them for a pair: the protocol `fusion`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from rgbt_bench.errors import unknown_name
from rgbt_bench.metrics.fusion import correlation, histograms
from rgbt_bench.metrics.fusion.triple import Gray, Triple

PROTOCOL: Final[dict[str, Any]] = {
    "name": "fusion",
    "definition": 1,
    "task": "fusion",
    "images": "uint8[H, W]: BT.601 luma of the RGB image (Pillow's L), thermal, fused as saved",
    "histograms": {"levels": 256, "log": 2, "stretched": False},
    "EN": "entropy of fused",
    "MI": "sum over both sources",
    "SD": "population",
    "CC": "mean over both sources",
    "SCD": "sum over both sources",
    "PSNR": "10 log10(255^2 / mean MSE over both sources)",
    "CE": "mean over both sources of sum p log2(p / q) over the levels that both have",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A default fusion metric's name, title, unit, direction and source."""

    name: str
    title: str
    unit: str
    higher_is_better: bool
    source: str


_TABLE: Final[tuple[tuple[Metric, Callable[[Triple], float]], ...]] = (
    (Metric("EN", "entropy of the fused image", "bit", True, "Roberts et al. 2008"), histograms.entropy),
    (
        Metric("MI", "mutual information with both sources, summed", "bit", True, "Qu et al. 2002"),
        histograms.mutual_information,
    ),
    (
        Metric("SD", "standard deviation of the fused image", "level", True, "Rao 1997"),
        histograms.standard_deviation,
    ),
    (
        Metric("SCD", "correlations of differences, summed", "-2..2", True, "Aslantas and Bendes 2015"),
        correlation.sum_of_correlations_of_differences,
    ),
    (
        Metric("CC", "mean correlation with both sources", "-1..1", True, "Ma et al. 2019"),
        correlation.correlation,
    ),
    (
        Metric("PSNR", "peak signal-to-noise ratio at the mean MSE to both sources", "dB", True, "Jagalingam 2015"),
        correlation.peak_signal_to_noise_ratio,
    ),
    (
        Metric("CE", "mean divergence of both sources' histograms from the fused", "bit", False, "Bulanon 2009; VIFB"),
        histograms.cross_entropy,
    ),
)

METRICS: Final[Mapping[str, Metric]] = MappingProxyType({metric.name: metric for metric, _ in _TABLE})
_FUNCTIONS: Final = {metric.name: function for metric, function in _TABLE}


def fusion_figures(luma: Gray, thermal: Gray, fused: Gray, names: Sequence[str] | None = None) -> dict[str, float]:
    """Return the default fusion metrics of one pair by name, in the order of `names`, or all in that of METRICS.

    The images are uint8[H, W] of one size. A figure is NaN exactly where its metric is undefined for the pair.

    Raises:
        UsageError: a name that is none of METRICS.
        ValueError: another dtype, no two dimensions, no pixel, or two sizes.
    """
    names = tuple(METRICS) if names is None else names
    for name in names:
        if name not in METRICS:
            raise unknown_name("fusion metric", name, METRICS)
    triple = Triple(luma, thermal, fused)
    return {name: _FUNCTIONS[name](triple) for name in names}

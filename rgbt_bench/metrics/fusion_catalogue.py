"""The default fusion metrics by name; apart from their numbers, so that listing them loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Metric:
    """A default fusion metric's name, title, unit, direction and source."""

    name: str
    title: str
    unit: str
    higher_is_better: bool
    source: str


def _metric(name: str, title: str, unit: str, source: str, higher_is_better: bool = True) -> Metric:
    return Metric(name, title, unit, higher_is_better, source)


_METRICS: Final = (
    _metric("EN", "entropy of the fused image", "bit", "Roberts et al. 2008"),
    _metric("MI", "mutual information with both sources, summed", "bit", "Qu et al. 2002"),
    _metric("SD", "standard deviation of the fused image", "level", "Rao 1997"),
    _metric("VIF", "pixel visual information fidelity to both sources, summed", "ratio", "Sheikh and Bovik 2006"),
    _metric("Qabf", "preservation of both sources' edges", "0..1", "Xydeas and Petrovic 2000"),
    _metric("SSIM", "structural similarity to both sources, mean", "-1..1", "Wang et al. 2004"),
    _metric("SCD", "correlations of differences, summed", "-2..2", "Aslantas and Bendes 2015"),
    _metric("CC", "correlation with both sources, mean", "-1..1", "Ma et al. 2019"),
    _metric("AG", "average gradient of the fused image", "level", "Cui et al. 2015"),
    _metric("SF", "spatial frequency of the fused image", "level", "Eskicioglu and Fisher 1995"),
    _metric("PSNR", "peak signal-to-noise ratio at the mean MSE to both sources", "dB", "Jagalingam and Hegde 2015"),
    _metric("Nabf", "edges of the fused image that are in neither source", "0..1", "Kumar 2013", False),
    _metric("CE", "divergence of both sources' histograms from the fused, mean", "bit", "Bulanon et al. 2009", False),
    _metric("MS-SSIM", "structural similarity to both sources over five scales, mean", "0..1", "Wang et al. 2003"),
    _metric("FMI", "mutual information of pixels in 3x3 windows, mean", "0..1", "Haghighat et al. 2011"),
)

METRICS: Final[Mapping[str, Metric]] = MappingProxyType({metric.name: metric for metric in _METRICS})

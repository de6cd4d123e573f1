"""The default fusion metrics by name, and all of them for a pair: the protocol `fusion`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rgbt_bench.errors import unknown_name
from rgbt_bench.metrics.fusion import correlation, features, gradients, histograms, structure
from rgbt_bench.metrics.fusion.triple import LEVELS, Gray, Triple
from rgbt_bench.metrics.fusion_catalogue import METRICS

_SOBEL: Final = "Sobel gradients of the pixels that have all 8 neighbours"

PROTOCOL: Final[dict[str, Any]] = {
    "name": "fusion",
    "definition": 1,
    "task": "fusion",
    "modalities": "rgb and thermal",
    "images": "uint8[H, W] of one size: BT.601 luma of the RGB image (Pillow's L), thermal, fused as saved",
    "histograms": {"levels": LEVELS, "log": 2, "stretched": False},
    "EN": "entropy of fused",
    "MI": "sum over both sources",
    "SD": "population",
    "VIF": {
        "figure": "sum over both sources",
        "form": "pixels",
        "windows": list(structure.VIF_SIZES),
        "sigma": "size / 5",
        "noise": structure.VIF_NOISE,
        "least_variance": structure.VIF_LEAST,
        "borders": "windows in the image",
    },
    "Qabf": {
        "gradients": _SOBEL,
        "strength": list(gradients.QABF_STRENGTH),
        "angle": list(gradients.QABF_ANGLE),
        "weight_power": 1,
    },
    "SSIM": {
        "figure": "mean over both sources",
        "window": structure.SSIM_SIZE,
        "sigma": structure.SSIM_SIGMA,
        "K": [0.01, 0.03],
        "L": 255,
        "borders": "windows in the image",
    },
    "SCD": "sum over both sources",
    "CC": "mean over both sources",
    "AG": "forward differences, mean over (H - 1)(W - 1)",
    "SF": "squared differences over H W",
    "PSNR": "10 log10(255^2 / mean MSE over both sources)",
    "Nabf": {
        "gradients": f"{_SOBEL}, over 8",
        "strength": list(gradients.NABF_STRENGTH),
        "angle": list(gradients.NABF_ANGLE),
        "threshold": gradients.NABF_THRESHOLD,
        "least_weight": gradients.NABF_LEAST_WEIGHT,
        "weight_power": 1.5,
    },
    "CE": "mean over both sources of the sum of p log2(p / q) over the levels that both have",
    "MS-SSIM": {
        "figure": "mean over both sources",
        "weights": list(structure.MS_SSIM_WEIGHTS),
        "scales": "means of 2x2 blocks, a last odd row or column left out",
        "below_0": "taken as 0",
    },
    "FMI": {"features": "pixels", "window": features.FMI_SIZE, "order": "columns", "joint": "Nelsen, Frechet's bounds"},
}


_FUNCTIONS: Final[Mapping[str, Callable[[Triple], float]]] = {
    "EN": histograms.entropy,
    "MI": histograms.mutual_information,
    "SD": lambda triple: correlation.standard_deviation(triple.products),
    "VIF": structure.vif,
    "Qabf": gradients.edge_preservation,
    "SSIM": structure.ssim,
    "SCD": lambda triple: correlation.sum_of_correlations_of_differences(triple.products),
    "CC": lambda triple: correlation.correlation(triple.products),
    "AG": gradients.average_gradient,
    "SF": gradients.spatial_frequency,
    "PSNR": lambda triple: correlation.peak_signal_to_noise_ratio(triple.products),
    "Nabf": gradients.artefacts,
    "CE": histograms.cross_entropy,
    "MS-SSIM": structure.ms_ssim,
    "FMI": features.feature_mutual_information,
}


def fusion_figures(luma: Gray, thermal: Gray, fused: Gray, names: Sequence[str] | None = None) -> dict[str, float]:
    """Return the default fusion metrics of one pair by name, in the order of `names`, or all in that of METRICS.

    The images are uint8[H, W] of one size. A figure is NaN exactly where its metric is undefined for the pair.

    Raises:
        UsageError: a name that is none of METRICS.
        ValueError: another dtype, no two dimensions, no pixel, or two sizes.
    """
    names = tuple(METRICS) if names is None else names
    require_known(names)
    triple = Triple(luma, thermal, fused)
    return {name: _FUNCTIONS[name](triple) for name in names}


def require_known(names: Sequence[str]) -> None:
    """Refuse a name that is none of METRICS.

    Raises:
        UsageError: there is one; it says which was meant.
    """
    for name in names:
        if name not in METRICS:
            raise unknown_name("fusion metric", name, METRICS)

"""The convention of L. Tang's MATLAB folder "General Evaluation Metric", which many papers' tables come from."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from rgbt_bench.metrics.fusion.conventions import _shared as shared
from rgbt_bench.metrics.fusion.conventions._exposure import exposure_similarity, multiscale_exposure_similarity
from rgbt_bench.metrics.fusion.conventions._filters import filtered, gaussian
from rgbt_bench.metrics.fusion.conventions._images import Grays, grays, matlab_gray, saturated
from rgbt_bench.metrics.fusion.conventions.base import Convention, Floats, figures_of


def _unit(images: Grays) -> Grays:
    """Return what im2double makes of the images: 0..1."""
    return Grays(*(image / 255 for image in images))


def _information(images: Grays) -> float:
    """Marginals of 256 levels, but a joint histogram in whose uint8 index 255 + 1 stays 255, level 254's place."""
    visible, thermal, fused = images
    marginals = [shared.entropy(shared.histogram(image)) for image in images]
    joints = [
        shared.entropy(shared.joint_histogram(np.minimum(source, 254), np.minimum(fused, 254)))
        for source in (visible, thermal)
    ]
    return marginals[0] + marginals[1] + 2 * marginals[2] - joints[0] - joints[1]


def _deviation(images: Grays) -> float:
    """Both the difference to the mean and its square are uint8: rounded, and held within 0..255."""
    return float(np.sqrt(saturated(saturated(images.fused - images.fused.mean()) ** 2).mean()))


def _visual_information(images: Grays) -> float:
    return sum(
        shared.visual_information(source, images.fused, _smooth, lambda one, other: saturated(one * other))
        for source in images[:2]
    )


def _smooth(image: Floats, size: int) -> Floats:
    return filtered(image, gaussian(size, size / 5))


def _gradient(images: Grays) -> float:
    height, width = images.fused.shape
    strength = shared.mean_gradient(images.fused)
    return float(strength.sum() / ((height - 1) * (width - 1))) if strength.size else float("nan")


def _peak_ratio(images: Grays) -> float:
    return float(20 * np.log10(255 / np.sqrt(shared.mean_squared_error(_unit(images)))))


_METRICS: Final[dict[str, Callable[[Any], float]]] = {
    "EN": lambda images: shared.entropy(shared.histogram(images.fused)),
    "MI": _information,
    "SD": _deviation,
    "VIF": _visual_information,
    "Qabf": lambda images: shared.edge_transfer(_unit(images)),
    "SSIM": lambda images: exposure_similarity(images[1::-1], images.fused),
    "SCD": shared.correlations_of_differences,
    "CC": shared.mean_correlation,
    "AG": _gradient,
    "SF": lambda images: shared.spatial_frequency(images.fused / 255),
    "PSNR": _peak_ratio,
    "Nabf": lambda images: shared.artefacts(_unit(images), floor=0.001),
    "MS-SSIM": lambda images: multiscale_exposure_similarity(images[1::-1], images.fused),
}

TANG_MATLAB: Final = Convention(
    name="tang-matlab",
    title="L. Tang's MATLAB evaluation (Image-Fusion, General Evaluation Metric)",
    source="Linfeng-Tang/Image-Fusion General Evaluation Metric/Evaluation/*.m, commit 53f5542",
    images="MATLAB's rgb2gray of rgb, thermal and fused, rounded with halves away from zero",
    metrics=tuple(_METRICS),
    figures=figures_of("tang-matlab", _METRICS, grays(matlab_gray)),
    differences=MappingProxyType(
        {
            "MI": "Levels 254 and 255 share a cell of the joint histogram (uint8 255 + 1 stays 255) but not of the "
            "marginals, so an image that has both is credited with information that is not there.",
            "SD": "Computed in uint8: pixels below the mean count 0, and every pixel 16 or more above it counts 255, "
            "so SD never exceeds 15.97.",
            "VIF": "At the first scale the products of pixels are uint8 and stop at 255, so that the finest of the "
            "four scales drops out wherever the image is brighter than 15.",
            "Qabf": "Zeros lie beyond the borders, an edge that all images share; and it is computed on 0..1, where "
            "equal gradients of source and fused count with their strength in place of the ratio 1: copied "
            "edges count little unless Sobel finds 128 levels or more.",
            "SSIM": "MEF-SSIM of K. Ma et al. (2015) without luminance, a measure for multi-exposure fusion, in 0..1; "
            "not a sum of two SSIM.",
            "AG": "Central differences, one-sided at the borders, not forward ones.",
            "SF": "Computed on 0..1: 255 times smaller, each mean over the differences that there are.",
            "PSNR": "Images are 0..1 but the peak is 255: 20 log10(255) = 48.13 dB too high.",
            "Nabf": "Computed on 0..1, where no gradient reaches the threshold 2, so all pixels weigh the same; "
            "borders are mirrored.",
            "MS-SSIM": "MEF-SSIM at 3 scales with the first three weights of MS-SSIM, not MS-SSIM.",
        }
    ),
)

"""The convention of VIFB (X. Zhang, P. Ye and G. Xiao, CVPR Workshops 2020): each colour channel by itself."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np

from rgbt_bench.metrics.fusion.conventions import _shared as shared
from rgbt_bench.metrics.fusion.conventions._filters import gaussian, mean, sobel
from rgbt_bench.metrics.fusion.conventions._images import Grays, half_away, matlab_gray, matlab_gray_exact
from rgbt_bench.metrics.fusion.conventions._perception import contrast_preservation, human_perception
from rgbt_bench.metrics.fusion.conventions.base import Bytes, Convention, Floats, figures_of

_SSIM: Final = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Channels(NamedTuple):
    """The channels of the fused image, each with the visible channel and the thermal image that it is compared with.

    Of a gray fused image `rounded` and `exact` differ: some metrics turn colour into gray after it became double.
    """

    rounded: list[Grays]
    exact: list[Grays]


def channels(rgb: Bytes, thermal: Bytes, fused: Bytes) -> Channels:
    """Return the channels of a triple."""
    infrared = thermal.astype(np.float64)
    if fused.ndim == 3:
        own = [
            Grays(
                (rgb if rgb.ndim == 2 else rgb[..., k]).astype(np.float64), infrared, fused[..., k].astype(np.float64)
            )
            for k in range(3)
        ]
        return Channels(own, own)
    gray = fused.astype(np.float64)
    if rgb.ndim == 2:
        return Channels(*([Grays(rgb.astype(np.float64), infrared, gray)] for _ in range(2)))
    rounded = Grays(matlab_gray(rgb).astype(np.float64), infrared, gray)
    return Channels([rounded], [rounded._replace(visible=matlab_gray_exact(rgb))])


def _by_channel(function: Callable[[Grays], float], *, exact: bool = False) -> Callable[[Channels], float]:
    """Return the mean of a function of Grays over the channels."""
    return lambda images: float(np.mean([function(one) for one in (images.exact if exact else images.rounded)]))


def _information(images: Grays) -> float:
    visible, thermal, fused = (_stretched(image) for image in images)
    return (shared.mutual_information(visible, fused) + shared.mutual_information(thermal, fused)) * log(2)


def _stretched(image: Floats) -> Floats:
    low, high = image.min(), image.max()
    return np.zeros_like(image) if low == high else half_away((image - low) / (high - low) * 255)


def _error(images: Grays) -> float:
    """Return the mean over both sources of the root of the sum of squares, divided by the number of pixels."""
    visible, thermal, fused = images
    return float(sum(np.sqrt(((source - fused) ** 2).sum()) for source in (visible, thermal)) / 2 / fused.size)


def _peak_ratio(images: Grays) -> float:
    return float(20 * np.log10(255 / np.sqrt(_error(images))))


def _divergence(images: Grays) -> float:
    shares = [shared.histogram(image) / image.size for image in images]
    total = 0.0
    for source in shares[:2]:
        both = (source > 0) & (shares[2] > 0)
        total += float(source[both] @ np.log2(source[both] / shares[2][both]))
    return total / 2


def _structure(images: Grays) -> float:
    taps = gaussian(11, 1.5)
    return sum(mean(shared.structure_maps(source, images.fused, taps, _SSIM)[0]) for source in images[:2])


def _gradient(images: Grays) -> float:
    height, width = images.fused.shape
    strength = shared.mean_gradient(images.fused)
    return float(strength.sum() / ((height - 1) * (width - 1))) if strength.size else float("nan")


def _edge_intensity(images: Grays) -> float:
    across, down = sobel(images.fused, "edge")
    return float(np.sqrt(across**2 + down**2).mean())


def _spatial_frequency(images: Channels) -> float:
    """Return SF of the channels side by side: the differences across the two seams count as well."""
    beside = np.concatenate([one.fused for one in images.rounded], axis=1)
    squares = (np.diff(beside, axis=1) ** 2).sum() + (np.diff(beside, axis=0) ** 2).sum()
    return float(np.sqrt(squares / beside.size))


def _edge_transfer(images: Grays) -> float:
    return shared.edge_transfer(Grays(*(255 * image for image in images)))


_METRICS: Final[dict[str, Callable[[Any], float]]] = {
    "EN": _by_channel(lambda images: shared.entropy(shared.histogram(images.fused))),
    "MI": _by_channel(_information),
    "SD": _by_channel(lambda images: float(images.fused.std())),
    "Qabf": _by_channel(_edge_transfer, exact=True),
    "SSIM": _by_channel(_structure),
    "AG": _by_channel(_gradient),
    "SF": _spatial_frequency,
    "PSNR": _by_channel(_peak_ratio, exact=True),
    "CE": _by_channel(_divergence),
    "EI": _by_channel(_edge_intensity),
    "RMSE": _by_channel(_error, exact=True),
    "Qcb": _by_channel(contrast_preservation, exact=True),
    "Qcv": _by_channel(human_perception, exact=True),
}

_COLOUR: Final = "Each channel of a colour image by itself, then the mean"

VIFB: Final = Convention(
    name="vifb",
    title="VIFB, the visible and infrared image fusion benchmark (MATLAB)",
    source="xingchenzhang/VIFB metrics/*.m, commit 5d29ee7",
    images="each channel of a colour fused image with that channel of rgb and with thermal, then the mean; for a gray "
    "fused image MATLAB's rgb2gray of rgb, unrounded for Qabf, PSNR, RMSE, Qcb and Qcv",
    metrics=tuple(_METRICS),
    figures=figures_of("vifb", _METRICS, channels),
    differences=MappingProxyType(
        {
            "EN": f"{_COLOUR}.",
            "MI": f"{_COLOUR}; in nats, not bits. (The stretch to 0..255 before it changes no figure of 8-bit images.)",
            "SD": f"{_COLOUR}; the toolbox calls it Variance, though it takes the root.",
            "Qabf": f"{_COLOUR}; zeros lie beyond the borders, an edge that all images share; and on 0..65025 equal "
            "gradients of source and fused count with their strength in place of the ratio 1, which is "
            "nearly the same there.",
            "SSIM": f"{_COLOUR}; the sum over both sources, not the mean.",
            "AG": f"{_COLOUR}; central differences, one-sided at the borders, not forward ones.",
            "SF": "The channels side by side as one image three times as wide, so the jumps at the two seams count.",
            "PSNR": f"{_COLOUR}; its MSE is the root of the sum of squares divided by the number of pixels, which "
            "falls with the size of the image: tens of dB too high.",
            "CE": f"{_COLOUR}.",
            "EI": "Not among ours: the mean strength of Sobel's gradient of the fused image.",
            "RMSE": "Not among ours: the root of the sum of squares divided by the number of pixels, which is the RMSE "
            "divided by the root of the number of pixels.",
            "Qcb": "Not among ours: Chen and Blum's measure; the toolbox fails (and counts 0) where rgb has colour and "
            "fused has none, here MATLAB's gray is taken.",
            "Qcv": "Not among ours: Chen and Varshney's measure, lower is better; where rgb has colour and fused has "
            "none as for Qcb.",
        }
    ),
)

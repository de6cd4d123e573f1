"""The convention of IVIF_ZOO (J. Liu et al., TPAMI 2024), the survey's PyTorch metrics."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from rgbt_bench.metrics.fusion.conventions import _shared as shared
from rgbt_bench.metrics.fusion.conventions._filters import filtered, gaussian, mean, padded, sobel
from rgbt_bench.metrics.fusion.conventions._images import Grays, grays
from rgbt_bench.metrics.fusion.conventions._perception import preserved_contrast
from rgbt_bench.metrics.fusion.conventions.base import Convention, Floats, figures_of
from rgbt_bench.metrics.fusion.triple import luma_of

# Images are 255 times the 8-bit levels, but the range stays 255.
_SSIM: Final = 0.01**2, 0.03**2
_WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SCALES: Final = len(_WEIGHTS)
_CLAMP: Final = np.float32(1e-7), np.float32(1) - np.float32(1e-7)


def _leaking_entropy(image: Floats, leak: float) -> float:
    """Return the entropy in bits with `leak` added inside the logarithm."""
    shares = shared.histogram(image) / image.size
    return float(-(shares @ np.log2(shares + leak)))


def _information(images: Grays) -> float:
    return sum(shared.mutual_information(source, images.fused) for source in images[:2])


def _normalised_information(images: Grays) -> float:
    entropies = [_leaking_entropy(source, 1e-10) for source in images[:2]]
    return 2 * _information(images) / (sum(entropies) + 1e-10)


def _exclusive_entropy(images: Grays) -> float:
    visible, thermal, fused = (_leaking_entropy(image, 1e-10) for image in images)
    return thermal + visible - fused


def _cross_entropy(images: Grays) -> float:
    """Return the binary cross-entropy of the logistic function of raw levels, held within float32's 1e-7..1 - 1e-7."""
    visible, thermal, fused = ((1 / (1 + np.exp(-image))).astype(np.float32) for image in images)
    wanted = np.clip((thermal + visible) / np.float32(2), *_CLAMP).astype(np.float64)
    given = np.clip(fused, *_CLAMP)
    other = (np.float32(1) - given).astype(np.float64)
    return float(-(wanted * np.log(given.astype(np.float64)) + (1 - wanted) * np.log(other)).mean())


def _smooth(image: Floats, size: int) -> Floats:
    """Return a Gaussian mean with zeros beyond the borders, its taps stretched over -(size + 1) / 2..size // 2."""
    places = np.linspace(-size // 2, size // 2, size)
    taps = np.exp(-(places**2) / (2 * (size / 5) ** 2))
    return filtered(padded(image, size // 2), taps / taps.sum())


def _visual_information(images: Grays) -> float:
    return sum(shared.visual_information(source, images.fused, _smooth) for source in images[:2])


def _peak_ratio(images: Grays) -> float:
    return float(20 * np.log10(255 / np.sqrt(shared.mean_squared_error(images) / 255**2)))


def _edge_intensity(images: Grays) -> float:
    across, down = sobel(images.fused, "constant")
    return float(np.sqrt(across**2 + down**2).mean())


def _contrast_preservation(images: Grays) -> float:
    unit = [(image - image.min()) / (image.max() - image.min()) for image in images]
    return preserved_contrast(unit, degrees=30, least=1e-10)


def _structure(images: Grays) -> float:
    taps = gaussian(11, 1.5)
    return sum(mean(shared.structure_maps(source, images.fused, taps, _SSIM)[0]) for source in images[:2])


def _multiscale_structure(images: Grays) -> float:
    if min(images.fused.shape) <= 160:
        return float("nan")
    return sum(_multiscale(source, images.fused) for source in images[:2])


def _multiscale(first: Floats, second: Floats) -> float:
    product = 1.0
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            first, second = _halved(first), _halved(second)
        whole, structure = shared.structure_maps(first, second, gaussian(11, 1.5), _SSIM)
        product *= max(0.0, mean(whole if scale == _SCALES - 1 else structure)) ** weight
    return product


def _halved(image: Floats) -> Floats:
    """Return means of 2x2 pixels; an odd side gets a zero at both of its ends, which shifts the grid by one."""
    even = np.pad(image, [(side % 2, side % 2) for side in image.shape])
    rows, columns = (side // 2 * 2 for side in even.shape)
    even = even[:rows, :columns]
    halved: Floats = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return halved


_METRICS: Final[dict[str, Callable[[Any], float]]] = {
    "EN": lambda images: _leaking_entropy(images.fused, 1e-7),
    "MI": _information,
    "SD": lambda images: images.fused.std(),
    "VIF": _visual_information,
    "Qabf": shared.edge_transfer,
    "SSIM": _structure,
    "SCD": shared.correlations_of_differences,
    "CC": shared.mean_correlation,
    "AG": lambda images: mean(shared.mean_gradient(images.fused)),
    "SF": lambda images: shared.spatial_frequency(images.fused),
    "PSNR": _peak_ratio,
    "Nabf": lambda images: shared.artefacts(images, floor=0.0),
    "CE": _cross_entropy,
    "MS-SSIM": _multiscale_structure,
    "EI": _edge_intensity,
    "NMI": _normalised_information,
    "Qcb": _contrast_preservation,
    "TE": _exclusive_entropy,
}

IVIF_ZOO: Final = Convention(
    name="ivif-zoo",
    title="IVIF_ZOO, the survey's metrics (Python, PyTorch)",
    source="RollingPlain/IVIF_ZOO Metric/Metric_torch.py (commit 2fc8473), Qabf.py (3c5b65c), Nabf.py (0becdfb), "
    "ssim.py (c915af4)",
    images="Pillow's luma of rgb, thermal and fused",
    metrics=tuple(_METRICS),
    figures=figures_of("ivif-zoo", _METRICS, grays(luma_of)),
    differences=MappingProxyType(
        {
            "EN": "1e-7 is added inside the logarithm, which lowers the fifth digit.",
            "VIF": "The Gaussian's places run from -(N + 1) / 2 to (N - 1) / 2, half a pixel off its centre, because "
            "Python takes -N // 2 as (-N) // 2, and zeros surround the image in place of leaving out its borders.",
            "Qabf": "Zeros lie beyond the borders, an edge that all images share; and equal gradients of source and "
            "fused count with their strength in place of the ratio 1, so strong copied edges count fully, "
            "those below 0.5 not.",
            "SSIM": "The sum, not the mean; the levels 0..255 are multiplied by 255 once more while the range stays "
            "255, so the constants are 65,025 times too small and flat areas count as noise.",
            "AG": "Central differences, one-sided at the borders, not forward ones; over all H W pixels.",
            "SF": "Each mean is over the differences that there are, not over all H W pixels.",
            "PSNR": "The MSE is of images in 0..1 but the peak is 255: 20 log10(255) = 48.13 dB too high.",
            "Nabf": "Gradients below the threshold 2 weigh nothing, where the original gives them 0.001; borders are "
            "mirrored.",
            "CE": "Not the divergence of histograms but the binary cross-entropy of the logistic function of raw "
            "levels, which is 1 for every level above 16: almost 0 for any image that is not black.",
            "MS-SSIM": "The sum, not the mean; the constants are 65,025 times too small as for SSIM, and an odd side "
            "gets zeros at both ends before it is halved.",
            "EI": "Not among ours: the mean strength of Sobel's gradient, with zeros beyond the borders.",
            "NMI": "Not among ours: twice MI over the entropies of the two sources; the fused image's is missing.",
            "Qcb": "Not among ours: frequencies are half of VIFB's, because fftfreq ends at 0.5 where freqspace ends "
            "at 1, and the stretched images are not rounded.",
            "TE": "Not among ours: named after Tsallis, but it is the sources' entropies less the fused image's.",
        }
    ),
)

"""Definitions that several toolboxes share, down to their slips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics.fusion.conventions._filters import filtered, mean, sobel
from rgbt_bench.metrics.fusion.conventions._images import Grays
from rgbt_bench.metrics.fusion.conventions.base import Floats

_LEAST: Final = 1e-10
_NOISE: Final = 2.0


def histogram(image: Floats) -> NDArray[np.int64]:
    """Return how often each level 0..255 occurs, int64[256]."""
    counts: NDArray[np.int64] = np.bincount(image.astype(np.intp).ravel(), minlength=256)
    return counts


def joint_histogram(first: Floats, second: Floats) -> NDArray[np.int64]:
    """Return how often levels meet, int64[256, 256]."""
    cells = first.astype(np.intp) * 256 + second.astype(np.intp)
    return np.bincount(cells.ravel(), minlength=65536).reshape(256, 256)


def entropy(counts: NDArray[np.int64]) -> float:
    """Return the entropy of counts in bits."""
    present = counts[counts > 0] / counts.sum()
    return float(-(present @ np.log2(present)))


def mutual_information(first: Floats, second: Floats) -> float:
    """Return the mutual information of two images of levels 0..255 in bits."""
    return entropy(histogram(first)) + entropy(histogram(second)) - entropy(joint_histogram(first, second))


def correlation(first: Floats, second: Floats) -> float:
    """Return Pearson's correlation, NaN where an image is constant."""
    first, second = first - first.mean(), second - second.mean()
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))


def mean_correlation(images: Grays) -> float:
    """Return CC, the mean of both sources' correlation with the fused image."""
    return (correlation(images.visible, images.fused) + correlation(images.thermal, images.fused)) / 2


def correlations_of_differences(images: Grays) -> float:
    """Return SCD."""
    visible, thermal, fused = images
    return correlation(fused - thermal, visible) + correlation(fused - visible, thermal)


def mean_squared_error(images: Grays) -> float:
    """Return the mean over both sources of the mean squared difference."""
    visible, thermal, fused = images
    return float(((fused - visible) ** 2).mean() + ((fused - thermal) ** 2).mean()) / 2


def mean_gradient(image: Floats) -> Floats:
    """Return sqrt((gx^2 + gy^2) / 2) of central differences, one-sided at the borders; nothing below 2x2."""
    if min(image.shape) < 2:
        return np.empty((0, 0))
    down, across = np.gradient(image)
    strength: Floats = np.sqrt((down**2 + across**2) / 2)
    return strength


def spatial_frequency(image: Floats) -> float:
    """Return SF of mean squares, each over the differences that there are."""
    rows, columns = np.diff(image, axis=0), np.diff(image, axis=1)
    return float(np.sqrt(mean(rows**2) + mean(columns**2)))


def edge_transfer(images: Grays) -> float:
    """Return Qabf as R. Hong's MATLAB code of 2007 has it, from which all four toolboxes descend.

    Two gradients of equal strength count with that strength in place of 1 as their ratio, so what a copied source is
    worth depends on the range of the image; an edge without a horizontal part has the angle +90 degrees, up or down.
    """
    strengths, angles = zip(*(_edges(image) for image in images), strict=True)
    total, kept = 0.0, 0.0
    for source in (0, 1):
        ratio = np.minimum(strengths[source], strengths[2]) / np.maximum(strengths[source], strengths[2])
        ratio = np.where(strengths[source] == strengths[2], strengths[2], ratio)
        alike = 1 - np.abs(angles[source] - angles[2]) / (np.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + np.exp(-22 * (alike - 0.8)))
        total += strengths[source].sum()
        kept += (quality * strengths[source]).sum()
    return float(np.float64(kept) / total)


def _edges(image: Floats) -> tuple[Floats, Floats]:
    across, down = sobel(image, "constant")
    angle = np.where(across == 0, np.pi / 2, np.arctan(-down / across))
    return np.sqrt(across**2 + down**2), angle


def artefacts(images: Grays, floor: float) -> float:
    """Return Nabf in Shreyamsha Kumar's form; `floor` is the weight of gradients below the threshold 2."""
    edges = [tuple(part / 8 for part in sobel(image, "reflect")) for image in images]
    strengths = [np.sqrt(across**2 + down**2) for across, down in edges]
    angles = [np.where((across == 0) & (down == 0), 0, np.arctan(across / down)) for across, down in edges]
    invented = (strengths[2] > strengths[0]) & (strengths[2] > strengths[1])
    lost, weights = 0.0, 0.0
    for source in (0, 1):
        ratio = np.minimum(strengths[source], strengths[2]) / np.maximum(strengths[source], strengths[2])
        ratio = np.where((strengths[source] == 0) | (strengths[2] == 0), 0, ratio)
        alike = np.abs(np.abs(angles[source] - angles[2]) - np.pi / 2) * 2 / np.pi
        of_strength = 0.9999 / (1 + np.exp(-19 * (ratio - 0.5)))
        of_angle = 0.9995 / (1 + np.exp(-22 * (alike - 0.5)))
        weight = np.where(strengths[source] >= 2, strengths[source] ** 1.5, floor)
        lost += (invented * (1 - np.sqrt(of_strength * of_angle)) * weight).sum()
        weights += weight.sum()
    return float(np.float64(lost) / weights)


def visual_information(
    reference: Floats,
    fused: Floats,
    smooth: Callable[[Floats, int], Floats],
    first_product: Callable[[Floats, Floats], Floats] = np.multiply,
) -> float:
    """Return VIFp of H. R. Sheikh and A. C. Bovik over 4 scales, NaN where the reference is flat.

    `smooth(image, size)` is the window, 17, 9, 5 and 3 pixels wide; `first_product` multiplies at the first scale.
    """
    told, known = 0.0, 0.0
    product = first_product
    for size in (17, 9, 5, 3):
        if size < 17:
            reference, fused = smooth(reference, size)[::2, ::2], smooth(fused, size)[::2, ::2]
            product = np.multiply
        means = smooth(reference, size), smooth(fused, size)
        variance = np.maximum(smooth(product(reference, reference), size) - means[0] ** 2, 0)
        own = np.maximum(smooth(product(fused, fused), size) - means[1] ** 2, 0)
        common = smooth(product(reference, fused), size) - means[0] * means[1]
        gain = common / (variance + _LEAST)
        noise = own - gain * common
        flat, empty = variance < _LEAST, own < _LEAST
        gain = np.where(flat | empty, 0, gain)
        noise = np.where(empty, 0, np.where(flat | (gain < 0), own, noise))
        gain, variance = np.maximum(gain, 0), np.where(flat, 0, variance)
        told += np.log10(1 + gain**2 * variance / (np.maximum(noise, _LEAST) + _NOISE)).sum()
        known += np.log10(1 + variance / _NOISE).sum()
    return float(np.float64(told) / known)


def structure_maps(
    first: Floats, second: Floats, taps: Floats, constants: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Return SSIM and its contrast-structure part at each place where the window fits."""
    means = filtered(first, taps), filtered(second, taps)
    squares = filtered(first * first, taps) - means[0] ** 2, filtered(second * second, taps) - means[1] ** 2
    common = filtered(first * second, taps) - means[0] * means[1]
    structure = (2 * common + constants[1]) / (squares[0] + squares[1] + constants[1])
    light = (2 * means[0] * means[1] + constants[0]) / (means[0] ** 2 + means[1] ** 2 + constants[0])
    return light * structure, structure

"""What stands out in an image by its histogram: the saliency degree of Eq. 5, and the target mask made of it."""

import numpy as np
from numpy.typing import NDArray

LEVELS = 256


def saliency_degree(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean distance of each pixel's value to the values of all pixels, S_x(k) = sum_i H_x(i) |x(k) - i|.

    `image` is uint8[H, W]; the result is float32[H, W] in 0..255, 0 everywhere where the image is constant. H_x is the
    histogram as shares of the pixels. Source: TarDAL Eq. 5.
    """
    levels = np.arange(LEVELS)
    shares = np.bincount(image.ravel(), minlength=LEVELS) / image.size
    degrees = np.abs(levels[:, None] - levels[None, :]) @ shares
    found: NDArray[np.float32] = degrees.astype(np.float32)[image]
    return found


def saliency_weight(thermal: NDArray[np.uint8], luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the weight of the thermal image, S_x / (S_x + S_y), float32[H, W] in 0..1; the luma's is 1 minus it.

    It is 1/2 where neither stands out. Source: TarDAL Eq. 5, whose printed denominator is a difference.
    """
    ours, theirs = saliency_degree(thermal), saliency_degree(luma)
    total = ours + theirs
    found: NDArray[np.float32] = np.divide(ours, total, out=np.full_like(total, 0.5), where=total > 0)
    return found


def otsu_threshold(values: NDArray[np.uint8]) -> int:
    """Return the level that parts the values into two classes of the largest variance between them.

    The upper class is the values above it. The lowest such level is taken, and 255 where all values are equal.
    Source: Otsu, IEEE TSMC 1979.
    """
    counts = np.bincount(values.ravel(), minlength=LEVELS).astype(np.float64)
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * np.arange(LEVELS))
    both = (below > 0) & (above > 0)
    if not both.any():
        return LEVELS - 1
    between = np.full(LEVELS, -1.0)
    low, high = sums[both] / below[both], (sums[-1] - sums[both]) / above[both]
    between[both] = below[both] * above[both] * (high - low) ** 2
    return int(between.argmax())


def target_mask(thermal: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where the targets are: pixels that stand out by Otsu's threshold and are warmer than the mean.

    `thermal` is uint8[H, W]; what stands out is measured by `saliency_degree`, in whole 255ths of its maximum. A
    constant image has no target. Ours, in place of a saliency network.
    """
    degree = saliency_degree(thermal)
    if degree.max() == 0:
        return np.zeros(thermal.shape, dtype=np.bool_)
    stretched = np.rint(degree * (255 / degree.max())).astype(np.uint8)
    found: NDArray[np.bool_] = (stretched > otsu_threshold(stretched)) & (thermal > thermal.mean())
    return found

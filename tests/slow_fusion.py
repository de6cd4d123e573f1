"""The default fusion metrics written from their definitions: plain loops, and two-dimensional convolution.

Variances under windows are differences of large numbers, so those are in extended precision where there is one; VIF,
which divides by the least of them, takes them about the median.
"""

import math

import numpy as np
from scipy.signal import convolve2d

NAN = math.nan
LEVELS = range(256)


def shares(*images):
    """How large a share of the pixels each combination of levels has."""
    pixels = list(zip(*(image.ravel().tolist() for image in images), strict=True))
    counts = {}
    for pixel in pixels:
        counts[pixel] = counts.get(pixel, 0) + 1
    return {pixel: count / len(pixels) for pixel, count in counts.items()}


def entropy(luma, thermal, fused):
    return -math.fsum(p * math.log2(p) for p in shares(fused).values())


def mutual_information(luma, thermal, fused):
    def one(source):
        own, other, both = shares(source), shares(fused), shares(source, fused)
        return math.fsum(p * math.log2(p / (own[(s,)] * other[(f,)])) for (s, f), p in both.items())

    return one(luma) + one(thermal)


def standard_deviation(luma, thermal, fused):
    values = fused.ravel().tolist()
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def cross_entropy(luma, thermal, fused):
    def one(source):
        p, q = shares(source), shares(fused)
        return math.fsum(p[level] * math.log2(p[level] / q[level]) for level in p if level in q)

    return (one(luma) + one(thermal)) / 2


def pearson(first, second):
    first, second = first.astype(float).ravel(), second.astype(float).ravel()
    if (first == first[0]).all() or (second == second[0]).all():
        return NAN
    first, second = first - math.fsum(first) / first.size, second - math.fsum(second) / second.size
    return math.fsum(first * second) / math.sqrt(math.fsum(first**2) * math.fsum(second**2))


def correlation(luma, thermal, fused):
    return (pearson(luma, fused) + pearson(thermal, fused)) / 2


def sum_of_correlations(luma, thermal, fused):
    luma, thermal, fused = (image.astype(float) for image in (luma, thermal, fused))
    return pearson(fused - thermal, luma) + pearson(fused - luma, thermal)


def psnr(luma, thermal, fused):
    luma, thermal, fused = (image.astype(float) for image in (luma, thermal, fused))
    mse = (np.mean((luma - fused) ** 2) + np.mean((thermal - fused) ** 2)) / 2
    return 10 * math.log10(255**2 / mse) if mse else NAN


def average_gradient(luma, thermal, fused):
    height, width = fused.shape
    image = fused.tolist()
    lengths = [
        math.sqrt(((image[y + 1][x] - image[y][x]) ** 2 + (image[y][x + 1] - image[y][x]) ** 2) / 2)
        for y in range(height - 1)
        for x in range(width - 1)
    ]
    return math.fsum(lengths) / len(lengths) if lengths else NAN


def spatial_frequency(luma, thermal, fused):
    image = fused.astype(float)
    rows, columns = np.diff(image, axis=1), np.diff(image, axis=0)
    return math.sqrt((rows**2).sum() / image.size + (columns**2).sum() / image.size)


def sobel(image):
    """Strength and angle of the gradients of the pixels with 8 neighbours; Sobel's kernels as convolutions."""
    image = image.astype(float)
    down = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
    right = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    y, x = convolve2d(image, down, mode="valid"), convolve2d(image, right, mode="valid")
    angle = np.full(x.shape, np.pi / 2)
    np.divide(y, x, out=angle, where=x != 0)
    angle[x != 0] = np.arctan(angle[x != 0])
    return np.hypot(y, x), angle


def logistic(value, height, slope, middle):
    return height / (1 + np.exp(-slope * (value - middle)))


def strength_ratio(first, second):
    """The lesser over the greater; 0 where one is 0."""
    greater = np.maximum(first, second)
    return np.divide(np.minimum(first, second), greater, out=np.zeros(greater.shape), where=greater > 0)


def edge_preservation(luma, thermal, fused):
    if min(fused.shape) < 3:
        return NAN
    own, own_angle = sobel(fused)
    kept = total = 0.0
    for source in (luma, thermal):
        strength, angle = sobel(source)
        agreement = 1 - np.abs(angle - own_angle) / (np.pi / 2)
        strengths = logistic(strength_ratio(strength, own), 0.9994, 15, 0.5)
        kept += (strengths * logistic(agreement, 0.9879, 22, 0.8) * strength).sum()
        total += strength.sum()
    return kept / total if total else NAN


def artefacts(luma, thermal, fused):
    if min(fused.shape) < 3:
        return NAN
    own, own_angle = sobel(fused)
    sources = [sobel(source) for source in (luma, thermal)]
    artefact = (own > sources[0][0]) & (own > sources[1][0])
    lost = total = 0.0
    for strength, angle in sources:
        agreement = np.abs(np.abs(angle - own_angle) - np.pi / 2) * 2 / np.pi
        strengths = logistic(strength_ratio(strength, own), 0.9999, 19, 0.5)
        preserved = np.sqrt(strengths * logistic(agreement, 0.9995, 22, 0.5))
        weight = np.where(strength / 8 >= 2, (strength / 8) ** 1.5, 0.001)
        lost += (artefact * (1 - preserved) * weight).sum()
        total += weight.sum()
    return lost / total


def gaussian(size, sigma):
    offsets = np.arange(size).astype(np.longdouble) - size // 2
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * np.longdouble(sigma) ** 2))
    return weights / weights.sum()


def windowed(image, window):
    return convolve2d(image, window, mode="valid")


def moments(first, second, window):
    """Means, variances and covariance of two images under a window."""
    mean, other = windowed(first, window), windowed(second, window)
    return (
        mean,
        other,
        windowed(first * first, window) - mean * mean,
        windowed(second * second, window) - other * other,
        windowed(first * second, window) - mean * other,
    )


def ssim_of(source, fused):
    """Mean SSIM and mean factor for contrast and structure."""
    source, fused = source.astype(np.longdouble), fused.astype(np.longdouble)
    a, f, variance, own, covariance = moments(source, fused, gaussian(11, 1.5))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    structure = (2 * covariance + c2) / (variance + own + c2)
    return ((2 * a * f + c1) / (a * a + f * f + c1) * structure).mean(), structure.mean()


def ssim(luma, thermal, fused):
    if min(fused.shape) < 11:
        return NAN
    return (ssim_of(luma, fused)[0] + ssim_of(thermal, fused)[0]) / 2


def ms_ssim(luma, thermal, fused):
    if min(fused.shape) < 176:
        return NAN

    def one(source, image):
        source, image = source.astype(np.longdouble), image.astype(np.longdouble)
        figure = 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            figure *= max(0.0, ssim_of(source, image)[0 if scale == 4 else 1]) ** weight
            block = np.full((2, 2), 0.25)
            source, image = windowed(source, block)[::2, ::2], windowed(image, block)[::2, ::2]
        return figure

    return (one(luma, fused) + one(thermal, fused)) / 2


def vif_of(source, fused):
    source, fused = (image.astype(np.longdouble) - np.median(image) for image in (source, fused))
    kept = had = 0.0
    for scale, size in enumerate((17, 9, 5, 3)):
        window = gaussian(size, np.longdouble(size) / 5)
        if scale:
            source, fused = windowed(source, window)[::2, ::2], windowed(fused, window)[::2, ::2]
        _, _, variance, own, covariance = moments(source, fused, window)
        variance, own = np.maximum(variance, 0), np.maximum(own, 0)
        gain = covariance / (variance + 1e-10)
        rest = own - gain * covariance
        gain[variance < 1e-10] = 0
        rest[variance < 1e-10] = own[variance < 1e-10]
        variance[variance < 1e-10] = 0
        gain[own < 1e-10] = 0
        rest[own < 1e-10] = 0
        rest[gain < 0] = own[gain < 0]
        gain[gain < 0] = 0
        rest = np.maximum(rest, 1e-10)
        kept += np.log10(1 + gain**2 * variance / (rest + 2)).sum()
        had += np.log10(1 + variance / 2).sum()
    return kept / had if had else NAN


def vif(luma, thermal, fused):
    return vif_of(luma, fused) + vif_of(thermal, fused) if min(fused.shape) >= 41 else NAN


def window_information(first, second):
    """Fast-FMI of two windows, float[9] in whole levels; the joint distribution is written out, all 81 cells of it."""
    if (first == second).all():
        return 1.0
    if (first == first[0]).all() or (second == second[0]).all():
        return 0.0
    p, q = ((window - window.min()) / (window - window.min()).sum() for window in (first, second))
    places = np.arange(1, 10)
    spreads = [math.sqrt(max(0.0, (places**2 * share).sum() - (places * share).sum() ** 2)) for share in (p, q)]
    covariance = 9 * (first * second).sum() - first.sum() * second.sum()
    if covariance == 0 or (p == 1).any() or (q == 1).any():
        return 0.0
    correlation = np.corrcoef(first, second)[0, 1]
    one, other = np.cumsum(p)[:, None], np.cumsum(q)[None]
    bound = np.minimum(one, other) if covariance > 0 else np.maximum(one + other - 1, 0)
    mixed = correlation / ((bound - one * other).sum() / (spreads[0] * spreads[1]))
    padded = np.pad(bound, ((1, 0), (1, 0)))
    joint = mixed * np.diff(np.diff(padded, axis=0), axis=1) + (1 - mixed) * np.outer(p, q)

    def entropy_of(values):
        values = values[values != 0]
        return -(values * np.log2(np.abs(values))).sum()

    entropies = entropy_of(p) + entropy_of(q)
    return 2 * (entropies - entropy_of(joint)) / entropies


def feature_mutual_information(luma, thermal, fused):
    height, width = fused.shape
    if min(height, width) < 3:
        return NAN
    figures = []
    for y in range(height - 2):
        for x in range(width - 2):
            windows = [image[y : y + 3, x : x + 3].T.ravel().astype(float) for image in (luma, thermal, fused)]
            figures += [window_information(source, windows[2]) for source in windows[:2]]
    return math.fsum(figures) / len(figures)


SLOW = {
    "EN": entropy,
    "MI": mutual_information,
    "SD": standard_deviation,
    "VIF": vif,
    "Qabf": edge_preservation,
    "SSIM": ssim,
    "SCD": sum_of_correlations,
    "CC": correlation,
    "AG": average_gradient,
    "SF": spatial_frequency,
    "PSNR": psnr,
    "Nabf": artefacts,
    "CE": cross_entropy,
    "MS-SSIM": ms_ssim,
    "FMI": feature_mutual_information,
}

"""The conventions whose origin is Python, against the same definitions by other means, in the origin's float32."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import ndimage, signal
from sklearn.metrics import mutual_info_score
from torch.nn import functional

from fusion_images import triple
from rgbt_bench.metrics.fusion.conventions import find_convention

ZOO, CDDFUSE = find_convention("ivif-zoo"), find_convention("cddfuse")
LOG2E = np.log2(np.e)


def floats(images):
    return [torch.tensor(image.astype(np.float32)) for image in images]


def convolved(image, kernel, padding):
    return functional.conv2d(image[None, None], kernel[None, None], padding=padding)[0, 0]


def both(function, images):
    return function(images[0], images[2]) + function(images[1], images[2])


def zoo_information(source, fused):
    """VIFp as the origin has it: a kernel of 17 places from -9 to 8, zeros around, float32."""
    told = known = 0
    for scale in range(4):
        size = 2 ** (4 - scale) + 1
        places = torch.linspace(-(size + 1) / 2, (size - 1) / 2, size)
        kernel = torch.exp(-(places[:, None] ** 2 + places[None, :] ** 2) / (2 * (size / 5) ** 2))
        kernel /= kernel.sum()
        if scale:
            source, fused = (convolved(image, kernel, size // 2)[::2, ::2] for image in (source, fused))
        mean, mean_fused = convolved(source, kernel, size // 2), convolved(fused, kernel, size // 2)
        variance = (convolved(source * source, kernel, size // 2) - mean**2).clamp(min=0)
        own = (convolved(fused * fused, kernel, size // 2) - mean_fused**2).clamp(min=0)
        common = convolved(source * fused, kernel, size // 2) - mean * mean_fused
        gain, noise = common / (variance + 1e-10), own - common**2 / (variance + 1e-10)
        flat, still = variance < 1e-10, own < 1e-10
        for where, g, n, v in ((flat, 0 * gain, own, 0 * gain), (still, 0 * gain, 0 * gain, variance)):
            gain, noise, variance = (
                torch.where(where, g, gain),
                torch.where(where, n, noise),
                torch.where(where, v, variance),
            )
        noise = torch.where(gain < 0, own, noise).clamp(min=1e-10)
        gain = gain.clamp(min=0)
        told += torch.log10(1 + gain**2 * variance / (noise + 2)).sum()
        known += torch.log10(1 + variance / 2).sum()
    return float(told / known)


def zoo_structure(first, second, scales=1, dtype=torch.float64):
    """(MS-)SSIM of levels times 255 with the constants of a range of 255."""
    steps = torch.arange(-5, 6, dtype=dtype)
    taps = torch.exp(-(steps**2) / 4.5)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    pair = [image.to(dtype) * 255 for image in (first, second)]
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333) if scales > 1 else (1,)
    product = 1.0
    for scale, weight in enumerate(weights):
        means = [convolved(image, kernel, 0) for image in pair]
        spreads = [convolved(image**2, kernel, 0) - mean**2 for image, mean in zip(pair, means, strict=True)]
        common = convolved(pair[0] * pair[1], kernel, 0) - means[0] * means[1]
        light = (2 * means[0] * means[1] + 2.55**2) / (means[0] ** 2 + means[1] ** 2 + 2.55**2)
        structure = (2 * common + 7.65**2) / (sum(spreads) + 7.65**2)
        last = scale == len(weights) - 1
        value = (light * structure).mean() if last else structure.mean()
        product *= value if scales == 1 else value.clamp(min=0) ** weight
        pair = [
            functional.avg_pool2d(image[None, None], 2, padding=[side % 2 for side in image.shape])[0, 0]
            for image in pair
        ]
    return float(product)


def tied_quality(source, fused):
    """Qabf's sums of one source, by scipy's convolution, with the ratio of equal strengths as the origins have it."""
    edges = []
    for image in (source.astype(np.float32), fused.astype(np.float32)):
        across = signal.convolve2d(image, np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]), mode="same")
        down = signal.convolve2d(image, np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]]), mode="same")
        with np.errstate(all="ignore"):
            edges.append((np.sqrt(across**2 + down**2), np.where(across == 0, np.pi / 2, np.arctan(down / across))))
    (strength, angle), (of_fused, fused_angle) = edges
    ratio = np.empty_like(strength)
    for place in np.ndindex(strength.shape):
        a, f = strength[place], of_fused[place]
        ratio[place] = f if a == f else f / a if a > f else a / f
    kept = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5)))
    kept *= 0.9879 / (1 + np.exp(-22 * (1 - np.abs(angle - fused_angle) / (np.pi / 2) - 0.8)))
    return (kept * strength).sum(), strength.sum()


def quality(images):
    first, second = (tied_quality(source, images[2]) for source in images[:2])
    return (first[0] + second[0]) / (first[1] + second[1])


@pytest.mark.parametrize("seed", [0, 1])
def test_ivif_zoo_is_what_torch_computes(seed):
    images = triple(seed=seed)
    visible, thermal, fused = floats(images)
    found = ZOO.figures(*images)
    shares = torch.histc(fused, bins=256, min=0, max=255) / fused.numel()
    assert_allclose(found["EN"], -(shares * torch.log2(shares + 1e-7)).sum(), rtol=1e-6)
    assert_allclose(found["SD"], fused.std(correction=0), rtol=1e-6)
    assert_allclose(
        found["MI"], sum(mutual_info_score(image.ravel(), images[2].ravel()) for image in images[:2]) * LOG2E
    )
    assert_allclose(found["VIF"], both(zoo_information, (visible, thermal, fused)), rtol=2e-4)
    assert_allclose(found["Qabf"], quality(images), rtol=1e-5)
    assert_allclose(found["SSIM"], both(zoo_structure, (visible, thermal, fused)), rtol=1e-9)
    errors = [functional.mse_loss(fused / 255, image / 255) for image in (visible, thermal)]
    assert_allclose(found["PSNR"], 20 * torch.log10(255 / torch.sqrt(sum(errors) / 2)), rtol=1e-6)
    down, across = torch.gradient(fused)
    assert_allclose(found["AG"], ((across**2 + down**2) / 2).sqrt().mean(), rtol=1e-5)
    assert_allclose(
        found["SF"], (fused.diff(dim=0).square().mean() + fused.diff(dim=1).square().mean()).sqrt(), rtol=1e-5
    )
    assert_allclose(found["CC"], np.mean([np.corrcoef(image.ravel(), images[2].ravel())[0, 1] for image in images[:2]]))
    sides = [(images[2].astype(int) - images[1 - i], images[i]) for i in (0, 1)]
    assert_allclose(found["SCD"], sum(np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in sides))
    assert_allclose(found["TE"], sum(entropy(image) for image in images[:2]) - entropy(images[2]), atol=1e-6)
    assert_allclose(found["NMI"], 2 * found["MI"] / sum(entropy(image) for image in images[:2]), rtol=1e-6)
    wanted = ((visible.sigmoid() + thermal.sigmoid()) / 2).clamp(1e-7, 1 - 1e-7)
    crossed = functional.binary_cross_entropy(fused.sigmoid().clamp(1e-7, 1 - 1e-7), wanted)
    assert_allclose(found["CE"], crossed, rtol=1e-3)  # the last bits of the logistic function near 1
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    assert_allclose(found["EI"], torch.hypot(*(convolved(fused, k, 1) for k in (sobel, sobel.T))).mean(), rtol=1e-5)


def entropy(image):
    shares = np.unique(image, return_counts=True)[1] / image.size
    return -(shares * np.log2(shares)).sum()


@pytest.mark.parametrize("shape", [(161, 176), (175, 181)])
def test_ivif_zoo_halves_odd_sides_between_the_scales_of_ms_ssim_with_zeros_at_both_ends(shape):
    images = triple(*shape)
    expected = both(lambda a, b: zoo_structure(a, b, scales=5), floats(images))
    assert_allclose(ZOO.figures(*images, names=["MS-SSIM"])["MS-SSIM"], expected, rtol=1e-9)


def test_ivif_zoo_has_no_ms_ssim_of_160_pixels():
    assert np.isnan(ZOO.figures(*triple(160, 200), names=["MS-SSIM"])["MS-SSIM"])


def test_the_float32_of_ivif_zoos_ssim_is_met_to_the_digits_that_papers_print():
    images = triple(96, 128)
    expected = both(lambda a, b: zoo_structure(a, b, dtype=torch.float32), floats(images))
    assert_allclose(ZOO.figures(*images, names=["SSIM"])["SSIM"], expected, atol=2e-3)


def test_ivif_zoos_qcb_filters_with_half_of_vifbs_frequencies():
    images = triple(40, 50)
    unit = [(image - float(image.min())) / (float(image.max()) - image.min()) for image in images]
    u, v = np.meshgrid(np.fft.fftfreq(40) * 40 / 30, np.fft.fftfreq(50) * 50 / 30, indexing="ij")
    gain = np.exp(-(u**2 + v**2) / 15.3870**2) - 0.7622 * np.exp(-(u**2 + v**2) / 1.3456**2)
    x, y = np.mgrid[-15:16, -15:16]
    bells = [np.exp(-(x**2 + y**2) / (2 * s * s)) / (2 * np.pi * s * s) for s in (2, 4)]
    masked = []
    for image in unit:
        seen = np.fft.ifft2(np.fft.fft2(image) * gain).real
        near, far = (ndimage.correlate(seen, bell, mode="constant") for bell in bells)
        contrast = np.abs(near / (far + 1e-10) - 1)
        masked.append(contrast**3 / (contrast**2 + 1e-4))
    a, b, f = masked
    weights = a**2 / (a**2 + b**2 + 1e-10), b**2 / (a**2 + b**2 + 1e-10)
    expected = sum(w * np.minimum(s, f) / np.maximum(s, f) for w, s in zip(weights, (a, b), strict=True)).mean()
    assert_allclose(ZOO.figures(*images, names=["Qcb"])["Qcb"], expected, rtol=1e-9)


def cddfuse_information(source, fused):
    """VIFp by scipy's two-dimensional convolution, where the window fits."""
    told = known = 0
    source, fused = source.astype(float), fused.astype(float)
    for scale in range(4):
        size = 2 ** (4 - scale) + 1
        x, y = np.mgrid[-(size // 2) : size // 2 + 1, -(size // 2) : size // 2 + 1]
        window = np.exp(-(x**2 + y**2) / (2 * (size / 5) ** 2))
        window /= window.sum()
        if scale:
            source, fused = (signal.convolve2d(image, window, mode="valid")[::2, ::2] for image in (source, fused))
        m, n, mm, nn, mn = (
            signal.convolve2d(image, window, mode="valid")
            for image in (source, fused, source**2, fused**2, source * fused)
        )
        for v, own, common in zip((mm - m * m).flat, (nn - n * n).flat, (mn - m * n).flat, strict=True):
            v, own = max(v, 0), max(own, 0)
            gain, noise = common / (v + 1e-10), own - common**2 / (v + 1e-10)
            if v < 1e-10:
                gain, noise, v = 0, own, 0
            if own < 1e-10:
                gain, noise = 0, 0
            if gain < 0:
                gain, noise = 0, own
            told += np.log10(1 + gain**2 * v / (max(noise, 1e-10) + 2))
            known += np.log10(1 + v / 2)
    return told / known


def skimage_similarity(first, second):
    """SSIM of skimage 0.19 on float32 images: range 2, boxes of 7x7, sample variances, borders left out."""
    x, y = first.astype(np.float32), second.astype(np.float32)
    means = [ndimage.uniform_filter(image, 7) for image in (x, y)]
    vx, vy, vxy = (
        49 / 48 * (ndimage.uniform_filter(a * b, 7) - ma * mb)
        for a, b, ma, mb in ((x, x, means[0], means[0]), (y, y, means[1], means[1]), (x, y, *means))
    )
    light, structure = 0.02**2, 0.06**2
    values = (2 * means[0] * means[1] + light) * (2 * vxy + structure)
    values /= (means[0] ** 2 + means[1] ** 2 + light) * (vx + vy + structure)
    return values[3:-3, 3:-3].mean(dtype=np.float64)


@pytest.mark.parametrize("seed", [0, 1])
def test_cddfuse_is_what_sklearn_and_scipy_compute(seed):
    images = triple(seed=seed)
    fused = images[2].astype(np.float32)
    found = CDDFUSE.figures(*images)
    assert_allclose(found["EN"], entropy(images[2]))
    assert_allclose(found["MI"], sum(mutual_info_score(images[2].ravel(), image.ravel()) for image in images[:2]))
    assert_allclose(found["SD"], fused.std(), rtol=1e-6)
    assert_allclose(found["VIF"], sum(cddfuse_information(image, images[2]) for image in images[:2]), rtol=1e-9)
    assert_allclose(found["Qabf"], quality(images), rtol=1e-5)
    assert_allclose(found["SSIM"], sum(skimage_similarity(images[2], image) for image in images[:2]), atol=1e-6)
    error = np.mean([((fused - image) ** 2).mean() for image in images[:2]])
    assert_allclose(found["PSNR"], 10 * np.log10(fused.max() ** 2 / error), rtol=1e-6)
    assert_allclose(found["SF"], np.hypot(*(np.sqrt((np.diff(fused, axis=a) ** 2).mean()) for a in (0, 1))), rtol=1e-6)
    assert_allclose(
        found["AG"], np.sqrt((np.gradient(fused)[0] ** 2 + np.gradient(fused)[1] ** 2) / 2).mean(), rtol=1e-6
    )


def test_cddfuse_counts_a_source_without_variance_as_1():
    visible, _, fused = triple()
    flat = np.full_like(fused, 64)
    found = CDDFUSE.figures(visible, flat, fused, names=["VIF"])["VIF"]
    assert_allclose(found, cddfuse_information(visible, fused) + 1)


def test_cddfuses_psnr_takes_the_largest_level_of_the_result_for_its_peak():
    visible, thermal, fused = triple()
    dark = fused // 2
    peak, usual = (
        c.figures(visible, thermal, dark, names=["PSNR"])["PSNR"] for c in (CDDFUSE, find_convention("rgbt-bench"))
    )
    assert_allclose(usual - peak, 20 * np.log10(255 / dark.max()))

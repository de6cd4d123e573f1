"""The conventions whose origin is MATLAB, against loops over pixels and cases worked out by hand."""

from math import atan, log, sqrt

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import ndimage, signal
from sklearn.metrics import mutual_info_score

from fusion_images import triple
from rgbt_bench.metrics.fusion.conventions import find_convention

VIFB, TANG, ZOO = (find_convention(name) for name in ("vifb", "tang-matlab", "ivif-zoo"))


def uint8(*rows):
    return np.array(rows, dtype=np.uint8)


def of(convention, name, *images):
    return convention.figures(*images, names=[name])[name]


def matlab_uint8(value):
    """What a uint8 of MATLAB holds of a number: halves away from zero, then 0..255."""
    return min(255, max(0, int(abs(value) + 0.5) * (1 if value > 0 else -1)))


def test_tangs_sd_squares_in_uint8():
    image = uint8([0, 100], [110, 255])  # mean 116.25: differences 0, 0, 0, 139; squares 0, 0, 0, 255
    assert of(TANG, "SD", image, image, image) == sqrt(255 / 4)


def test_tangs_sd_rounds_halves_away_from_zero():
    image = uint8([0, 1])  # mean 0.5: differences -0.5 and 0.5 become 0 and 1
    assert of(TANG, "SD", image, image, image) == sqrt(1 / 2)


def test_tangs_sd_never_exceeds_the_root_of_255():
    image = np.tile(uint8([0, 0, 255]), (30, 10))
    assert of(TANG, "SD", image, image, image) == sqrt(255 / 3)
    assert of(VIFB, "SD", image, image, image) == pytest.approx(255 * sqrt(2) / 3)


@pytest.mark.parametrize("seed", [0, 1])
def test_tangs_sd_of_a_picture_pixel_by_pixel(seed):
    images = triple(seed=seed)
    mean = images[2].mean()
    squares = [matlab_uint8(matlab_uint8(int(level) - mean) ** 2) for level in images[2].flat]
    assert_allclose(of(TANG, "SD", *images), sqrt(sum(squares) / len(squares)))


def test_tangs_mi_puts_254_and_255_in_one_cell_of_the_joint_histogram_alone():
    image = uint8([254, 255])  # marginals 1 bit each, joint 0: 2 bits with either source, where 1 is true
    assert of(TANG, "MI", image, image, image) == 4
    assert of(ZOO, "MI", image, image, image) == 2


def test_tangs_mi_is_the_usual_one_in_bits_below_255():
    images = [np.minimum(image, 253) for image in triple()]
    usual = sum(mutual_info_score(image.ravel(), images[2].ravel()) for image in images[:2]) / log(2)
    assert_allclose(of(TANG, "MI", *images), usual)


def vif_of_uint8(source, fused):
    """VIFp whose first products are uint8 and stop at 255."""
    told = known = 0
    source, fused = source.astype(np.int64), fused.astype(np.int64)
    for scale in range(4):
        size = 2 ** (4 - scale) + 1
        window = signal.windows.gaussian(size, size / 5)
        window = np.outer(window, window) / window.sum() ** 2
        if scale:
            source, fused = (signal.correlate2d(image, window, mode="valid")[::2, ::2] for image in (source, fused))
        products = [source * source, fused * fused, source * fused]
        products = products if scale else [np.minimum(product, 255) for product in products]
        m, n, mm, nn, mn = (
            signal.correlate2d(i.astype(float), window, mode="valid") for i in (source, fused, *products)
        )
        for v, own, common in zip((mm - m * m).flat, (nn - n * n).flat, (mn - m * n).flat, strict=True):
            v, own = max(v, 0), max(own, 0)
            gain = common / (v + 1e-10)
            noise = own - gain * common
            if v < 1e-10:
                gain, noise, v = 0, own, 0
            if own < 1e-10:
                gain, noise = 0, 0
            if gain < 0:
                gain, noise = 0, own
            told += np.log10(1 + gain**2 * v / (max(noise, 1e-10) + 2))
            known += np.log10(1 + v / 2)
    return told / known


@pytest.mark.parametrize("shift", [0, 6])
def test_tangs_vif_multiplies_in_uint8_at_the_first_scale(shift):
    images = [image >> shift for image in triple()]
    expected = sum(vif_of_uint8(source, images[2]) for source in images[:2])
    assert_allclose(of(TANG, "VIF", *images), expected, rtol=1e-9)


def edge_quality(images):
    """Qabf with the ratio of equal strengths as the origins have it."""
    kept = total = 0.0
    edges = []
    for image in images:
        wide = np.pad(image, 1)
        across = wide[:, 2:] - wide[:, :-2]
        down = wide[2:] - wide[:-2]
        edges.append((across[:-2] + 2 * across[1:-1] + across[2:], down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]))
    for source in (0, 1):
        for place in np.ndindex(images[0].shape):
            (x, y), (u, v) = ((float(side[place]) for side in edges[i]) for i in (source, 2))
            strength, of_fused = sqrt(x * x + y * y), sqrt(u * u + v * v)
            angles = [np.pi / 2 if a == 0 else atan(-b / a) for a, b in ((x, y), (u, v))]
            tied = strength == of_fused
            ratio = strength if tied else min(strength, of_fused) / max(strength, of_fused)
            alike = 1 - abs(angles[0] - angles[1]) / (np.pi / 2)
            quality = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + np.exp(-22 * (alike - 0.8)))
            kept, total = kept + quality * strength, total + strength
    return kept / total


@pytest.mark.parametrize(("convention", "scale"), [(TANG, 1 / 255), (VIFB, 255.0)])
def test_qabf_depends_on_the_range_through_equal_gradients(convention, scale):
    images = triple(24, 30)
    close = (
        1e-3 if convention is TANG else 1e-9
    )  # on 0..1 the last bit decides which gradients of other pixels are equal
    assert_allclose(of(convention, "Qabf", *images), edge_quality([image * scale for image in images]), rtol=close)


def test_a_copied_source_of_weak_edges_is_worth_much_less_in_tangs_qabf_than_in_vifbs():
    visible, thermal = (image // 4 for image in triple()[:2])
    assert of(TANG, "Qabf", visible, thermal, thermal) < of(VIFB, "Qabf", visible, thermal, thermal) / 2


def artefacts(images, floor):
    wide = [np.pad(image, 1, mode="reflect") for image in images]
    mask = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    lost = weights = 0.0
    for row, column in np.ndindex(images[0].shape):
        edges = []
        for image in wide:
            patch = image[row : row + 3, column : column + 3]
            x, y = ((patch * sobel).sum(axis=0).sum() for sobel in (mask, mask.T))  # down the columns first, as MATLAB
            with np.errstate(all="ignore"):
                edges.append((np.sqrt(x * x + y * y), 0.0 if x == y == 0 else np.arctan(np.float64(x) / y)))
        invented = edges[2][0] > max(edges[0][0], edges[1][0])
        for strength, angle in edges[:2]:
            low, high = sorted((strength, edges[2][0]))
            ratio = 0.0 if low == 0 else low / high
            alike = abs(abs(angle - edges[2][1]) - np.pi / 2) * 2 / np.pi
            quality = sqrt(0.9999 / (1 + np.exp(-19 * (ratio - 0.5))) * 0.9995 / (1 + np.exp(-22 * (alike - 0.5))))
            weight = strength**1.5 if strength >= 2 else floor
            lost, weights = lost + invented * (1 - quality) * weight, weights + weight
    return lost / weights


@pytest.mark.parametrize(("convention", "scale", "floor"), [(TANG, 255, 0.001), (ZOO, 1, 0.0)])
def test_nabf_pixel_by_pixel(convention, scale, floor):
    images = triple(24, 30, seed=3)
    found = of(convention, "Nabf", *images)
    assert_allclose(found, artefacts([image / scale for image in images], floor), rtol=1e-9)


def exposure_similarity(sources, fused):
    """MEF-SSIM window by window."""
    size, values = 11, []
    bell = signal.windows.gaussian(size, 1.5)
    bell = (np.outer(bell, bell) / bell.sum() ** 2).ravel()
    for row, column in np.ndindex(fused.shape[0] - 10, fused.shape[1] - 10):
        x, y, f = (image[row : row + size, column : column + size].ravel() for image in (*sources, fused))
        x, y = x - x.mean(), y - y.mean()
        norms = np.linalg.norm(x), np.linalg.norm(y)
        agreement = (np.linalg.norm(x + y) + 2.2e-16) / (sum(norms) + 2.2e-16)
        power = 10 if agreement >= 1 else min(10, np.tan(np.pi / 2 * agreement))
        contrast = norms[0] + 0.001, norms[1] + 0.001
        shares = np.array([(c / size) ** power + 2.2e-16 for c in contrast])
        patch = (shares / shares.sum() / contrast) @ np.stack([x, y])
        patch = patch / np.linalg.norm(patch) * max(contrast) if np.linalg.norm(patch) > 0 else patch
        common = bell @ (patch * f) - bell @ patch * (bell @ f)
        spread, own = (bell @ (side**2) - (bell @ side) ** 2 for side in (patch, f))
        values.append((2 * common + 7.65**2) / (spread + own + 7.65**2))
    return np.mean(values)


def test_tangs_ssim_is_mef_ssim():
    visible, thermal, fused = (image.astype(float) for image in triple(40, 36))
    found = of(TANG, "SSIM", *triple(40, 36))
    assert_allclose(found, exposure_similarity((thermal, visible), fused), rtol=1e-6)


def test_tangs_ms_ssim_is_mef_ssim_at_three_scales():
    images = [image.astype(float) for image in triple(47, 50)]
    product, weights = 1.0, np.array([0.0448, 0.2856, 0.3001])
    for weight in weights / weights.sum():
        product *= exposure_similarity(images[:2], images[2]) ** weight
        images = [ndimage.uniform_filter(image, 2, mode="reflect", origin=-1)[::2, ::2] for image in images]
    assert_allclose(of(TANG, "MS-SSIM", *triple(47, 50)), product, rtol=1e-6)


def test_tangs_psnr_and_sf_are_of_images_in_0_to_1():
    images = triple()
    usual = of(find_convention("rgbt-bench"), "PSNR", *images)
    assert_allclose(of(TANG, "PSNR", *images) - usual, 20 * np.log10(255), rtol=1e-12)
    assert_allclose(of(TANG, "SF", *images) * 255, of(ZOO, "SF", *images))


def test_vifbs_mi_stretches_and_takes_nats():
    images = triple()
    images = [images[0] // 3 + 20, images[1], images[2] // 2 + 7]
    stretched = []
    for image in images:
        low, high = int(image.min()), int(image.max())
        twice = (image.astype(int) - low) * 510
        stretched.append((twice + (high - low)) // (2 * (high - low)))  # halves up, in whole numbers
    expected = sum(mutual_info_score(image.ravel(), stretched[2].ravel()) for image in stretched[:2])
    assert_allclose(of(VIFB, "MI", *images), expected)


def test_vifbs_stretch_rounds_halves_away_from_zero():
    levels = uint8(
        [0, 1, 2, 3, 4, 5, 6, 10]
    )  # times 25.5: 0, 25.5, 51, 76.5 ...: 25.5 is 26, where the even one is 26 too
    other = uint8([0, 1, 2, 3, 4, 5, 6, 10])
    from rgbt_bench.metrics.fusion.conventions._images import half_away

    assert half_away(np.array([0.5, 1.5, 2.5, -0.5, -2.5, 0.49999999999999994])).tolist() == [1, 2, 3, -1, -3, 0]
    assert_allclose(of(VIFB, "MI", levels, other, levels), 2 * log(8))


def test_vifbs_errors_are_roots_of_sums_over_pixels():
    visible, thermal, fused = uint8([0, 0], [0, 0]), uint8([3, 4], [0, 0]), uint8([0, 0], [0, 8])
    error = (8 / 4 + sqrt(9 + 16 + 64) / 4) / 2
    assert_allclose(of(VIFB, "RMSE", visible, thermal, fused), error)
    assert_allclose(of(VIFB, "PSNR", visible, thermal, fused), 20 * np.log10(255 / sqrt(error)))


def test_vifbs_ssim_is_a_sum_of_two():
    images = [image.astype(float) for image in triple(30, 40)]
    window = signal.windows.gaussian(11, 1.5)
    window = np.outer(window, window) / window.sum() ** 2
    total = 0.0
    for source in images[:2]:
        m, n, mm, nn, mn = (
            signal.correlate2d(i, window, mode="valid")
            for i in (source, images[2], source**2, images[2] ** 2, source * images[2])
        )
        map_ = (2 * m * n + 2.55**2) * (2 * (mn - m * n) + 7.65**2)
        total += (map_ / (m * m + n * n + 2.55**2) / (mm - m * m + nn - n * n + 7.65**2)).mean()
    assert_allclose(of(VIFB, "SSIM", *triple(30, 40)), total)


def freqspace(side):
    """MATLAB's freqspace of two dimensions: from -1 to just below 1, 0 at side // 2."""
    return (np.arange(side) - side // 2) * 2 / side


def matlab_stretched(image):
    values = (image.astype(float) - image.min()) / (int(image.max()) - int(image.min())) * 255
    return np.floor(values + 0.5)


def shifted_filter(image, gain):
    return np.fft.ifft2(np.fft.ifftshift(np.fft.fftshift(np.fft.fft2(image)) * gain))


@pytest.mark.parametrize("shape", [(40, 50), (41, 51)])
def test_vifbs_qcb(shape):
    images = triple(*shape)
    height, width = shape
    u, v = np.meshgrid(width / 30 * freqspace(width), height / 30 * freqspace(height))
    radius = np.sqrt(u**2 + v**2)
    gain = np.exp(-((radius / 15.3870) ** 2)) - 0.7622 * np.exp(-((radius / 1.3456) ** 2))
    x, y = np.mgrid[-15:16, -15:16]
    bells = [np.exp(-(x**2 + y**2) / (2 * s * s)) / (2 * np.pi * s * s) for s in (2, 4)]
    masked = []
    for image in images:
        seen = shifted_filter(matlab_stretched(image), gain).real
        near, far = (signal.correlate2d(seen, bell, mode="same") for bell in bells)
        contrast = np.abs(near / far - 1)
        masked.append(contrast**3 / (contrast**2 + 1e-4))
    a, b, f = masked
    kept = [np.minimum(side, f) / np.maximum(side, f) for side in (a, b)]
    assert_allclose(of(VIFB, "Qcb", *images), ((a**2 * kept[0] + b**2 * kept[1]) / (a**2 + b**2)).mean(), rtol=1e-8)


@pytest.mark.parametrize("shape", [(32, 48), (41, 51)])
def test_vifbs_qcv(shape):
    images = [matlab_stretched(image) for image in triple(*shape)]
    height, width = shape
    u, v = np.meshgrid(width / 8 * freqspace(width), height / 8 * freqspace(height))
    radius = np.sqrt(u**2 + v**2)
    gain = 2.6 * (0.0192 + 0.144 * radius) * np.exp(-((0.144 * radius) ** 1.1))
    above = below = 0.0
    for source in images[:2]:
        edges = np.hypot(*(ndimage.sobel(source, axis=axis, mode="constant") for axis in (0, 1)))
        error = np.abs(shifted_filter(source - images[2], gain)) ** 2
        for row in range(0, height, 16):
            for column in range(0, width, 16):
                block = np.s_[row : row + 16, column : column + 16]
                saliency = (edges[block] ** 5).sum()
                above += saliency * error[block].sum() / 256  # a block at the border is filled up with zeros
                below += saliency
    assert_allclose(of(VIFB, "Qcv", *triple(*shape)), above / below, rtol=1e-9)


def test_vifbs_edge_intensity_and_gradient():
    images = triple(20, 25)
    fused = images[2].astype(float)
    edges = [ndimage.sobel(fused, axis=axis, mode="nearest") for axis in (0, 1)]
    assert_allclose(of(VIFB, "EI", *images), np.hypot(*edges).mean())
    down, across = np.gradient(fused)
    assert_allclose(of(VIFB, "AG", *images), np.sqrt((down**2 + across**2) / 2).sum() / (19 * 24))
    assert_allclose(of(TANG, "AG", *images), of(VIFB, "AG", *images))


def test_vifbs_sf_of_colour_jumps_at_the_seams_of_its_channels():
    rgb, thermal, fused = triple(12, 15, colour=True)
    squares = 0
    flat = (
        fused.transpose(0, 2, 1).reshape(12, 45).astype(int)
    )  # MATLAB's linear second index over columns and channels
    for row, column in np.ndindex(flat.shape):
        squares += (flat[row, column] - flat[row, column - 1]) ** 2 if column else 0
        squares += (flat[row, column] - flat[row - 1, column]) ** 2 if row else 0
    assert_allclose(of(VIFB, "SF", rgb, thermal, fused), sqrt(squares / flat.size))


def test_vifbs_ce_leaves_out_levels_that_one_image_lacks():
    visible, thermal, fused = uint8([1, 1, 2, 3]), uint8([9, 9, 9, 9]), uint8([1, 2, 2, 2])
    of_visible = 2 / 4 * np.log2(2) + 1 / 4 * np.log2(1 / 3)
    assert_allclose(of(VIFB, "CE", visible, thermal, fused), of_visible / 2)

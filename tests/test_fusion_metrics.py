"""The default fusion metrics on images whose figures can be written down, and what is undefined or refused."""

import json
import math
import warnings

import numpy as np
import pytest
from PIL import Image

from rgbt_bench.errors import UsageError
from rgbt_bench.metrics.fusion import METRICS, PROTOCOL, Triple, fusion_figures, luma_of
from rgbt_bench.metrics.fusion.gradients import artefacts

SIDE = 192
NAMES = ("EN", "MI", "SD", "VIF", "Qabf", "SSIM", "SCD", "CC", "AG", "SF", "PSNR", "Nabf", "CE", "MS-SSIM", "FMI")


def noise(seed, low=0, high=256, shape=(SIDE, SIDE)):
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


def flat(level, shape=(SIDE, SIDE)):
    return np.full(shape, level, dtype=np.uint8)


def halves(low, high):
    image = flat(low)
    image[:, SIDE // 2 :] = high
    return image


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_metrics_come_in_one_order_with_what_they_are():
    assert tuple(METRICS) == NAMES
    assert tuple(fusion_figures(noise(0), noise(1), noise(2))) == NAMES
    assert [name for name, metric in METRICS.items() if not metric.higher_is_better] == ["Nabf", "CE"]
    assert all(
        metric.name == name and metric.title and metric.unit and metric.source for name, metric in METRICS.items()
    )


def test_the_protocol_states_every_metric_and_is_plain_data():
    assert set(NAMES) < set(PROTOCOL)
    assert json.loads(json.dumps(PROTOCOL)) == PROTOCOL


def test_named_figures_are_those_of_all_in_the_order_asked_for():
    images = noise(0), noise(1), noise(2)
    every = fusion_figures(*images)
    assert list(fusion_figures(*images, ["SF", "EN"]).items()) == [("SF", every["SF"]), ("EN", every["EN"])]
    assert all(fusion_figures(*images, [name]) == {name: every[name]} for name in NAMES)
    assert all(type(value) is float for value in every.values())


def test_a_mistyped_metric_is_named_with_the_one_meant():
    with pytest.raises(UsageError, match="Qabf"):
        fusion_figures(flat(0), flat(0), flat(0), ["EN", "QABF"])


@pytest.mark.parametrize(
    ("luma", "thermal", "fused", "words"),
    [
        (flat(0).astype(np.uint16), flat(0), flat(0), "luma: uint8"),
        (flat(0), flat(0) / 255, flat(0), "thermal: uint8"),
        (flat(0), flat(0), flat(0, (4, 4, 3)), r"fused: uint8\[H, W\]"),
        (flat(0, (0, 4)), flat(0, (0, 4)), flat(0, (0, 4)), "luma: uint8"),
        (flat(0), flat(0, (SIDE, SIDE - 1)), flat(0), "one size"),
    ],
)
def test_another_dtype_shape_or_size_is_refused(luma, thermal, fused, words):
    with pytest.raises(ValueError, match=words):
        fusion_figures(luma, thermal, fused)


def test_constant_images_have_the_figures_that_are_defined():
    a, b, f = 40, 90, 200
    figures = fusion_figures(flat(a), flat(b), flat(f))
    luminance = [(2 * level * f + 2.55**2) / (level**2 + f**2 + 2.55**2) for level in (a, b)]
    assert figures == pytest.approx(
        {
            **dict.fromkeys(("EN", "MI", "SD", "AG", "SF", "Nabf", "CE", "FMI"), 0.0),
            **dict.fromkeys(("VIF", "Qabf", "SCD", "CC"), math.nan),
            "SSIM": sum(luminance) / 2,
            "MS-SSIM": sum(level**0.1333 for level in luminance) / 2,
            "PSNR": 10 * math.log10(255**2 * 2 / ((f - a) ** 2 + (f - b) ** 2)),
        },
        rel=1e-12,
        nan_ok=True,
    )
    assert all(figures[name] == 0.0 for name in ("EN", "MI", "SD", "AG", "SF", "Nabf", "CE", "FMI"))


@pytest.mark.parametrize("name", ["VIF", "CC", "SCD"])
def test_one_constant_source_leaves_correlations_and_vif_undefined(name):
    assert math.isnan(fusion_figures(flat(9), noise(0), noise(1), [name])[name])
    assert math.isnan(fusion_figures(noise(0), flat(9), noise(1), [name])[name])


def test_a_constant_fused_image_keeps_nothing():
    figures = fusion_figures(noise(0), noise(1), flat(77))
    assert math.isnan(figures["CC"])
    assert figures["SCD"] == pytest.approx(fusion_figures(noise(0), noise(1), flat(0))["SCD"], rel=1e-12)
    assert figures["VIF"] == figures["MI"] == figures["Nabf"] == figures["FMI"] == 0
    strength, angle = 0.9994 / (1 + math.exp(7.5)), 0.9879
    assert 0 < figures["Qabf"] < strength * angle


def test_three_equal_images_are_kept_whole():
    image = noise(0)
    figures = fusion_figures(image, image, image)
    perfect = 0.9994 / (1 + math.exp(-15 * 0.5)) * 0.9879 / (1 + math.exp(-22 * 0.2))
    assert figures["MI"] == pytest.approx(2 * figures["EN"], rel=1e-12)
    assert figures["Qabf"] == pytest.approx(perfect, rel=1e-12)
    assert figures["VIF"] == pytest.approx(2, abs=1e-9)
    assert all(figures[name] == pytest.approx(1, abs=1e-12) for name in ("SSIM", "MS-SSIM", "CC", "FMI"))
    assert figures["Nabf"] == figures["CE"] == 0
    assert math.isnan(figures["PSNR"])
    assert math.isnan(figures["SCD"])


def test_two_levels_make_one_bit():
    image = halves(30, 130)
    figures = fusion_figures(image, flat(5), image)
    assert (figures["EN"], figures["MI"], figures["SD"]) == (1.0, 1.0, 50.0)
    other = fusion_figures(image, halves(130, 30), halves(200, 250))
    assert (other["EN"], other["MI"], other["SD"], other["CC"]) == (1.0, 2.0, 25.0, 0.0)


def test_independent_uniform_images_share_nothing():
    rows, columns = np.mgrid[:256, :256].astype(np.uint8)
    figures = fusion_figures(rows, rows.copy(), columns, ["EN", "MI", "SD", "CC", "CE"])
    assert figures["EN"] == 8
    assert figures["MI"] == pytest.approx(0, abs=1e-12)
    assert figures["SD"] == pytest.approx(math.sqrt((256**2 - 1) / 12), rel=1e-14)
    assert figures["CC"] == figures["CE"] == 0


def test_the_cross_entropy_of_two_histograms_is_their_divergence_over_common_levels():
    source, fused = flat(10, (1, 4)), flat(10, (1, 4))
    source[0, :1], fused[0, :3] = 20, 20
    one = 0.25 * math.log2(0.25 / 0.75) + 0.75 * math.log2(0.75 / 0.25)
    assert fusion_figures(source, source, fused, ["CE"])["CE"] == pytest.approx(one, rel=1e-12)
    source[0, :1] = 99
    assert fusion_figures(source, source, fused, ["CE"])["CE"] == pytest.approx(0.75 * math.log2(3), rel=1e-12)
    fused[0] = [10, 10, 10, 5]
    source[0] = [10, 1, 2, 3]
    assert fusion_figures(source, source, fused, ["CE"])["CE"] == pytest.approx(0.25 * math.log2(1 / 3), rel=1e-12)


def test_a_sum_of_both_sources_correlates_in_full():
    luma, thermal = noise(0, 0, 100), noise(1, 0, 100)
    assert fusion_figures(luma, thermal, luma + thermal, ["SCD"])["SCD"] == pytest.approx(2, abs=1e-12)
    assert math.isnan(fusion_figures(luma, thermal, luma + 50, ["SCD"])["SCD"])


def test_an_inverted_image_correlates_negatively_and_has_no_structure_over_scales():
    image = noise(0)
    figures = fusion_figures(image, image, 255 - image)
    assert figures["CC"] == -1
    assert figures["MS-SSIM"] == figures["VIF"] == 0
    assert figures["SSIM"] < 0


@pytest.mark.parametrize("step", [1, 2])
def test_a_ramp_has_its_gradient_and_its_frequency(step):
    ramp = np.broadcast_to(np.arange(0, 100 * step, step, dtype=np.uint8), (30, 100))
    figures = fusion_figures(ramp, ramp, ramp, ["AG", "SF"])
    assert figures["AG"] == pytest.approx(step / math.sqrt(2), rel=1e-14)
    assert figures["SF"] == pytest.approx(step * math.sqrt(99 / 100), rel=1e-14)


def test_a_shift_of_all_levels_has_its_psnr():
    image = noise(0, 0, 200)
    assert fusion_figures(image, image, image + 5, ["PSNR"])["PSNR"] == pytest.approx(20 * math.log10(51), rel=1e-14)
    half = fusion_figures(image, image, image.copy(), ["PSNR"])
    assert math.isnan(half["PSNR"])
    assert fusion_figures(image, image + 5, image, ["PSNR"])["PSNR"] == pytest.approx(
        20 * math.log10(51) + 10 * math.log10(2), rel=1e-14
    )


def test_a_copy_of_one_source_has_half_of_what_is_averaged():
    luma, thermal = noise(0), noise(1)
    copied = fusion_figures(luma, thermal, thermal)
    assert copied["SSIM"] == pytest.approx((1 + fusion_figures(luma, luma, thermal)["SSIM"]) / 2, rel=1e-12)
    assert copied["VIF"] == pytest.approx(1 + fusion_figures(luma, luma, thermal)["VIF"] / 2, rel=1e-9)
    assert copied["FMI"] > 0.5


def test_more_contrast_is_more_than_whole_fidelity():
    luma = noise(0, 0, 120)
    assert fusion_figures(luma, luma, luma * 2, ["VIF"])["VIF"] > 2.2


def test_edges_that_neither_source_has_are_artefacts():
    luma, thermal = noise(0, 100, 140), noise(1, 100, 140)
    assert artefacts(Triple(luma, thermal, noise(2))) > 0.1
    assert artefacts(Triple(noise(2), noise(2), luma)) < 0.01


@pytest.mark.parametrize(("name", "least"), [("VIF", 41), ("SSIM", 11), ("MS-SSIM", 176), ("Qabf", 3), ("Nabf", 3)])
def test_images_smaller_than_the_windows_are_undefined(name, least):
    for shape, defined in (
        ((least, least + 3), True),
        ((least - 1, least + 3), False),
        ((least + 3, least - 1), False),
    ):
        figure = fusion_figures(*(noise(seed, shape=shape) for seed in range(3)), [name])[name]
        assert math.isfinite(figure) == defined


def test_one_pixel_has_the_figures_of_histograms():
    pixel = flat(3, (1, 1))
    figures = fusion_figures(pixel, pixel + 1, pixel + 2)
    defined = {name for name, value in figures.items() if not math.isnan(value)}
    assert defined == {"EN", "MI", "SD", "SF", "PSNR", "CE"}


def test_luma_has_the_bits_of_pillow():
    rgb = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    corners = np.stack(np.meshgrid(*[np.array([0, 1, 127, 128, 254, 255], dtype=np.uint8)] * 3), axis=-1).reshape(
        6, 36, 3
    )
    for image in (rgb, corners, rgb[::-2, ::3]):
        assert np.array_equal(luma_of(image), np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L")))
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(luma_of(levels), levels[..., 0])


@pytest.mark.parametrize("image", [flat(0), flat(0, (4, 4, 4)), np.zeros((4, 4, 3))])
def test_luma_of_anything_but_rgb_is_refused(image):
    with pytest.raises(ValueError, match="rgb: uint8"):
        luma_of(image)

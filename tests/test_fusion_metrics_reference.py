"""The fusion metrics against slow ones written from their definitions, against other packages, and under changes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.image import structural_similarity_index_measure as torch_ssim
from torchmetrics.functional.image import visual_information_fidelity as torch_vif

from rgbt_bench.metrics.fusion import METRICS, fusion_figures
from slow_fusion import SLOW

SIDE = 200


def scene(seed, shape=(SIDE, SIDE + 23)):
    """Smooth shades, edges and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = 120 + 60 * np.sin(x / rng.uniform(5, 40)) + 40 * np.cos(y / rng.uniform(5, 40) + x / 60)
    image += 70 * ((y // 31 + x // 17 + seed) % 3 == 0) + rng.normal(0, rng.uniform(1, 15), shape)
    return image.clip(0, 255).astype(np.uint8)


def blended(luma, thermal):
    return ((luma.astype(int) + thermal) // 2).astype(np.uint8)


@pytest.fixture(scope="module")
def images():
    luma, thermal = scene(1), scene(2)
    return luma, thermal, blended(luma, thermal)


def kinds():
    """Images by kind: any levels, flat, saturated, nearly flat, one pixel on a flat ground, and shades."""

    def draw(kind, seed, shape):
        rng = np.random.default_rng(seed)
        level = int(rng.integers(0, 255))
        image = np.full(shape, level, dtype=np.uint8)
        if kind == "any":
            image = rng.integers(0, 256, shape, dtype=np.uint8)
        elif kind == "saturated":
            image = np.where(rng.random(shape) < rng.random(), 255, 0).astype(np.uint8)
        elif kind == "nearly flat":
            image = rng.integers(level, level + 2, shape, dtype=np.uint8)
        elif kind == "one pixel":
            image[int(rng.integers(shape[0])), int(rng.integers(shape[1]))] = rng.choice([0, level + 1, 255])
        elif kind == "halves":
            image[: shape[0] // 2] = 255 - level
        elif kind == "shades":
            image = scene(seed, shape)
        return image

    return st.builds(
        lambda shape, kinds, seed: [draw(kind, seed + i, shape) for i, kind in enumerate(kinds)],
        st.one_of(
            st.tuples(st.integers(1, 12), st.integers(1, 12)), st.tuples(st.integers(40, 48), st.integers(40, 48))
        ),
        st.lists(
            st.sampled_from(["any", "flat", "saturated", "nearly flat", "one pixel", "halves", "shades"]),
            min_size=3,
            max_size=3,
        ),
        st.integers(0, 10_000),
    )


def assert_equal_to_slow(images, names=tuple(METRICS)):
    fast = fusion_figures(*images, names)
    slow = {name: SLOW[name](*images) for name in names}
    assert fast == pytest.approx(slow, rel=1e-9, abs=1e-9, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(kinds())
def test_any_images_have_the_figures_of_the_slow_reference(images):
    small = images[0].size < 200
    assert_equal_to_slow(images, [name for name in METRICS if small or name != "FMI"])


def test_every_metric_has_a_slow_reference(images):
    assert set(SLOW) == set(METRICS)
    assert_equal_to_slow([image[:180, :177] for image in images], [name for name in METRICS if name != "FMI"])
    assert_equal_to_slow([image[60:100, :50] for image in images], ["FMI"])


@pytest.mark.parametrize("seed", range(3))
def test_the_scales_of_ms_ssim_are_those_of_the_slow_reference(seed):
    shape = (176 + seed, 193 - seed)
    luma, thermal = scene(seed, shape), scene(seed + 7, shape)
    assert_equal_to_slow([luma, thermal, blended(luma, thermal)], ["MS-SSIM"])
    assert_equal_to_slow([luma, 255 - luma, thermal], ["MS-SSIM"])


def test_views_have_the_figures_of_their_copies(images):
    views = [image[::-2, 3:-1:3] for image in images]
    turned = [np.asfortranarray(image) for image in images]
    assert fusion_figures(*views) == pytest.approx(fusion_figures(*(view.copy() for view in views)), rel=0, nan_ok=True)
    assert fusion_figures(*turned) == fusion_figures(*images)


def test_images_are_read_and_never_written(images):
    frozen = [image.copy() for image in images]
    for image in frozen:
        image.flags.writeable = False
    assert fusion_figures(*frozen) == fusion_figures(*images)


def test_the_same_images_have_the_same_bits(images):
    assert fusion_figures(*images) == fusion_figures(*images)


def test_mutual_information_is_that_of_scikit_learn(images):
    from sklearn.metrics import mutual_info_score

    luma, thermal, fused = (image.ravel() for image in images)
    nats = mutual_info_score(luma, fused) + mutual_info_score(thermal, fused)
    assert fusion_figures(*images, ["MI"])["MI"] == pytest.approx(nats / math.log(2), rel=1e-10)


def test_entropy_and_correlation_are_those_of_scipy(images):
    from scipy.stats import entropy, pearsonr

    luma, thermal, fused = (image.ravel().astype(float) for image in images)
    figures = fusion_figures(*images)
    counts = np.bincount(images[2].ravel())
    assert figures["EN"] == pytest.approx(entropy(counts, base=2), rel=1e-12)
    assert figures["CC"] == pytest.approx((pearsonr(luma, fused)[0] + pearsonr(thermal, fused)[0]) / 2, rel=1e-12)
    scd = pearsonr(fused - thermal, luma)[0] + pearsonr(fused - luma, thermal)[0]
    assert figures["SCD"] == pytest.approx(scd, rel=1e-12)
    assert figures["SD"] == pytest.approx(fused.std(), rel=1e-12)


def test_ssim_and_psnr_are_those_of_scikit_image(images):
    from skimage.metrics import mean_squared_error, structural_similarity

    luma, thermal, fused = images
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    both = [structural_similarity(source, fused, **settings) for source in (luma, thermal)]
    figures = fusion_figures(*images)
    assert figures["SSIM"] == pytest.approx(sum(both) / 2, rel=1e-11)
    mse = (mean_squared_error(luma, fused) + mean_squared_error(thermal, fused)) / 2
    assert figures["PSNR"] == pytest.approx(10 * math.log10(255**2 / mse), rel=1e-12)


def tensors(*images):
    return [torch.from_numpy(image.astype(np.float64))[None, None] for image in images]


def test_vif_is_that_of_torchmetrics(images):
    luma, thermal, fused = tensors(*images)
    both = torch_vif(fused, luma) + torch_vif(fused, thermal)
    assert fusion_figures(*images, ["VIF"])["VIF"] == pytest.approx(both.item(), rel=1e-11)


def test_ssim_is_that_of_torchmetrics_without_the_border_that_it_reflects(images):
    luma, thermal, fused = tensors(*images)
    maps = [torch_ssim(fused, one, data_range=255.0, return_full_image=True)[1] for one in (luma, thermal)]
    inner = sum(one[..., 5:-5, 5:-5].mean().item() for one in maps) / 2
    assert fusion_figures(*images, ["SSIM"])["SSIM"] == pytest.approx(inner, rel=1e-11)


def test_ms_ssim_is_made_of_the_factors_of_torchmetrics(images):
    def one(source, fused):
        figure = 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            if scale == 4:
                full = torch_ssim(fused, source, data_range=255.0, return_full_image=True)[1]
                return figure * full[..., 5:-5, 5:-5].mean().item() ** weight
            _, structure = torch_ssim(fused, source, data_range=255.0, return_contrast_sensitivity=True)
            figure *= structure.item() ** weight
            source, fused = (torch.nn.functional.avg_pool2d(image, 2) for image in (source, fused))
        return None

    luma, thermal, fused = tensors(*images)
    expected = (one(luma, fused) + one(thermal, fused)) / 2
    assert fusion_figures(*images, ["MS-SSIM"])["MS-SSIM"] == pytest.approx(expected, rel=1e-11)


def test_the_sources_may_be_swapped(images):
    luma, thermal, fused = images
    assert fusion_figures(thermal, luma, fused) == pytest.approx(fusion_figures(luma, thermal, fused), rel=1e-12)


def test_histograms_and_sums_do_not_see_where_a_pixel_is(images):
    names = ["EN", "MI", "SD", "CC", "SCD", "PSNR", "CE"]
    order = np.random.default_rng(0).permutation(images[0].size)
    mixed = [image.ravel()[order].reshape(images[0].shape) for image in images]
    assert fusion_figures(*mixed, names) == fusion_figures(*images, names)
    others = ["VIF", "SSIM", "AG", "SF", "Qabf"]
    before, after = fusion_figures(*images, others), fusion_figures(*mixed, others)
    assert all(before[name] != after[name] for name in others)


def test_entropy_and_information_do_not_see_which_level_is_which(images):
    levels = np.random.default_rng(0).permutation(256).astype(np.uint8)
    luma, thermal, fused = images
    relabelled = fusion_figures(255 - luma, levels[thermal], levels[fused], ["EN", "MI"])
    assert relabelled == pytest.approx(fusion_figures(*images, ["EN", "MI"]), rel=1e-12)


def test_inverting_all_three_changes_no_difference(images):
    names = ["EN", "MI", "SD", "CC", "SCD", "PSNR", "CE", "AG", "SF", "VIF", "Qabf", "Nabf"]
    inverted = fusion_figures(*(255 - image for image in images), names)
    # AG's differences are to the next pixel: the same, with the other sign.
    assert inverted == pytest.approx(fusion_figures(*images, names), rel=1e-9)


def test_transposing_changes_only_what_has_a_direction(images):
    names = [name for name in METRICS if name not in ("FMI", "Qabf", "Nabf")]
    transposed = fusion_figures(*(image.T for image in images), names)
    assert transposed == pytest.approx(fusion_figures(*images, names), rel=1e-9)


def test_fusion_of_noise_scores_below_fusion_of_the_pair(images):
    luma, thermal, _ = images
    noise = np.random.default_rng(0).integers(0, 256, luma.shape, dtype=np.uint8)
    good, bad = fusion_figures(*images), fusion_figures(luma, thermal, noise)
    names = [name for name in METRICS if name not in ("EN", "SD", "AG", "SF", "SCD")]
    assert all((good[name] > bad[name]) == METRICS[name].higher_is_better for name in names)

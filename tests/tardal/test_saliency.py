"""The saliency degree, its weights, Otsu's threshold and the target mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from rgbt_baselines.tardal.saliency import otsu_threshold, saliency_degree, saliency_weight, target_mask

IMAGES = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6))


def test_the_saliency_degree_of_three_zeros_and_a_hundred():
    image = np.array([[0, 0], [0, 100]], dtype=np.uint8)
    # a zero is 100 away from a quarter of the pixels, the hundred from three quarters
    assert saliency_degree(image).tolist() == [[25, 25], [25, 75]]


@settings(max_examples=50, deadline=None)
@given(IMAGES)
def test_the_saliency_degree_is_the_mean_distance_to_all_pixels(image):
    values = image.astype(float)
    slow = np.abs(values[:, :, None, None] - values[None, None]).mean(axis=(2, 3))
    np.testing.assert_allclose(saliency_degree(image), slow, rtol=1e-6, atol=1e-5)


def test_the_weight_is_the_thermal_images_share_and_a_half_where_nothing_stands_out():
    thermal = np.array([[0, 0], [0, 100]], dtype=np.uint8)
    luma = np.array([[0, 100], [100, 100]], dtype=np.uint8)
    assert saliency_weight(thermal, luma).tolist() == [[0.25, 0.5], [0.5, 0.75]]
    flat = np.full((2, 2), 7, dtype=np.uint8)
    assert saliency_weight(flat, flat).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert saliency_weight(thermal, flat).tolist() == [[1, 1], [1, 1]]


@settings(max_examples=50, deadline=None)
@given(IMAGES)
def test_otsus_threshold_has_the_largest_variance_between_the_classes(image):
    values = image.ravel().astype(float)

    def between(level):
        low, high = values[values <= level], values[values > level]
        return len(low) * len(high) * (high.mean() - low.mean()) ** 2 if len(low) and len(high) else -1

    best = max(between(level) for level in range(256))
    found = otsu_threshold(image)
    if best < 0:
        assert found == 255
    else:
        assert between(found) == pytest.approx(best)


def test_a_warm_object_is_the_target_and_a_cold_one_is_not():
    thermal = np.full((40, 40), 100, dtype=np.uint8)
    thermal[5:10, 5:10] = 230
    thermal[20:25, 20:25] = 0
    mask = target_mask(thermal)
    assert mask[5:10, 5:10].all()
    assert mask.sum() == 25


def test_a_constant_image_has_no_target():
    assert not target_mask(np.full((8, 8), 200, dtype=np.uint8)).any()

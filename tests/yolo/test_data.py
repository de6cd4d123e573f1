"""The detector's images: their colour, their geometry, and the batches made of them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from rgbt_baselines.yolo.config import AugmentSection
from rgbt_baselines.yolo.data import PADDING, collate, coloured, evaluation_transform, fused_pair, training_transform
from rgbt_bench.datasets.sample import INFO
from rgbt_bench.schema import Box, Image, Sample


def picture(height=40, width=60, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels):
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, format="PNG")
    return Image(stream.getvalue(), "some.png")


def sample(height, width, boxes, rgb=None):
    objects = tuple(Box((x1, y1, x2 - x1, y2 - y1), 1, 1.0) for x1, y1, x2, y2 in boxes)
    pixels = picture(height, width) if rgb is None else rgb
    return Sample(sample_id="one", width=width, height=height, objects=objects, rgb=encoded(pixels))


def pair(height, width, boxes=(), luma=None, colour="grey"):
    luma = np.zeros((height, width), np.uint8) if luma is None else luma
    return fused_pair(sample(height, width, boxes), 7, luma, INFO, colour)


def test_colour_is_the_rgb_images_and_brightness_the_fused_one():
    rgb, fused = picture() // 2 + 64, picture(seed=1)[..., 0] // 4 + 96  # so that nothing is clipped
    seen = coloured(fused, rgb, "from-rgb")
    (y, cb, cr), (_, cb_before, cr_before) = (
        np.moveaxis(np.asarray(Pillow.fromarray(one).convert("YCbCr")).astype(int), 2, 0) for one in (seen, rgb)
    )
    for found, expected in ((y, fused), (cb, cb_before), (cr, cr_before)):
        assert np.abs(found - expected).max() <= 1
    # and so does the way through YCbCr, as far as Pillow's rounding lets it
    _, cb8, cr8 = Pillow.fromarray(rgb).convert("YCbCr").split()
    through = Pillow.merge("YCbCr", (Pillow.fromarray(fused), cb8, cr8)).convert("RGB")
    assert np.abs(np.asarray(through).astype(int) - seen).max() <= 3


def test_the_luma_of_the_rgb_image_gives_the_rgb_image_back():
    rgb = picture()
    assert np.array_equal(coloured(np.asarray(Pillow.fromarray(rgb).convert("L")), rgb, "from-rgb"), rgb)


def test_a_sum_beyond_the_range_is_clipped():
    rgb = np.array([[[250, 10, 10], [5, 200, 5]]], np.uint8)
    assert coloured(np.array([[255, 0]], np.uint8), rgb, "from-rgb").tolist() == [[[255, 183, 183], [0, 81, 0]]]


def test_grey_sees_nothing_of_the_rgb_image():
    luma = picture()[..., 0]
    assert np.array_equal(coloured(luma, picture(seed=1), "grey"), np.repeat(luma[..., None], 3, axis=2))


def test_a_pair_has_the_fused_image_and_the_samples_boxes():
    luma = picture(33, 47)[..., 1]
    found = pair(33, 47, [(3, 4, 20, 30)], luma)
    assert torch.equal((found.rgb * 255).round().to(torch.uint8), torch.from_numpy(luma).expand(3, 33, 47))
    assert found.thermal is None
    assert found.index == 7
    assert found.boxes.tolist() == [[3, 4, 20, 30]]


@pytest.mark.parametrize(("height", "width"), [(33, 47), (47, 33), (97, 61), (64, 64), (31, 200), (501, 333)])
def test_boxes_come_back_through_the_letterbox(height, width):
    boxes = [(1.5, 2.25, width * 0.4, height * 0.6), (0, 0, width, height)]
    batch = collate([evaluation_transform(pair(height, width, boxes), None, 64)])
    assert batch.images.shape == (1, 3, 64, 64)
    centres, sizes = batch.targets.boxes[:, :2] * 64, batch.targets.boxes[:, 2:] * 64
    corners = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1) * batch.scale
    # the box of the whole image ends with the last whole pixel of the input
    torch.testing.assert_close(corners[0], torch.tensor(boxes[0]), atol=1e-3, rtol=0)
    assert (corners[1] - torch.tensor(boxes[1])).abs().max() <= float(batch.scale)


def test_what_is_in_a_box_is_in_it_after_the_letterbox():
    luma = np.zeros((75, 101), np.uint8)
    luma[30:60, 20:50] = 255
    batch = collate([evaluation_transform(pair(75, 101, [(20, 30, 50, 60)], luma), None, 64)])
    bright = (batch.images[0, 0] > 0.5) & (batch.images[0, 0] != PADDING)
    rows, columns = bright.nonzero(as_tuple=True)
    cx, cy, width, height = (batch.targets.boxes[0] * 64).tolist()
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    expected = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    assert all(abs(float(one) - other) <= 1 for one, other in zip(found, expected, strict=True))


def test_padding_is_at_the_right_and_bottom():
    image = evaluation_transform(pair(20, 60), None, 64).rgb
    assert (image[:, :21] == 0).all()
    assert (image[:, 21:] == PADDING).all()


def test_targets_name_their_image_and_images_without_boxes_have_none():
    pairs = [pair(40, 40, boxes) for boxes in ([], [(1, 1, 9, 9), (5, 5, 30, 20)], [(2, 2, 4, 4)])]
    batch = collate([evaluation_transform(one, None, 64) for one in pairs])
    assert batch.targets.index.tolist() == [1, 1, 2]
    assert batch.targets.classes.tolist() == [1, 1, 1]
    assert len(batch) == 3
    assert collate([evaluation_transform(pairs[0], None, 64)]).targets.boxes.shape == (0, 4)


def test_augmentation_follows_its_seed_and_moves_boxes_with_the_image():
    luma = np.zeros((60, 80), np.uint8)
    luma[20:40, 10:30] = 255
    one = pair(60, 80, [(10, 20, 30, 40)], luma)
    augment = AugmentSection(flip=0.5, zoom=(0.5, 1.5))
    seen = set()
    for seed in range(12):
        first, again = (training_transform(one, torch.Generator().manual_seed(seed), 64, augment) for _ in range(2))
        assert torch.equal(first.rgb, again.rgb)
        for box in first.boxes:
            x1, y1, x2, y2 = box.round().int().tolist()
            assert first.rgb[0, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 0.9
        seen.add(tuple(first.boxes.flatten().tolist()))
    assert len(seen) > 6

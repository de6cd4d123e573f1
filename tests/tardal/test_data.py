"""Patches: what is cut, where, and what becomes of boxes, masks and colours."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from rgbt_baselines.tardal.config import AugmentSection
from rgbt_baselines.tardal.data import (
    MASK,
    THERMAL,
    WEIGHT,
    Batches,
    Item,
    collate,
    covering,
    cut,
    decode_item,
    mirror,
    prepare,
    recoloured,
)
from rgbt_baselines.tardal.masks import Masks
from rgbt_baselines.tardal.saliency import saliency_weight, target_mask
from rgbt_bench.errors import BadInputError, MissingError
from rgbt_bench.fused_images import source_images

AUGMENT = AugmentSection(crop=32, crops=3, flip=0.5, least_visible=0.1)


def item(height=40, width=60, boxes=(), layers=6):
    values = torch.arange(height * width, dtype=torch.float32).view(1, height, width).repeat(layers, 1, 1)
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Item(values, boxes, torch.arange(len(boxes)))


def test_a_sample_is_decoded_with_what_its_whole_images_say(tiny):
    sample = tiny.part("train")[0]
    found = decode_item(sample, 0, tiny.info, Masks(), with_detection=True)
    sources = source_images(sample, tiny.info)
    assert found.layers.shape == (6, sample.height, sample.width)
    np.testing.assert_array_equal(found.layers[0].numpy(), sources.luma / np.float32(255))
    np.testing.assert_array_equal(found.layers[THERMAL].numpy(), sources.thermal / np.float32(255))
    np.testing.assert_array_equal(found.layers[WEIGHT].numpy(), saliency_weight(sources.thermal, sources.luma))
    np.testing.assert_array_equal(found.layers[MASK].numpy(), target_mask(sources.thermal))
    assert len(found.boxes) == len(found.classes) > 0
    assert len(decode_item(sample, 0, tiny.info, Masks(), with_detection=False).layers) == 4


def test_boxes_to_ignore_and_of_crowds_are_left_out(tiny):
    sample = tiny.part("train")[0]
    first, *_ = sample.objects
    objects = (first, replace(first, ignore=True), replace(first, iscrowd=True))
    found = decode_item(replace(sample, objects=objects), 0, tiny.info, Masks(), with_detection=True)
    x, y, width, height = first.bbox
    assert found.boxes.tolist() == [pytest.approx([x, y, x + width, y + height])]


def test_luma_and_chroma_make_the_picture_again(tiny):
    sample = tiny.part("train")[0]
    found = decode_item(sample, 0, tiny.info, Masks(), with_detection=True)
    again = recoloured(found.layers[None, :1], found.layers[None, 4:])[0]
    rgb = source_images(sample, tiny.info).rgb.transpose(2, 0, 1) / 255
    assert np.abs(again.numpy() - rgb).max() < 2.5 / 255


def test_a_change_of_luma_moves_all_three_colours_alike_beyond_0_and_1_too():
    luma = torch.tensor([-0.2, 0.5, 1.3]).view(1, 1, 1, 3).requires_grad_(True)
    recoloured(luma, torch.full((1, 2, 1, 3), 0.3)).sum().backward()
    assert luma.grad.flatten().tolist() == [3, 3, 3]


def test_a_box_is_clipped_to_the_patch_and_dropped_where_too_little_is_left():
    boxes = [(10, 10, 30, 30), (0, 0, 12, 12), (0, 0, 8, 8), (41, 30, 61, 50)]
    found = cut(item(64, 64, boxes), 10, 10, 32, 0.1)
    assert found.layers.shape == (6, 32, 32)
    assert found.layers[0, 0, 0] == 10 * 64 + 10
    # the second keeps 4 of 144 pixels, the third nothing, the last 1 x 12 of 400
    assert found.boxes.tolist() == [[0, 0, 20, 20]]
    assert found.classes.tolist() == [0]
    every = cut(item(64, 64, boxes), 10, 10, 32, 0.0)
    assert every.boxes.tolist() == [[0, 0, 20, 20], [0, 0, 2, 2], [31, 20, 32, 32]]


def test_a_small_pair_is_enlarged_until_it_covers_the_patch_with_its_boxes_and_a_hard_mask():
    small = item(16, 24, [(2, 4, 6, 8)])
    small.layers[MASK] = torch.eye(16, 24)
    found = covering(small, 32)
    assert found.layers.shape == (6, 32, 48)
    assert found.boxes.tolist() == [[4, 8, 12, 16]]
    assert set(found.layers[MASK].unique().tolist()) == {0, 1}
    assert covering(found, 32) is found


def test_a_mirror_twice_is_the_item():
    one = item(8, 10, [(1, 2, 4, 5)])
    assert mirror(one).boxes.tolist() == [[6, 2, 9, 5]]
    assert torch.equal(mirror(mirror(one)).layers, one.layers)


def test_patches_reach_every_place_and_the_middle_one_is_fixed():
    seen = set()
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        patch = prepare(item(34, 33), generator, AUGMENT.model_copy(update={"flip": 0.0}), is_random=True)
        seen.add(divmod(int(patch.layers[0, 0, 0]), 33))
    assert seen == {(top, left) for top in range(3) for left in range(2)}
    middle = prepare(item(34, 36), torch.Generator(), AUGMENT, is_random=False)
    assert divmod(int(middle.layers[0, 0, 0]), 36) == (1, 2)


def test_a_batch_has_normalised_boxes_with_the_place_of_their_image():
    batch = collate([item(32, 32, [(0, 0, 16, 8)]), item(32, 32), item(32, 32, [(8, 8, 16, 32)])])
    assert len(batch) == 3
    assert batch.targets.boxes.tolist() == [[0.25, 0.125, 0.5, 0.25], [0.375, 0.625, 0.25, 0.75]]
    assert batch.targets.index.tolist() == [0, 2]
    assert batch.chroma.shape == (3, 2, 32, 32)
    without = collate([item(32, 32, layers=4)])
    assert without.targets is without.chroma is None


def test_an_epoch_has_the_patches_of_every_pair_the_same_ones_again(tiny):
    make = partial(Batches, tiny.part("train"), AUGMENT, 6, with_detection=True)
    first, again, other = (list(one.epoch(epoch)) for one, epoch in ((make(), 1), (make(), 1), (make(), 2)))
    assert sum(map(len, first)) == 3 * len(tiny.part("train"))
    for one, same in zip(first, again, strict=True):
        assert torch.equal(one.luma, same.luma)
        assert torch.equal(one.targets.boxes, same.targets.boxes)
    assert not torch.equal(first[0].luma, other[0].luma)
    validation = list(make(is_random=False).in_order())
    assert sum(map(len, validation)) == len(tiny.part("train"))


def masks_of(part, folder, named=lambda sample: sample.sample_id):
    folder.mkdir()
    for place, sample in enumerate(part.labels):
        pixels = np.zeros((sample.height, sample.width), dtype=np.uint8)
        pixels[: place + 1] = 255
        Image.fromarray(pixels).save(folder / f"{named(sample)}.png")
    return Masks(str(folder))


def test_masks_are_found_by_id_and_by_the_stem_of_the_original(tiny, tmp_path):
    part = tiny.part("val")
    image = np.zeros((part[0].height, part[0].width), dtype=np.uint8)
    by_id = masks_of(part, tmp_path / "ids")
    by_id.check(part.labels)
    assert by_id.of(part[2], image).sum() == 3 * part[2].width
    labels = [replace(one, source=f"thermal/frame-{place}.png") for place, one in enumerate(part.labels)]
    (tmp_path / "stems").mkdir()
    for place in range(len(labels)):
        Image.fromarray(image).save(tmp_path / "stems" / f"frame-{place}.png")
    Masks(str(tmp_path / "stems")).check(labels)


def test_faulty_masks_are_all_named(tiny, tmp_path):
    part = tiny.part("val")
    masks = masks_of(part, tmp_path / "masks")
    small, colour, faint, gone = (tmp_path / "masks" / f"{one.sample_id}.png" for one in part.labels[:4])
    Image.new("L", (3, 3)).save(small)
    Image.new("RGB", (part.labels[1].width, part.labels[1].height)).save(colour)
    Image.new("L", (part.labels[2].width, part.labels[2].height), 1).save(faint)
    gone.write_bytes(b"not a picture")
    with pytest.raises(BadInputError) as caught:
        masks.check(part.labels)
    text = str(caught.value)
    assert f"{small}: 3x3, but the sample is" in text
    assert f"{colour}: a picture of mode RGB" in text
    assert f"{faint}: the largest value is 1; a target is 255" in text
    assert f"{gone}: cannot be decoded" in text
    gone.unlink()
    with pytest.raises(BadInputError, match=r"no such file"):
        masks.check(part.labels)
    with pytest.raises(MissingError, match=r"model\.masks: .*nowhere: no such folder"):
        Masks(str(tmp_path / "nowhere")).check(part.labels)

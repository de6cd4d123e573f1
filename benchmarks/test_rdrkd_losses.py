"""RDR-KD's losses by the boxes of a whole batch at once against a loop over them; run with `--benchmark-enable`."""

import time

import pytest
import torch

from rgbt_baselines.rdrkd.boxes import box_map
from rgbt_baselines.rdrkd.decoupled import cell_weights
from rgbt_baselines.rdrkd.loss_config import DecoupledSection

IMAGE_SIZE, BATCH = 640, 16
SIDES = (160, 80, 40, 20)
LEAST_RATIO = 2
TURNS = 5
SETTINGS = DecoupledSection(
    weight=0.1,
    foreground=0.5,
    background=0.5,
    temperature=20.0,
    bias=0.005,
    area_unit="image",
    background_by="cells",
    size_by="owned",
)


def labels(per_image):
    """Boxes as images taken by drones have them: most of 8 to 50 pixels, all over the image."""
    generator = torch.Generator().manual_seed(0)
    count = per_image * BATCH
    centres = torch.rand(count, 2, generator=generator)
    sides = 8 * (50 / 8) ** torch.rand(count, 2, generator=generator)
    return torch.cat([centres, sides / IMAGE_SIZE], 1), torch.arange(BATCH).repeat_interleave(per_image)


def at_once(boxes, images):
    """What the distances of each level's cells are multiplied by."""
    return [cell_weights(box_map(boxes, images, BATCH, side, side), IMAGE_SIZE, SETTINGS) for side in SIDES]


def by_a_loop(boxes, images):
    """The same, image by image and box by box, as published code for such losses draws its masks."""
    levels = [torch.zeros(BATCH, side, side) for side in SIDES]
    low, high = (boxes[:, :2] - boxes[:, 2:] / 2).clamp(0, 1), (boxes[:, :2] + boxes[:, 2:] / 2).clamp(0, 1)
    areas = (high - low).prod(1)
    for side, level in zip(SIDES, levels, strict=True):
        first = (low * side + 1e-3).floor().clamp(max=side - 1)
        last = torch.maximum((high * side - 1e-3).ceil(), first + 1).int().tolist()
        first = first.int().tolist()
        for image in range(BATCH):
            mine = (images == image).nonzero().flatten()
            owner = torch.full((side, side), -1)
            for box in mine[areas[mine].argsort(descending=True, stable=True)].tolist():
                owner[first[box][1] : last[box][1], first[box][0] : last[box][0]] = box
            regions, sizes = owner[owner >= 0].unique(return_counts=True)
            weights = ((1 - areas[regions] - SETTINGS.bias) / SETTINGS.temperature).softmax(0) / sizes
            by_box = torch.zeros(len(boxes) + 1)
            by_box[regions] = SETTINGS.foreground * weights
            by_box[-1] = SETTINGS.background / max(int((owner < 0).sum()), 1)
            level[image] = by_box[owner]
    return levels


@pytest.mark.parametrize("per_image", [60, 500])
def test_all_boxes_at_once_cost_a_part_of_a_loop_over_them(benchmark, per_image):
    """The mean image of a drone set has some 50 boxes, and a crowded one or a mosaic hundreds."""
    boxes, images = labels(per_image)
    for found, expected in zip(at_once(boxes, images), by_a_loop(boxes, images), strict=True):
        assert torch.allclose(found, expected, rtol=1e-5, atol=0)
    benchmark(at_once, boxes, images)
    ours, loops = (min(seconds(task, boxes, images) for _ in range(TURNS)) for task in (at_once, by_a_loop))
    benchmark.extra_info["times_faster_than_a_loop"] = round(loops / ours, 1)
    assert loops >= LEAST_RATIO * ours, benchmark.extra_info


def seconds(task, boxes, images):
    start = time.perf_counter()
    task(boxes, images)
    return time.perf_counter() - start

"""Geometry and colour of a pair: one geometry for both modalities, colour drawn for each."""

from dataclasses import replace

import torch
from torchvision.transforms.v2 import functional as tv

from rgbt_bench.datasets.torch_views import Pair, clip_boxes

Fill = tuple[float, float, float]


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """Draw a float from [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def flip(pair: Pair) -> Pair:
    """Mirror both images and the boxes left to right."""
    width = pair.rgb.shape[-1]
    x1, y1, x2, y2 = pair.boxes.unbind(1)
    boxes = torch.stack([width - x2, y1, width - x1, y2], dim=1)
    thermal = None if pair.thermal is None else pair.thermal.flip(-1)
    return replace(pair, rgb=pair.rgb.flip(-1), thermal=thermal, boxes=boxes)


def letterbox(
    pair: Pair,
    size: tuple[int, int],
    fill_rgb: Fill,
    fill_thermal: float,
    zoom: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Pair:
    """Scale both images to fit into `size` (height, width), pad at the right and bottom, and follow with the boxes.

    `zoom` multiplies the fitting scale; what is then too large is cropped at `shift` (0..1 of the surplus, y and x).
    Boxes are clipped to the result, those left without area are dropped.
    """
    height, width = pair.rgb.shape[-2:]
    scale = min(size[0] * zoom / height, size[1] * zoom / width)
    scaled = (max(1, int(height * scale)), max(1, int(width * scale)))
    top, left = (int(max(0, scaled[axis] - size[axis]) * shift[axis]) for axis in (0, 1))
    window = (min(scaled[0] - top, size[0]), min(scaled[1] - left, size[1]))

    def fit(image: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
        resized = image if scaled == (height, width) else tv.resize(image, list(scaled), antialias=True)
        canvas = fill.expand(image.shape[0], *size).clone()
        canvas[:, : window[0], : window[1]] = resized[:, top : top + window[0], left : left + window[1]]
        return canvas

    offset = torch.tensor([left, top, left, top], dtype=pair.boxes.dtype)
    boxes = clip_boxes(pair.boxes * scale - offset, *window)
    kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    thermal = None if pair.thermal is None else fit(pair.thermal, torch.tensor(fill_thermal).view(1, 1, 1))
    return replace(
        pair,
        rgb=fit(pair.rgb, torch.tensor(fill_rgb).view(3, 1, 1)),
        thermal=thermal,
        boxes=boxes[kept],
        classes=pair.classes[kept],
        scale=pair.scale / scale,
    )


def colour_jitter(image: torch.Tensor, strength: float, saturation: bool, generator: torch.Generator) -> torch.Tensor:
    """Change brightness, contrast, sharpness and, for RGB, saturation, each by a factor from 1 ± `strength`."""
    if strength == 0:
        return image
    operations = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_sharpness]
    if saturation:
        operations.append(tv.adjust_saturation)
    for operation in operations:
        image = operation(image, uniform(generator, 1 - strength, 1 + strength))
    return image.clamp(0, 1)

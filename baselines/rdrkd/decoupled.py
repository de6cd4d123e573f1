"""Decoupled Distillation (Eq. 7-8): feature maps are compared in boxes, small ones more, and in the background."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .boxes import BoxMap
from .levels import check_levels, squared_distances
from .loss_config import DecoupledSection


@torch.no_grad()
def area_weights(boxes: BoxMap, image_size: int, settings: DecoupledSection) -> Tensor:
    """Return Area-softmax: each box's weight among those of its image, [M], which are 1 together.

    A box that owns no cell is no region, and has no weight. The 1 and the bias of Eq. 7 change nothing. Source: Eq. 7.
    """
    areas = boxes.areas * (image_size**2 if settings.area_unit == "pixels" else 1)
    logits = (1 - areas - settings.bias) / settings.temperature
    is_region = boxes.owned > 0
    images = torch.arange(boxes.size[0], device=areas.device)[:, None]
    by_image = torch.where(is_region & (boxes.images == images), logits, -torch.inf).softmax(1)
    # an image without regions has no soft-max, and nothing of it is taken
    own = by_image.gather(0, boxes.images[None])[0]
    return torch.where(is_region, own, 0)


@torch.no_grad()
def cell_weights(boxes: BoxMap, image_size: int, settings: DecoupledSection) -> Tensor:
    """Return what the squared distance of each cell is multiplied by, [B, H, W]: alpha W/S in boxes, beta elsewhere.

    Where `background_by` is "cells", beta is divided by the number of the image's cells in the background.
    """
    sizes = boxes.owned if settings.size_by == "owned" else boxes.covered
    foreground = settings.foreground * area_weights(boxes, image_size, settings) / sizes.clamp(min=1)
    empty = boxes.empty_cells().to(foreground.dtype)
    # infinite where no cell is empty, and then no cell's
    divisors = empty if settings.background_by == "cells" else torch.ones_like(empty)
    return boxes.spread(foreground, settings.background / divisors)


def decoupled_loss(
    students: Sequence[Tensor],
    teachers: Sequence[Tensor],
    maps: Sequence[BoxMap],
    image_size: int,
    settings: DecoupledSection,
) -> Tensor:
    """Return the weighted squared distance of student's and teacher's features, without the section's `weight`.

    One (B, C, H, W) a level, the student's adapted to the teacher's channels, and a map of boxes a level; `image_size`
    is the side of the network's input in pixels. It is summed over cells, channels and levels and averaged over images,
    in float32 or wider. An image without boxes has a background alone. Range [0, inf), 0 where the maps agree; lower is
    better. No gradient flows into the teacher. Source: Eq. 7-8.

    Raises:
        ValueError: levels that do not go together.
    """
    check_levels(students, teachers, maps)
    total = students[0].new_zeros((), dtype=torch.float32)
    for student, teacher, boxes in zip(students, teachers, maps, strict=True):
        distances = squared_distances(student, teacher)
        weights = cell_weights(boxes, image_size, settings)
        total = total + (weights.to(distances.dtype) * distances).sum() / len(student)
    return total

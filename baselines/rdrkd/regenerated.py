"""Regenerated Distillation (Eq. 1-6): the student makes anew, from the rest, what matters to the teacher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from .attention import channel_attention, spatial_attention
from .boxes import BoxMap
from .levels import check_levels, squared_distances
from .loss_config import RegeneratedSection


class Regeneration(nn.Module):
    """The two procreate modules of a level of `channels` (the teacher's), which are added (Eq. 5).

    The spatial one is MGD's generator, 3x3 convolution, ReLU, 3x3 convolution; the channel one the same of 1x1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = _generator(channels, 3)
        self.channel = _generator(channels, 1)

    def forward(self, features: Tensor, spatial_mask: Tensor, channel_mask: Tensor) -> Tensor:
        """Return the features made anew, of the shape of `features` (B, C, H, W).

        The masks are (B, 1, H, W) and (B, C, 1, 1), 0 where a feature is hidden.
        """
        out: Tensor = self.spatial(features * spatial_mask) + self.channel(features * channel_mask)
        return out


@torch.no_grad()
def key_pixel_masks(
    teacher: Tensor, boxes: BoxMap, image_size: int, settings: RegeneratedSection
) -> tuple[Tensor, Tensor]:
    """Return the spatial mask (B, 1, H, W) and the channel mask (B, C, 1, 1) of a teacher's map (B, C, H, W).

    Both are bool, false at what is hidden: cells and channels of high attention, and the cells of small boxes, whose
    areas are compared in pixels of an input of `image_size` x `image_size`. Source: Eq. 3-4.
    """
    is_small = boxes.areas * image_size**2 < settings.area_threshold
    # a small box's cell is its own or a smaller box's
    in_small = boxes.spread(is_small, is_small.new_zeros(boxes.size[0]))[:, None]
    is_key = spatial_attention(teacher, settings.attention_temperature) > settings.spatial_threshold
    hidden = channel_attention(teacher, settings.attention_temperature) > settings.channel_threshold
    return ~(is_key | in_small), ~hidden


def regenerated_loss(
    students: Sequence[Tensor],
    teachers: Sequence[Tensor],
    regenerations: Iterable[nn.Module],
    maps: Sequence[BoxMap],
    image_size: int,
    settings: RegeneratedSection,
) -> Tensor:
    """Return the squared distance of the teacher's features to what the student makes anew, unweighted.

    One (B, C, H, W) a level, the student's adapted to the teacher's channels; a `Regeneration` and a map of boxes a
    level. It is summed over cells, channels and levels and averaged over images; the sum is in float32 or wider, the
    modules compute as autocast has them. Range [0, inf); lower is better. No gradient flows into the teacher. Source:
    Eq. 5-6.

    Raises:
        ValueError: levels that do not go together.
    """
    check_levels(students, teachers, maps)
    total = students[0].new_zeros((), dtype=torch.float32)
    for student, teacher, regeneration, boxes in zip(students, teachers, regenerations, maps, strict=True):
        spatial, channel = key_pixel_masks(teacher, boxes, image_size, settings)
        made = regeneration(student, spatial, channel)
        total = total + squared_distances(made, teacher).sum() / len(student)
    return total


def _generator(channels: int, side: int) -> nn.Sequential:
    first, second = (nn.Conv2d(channels, channels, side, padding=side // 2) for _ in range(2))
    return nn.Sequential(first, nn.ReLU(inplace=True), second)

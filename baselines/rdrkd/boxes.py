"""Whose the cells of a level are: the boxes of a batch drawn on it at once, without a loop over boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rgbt_bench.distillation import full_precision

_ROUNDING = 1e-3  # of a cell: labels have six decimals, so that a smaller overlap may be none


@dataclass(frozen=True)
class BoxMap:
    """The boxes of a batch on the cells of one level.

    `owner` is int64 [B, H, W], the place of a cell's box among the batch's boxes, or -1 in the background. The others
    have one value a box, [M]: `images` is its image, `areas` (float) the share of the image that it takes inside it,
    `covered` how many cells it covers, and `owned` how many of these are no smaller box's.
    """

    owner: Tensor
    images: Tensor
    areas: Tensor
    covered: Tensor
    owned: Tensor

    @property
    def background(self) -> Tensor:
        """The cells that no box covers, bool [B, H, W]."""
        return self.owner < 0

    def spread(self, values: Tensor) -> Tensor:
        """Return what each cell's owner has among `values` [M], and 0 in the background: [B, H, W]."""
        return torch.cat([values, values.new_zeros(1)])[self.owner]  # -1 is the last


@torch.no_grad()
@full_precision
def box_map(boxes: Tensor, images: Tensor, batch: int, height: int, width: int) -> BoxMap:
    """Draw boxes on a level of `height` x `width` cells.

    `boxes` are float [M, 4], centre x, centre y, width and height as shares of the image, `images` int64 [M] in
    0..batch-1. A box covers the cells that it overlaps, by more than rounding, and at least one if it has a positive
    width and height and reaches into the image. A cell that several cover is the smallest one's, and of equal ones the
    first's. A box of no area, or outside, covers nothing.
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4 or images.shape != boxes.shape[:1]:
        raise ValueError(f"boxes are (M, 4) and images (M), not {tuple(boxes.shape)} and {tuple(images.shape)}")
    sizes = boxes[:, 2:]
    low, high = boxes[:, :2] - sizes / 2, boxes[:, :2] + sizes / 2
    reaches = ((sizes > 0) & (high > 0) & (low < 1)).all(1, keepdim=True)
    low, high = low.clamp(0, 1), high.clamp(0, 1)
    areas = torch.where(reaches, high - low, 0).prod(1)
    cells = boxes.new_tensor([width, height])
    first = (low * cells + _ROUNDING).floor().minimum(cells - 1)
    last = (high * cells - _ROUNDING).ceil().maximum(first + 1)
    spans = torch.where(reaches, last - first, 0).long()
    by_area = areas.argsort(stable=True)
    rank = by_area.argsort()
    box, places = _covered_cells(first.long(), spans, width)
    smallest = torch.full((batch * height * width,), len(boxes), device=boxes.device)
    smallest.scatter_reduce_(0, images[box] * (height * width) + places, rank[box], "amin")
    owned = torch.bincount(smallest, minlength=len(boxes) + 1)[rank]
    owner = torch.cat([by_area, by_area.new_full((1,), -1)])[smallest]
    return BoxMap(owner.view(batch, height, width), images, areas, spans.prod(1), owned)


def _covered_cells(first: Tensor, spans: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return each pair of a box and a cell that it covers: the box's place, and the cell's in its level, [T] both."""
    counts = spans.prod(1)
    box = torch.repeat_interleave(counts)
    place = torch.arange(len(box), device=box.device) - (counts.cumsum(0) - counts)[box]
    columns = spans[box, 0]
    return box, (first[box, 1] + place // columns) * width + first[box, 0] + place % columns

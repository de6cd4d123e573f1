"""Whose the cells of a level are: the boxes of a batch drawn on it at once, without a loop over boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rgbt_bench.distillation import full_precision

_ROUNDING = 1e-3  # of a cell: labels have six decimals, so that a smaller overlap may be none


@dataclass(frozen=True)
class BoxMap:
    """The boxes of a batch on the cells of one level of `size` (B, H, W).

    `cells` are the F cells that any box covers, int64 [F], counted over images, rows and columns; `owner` is the place
    of each one's box among the batch's, int64 [F]. The others have one value a box, [M]: `images` is its image, `areas`
    (float) the share of the image that it takes inside it, `covered` how many cells it covers, and `owned` how many of
    these are no smaller box's.
    """

    size: tuple[int, int, int]
    cells: Tensor
    owner: Tensor
    images: Tensor
    areas: Tensor
    covered: Tensor
    owned: Tensor

    def empty_cells(self) -> Tensor:
        """Return the number of each image's cells in the background, those that no box covers: int64 [B]."""
        batch, height, width = self.size
        return self.owned.new_full((batch,), height * width).index_add(0, self.images, -self.owned)

    def spread(self, values: Tensor, background: Tensor) -> Tensor:
        """Return [B, H, W]: what each cell's owner has among `values` [M], or else its image in `background` [B]."""
        batch, height, width = self.size
        cells = background.to(values.dtype).repeat_interleave(height * width, output_size=batch * height * width)
        return cells.index_copy(0, self.cells, values[self.owner]).view(self.size)


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
    sides = boxes.new_tensor([width, height])
    first = (low * sides + _ROUNDING).floor().minimum(sides - 1)
    last = (high * sides - _ROUNDING).ceil().maximum(first + 1)
    spans = torch.where(reaches, last - first, 0).long()
    by_area = areas.argsort(stable=True)  # a box's rank is its place from here on
    corners = images * (height * width) + first[:, 1].long() * width + first[:, 0].long()
    rank, cells = _covered_cells(corners[by_area], spans[by_area], width)
    smallest = torch.full((batch * height * width,), len(boxes), device=boxes.device)
    smallest.scatter_reduce_(0, cells, rank, "amin")
    owns = smallest.index_select(0, cells) == rank
    owner = by_area.index_select(0, rank[owns])
    owned = torch.bincount(owner, minlength=len(boxes))
    return BoxMap((batch, height, width), cells[owns], owner, images, areas, spans.prod(1), owned)


def _covered_cells(corners: Tensor, spans: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return each pair of a box and a cell that it covers: the box's place, and the cell's among all, [T] both.

    `corners` are the boxes' upper left cells, `spans` their columns and rows.
    """
    columns, rows = spans.unbind(1)
    box = torch.repeat_interleave(rows)  # of each row of each box
    row = torch.arange(len(box), device=box.device) - (rows.cumsum(0) - rows)[box]
    columns = columns[box]
    run = torch.repeat_interleave(columns)
    starts = corners[box] + row * width - (columns.cumsum(0) - columns)
    cells = starts.index_select(0, run) + torch.arange(len(run), device=run.device)
    return box.index_select(0, run), cells

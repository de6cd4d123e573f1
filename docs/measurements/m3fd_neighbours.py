"""Measure how much of M3FD's val and test each split has shown in train, from the labels alone.

Two frames of one place share boxes: of the same class, with an IoU above 0.5. For each image of val and test that has
at least three boxes, the image of train (of the same size, with at least three boxes, too) that shares the largest
part of both images' boxes is its nearest; an image without one shares nothing. Beside it stands how many ids, of all
images, have the id before or after them in train: M3FD's ids count on within a video.

    python docs/measurements/m3fd_neighbours.py FOLDER/annotations_full
"""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from m3fd_split import corners, read_images, size
from numpy.typing import NDArray

from rgbt_bench.formats.coco import CocoImage
from rgbt_converters.m3fd import M3fd

LEAST = 3
BOUNDS = (0.5, 0.75)


class Stack(NamedTuple):
    """The boxes of images of one size, one after the other; `starts` has the place of each image's first box."""

    names: NDArray[np.str_]
    corners: NDArray[np.float64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]


def stack(images: Sequence[CocoImage]) -> Stack:
    """Return the boxes of images of one size, of which each has some."""
    names, boxes = zip(*map(corners, images), strict=True)
    counts = np.array([len(one) for one in names])
    return Stack(np.concatenate(names), np.concatenate(boxes), np.cumsum(counts) - counts, counts)


def nearest(image: CocoImage, others: Stack) -> float:
    """Return the largest share of common boxes that an image has with one of the others, as `m3fd_split.shared`.

    The image has boxes, and is of the others' size.
    """
    names, boxes = corners(image)
    low = np.maximum(boxes[:, None, :2], others.corners[:, :2])
    high = np.minimum(boxes[:, None, 2:], others.corners[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas, other_areas = ((one[:, 2:] - one[:, :2]).prod(axis=1) for one in (boxes, others.corners))
    same = (common / (areas[:, None] + other_areas - common) > 0.5) & (names[:, None] == others.names)
    theirs = np.add.reduceat(same.any(axis=0), others.starts, dtype=np.int64)
    ours = np.logical_or.reduceat(same, others.starts, axis=1).sum(axis=0)
    return float((2 * np.minimum(ours, theirs) / (len(names) + others.counts)).max())


def shares(images: Mapping[int, CocoImage], part: Iterable[int], train: Iterable[int]) -> list[float]:
    """Return the share of common boxes with the nearest image of train, of every image with at least three boxes."""
    of_size: dict[tuple[int, int], list[CocoImage]] = {}
    for one in train:
        if len(images[one].objects) >= LEAST:
            of_size.setdefault(size(images[one]), []).append(images[one])
    stacks = {key: stack(found) for key, found in of_size.items()}
    looked_at = [images[one] for one in part if len(images[one].objects) >= LEAST]
    return [nearest(one, stacks[size(one)]) if size(one) in stacks else 0.0 for one in looked_at]


def beside(part: Collection[int], train: Iterable[int]) -> float:
    """Return the share of ids that have the id before or after them in train."""
    known = set(train)
    return sum(one - 1 in known or one + 1 in known for one in part) / len(part)


def row(images: Mapping[int, CocoImage], split: str, part: str, ids: Collection[int], train: Collection[int]) -> str:
    """Return one line of the table."""
    found = np.array(shares(images, ids, train))
    cells = [f"{100 * np.mean(found >= bound):.1f} %" for bound in BOUNDS]
    cells += [f"{found.max():.2f}", f"{100 * beside(ids, train):.1f} %"]
    return f"| {split} | {part} | {len(ids):,} | {len(found):,} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table of every named split."""
    images = read_images(Path(sys.argv[1]))
    print(
        "| split | part | images | of three boxes | nearest of train shares half | three quarters | most | id beside |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for split in M3fd().published_splits():
        parts = {part: list(map(int, ids)) for part, ids in split.parts.items()}
        for part in ("test", "val"):
            if part in parts:
                print(row(images, split.name, part, parts[part], parts["train"]))


if __name__ == "__main__":
    main()

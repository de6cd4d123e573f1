"""The loops of `visdrone`, compiled; importing this module imports numba."""

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.metrics._resampling_kernels import Bytes, Floats, Integers, Ranks, _compiled, _longest


@_compiled
def _union(corners: Integers) -> int:
    """Return how many pixels lie in any of some rectangles of pixels, int64[k, 4]: left, top, right, bottom (open)."""
    columns = np.unique(np.concatenate((corners[:, 0], corners[:, 2])))
    order = np.argsort(corners[:, 1])
    pixels = 0
    for place in range(len(columns) - 1):
        rows, end = 0, -1
        for i in order:
            if corners[i, 0] > columns[place] or corners[i, 2] <= columns[place]:
                continue
            rows += max(0, corners[i, 3] - max(corners[i, 1], end))
            end = max(end, corners[i, 3])
        pixels += rows * (columns[place + 1] - columns[place])
    return pixels


@_compiled
def covered(boxes: Integers, samples: Integers, starts: Integers, regions: Integers, out: Integers) -> None:
    """Fill how many pixels of each box lie in a region of its sample; both are left, top, right, bottom (open).

    Sample i has the regions `starts[i]` to `starts[i + 1]`.
    """
    for box in range(len(boxes)):
        first, stop = starts[samples[box]], starts[samples[box] + 1]
        common = np.empty((stop - first, 4), dtype=np.int64)
        length = 0
        for region in range(first, stop):
            left = max(boxes[box, 0], regions[region, 0])
            top = max(boxes[box, 1], regions[region, 1])
            right = min(boxes[box, 2], regions[region, 2])
            bottom = min(boxes[box, 3], regions[region, 3])
            if left < right and top < bottom:
                common[length, 0], common[length, 1] = left, top
                common[length, 2], common[length, 3] = right, bottom
                length += 1
        out[box] = _union(common[:length]) if length else 0


@_compiled
def _area_under(precision: Floats, hits: Integers, total: int) -> float:
    """Return the area under a curve of (precision, hits so far), made falling, over the recall of `total` labels."""
    area = highest = 0.0
    for i in range(len(precision) - 1, -1, -1):
        highest = max(highest, precision[i])
        before = hits[i - 1] if i else 0
        area += highest * (hits[i] - before)
    return area / total


@_compiled
def accumulate(
    weights: NDArray[np.int32], label_starts: Integers, label_sample: NDArray[np.int32],
    counted_starts: Integers, counted_sample: NDArray[np.int32],
    event_starts: Integers, event_place: NDArray[np.int32], event_sample: NDArray[np.int32], event_change: Bytes,
    event_hit: Bytes, event_rank: Ranks, allowed: Integers, precision: Floats, recall: Floats,
) -> None:  # fmt: skip
    """Fill precision[resample, list, IoU] and recall[resample, list, IoU, allowed] of weighted samples.

    The columns are those of `_resampling_kernels.accumulate`, but the precision is averaged over all recalls, and
    `allowed` may have any number of limits, of which all detections obey the last.
    """
    before = np.zeros(_longest(counted_starts) + 1, dtype=np.int64)
    curve = np.empty(_longest(event_starts))
    hits = np.empty(len(curve), dtype=np.int64)
    found = np.empty(len(allowed), dtype=np.int64)
    for resample in range(len(weights)):
        weight = weights[resample]
        for one in range(len(label_starts) - 1):
            total = 0
            for i in range(label_starts[one], label_starts[one + 1]):
                total += weight[label_sample[i]]
            if total == 0:
                precision[resample, one] = np.nan
                recall[resample, one] = np.nan
                continue
            for place, i in enumerate(range(counted_starts[one], counted_starts[one + 1])):
                before[place + 1] = before[place] + weight[counted_sample[i]]
            for iou in range(precision.shape[2]):
                which = one * precision.shape[2] + iou
                changed = length = 0
                found[:] = 0
                for i in range(event_starts[which], event_starts[which + 1]):
                    own = weight[event_sample[i]]
                    changed += event_change[i] * own
                    if own == 0 or not event_hit[i]:
                        continue
                    for limit in range(len(allowed)):
                        found[limit] += own * (event_rank[i] < allowed[limit])
                    hits[length] = found[-1]
                    curve[length] = found[-1] / (before[event_place[i]] + changed)
                    length += 1
                precision[resample, one, iou] = _area_under(curve[:length], hits[:length], total)
                for limit in range(len(allowed)):
                    recall[resample, one, iou, limit] = found[limit] / total

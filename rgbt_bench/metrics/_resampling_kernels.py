"""The loops of `resampling`, compiled; importing this module imports numba."""

from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bytes = NDArray[np.int8]
Ranks = NDArray[np.int16]

UNCOUNTED: Final = 0
FALSE_POSITIVE: Final = 1
TRUE_POSITIVE: Final = 2
# pycocotools adds it to the denominator of a precision.
_SPACING: Final = 2.220446049250313e-16

_Function = TypeVar("_Function", bound=Callable[..., object])


def _compiled(function: _Function) -> _Function:
    """Compile a function at its first call, kept on disk where there is a folder to keep it in."""
    try:
        return njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to write: neither beside this file nor in the user's cache
        return njit(nogil=True)(function)  # type: ignore[no-any-return]


@_compiled
def _overlap(detection: Floats, label: Floats, crowd: bool) -> float:
    """Return COCO's IoU; over the detection's area for a crowd."""
    width = min(detection[0] + detection[2], label[0] + label[2]) - max(detection[0], label[0])
    height = min(detection[1] + detection[3], label[1] + label[3]) - max(detection[1], label[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    own = detection[2] * detection[3]
    both = own if crowd else own + label[2] * label[3] - common
    return float(common / both)


@_compiled
def _match_one(
    overlaps: Floats,
    order: Integers,
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    threshold: float,
    out: Bytes,
) -> None:
    """Match the detections of one sample and class, best first, to labels of which the counted come first in `order`.

    `out` comes with what each detection is when it matches nothing.
    """
    taken = np.zeros(len(order), dtype=np.bool_)
    for detection in range(len(overlaps)):
        least = min(threshold, 1 - 1e-10)
        match = -1
        for label in order:
            if taken[label] and not crowd[label]:
                continue
            if match > -1 and not ignored[match] and ignored[label]:
                break
            if overlaps[detection, label] < least:
                continue
            least = overlaps[detection, label]
            match = label
        if match > -1:
            taken[match] = True
            out[detection] = UNCOUNTED if ignored[match] else TRUE_POSITIVE


@_compiled
def match(
    detection_starts: Integers, label_starts: Integers, boxes: Floats, labels: Floats, label_area: Floats,
    crowd: NDArray[np.bool_], thresholds: Floats, areas: Floats, out: NDArray[np.int8],
) -> None:  # fmt: skip
    """Fill `out`, int8[area range, IoU, detection], for rows grouped by class and sample, in descending score each.

    Group g has the detections `detection_starts[g]` to `detection_starts[g + 1]`, and its labels likewise.
    """
    for group in range(len(detection_starts) - 1):
        first, stop = detection_starts[group], detection_starts[group + 1]
        first_label, stop_label = label_starts[group], label_starts[group + 1]
        overlaps = np.empty((stop - first, stop_label - first_label))
        for i in range(stop - first):
            for j in range(stop_label - first_label):
                overlaps[i, j] = _overlap(boxes[first + i], labels[first_label + j], crowd[first_label + j])
        for area in range(len(areas)):
            low, high = areas[area]
            size = label_area[first_label:stop_label]
            ignored = crowd[first_label:stop_label] | (size < low) | (size > high)
            order = np.concatenate((np.flatnonzero(~ignored), np.flatnonzero(ignored)))
            for i in range(first, stop):
                own = boxes[i, 2] * boxes[i, 3]
                out[area, :, i] = FALSE_POSITIVE if low <= own <= high else UNCOUNTED
            for iou in range(len(thresholds)):
                _match_one(
                    overlaps, order, ignored, crowd[first_label:stop_label], thresholds[iou], out[area, iou, first:stop]
                )


@_compiled
def _needed(total: int, points: Floats, out: Integers) -> None:
    """Fill, for each recall point, the least hits h whose recall h / total, as it is rounded, reaches the point."""
    for point in range(len(points)):
        least = int(points[point] * total)
        while least > 0 and (least - 1) / total >= points[point]:
            least -= 1
        while least / total < points[point]:
            least += 1
        out[point] = least


@_compiled
def _interpolate(curve: Floats, hits: Integers, needed: Integers, out: Floats) -> None:
    """Fill the highest precision at or beyond each recall point of a curve of (precision, hits so far), or 0."""
    point = len(needed) - 1
    last = len(curve) - 1
    while point >= 0 and (last < 0 or needed[point] > hits[last]):
        out[point] = 0.0
        point -= 1
    highest = 0.0
    for i in range(last, -1, -1):
        highest = max(highest, curve[i])
        while point >= 0 and (i == 0 or hits[i - 1] < needed[point]):
            out[point] = highest
            point -= 1


@_compiled
def _walk(
    weight: NDArray[np.int32], before: Integers, place: NDArray[np.int32], sample: NDArray[np.int32], change: Bytes,
    hit: Bytes, rank: Ranks, allowed: Integers, curve: Floats, hits: Integers, found: Floats,
) -> int:  # fmt: skip
    """Walk one list's events: fill precision and hits at each hit, and all hits by detections allowed; return how many.

    Only hits are points of the curve: at a false positive the precision is below that at the hit to its left. A hit
    without weight is such a point too; leaving it in changes nothing and costs no branch.
    """
    first = second = third = changed = length = 0
    for i in range(len(place)):
        own = weight[sample[i]]
        changed += change[i] * own
        if not hit[i]:
            continue
        first += own * (rank[i] < allowed[0])
        second += own * (rank[i] < allowed[1])
        third += own
        hits[length] = third
        curve[length] = third / (before[place[i]] + changed + _SPACING)
        length += 1
    found[0], found[1], found[2] = first, second, third
    return length


@_compiled
def _longest(starts: Integers) -> int:
    longest = 0
    for i in range(len(starts) - 1):
        longest = max(longest, starts[i + 1] - starts[i])
    return longest


@_compiled
def accumulate(
    weights: NDArray[np.int32], label_starts: Integers, label_sample: NDArray[np.int32],
    counted_starts: Integers, counted_sample: NDArray[np.int32],
    event_starts: Integers, event_place: NDArray[np.int32], event_sample: NDArray[np.int32], event_change: Bytes,
    event_hit: Bytes, event_rank: Ranks, allowed: Integers, points: Floats, precision: Floats, recall: Floats,
) -> None:  # fmt: skip
    """Fill precision[resample, list, IoU, recall] and recall[resample, list, IoU, allowed] of weighted samples.

    A list is a class in an area range; where no label of it has a weight, both are NaN. `counted` are a list's
    detections that count when they match nothing, in descending score. The events of a list and IoU are the
    detections whose match changes something: `event_place` counted detections stand up to it, and with its weight the
    number of counted ones changes by `event_change` and the hits by `event_hit`. `event_rank` is its place among the
    detections of its sample and class, `allowed` three limits of it, the last of which all obey.
    """
    before = np.zeros(_longest(counted_starts) + 1, dtype=np.int64)
    curve = np.empty(_longest(event_starts))
    hits = np.empty(len(curve), dtype=np.int64)
    needed = np.empty(len(points), dtype=np.int64)
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
            _needed(total, points, needed)
            for place, i in enumerate(range(counted_starts[one], counted_starts[one + 1])):
                before[place + 1] = before[place] + weight[counted_sample[i]]
            for iou in range(precision.shape[2]):
                which = one * precision.shape[2] + iou
                first, stop = event_starts[which], event_starts[which + 1]
                found = recall[resample, one, iou]
                length = _walk(
                    weight, before, event_place[first:stop], event_sample[first:stop], event_change[first:stop],
                    event_hit[first:stop], event_rank[first:stop], allowed, curve, hits, found,
                )  # fmt: skip
                found /= total
                _interpolate(curve[:length], hits[:length], needed, precision[resample, one, iou])

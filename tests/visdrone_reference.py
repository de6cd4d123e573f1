"""The VisDrone2018-DET-toolkit 1.0.4 as its description reads: plain loops over images, classes, thresholds and boxes.

Written from the description alone (docs/explanation/drone-protocols.md), apart from what it checks. An image is a dict:
`size` (width, height), `regions` [(x, y, w, h)], `labels` [(x, y, w, h, ignored, category)], `detections`
[(x, y, w, h, score, category)] in the order of the file. Categories count from 0; `others` is the one that is no class.
"""

import math

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.95 - 3 * 0.05, 0.85, 0.95 - 0.05, 0.95)
CAPS = (1, 10, 100, 500)
RANGES = {"S": (0, 32**2), "M": (32**2, 96**2), "L": (96**2, 1e10)}


def matlab_round(value):
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def region_sums(image):
    """The integral image of the pixels in ignored regions; row and column 0 are not used."""
    width, height = image["size"]
    pixels = [[0] * (width + 1) for _ in range(height + 1)]
    for region in image["regions"]:
        x, y, w, h = (max(1, matlab_round(value)) for value in region)
        for row in range(y, min(height, y + h) + 1):
            for column in range(x, min(width, x + w) + 1):
                pixels[row][column] = 1
    sums = [[0] * (width + 1) for _ in range(height + 1)]
    for row in range(1, height + 1):
        for column in range(1, width + 1):
            sums[row][column] = (
                pixels[row][column] + sums[row - 1][column] + sums[row][column - 1] - sums[row - 1][column - 1]
            )
    return sums


def is_dropped(box, sums, size):
    width, height = size
    x, y, w, h = (max(1, matlab_round(value)) for value in box[:4])
    x, y = min(width, x), min(height, y)
    right, bottom = min(width, x + w), min(height, y + h)
    inside = sums[y][x] + sums[bottom][right] - sums[y][right] - sums[bottom][x]
    return not inside / (h * w) < 0.5


def left_over(image):
    """The labels and detections of an image that lie in no ignored region."""
    if not image["regions"]:
        return list(image["labels"]), list(image["detections"])
    sums = region_sums(image)
    return tuple(
        [one for one in image[side] if not is_dropped(one, sums, image["size"])] for side in ("labels", "detections")
    )


def overlap(detection, label, by_detection):
    w = min(detection[0] + detection[2], label[0] + label[2]) - max(detection[0], label[0])
    h = min(detection[1] + detection[3], label[1] + label[3]) - max(detection[1], label[1])
    if w <= 0 or h <= 0:
        return 0.0
    own = detection[2] * detection[3]
    return w * h / (own if by_detection else own + label[2] * label[3] - w * h)


def match(labels, detections, threshold):
    """What became of each detection, by descending score: (score, 1 hit, 0 false, -1 neither).

    A label is (box, ignored, is a region): COCO's labels out of an area range are ignored without being regions.
    """
    labels = [one for one in labels if not one[1]] + [one for one in labels if one[1]]
    taken = [False] * len(labels)
    found = []
    for detection in sorted(detections, key=lambda one: -one[4]):
        best, chosen = threshold, None
        for place, (box, ignored, is_region) in enumerate(labels):
            if taken[place] and not is_region:
                continue
            if chosen is not None and not labels[chosen][1] and ignored:
                break
            value = overlap(detection, box, is_region)
            if value >= best:
                best, chosen = value, place
        state = 0
        if chosen is not None:
            state = -1 if labels[chosen][1] else 1
            taken[chosen] = True
        found.append((detection, state))
    return found


def area_under(states, total):
    """VOC's area under all points, of states in the order of the scores."""
    hits = false = 0
    recall, precision = [0.0], [0.0]
    for state in states:
        hits += state == 1
        false += state == 0
        recall.append(hits / max(1, total))
        precision.append(hits / max(1, hits + false))
    recall.append(1.0)
    precision.append(0.0)
    for place in range(len(precision) - 2, -1, -1):
        precision[place] = max(precision[place], precision[place + 1])
    return sum(
        (recall[place] - recall[place - 1]) * precision[place]
        for place in range(1, len(recall))
        if recall[place] != recall[place - 1]
    )


def class_scores(images, category, threshold, cap, is_wanted, bounds=None):
    """(AP, AR) of one class at one threshold; `images` are (labels, detections) that were left over."""
    total, found = 0, []
    for labels, detections in images:
        own = []
        for *box, ignored, of in labels:
            if of != category:
                continue
            outside = bounds is not None and not bounds[0] <= box[2] * box[3] <= bounds[1]
            own.append((box, ignored or outside, ignored))
            total += is_wanted(ignored) and not outside
        matched = match(own, [one for one in detections[:cap] if one[5] == category], threshold)
        for detection, state in matched:
            size = detection[2] * detection[3]
            if state == 0 and bounds is not None and not bounds[0] <= size <= bounds[1]:
                state = -1
            found.append((detection[4], state))
    found.sort(key=lambda one: -one[0])
    states = [state for _, state in found]
    return area_under(states, total), sum(state == 1 for state in states) / max(1, total)


def official(images, n_classes, others=None):
    """The toolkit's figures and, per class, (AP, AP50, AP75, AR500) or None."""
    left = [left_over(image) for image in images]
    ap, ar = {}, {}
    occurring = []
    for category in range(n_classes):
        if category == others:
            continue
        occurring += [category for labels, _ in left if any(one[5] == category for one in labels)]
        for threshold in THRESHOLDS:
            for cap in CAPS:
                ap[category, threshold], ar[category, threshold, cap] = class_scores(
                    left, category, threshold, cap, lambda ignored: True
                )
    return summary(ap, ar, occurring, n_classes)


def clean(images, n_classes, others=None):
    left = [left_over(image) for image in images]
    left = [(labels, [one for one in detections if one[5] != others]) for labels, detections in left]
    ap, ar, of_ranges = {}, {}, {name: [] for name in RANGES}
    present = []
    for category in range(n_classes):
        counted = [one for labels, _ in left for one in labels if one[5] == category and not one[4]]
        if category == others or not counted:
            continue
        present.append(category)
        for threshold in THRESHOLDS:
            for cap in CAPS:
                ap[category, threshold], ar[category, threshold, cap] = class_scores(
                    left, category, threshold, cap, lambda ignored: not ignored
                )
            for name, (low, high) in RANGES.items():
                if any(low <= one[2] * one[3] <= high for one in counted):
                    value, _ = class_scores(left, category, threshold, 500, lambda ignored: not ignored, (low, high))
                    of_ranges[name].append(value)
    figures, per_class = summary(ap, ar, present, n_classes)
    return figures | {f"AP_{name}": mean(values) for name, values in of_ranges.items()}, per_class


def summary(ap, ar, classes, n_classes):
    figures = {
        "AP": mean([ap[one, threshold] for one in classes for threshold in THRESHOLDS]),
        "AP50": mean([ap[one, THRESHOLDS[0]] for one in classes]),
        "AP75": mean([ap[one, THRESHOLDS[5]] for one in classes]),
    }
    for cap in CAPS:
        figures[f"AR{cap}"] = mean([ar[one, threshold, cap] for one in classes for threshold in THRESHOLDS])
    per_class = []
    for one in range(n_classes):
        values = None
        if one in classes:
            values = (
                mean([ap[one, threshold] for threshold in THRESHOLDS]),
                ap[one, THRESHOLDS[0]],
                ap[one, THRESHOLDS[5]],
                mean([ar[one, threshold, 500] for threshold in THRESHOLDS]),
            )
        per_class.append(values)
    return figures, per_class


def mean(values):
    return sum(values) / len(values) if values else None

"""Images for the VisDrone protocols' tests, in the form of `visdrone_reference`, and as our arrays."""

import numpy as np

from rgbt_bench.metrics import visdrone
from rgbt_bench.metrics.detection import ground_truth
from rgbt_bench.predictions import Detections
from rgbt_bench.schema import Box, Labels


def image(labels=(), detections=(), regions=(), size=(60, 40)):
    return {"size": size, "regions": list(regions), "labels": list(labels), "detections": list(detections)}


def label(x, y, w, h, category=0, ignored=False):
    return (x, y, w, h, ignored, category)


def found(x, y, w, h, score=0.5, category=0):
    return (x, y, w, h, score, category)


def arrays(images, n_classes):
    """Our labels, detections and regions of the images."""
    told = [
        Labels(
            sample_id=f"{place:04d}",
            width=one["size"][0],
            height=one["size"][1],
            objects=tuple(
                Box(tuple(map(float, box[:4])), box[5], float(box[2] * box[3]), ignore=bool(box[4]))
                for box in one["labels"]
            ),
            ignore_regions=tuple(tuple(map(float, region)) for region in one["regions"]),
        )
        for place, one in enumerate(images)
    ]
    rows = [(place, *box) for place, one in enumerate(images) for box in one["detections"]]
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    detections = Detections(
        table[:, 0].astype(np.int64), table[:, 6].astype(np.int64), table[:, 1:5].copy(), table[:, 5].copy()
    )
    return ground_truth((one.objects for one in told), n_classes), detections, visdrone.regions(told)


def looked_at(images, n_classes, official, others=None):
    return visdrone.scored(*arrays(images, n_classes), [] if others is None else [others], official)


def figures(images, n_classes=3, official=True, others=None, weights=None):
    """The figures by name and those of each class, as the reference returns them."""
    looked = looked_at(images, n_classes, official, others)
    name = (visdrone.OFFICIAL if official else visdrone.CLEAN)["name"]
    drawn = np.ones((1, len(images)), dtype=np.int32) if weights is None else np.array([weights], dtype=np.int32)
    (values,) = visdrone.resampled_figures(visdrone.encode(looked), drawn)
    overall, per_class = {}, [[] for _ in range(n_classes)]
    for (category, figure), value in zip(visdrone.columns(name, n_classes), values.tolist(), strict=True):
        value = None if np.isnan(value) else value
        if category is None:
            overall[figure] = value
        else:
            per_class[category].append(value)
    return overall, [None if None in one else tuple(one) for one in per_class]


def random_images(rng, n_images=5, n_classes=4, most=12, size=(60, 40)):
    """Crowded images: shifted copies of labels as detections, few different scores, boxes that leave the image."""
    return [_random_image(rng, n_classes, int(rng.integers(0, most + 1)), size) for _ in range(n_images)]


def _random_image(rng, n_classes, most, size):
    labels, detections = [], []
    for _ in range(most):
        x, y = (int(value) for value in rng.integers(-5, (size[0] + 5, size[1] + 5)))
        w, h = (int(value) for value in rng.choice([0, 1, 2, 5, 8, 20, 33, 97], 2, p=[0.05, 0.1, 0.15, *[0.14] * 5]))
        category = int(rng.integers(n_classes))
        labels.append(label(x, y, w, h, category, bool(rng.random() < 0.25 or w * h == 0)))
        for _ in range(int(rng.integers(0, 3))):
            shift = rng.choice([0, 0, 1, -1, 0.5, 2.25], 4)
            other = int(rng.integers(n_classes)) if rng.random() < 0.2 else category
            score = float(rng.choice([0.0, 0.25, 0.5, 0.75, 1.0, rng.random()]))
            w2, h2 = max(0.4, w + shift[2]), max(0.4, h + shift[3])
            detections.append(found(float(x + shift[0]), float(y + shift[1]), float(w2), float(h2), score, other))
    regions = [
        (*(int(value) for value in rng.integers(-4, (size[0] + 4, size[1] + 4))), *map(int, rng.integers(0, 25, 2)))
        for _ in range(int(rng.choice([0, 1, 4])))
    ]
    # in the order that decides between equal scores
    detections.sort(key=lambda one: (-one[4], one[5], one[:4]))
    labels.sort(key=lambda one: (one[5], one[:4]))
    return image(labels, detections, regions, size)

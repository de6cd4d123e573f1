"""What a converted set holds: counts per part, class, illumination, box size and mask, and its digests."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from rgbt_bench.datasets.digests import open_image
from rgbt_bench.datasets.store import Dataset, Part
from rgbt_bench.metrics.detection import PROTOCOL
from rgbt_bench.schema import VOID, DatasetInfo, Image

SIZES = ("small", "medium", "large")


def size_class(area: float) -> str:
    """Return COCO's size class of an area in square pixels; a bound belongs to the smaller class."""
    return next((size for size in SIZES if area <= PROTOCOL["areas"][size][1]), SIZES[-1])


def inspect_part(part: Part) -> dict[str, Any]:
    """Return the counts and digests of one part as JSON-ready data."""
    boxes = [box for labels in part.labels for box in labels.objects]
    classes = Counter(part.dataset.info.classes[box.category] for box in boxes)
    sizes = Counter(size_class(box.area) for box in boxes)
    masks = [mask for _, mask in part.masks() if mask] if part.dataset.info.mask_classes else []
    return {
        "samples": len(part),
        "samples_without_boxes": sum(not labels.objects for labels in part.labels),
        "boxes": len(boxes),
        "classes": {name: classes[name] for name in part.dataset.info.classes},
        "sizes": {size: sizes[size] for size in SIZES},
        "ignore_regions": sum(len(labels.ignore_regions) for labels in part.labels),
        "masks": len(masks),
        "mask_pixels": _mask_pixels(masks, part.dataset.info),
        "illumination": dict(sorted(Counter(labels.illumination for labels in part.labels).items())),
        "ignored_boxes": sum(box.ignore or box.iscrowd for box in boxes),
        "digests": part.record.model_dump(mode="json", exclude={"samples"}),
    }


def _mask_pixels(masks: Iterable[Image], info: DatasetInfo) -> dict[str, int]:
    """Return how many pixels of label maps each class has, and void."""
    pixels = np.zeros(VOID + 1, np.int64)
    for mask in masks:
        with open_image(mask.data) as opened:
            pixels += opened.histogram()
    names = {**dict(enumerate(info.mask_classes)), VOID: "void"} if info.mask_classes else {}
    return {name: int(pixels[value]) for value, name in names.items()}


def inspect_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return what a dataset holds under its split, as JSON-ready data."""
    return {
        "name": dataset.name,
        "title": dataset.info.title,
        "tasks": list(dataset.info.tasks),
        "folder": str(dataset.root),
        "layout": dataset.record.layout,
        "schema_version": dataset.record.schema_version,
        "fingerprint": dataset.record.fingerprint,
        "skipped": dataset.record.skipped,
        "splits": sorted(dataset.record.splits),
        "parts": {name: inspect_part(dataset.part(name)) for name in dataset.parts},
    }

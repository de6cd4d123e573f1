"""What a converted set holds: counts per part, class, illumination and box size, and its digests."""

from collections import Counter
from typing import Any

from rgbt_bench.datasets.store import Dataset, Part
from rgbt_bench.metrics.detection import PROTOCOL

SIZES = ("small", "medium", "large")


def size_class(area: float) -> str:
    """Return COCO's size class of an area in square pixels; a bound belongs to the smaller class."""
    return next((size for size in SIZES if area <= PROTOCOL["areas"][size][1]), SIZES[-1])


def inspect_part(part: Part) -> dict[str, Any]:
    """Return the counts and digests of one part as JSON-ready data."""
    boxes = [box for labels in part.labels for box in labels.objects]
    classes = Counter(part.dataset.info.classes[box.category] for box in boxes)
    sizes = Counter(size_class(box.area) for box in boxes)
    return {
        "samples": len(part),
        "samples_without_boxes": sum(not labels.objects for labels in part.labels),
        "boxes": len(boxes),
        "classes": {name: classes[name] for name in part.dataset.info.classes},
        "sizes": {size: sizes[size] for size in SIZES},
        "illumination": dict(sorted(Counter(labels.illumination for labels in part.labels).items())),
        "ignored_boxes": sum(box.ignore or box.iscrowd for box in boxes),
        "digests": part.record.model_dump(mode="json", exclude={"samples"}),
    }


def inspect_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return what a dataset holds under its split, as JSON-ready data."""
    return {
        "name": dataset.name,
        "title": dataset.info.title,
        "folder": str(dataset.root),
        "layout": dataset.record.layout,
        "schema_version": dataset.record.schema_version,
        "fingerprint": dataset.record.fingerprint,
        "skipped": dataset.record.skipped,
        "splits": sorted(dataset.record.splits),
        "parts": {name: inspect_part(dataset.part(name)) for name in dataset.parts},
    }

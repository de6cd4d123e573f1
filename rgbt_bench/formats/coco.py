"""COCO json ground truth, read and written."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Labels, Rect
from rgbt_bench.sources import Source

_T = TypeVar("_T")


@dataclass(frozen=True)
class CocoObject:
    """One annotation: its category's name, its box x, y, width, height as published, and COCO's flags.

    `truncation` and `occlusion` are of the schema, in files that `coco_content` made; None elsewhere.
    """

    name: str
    bbox: tuple[float, float, float, float]
    area: float
    iscrowd: bool
    ignore: bool
    truncation: int | None = None
    occlusion: int | None = None


@dataclass(frozen=True)
class CocoImage:
    """One entry of `images` with the annotations that point at it, and its `ignore_regions` if it has such a key."""

    file_name: str
    width: int
    height: int
    objects: tuple[CocoObject, ...]
    ignore_regions: tuple[Rect, ...] = ()


def read_coco(source: Source, name: str) -> list[CocoImage]:
    """Read a COCO json file; images without annotations are kept, ids may be strings.

    Raises:
        BadInputError: no such file, not strict JSON, or not COCO; the message names the file and the entry.
    """
    content, path = source.json(name), source.where(name)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        raise BadInputError(f"{path}: not a COCO file: it needs `images`, `annotations` and `categories`")
    try:
        names = _by_id(content, "categories", lambda category: str(category["name"]))
        heads = _by_id(content, "images", _head)
        objects: dict[Any, list[CocoObject]] = {image_id: [] for image_id in heads}
        for row, annotation in enumerate(content["annotations"]):
            with _naming(f"annotation {row}"):
                if annotation["image_id"] not in heads:
                    raise ValueError(f"it points at image {annotation['image_id']!r}, which is not listed")
                if annotation["category_id"] not in names:
                    raise ValueError(f"it has category {annotation['category_id']!r}, which is not listed")
                objects[annotation["image_id"]].append(_object(annotation, names))
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{path}: {error}") from None
    return [CocoImage(*head, tuple(objects[image_id]), regions) for image_id, (head, regions) in heads.items()]


def coco_content(
    samples: Sequence[tuple[Labels, dict[str, str]]], classes: Sequence[str], description: str
) -> dict[str, Any]:
    """Return a COCO file of samples as JSON-ready data; each comes with the texts of its entry, such as `file_name`.

    Images and annotations are numbered from 1, categories from 1 in the order of `classes`. Beside COCO's keys an
    image has `sample_id` and, where it has any, `ignore_regions`; an annotation has `ignore`, and `truncation` and
    `occlusion` where they are known. All numbers are exact.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (labels, texts) in enumerate(samples, start=1):
        images.append({"id": number, **texts, "width": labels.width, "height": labels.height})
        images[-1]["sample_id"] = labels.sample_id
        if labels.ignore_regions:
            images[-1]["ignore_regions"] = [[plain_number(value) for value in one] for one in labels.ignore_regions]
        for box in labels.objects:
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": box.category + 1,
                "bbox": [plain_number(value) for value in box.bbox],
                "area": plain_number(box.area),
                "iscrowd": int(box.iscrowd),
                "ignore": int(box.ignore),
            }
            known = {"truncation": box.truncation, "occlusion": box.occlusion}
            annotations.append(annotation | {key: value for key, value in known.items() if value is not None})
    categories = [{"id": place, "name": name} for place, name in enumerate(classes, start=1)]
    return {
        "info": {"description": description},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def plain_number(value: float) -> float | int:
    """Return a whole number as an int, as files of the field have it, and any other as it is."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


@contextmanager
def _naming(entry: str) -> Iterator[None]:
    """Turn whatever a malformed entry raises into a ValueError that names the entry."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{entry}: the key {error} is missing") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{entry}: {error}") from None


def _by_id(content: dict[str, Any], kind: str, read: Callable[[Any], _T]) -> dict[Any, _T]:
    found: dict[Any, _T] = {}
    for row, entry in enumerate(content[kind]):
        with _naming(f"entry {row} of `{kind}`"):
            if entry["id"] in found:
                raise ValueError(f"id {entry['id']!r} occurs twice")
            found[entry["id"]] = read(entry)
    return found


def _head(image: dict[str, Any]) -> tuple[tuple[str, int, int], tuple[Rect, ...]]:
    regions = tuple(_rect(region, "an ignore region") for region in image.get("ignore_regions", ()))
    width, height = int(image["width"]), int(image["height"])
    if min(width, height) < 1:
        raise ValueError(f"an image of {width}x{height} pixels")
    return (str(image["file_name"]), width, height), regions


def _rect(value: Any, what: str) -> Rect:
    if not isinstance(value, list):
        raise TypeError(f"{what} is not a list")
    x, y, width, height = (float(one) for one in value)
    if not all(map(math.isfinite, (x, y, width, height))):
        raise ValueError(f"{what} is not finite")
    return x, y, width, height


def _level(annotation: dict[str, Any], key: str, most: int) -> int | None:
    """Return a level of the schema; what other files have under such a key is something else."""
    value = annotation.get(key)
    return value if type(value) is int and 0 <= value <= most else None


def _flag(annotation: dict[str, Any], key: str) -> bool:
    value = annotation.get(key, 0)
    if value not in (0, 1, None):
        raise ValueError(f"its {key} is {value!r:.40}, which is neither 0 nor 1")
    return bool(value)


def _object(annotation: dict[str, Any], names: dict[Any, str]) -> CocoObject:
    bbox = _rect(annotation["bbox"], "its box")
    area = float(annotation.get("area", bbox[2] * bbox[3]))
    if not math.isfinite(area):
        raise ValueError("its area is not finite")
    return CocoObject(
        names[annotation["category_id"]],
        bbox,
        area,
        _flag(annotation, "iscrowd"),
        _flag(annotation, "ignore"),
        _level(annotation, "truncation", 1),
        _level(annotation, "occlusion", 2),
    )

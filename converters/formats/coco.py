"""Reading COCO json ground truth."""

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgbt_bench.errors import BadInputError
from rgbt_bench.files import read_json


@dataclass(frozen=True)
class CocoObject:
    """One annotation: its category's name, its box x, y, width, height as published, and COCO's flags."""

    name: str
    bbox: tuple[float, float, float, float]
    area: float
    iscrowd: bool
    ignore: bool


@dataclass(frozen=True)
class CocoImage:
    """One entry of `images` with the annotations that point at it."""

    file_name: str
    width: int
    height: int
    objects: tuple[CocoObject, ...]


def read_coco(path: Path) -> list[CocoImage]:
    """Read a COCO json file; images without annotations are kept, ids may be strings.

    Raises:
        MissingError: there is no such file.
        BadInputError: not strict JSON, or not COCO; the message names the file and the entry.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        raise BadInputError(f"{path}: not a COCO file: it needs `images`, `annotations` and `categories`")
    try:
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        objects: dict[Any, list[CocoObject]] = defaultdict(list)
        known = {image["id"] for image in content["images"]}
        for row, annotation in enumerate(content["annotations"]):
            if annotation["image_id"] not in known:
                raise ValueError(f"annotation {row} points at image {annotation['image_id']!r}, which is not listed")
            if annotation["category_id"] not in names:
                raise ValueError(f"annotation {row} has category {annotation['category_id']!r}, which is not listed")
            objects[annotation["image_id"]].append(_object(annotation, names, row))
        return [
            CocoImage(str(image["file_name"]), int(image["width"]), int(image["height"]), tuple(objects[image["id"]]))
            for image in content["images"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        reason = f"a key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise BadInputError(f"{path}: {reason}") from None


def _object(annotation: dict[str, Any], names: dict[Any, str], row: int) -> CocoObject:
    x, y, width, height = (float(value) for value in annotation["bbox"])
    area = float(annotation.get("area", width * height))
    if not all(map(math.isfinite, (x, y, width, height, area))):
        raise ValueError(f"annotation {row} has a box that is not finite")
    return CocoObject(
        names[annotation["category_id"]],
        (x, y, width, height),
        area,
        bool(annotation.get("iscrowd", 0)),
        bool(annotation.get("ignore", 0)),
    )

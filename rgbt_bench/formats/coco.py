"""Reading COCO json ground truth."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import Source

_T = TypeVar("_T")


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
    return [CocoImage(*head, tuple(objects[image_id])) for image_id, head in heads.items()]


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


def _head(image: dict[str, Any]) -> tuple[str, int, int]:
    return str(image["file_name"]), int(image["width"]), int(image["height"])


def _object(annotation: dict[str, Any], names: dict[Any, str]) -> CocoObject:
    if not isinstance(annotation["bbox"], list):
        raise TypeError("its box is not a list")
    x, y, width, height = (float(value) for value in annotation["bbox"])
    area = float(annotation.get("area", width * height))
    if not all(map(math.isfinite, (x, y, width, height, area))):
        raise ValueError("its box is not finite")
    return CocoObject(
        names[annotation["category_id"]],
        (x, y, width, height),
        area,
        bool(annotation.get("iscrowd", 0)),
        bool(annotation.get("ignore", 0)),
    )

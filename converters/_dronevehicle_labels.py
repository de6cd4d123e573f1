"""What DroneVehicle's labels mean: names as annotators typed them, polygons, and the frame around every image."""

import math
from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from rgbt_bench.errors import BadInputError, did_you_mean, enumerate_faults
from rgbt_bench.formats.voc import parse_xml
from rgbt_bench.schema import Box
from rgbt_bench.sources import Source

CLASSES = ("car", "truck", "bus", "van", "freight car")
FRAME = 100
SIZE = (640, 512)
FRAMED_SIZE = (SIZE[0] + 2 * FRAME, SIZE[1] + 2 * FRAME)
_TYPED = {"feright car": "freight car", "feright": "freight car", "freight": "freight car", "truvk": "truck"}
_NAMELESS = frozenset({"", "*"})
_POLYGON = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
_EDGES = ("xmin", "ymin", "xmax", "ymax")

Extent = tuple[float, float, float, float]


def read_labels(source: Source, name: str, size: tuple[int, int], quirks: Counter[str]) -> tuple[Box, ...]:
    """Read a file of DroneVehicle labels of an image of FRAMED_SIZE or SIZE: boxes within the frame, x from its edge.

    Raises:
        BadInputError: no such file, not XML, labels of the other size, or objects that are no labels: all are named.
    """
    root, where = parse_xml(source, name), source.where(name)
    _require_size(root, size, where)
    boxes: list[Box] = []
    faults = []
    counted: Counter[str] = Counter()
    for number, element in enumerate(root.iter("object"), start=1):
        try:
            boxes += _boxes(element, FRAME if size == FRAMED_SIZE else 0, counted)
        except ValueError as error:
            faults.append(f"{where}: object {number}: {error}")
    if faults:
        title = faults[0] if len(faults) == 1 else f"{where}: {len(faults)} objects are no labels:"
        raise BadInputError(enumerate_faults(title, faults if len(faults) > 1 else ()))
    quirks.update(counted)
    return tuple(boxes)


def _require_size(root: Element, size: tuple[int, int], where: str) -> None:
    """Refuse labels that state the size with the frame for an image without it, or the other way round."""
    other = SIZE if size == FRAMED_SIZE else FRAMED_SIZE
    stated = tuple((root.findtext(f"size/{side}") or "").strip() for side in ("width", "height"))
    if stated == tuple(map(str, other)):
        raise BadInputError(
            f"{where}: labels of {other[0]}x{other[1]} pixels, but the image has {size[0]}x{size[1]}: crop both or none"
        )


def _boxes(element: Element, frame: int, quirks: Counter[str]) -> Iterator[Box]:
    """Yield the box of an object, or none where it has no name, no extent, or lies outside."""
    name = _class(element.findtext("name") or "", quirks)
    if name is None:
        return
    extent = _extent(element)
    if extent is None:
        quirks["objects without polygon and bndbox, or with a point alone (dropped)"] += 1
        return
    left, top, right, bottom = (edge - frame for edge in extent)
    if left >= SIZE[0] or top >= SIZE[1] or right <= 0 or bottom <= 0:
        quirks["boxes wholly outside the image without its frame (dropped)"] += 1
        return
    width, height = right - left, bottom - top
    yield Box((left, top, width, height), CLASSES.index(name), width * height)


def _class(typed: str, quirks: Counter[str]) -> str | None:
    name = " ".join(typed.lower().replace("_", " ").split())
    if name in _NAMELESS:
        quirks["objects without a name, or named * (dropped)"] += 1
        return None
    meant = _TYPED.get(name, name)
    if meant not in CLASSES:
        raise ValueError(f"unknown class {typed.strip()[:40]!r}. {did_you_mean(name, [*CLASSES, *_TYPED])}")
    if typed.strip() != meant:
        quirks[f"objects named {typed.strip()!r} (taken for {meant})"] += 1
    return meant


def _extent(element: Element) -> Extent | None:
    """Return left, top, right and bottom of an object in the pixels of its file, or None where it has no extent."""
    polygon, box = element.find("polygon"), element.find("bndbox")
    if polygon is not None:
        numbers = [_number(polygon, tag) for tag in _POLYGON]
        return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    if box is not None:
        left, top, right, bottom = (_number(box, tag) for tag in _EDGES)
        return left, top, right, bottom
    return None


def _number(element: Element, tag: str) -> float:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise ValueError(f"<{tag}> is missing or empty")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"<{tag}> is not finite")
    return number

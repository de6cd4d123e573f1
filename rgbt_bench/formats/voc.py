"""Pascal VOC annotation files, read and written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError
from xml.etree.ElementTree import fromstring as parse_plain
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Box, Labels
from rgbt_bench.sources import Source


@dataclass(frozen=True)
class VocObject:
    """One `object` of a VOC file: its name, inclusive pixel corners as written, and whether it is marked difficult."""

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool = False

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """The box as the field's COCO conversions write it: x = xmin - 1, width = xmax - xmin + 1."""
        xmin, ymin, xmax, ymax = self.corners
        return xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1


@dataclass(frozen=True)
class VocFile:
    """A VOC annotation file: the image size it states and its objects in file order."""

    width: int
    height: int
    objects: tuple[VocObject, ...]


def read_voc(source: Source, name: str) -> VocFile:
    """Read a VOC annotation file.

    Raises:
        BadInputError: no such file, not XML, an entity or DTD in it, or a field that is missing or not a number.
    """
    path, root = source.where(name), parse_xml(source, name)
    try:
        width, height = (int(_text(root, f"size/{side}")) for side in ("width", "height"))
        if min(width, height) < 1:
            raise ValueError(f"an image of {width}x{height} pixels in <size>")
        return VocFile(width, height, tuple(_object(element) for element in root.iter("object")))
    except ValueError as error:
        raise BadInputError(f"{path}: {error}") from None


def parse_xml(source: Source, name: str) -> Element:
    """Return the root element of an XML file.

    Raises:
        BadInputError: no such file, not XML, or an entity or DTD in it.
    """
    path, data = source.where(name), source.read(name)
    try:
        return _parse(data)
    except DefusedXmlException:
        raise BadInputError(f"{path}: XML with a DTD or entities is refused; remove the declaration") from None
    except (ParseError, ValueError, LookupError) as error:  # Value, Lookup: an encoding expat does not know
        raise BadInputError(f"{path}: not a readable XML file: {error}") from None


def voc_text(labels: Labels, classes: Sequence[str], file_name: str) -> str:
    """Return labels as a VOC file: pixels are counted from 1 and the last one belongs to the box.

    What VOC has no word for is left out or put as near as it goes: crowds and ignored boxes are `difficult`.
    """
    objects = "".join(_object_text(box, classes[box.category]) for box in labels.objects)
    return (
        f"<annotation>\n  <filename>{escape(file_name)}</filename>\n  <size><width>{labels.width}</width>"
        f"<height>{labels.height}</height><depth>3</depth></size>\n  <segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _object_text(box: Box, name: str) -> str:
    x, y, width, height = box.bbox
    corners = {"xmin": x + 1, "ymin": y + 1, "xmax": x + width, "ymax": y + height}
    edges = "".join(f"<{edge}>{repr(value).removesuffix('.0')}</{edge}>" for edge, value in corners.items())
    return (
        f"  <object><name>{escape(name)}</name><pose>Unspecified</pose>"
        f"<truncated>{int(bool(box.truncation))}</truncated><difficult>"
        f"{int(box.ignore or box.iscrowd)}</difficult><bndbox>{edges}</bndbox></object>\n"
    )


def _parse(data: bytes) -> Element:
    """Return the root element; defusedxml, which is slower, reads what may declare anything."""
    if b"<!" in data or b"<?" in data or not data.isascii():
        return fromstring(data, forbid_dtd=True)
    return parse_plain(data.decode())  # noqa: S314 - without a declaration there is no entity to expand


def _object(element: Element) -> VocObject:
    box = element.find("bndbox")
    if box is None:
        raise ValueError("<bndbox> is missing")
    xmin, ymin, xmax, ymax = (float(_text(box, edge)) for edge in ("xmin", "ymin", "xmax", "ymax"))
    if not all(map(math.isfinite, (xmin, ymin, xmax, ymax))):
        raise ValueError("<bndbox> is not finite")
    difficult = (element.findtext("difficult") or "").strip() == "1"
    return VocObject(_text(element, "name"), (xmin, ymin, xmax, ymax), difficult)


def _text(element: Element, path: str) -> str:
    text = element.findtext(path)
    if text is None or not text.strip():
        raise ValueError(f"<{path}> is missing or empty")
    return text.strip()

"""Reading Pascal VOC annotation files."""

from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError
from xml.etree.ElementTree import fromstring as parse_plain

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import Source


@dataclass(frozen=True)
class VocObject:
    """One `object` of a VOC file: its name and inclusive pixel corners as written."""

    name: str
    corners: tuple[float, float, float, float]

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
    return VocObject(_text(element, "name"), (xmin, ymin, xmax, ymax))


def _text(element: Element, path: str) -> str:
    text = element.findtext(path)
    if text is None or not text.strip():
        raise ValueError(f"<{path}> is missing or empty")
    return text.strip()

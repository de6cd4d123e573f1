"""What label files of any format say of one pair, as objects of the schema."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from rgbt_bench.errors import BadInputError, did_you_mean
from rgbt_bench.formats.coco import CocoImage, CocoObject, read_coco
from rgbt_bench.formats.voc import VocObject, read_voc
from rgbt_bench.formats.yolo import read_yolo
from rgbt_bench.schema import Box, Rect
from rgbt_bench.sources import Source

from .description import VocBoxes
from .exact import ExactLabels


@dataclass(frozen=True)
class Told:
    """What labels say of one pair: its width and height in pixels, its boxes and ignore regions."""

    size: tuple[int, int]
    objects: tuple[Box, ...] = ()
    ignore_regions: tuple[Rect, ...] = ()


@dataclass(frozen=True)
class Classes:
    """The classes of a set, and what names of the label files mean; None means that such objects are left out."""

    names: tuple[str, ...]
    rename: Mapping[str, str | None] = field(default_factory=dict)

    def number(self, name: str, where: str) -> int | None:
        """Return a class's number, or None where its objects are left out.

        Raises:
            BadInputError: there is no such class; the message begins with `where`.
        """
        known = self.rename.get(name, name)
        if known is None:
            return None
        if known not in self.names:
            raise BadInputError(
                f"{where}: unknown class {name!r}. {did_you_mean(name, self.names)} Or say what it means under `rename`"
            )
        return self.names.index(known)

    def boxes(self, found: Iterable[tuple[str, Box]], where: str, left: Counter[str]) -> list[Box]:
        """Return boxes with the numbers of their classes' names; those that are left out are counted in `left`."""
        boxes = []
        for name, box in found:
            number = self.number(name, where)
            if number is None:
                left[f"objects named {name!r} (left out)"] += 1
            else:
                boxes.append(replace(box, category=number))
        return boxes


def coco_labels(image: CocoImage, classes: Classes, where: str, left: Counter[str]) -> Told:
    """Return what one image of a COCO file says.

    Raises:
        BadInputError: an unknown class; the message begins with `where`.
    """
    found = [(one.name, _from_coco(one)) for one in image.objects]
    boxes = classes.boxes(found, f"{where}: {image.file_name}", left)
    return Told((image.width, image.height), tuple(boxes), image.ignore_regions)


def voc_labels(source: Source, name: str, classes: Classes, boxes: VocBoxes, left: Counter[str]) -> Told:
    """Return what a VOC file says; objects that are marked difficult are ignored, as VOC's own evaluation does.

    Raises:
        BadInputError: not a VOC file, or an unknown class; the message names the file.
    """
    content = read_voc(source, name)
    objects = [(one.name, _from_voc(one, boxes)) for one in content.objects]
    found = classes.boxes(objects, source.where(name), left)
    left["objects marked difficult (kept as ignored)"] += sum(box.ignore for box in found)
    return Told((content.width, content.height), tuple(found))


def yolo_labels(source: Source, name: str, size: tuple[int, int], classes: Sequence[str]) -> Told:
    """Return what a YOLO file of an image of `size` says; class numbers are places in `classes`.

    Raises:
        BadInputError: lines that are no labels; the message names the file and the lines.
    """
    objects = read_yolo(source, name, size, classes)
    boxes = (Box(one.bbox, classes.index(one.name), one.bbox[2] * one.bbox[3]) for one in objects)
    return Told(size, tuple(boxes))


def exact_labels_of(found: ExactLabels, data: bytes | None, classes: Classes, where: str) -> Told:
    """Return what labels written in full say; `data` is the label file that they stand in for.

    Raises:
        BadInputError: that file is no longer as it was exported, or a class is unknown; the message names it.
    """
    if found.label_sha256 != (None if data is None else hashlib.sha256(data).hexdigest()):
        raise BadInputError(
            f"{where}: the label file was changed after the export, and these labels would hide that;"
            " delete its entry here, or bring the file back"
        )
    objects = [
        (one.category, Box(one.bbox, 0, one.area, one.iscrowd, one.ignore, one.truncation, one.occlusion))
        for one in found.objects
    ]
    boxes = classes.boxes(objects, where, Counter())
    return Told((found.width, found.height), tuple(boxes), found.ignore_regions)


class CocoFile:
    """A COCO file whose images are looked up by what a pair is called.

    `by_base` says that base names alone name an image: not so where scenes have frames of the same names.

    Raises:
        BadInputError: not a COCO file; the message names the file and the entry.
    """

    def __init__(self, source: Source, name: str, by_base: bool) -> None:
        self.where = source.where(name)
        self.images = read_coco(source, name)
        self.used: set[int] = set()
        self._whole: dict[str, list[int]] = {}
        self._stems: dict[str, list[int]] = {}
        for place, image in enumerate(self.images):
            for key in keys_of(image.file_name, by_base):
                self._whole.setdefault(key, []).append(place)
                self._stems.setdefault(without_suffix(key), []).append(place)

    def find(self, names: Sequence[str], sample_id: str) -> CocoImage | None:
        """Return the entry whose file name is the end of one of a pair's, or its id; where none is, without suffixes.

        Raises:
            BadInputError: two entries are so called.
        """
        ends = _ends(names)
        whole = [(self._whole, end) for end in (*ends, sample_id)]
        for places, end in (*whole, *((self._stems, without_suffix(end)) for end in ends), (self._stems, sample_id)):
            found = places.get(end, [])
            self.used.update(found)
            if len(found) > 1:
                raise BadInputError(f"{self.where}: {len(found)} images are called {end!r}; keep one")
            if found:
                return self.images[found[0]]
        return None


def keys_of(text: str, by_base: bool) -> set[str]:
    """Return what a file name in a list or label file may be meant by: itself, or its base name."""
    whole = text.replace("\\", "/")
    return {whole, whole.rpartition("/")[2]} if by_base else {whole}


def without_suffix(name: str) -> str:
    """Return a file name without its last suffix."""
    return name.removesuffix(PurePosixPath(name).suffix)


def _ends(names: Sequence[str]) -> list[str]:
    """Return the ends of file names, the longest first."""
    split = [name.split("/") for name in names]
    ends = {"/".join(parts[start:]) for parts in split for start in range(len(parts))}
    return sorted(ends, key=lambda end: (-end.count("/"), end))


def _from_coco(one: CocoObject) -> Box:
    return Box(one.bbox, 0, one.area, one.iscrowd, one.ignore, one.truncation, one.occlusion)


def _from_voc(one: VocObject, boxes: VocBoxes) -> Box:
    xmin, ymin, xmax, ymax = one.corners
    last = 1 if boxes == "zero-based" else 0
    bbox = one.bbox if boxes == "one-based" else (xmin, ymin, xmax - xmin + last, ymax - ymin + last)
    return Box(bbox, 0, bbox[2] * bbox[3], ignore=one.difficult)

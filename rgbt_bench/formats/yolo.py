"""YOLO label files, read and written: a line an object, its class number and its box as fractions of the image."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rgbt_bench.errors import BadInputError, enumerate_faults
from rgbt_bench.schema import Box, Labels
from rgbt_bench.sources import Source

_COLUMNS = 5
_DECIMALS = 6  # as the field's converters write
_SLACK = 0.05  # a box of the field may leave its image a little


@dataclass(frozen=True)
class YoloObject:
    """One line: the class's name, and the box x, y, width, height in pixels."""

    name: str
    bbox: tuple[float, float, float, float]


def read_yolo(
    source: Source, name: str, size: tuple[int, int], classes: Sequence[str], without_area: bool = False
) -> tuple[YoloObject, ...]:
    """Read a YOLO label file of an image of `size` (width, height in pixels); an empty file is an image without boxes.

    A corner that is a whole pixel within the rounding of six decimals is taken to be that pixel. What cannot come back
    is the convention of whoever wrote the file: whether pixels were counted from 0 or from 1 and whether the last one
    belongs to the box, and what they clipped at the border. Such labels may differ from the originals by a pixel.
    `without_area` takes boxes of no width or height, too, as sets have that were converted with them.

    Raises:
        BadInputError: no such file, or lines that are no labels; every one is named with its number.
    """
    objects, faults = [], []
    where = source.where(name)
    for row, line in enumerate(source.text(name).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            category, *box = _numbers(line)
            objects.append(YoloObject(_class(category, classes), _pixels(box, size, without_area)))
        except ValueError as error:
            faults.append(f"{where}: line {row}: {error}")
    if faults:
        title = faults[0] if len(faults) == 1 else f"{where}: {len(faults)} lines are no labels:"
        raise BadInputError(enumerate_faults(title, faults if len(faults) > 1 else ()))
    return tuple(objects)


def label_names(image: str, stems: Sequence[str]) -> Iterator[str]:
    """Yield where the field keeps the labels of an image, the likeliest first.

    That is in `labels` where the image is in `images`, also without the folder of its modality, beside the image, in
    `labels` below or beside its folder, and one folder above that.
    """
    *folders, _ = image.split("/")
    above, last = folders[:-1], folders[-1:]
    places = [folders, [*folders, "labels"], [*above, "labels", *last]]
    if len(above) > 0:
        places += [[*above[:-1], "labels", above[-1], *last], [*above[:-1], "labels", *last]]
    if "images" in folders:
        at = len(folders) - 1 - folders[::-1].index("images")
        before, after = folders[:at], folders[at + 1 :]
        places = [[*before, "labels", *after], [*before, "labels", *after[1:]], *places]
    for place in places:
        yield from ("/".join([*place, f"{stem}.txt"]) for stem in stems)


def yolo_text(labels: Labels) -> str:
    """Return labels as a YOLO file: the boxes clipped to the image, without crowds and ignored ones.

    Loaders drop a whole image for one number outside 0..1. Six decimals, as the field writes, where they give the box
    back to the last bit; else as many as a float has.
    """
    size = labels.width, labels.height
    boxes = ((box, _clipped(box, size)) for box in labels.objects if not (box.ignore or box.iscrowd))
    return "".join(f"{box.category} {_fractions(corners, size)}\n" for box, corners in boxes if corners)


def _clipped(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Return the part of a box within the image as x, y, width, height, or None where there is nothing of it."""
    (x, y, width, height), (right, bottom) = box.bbox, size
    if x >= 0 and y >= 0 and x + width <= right and y + height <= bottom:
        return box.bbox if width > 0 and height > 0 else None
    left, top = max(x, 0.0), max(y, 0.0)
    width, height = min(x + width, right) - left, min(y + height, bottom) - top
    return (left, top, width, height) if width > 0 and height > 0 else None


def _fractions(bbox: tuple[float, float, float, float], size: tuple[int, int]) -> str:
    (x, y, width, height), (across, down) = bbox, size
    box = ((x + width / 2) / across, (y + height / 2) / down, width / across, height / down)
    short = " ".join(f"{value:.{_DECIMALS}f}" for value in box)
    try:
        same = _pixels(_numbers(f"0 {short}")[1:], size, without_area=False) == bbox
    except ValueError:  # too thin for six decimals
        same = False
    return short if same else " ".join(f"{value!r}" for value in box)


def _numbers(line: str) -> list[float]:
    columns = line.split()
    if len(columns) == _COLUMNS + 1:
        raise ValueError("6 columns: a prediction with its confidence, not a label")
    if len(columns) != _COLUMNS:
        raise ValueError(f"{len(columns)} columns; a class number and four fractions of the image are expected")
    return [float(column) for column in columns]


def _class(number: float, classes: Sequence[str]) -> str:
    if number not in range(len(classes)):
        known = ", ".join(f"{place} {name}" for place, name in enumerate(classes))
        raise ValueError(f"class number {number:g}; the classes are {known}")
    return classes[int(number)]


def _pixels(box: Sequence[float], size: tuple[int, int], without_area: bool) -> tuple[float, float, float, float]:
    if not all(map(math.isfinite, box)):
        raise ValueError("a number that is not finite")
    if min(box[2:]) < 0 or (min(box[2:]) == 0 and not without_area):
        raise ValueError("a box without width or height")
    if min(box) < -_SLACK or max(box) > 1 + _SLACK:
        raise ValueError("a box beyond the image; fractions of its size are expected, not pixels")
    left, right = _corners(box[0], box[2], size[0])
    top, bottom = _corners(box[1], box[3], size[1])
    return left, top, right - left, bottom - top


def _corners(centre: float, side: float, pixels: int) -> tuple[float, float]:
    """Return both ends of a side in pixels, whole ones where the rounding of the file leaves that open."""
    rounding = 0.75 * 10**-_DECIMALS * pixels + 1e-9  # half a unit of the centre and a quarter of the side
    ends = ((centre - side / 2) * pixels, (centre + side / 2) * pixels)
    first, last = (float(round(end)) if abs(end - round(end)) <= rounding else end for end in ends)
    return (first, last) if last > first else ends

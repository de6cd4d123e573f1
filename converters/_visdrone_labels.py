"""What VisDrone's labels mean: the eight columns of its annotations, the classes, and what a file's name tells."""

import re
from collections import Counter

from rgbt_bench.errors import BadInputError, enumerate_faults
from rgbt_bench.formats.yolo import YoloObject
from rgbt_bench.schema import Box, Rect
from rgbt_bench.sources import Source

OTHERS = "others"
CLASSES = (
    "pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor", OTHERS,
)  # fmt: skip
_COLUMNS = ("left", "top", "width", "height", "score", "category", "truncation", "occlusion")
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
_REGION = 0
_YOLO_CELLS = 5
# Where a column has few values, -1 says nothing, as in result files.
_VALUES = {
    "score": range(2),
    "category": range(len(CLASSES) + 1),
    "truncation": range(-1, 2),
    "occlusion": range(-1, 3),
}
_NAME = re.compile(r"([0-9]{7})_[0-9]{5}_[a-z]_[0-9]{7}")


def scene_of(stem: str) -> str:
    """Return the first number of a name like 0000001_02999_d_0000005, or an empty text for another name.

    It is what consecutive frames share. The second number is the frame's place in its clip; in the collections of
    photographs, 9999937 to 9999999, it may be 00000 throughout, and the last number only counts.
    """
    match = _NAME.fullmatch(stem)
    return match[1] if match else ""


def read_annotations(source: Source, name: str, quirks: Counter[str]) -> tuple[tuple[Box, ...], tuple[Rect, ...]]:
    """Read a file of VisDrone annotations: its boxes, and its ignored regions as x, y, width, height.

    Raises:
        BadInputError: no such file, or lines that are no labels; every one is named with its number.
    """
    boxes: list[Box] = []
    regions: list[Rect] = []
    counted: Counter[str] = Counter()
    faults = []
    where = source.where(name)
    for row, line in enumerate(source.text(name).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = _values(line)
        except ValueError as error:
            faults.append(f"{where}: line {row}: {error}")
            continue
        if values["category"] == _REGION:
            regions += _region(values, counted)
        else:
            boxes.append(_box(values, counted))
    if faults:
        title = faults[0] if len(faults) == 1 else f"{where}: {len(faults)} lines are no labels:"
        raise BadInputError(enumerate_faults(title, faults if len(faults) > 1 else ()))
    quirks.update(counted)
    return tuple(boxes), tuple(regions)


def boxes_of_yolo(objects: tuple[YoloObject, ...], quirks: Counter[str]) -> tuple[Box, ...]:
    """Return the boxes of a YOLO file that was made from VisDrone annotations."""
    return tuple(_made_box(one.bbox, CLASSES.index(one.name), False, None, None, quirks) for one in objects)


def _values(line: str) -> dict[str, int]:
    cells = [cell.strip() for cell in line.strip().removesuffix(",").split(",")]
    if len(cells) != len(_COLUMNS):
        raise ValueError(f"{_looks_like(line)}{len(_COLUMNS)} columns are expected: {', '.join(_COLUMNS)}")
    wrong = [pair for pair in zip(_COLUMNS, cells, strict=True) if not _WHOLE.fullmatch(pair[1])]
    if wrong:
        column, cell = wrong[0]
        raise ValueError(f"{column} {cell[:40]!r} is no whole number of at most nine digits")
    values = dict(zip(_COLUMNS, map(int, cells), strict=True))
    for column, known in _VALUES.items():
        if values[column] not in known:
            raise ValueError(f"{column} {values[column]}; {known[0]} to {known[-1]} are expected")
    if min(values["width"], values["height"]) < 0:
        raise ValueError(f"a box of {values['width']}x{values['height']} pixels; a size of 0 or more is expected")
    return values


def _looks_like(line: str) -> str:
    """Return what a line with another number of columns is."""
    columns = len(line.strip().removesuffix(",").split(","))
    if columns == 1 and len(line.split()) == _YOLO_CELLS:
        return "like a line of YOLO's labels, which belong into labels/; here "
    return f"{columns} columns between commas; "


def _rect(values: dict[str, int]) -> Rect:
    return float(values["left"]), float(values["top"]), float(values["width"]), float(values["height"])


def _region(values: dict[str, int], quirks: Counter[str]) -> list[Rect]:
    region = _rect(values)
    kept = min(region[2:]) > 0
    quirks["ignored regions (category 0)" if kept else "ignored regions without area (dropped)"] += 1
    return [region] if kept else []


def _box(values: dict[str, int], quirks: Counter[str]) -> Box:
    category = values["category"] - 1
    ignore = values["score"] == 0
    quirks["boxes with score 0 (ignored)"] += ignore
    truncation, occlusion = (None if values[name] < 0 else values[name] for name in ("truncation", "occlusion"))
    return _made_box(_rect(values), category, ignore, truncation, occlusion, quirks)


def _made_box(
    bbox: Rect, category: int, ignore: bool, truncation: int | None, occlusion: int | None, quirks: Counter[str]
) -> Box:
    """Return a box; what is no class that is evaluated, and what nobody can find, counts neither way."""
    area = bbox[2] * bbox[3]
    others = CLASSES[category] == OTHERS
    quirks["boxes without area (kept, ignored)"] += area == 0
    quirks["others with score 1 (ignored: no class that is evaluated)"] += others and not ignore
    return Box(bbox, category, area, ignore=ignore or others or area == 0, truncation=truncation, occlusion=occlusion)

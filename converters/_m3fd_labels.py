"""What M3FD's labels mean in every layout: ids, classes, scenes."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from rgbt_bench.errors import BadInputError, did_you_mean
from rgbt_bench.schema import Box, Labels, Rect

from ._m3fd_scenes import frames

CLASSES = ("People", "Car", "Bus", "Motorcycle", "Lamp", "Truck")  # the order of TarDAL's README
BOXES = (11477, 18296, 700, 521, 2405, 1008)  # of each class in the whole set
_CLASS_OF = {name.lower(): number for number, name in enumerate(CLASSES)} | {"person": 0, "motor": 3, "motorbike": 3}
_ID = re.compile(r"[0-9]{5}")


class Object(NamedTuple):
    """One labelled object: its class's name as written, and its box with what COCO says of it."""

    name: str
    bbox: Rect
    area: float
    iscrowd: bool = False
    ignore: bool = False


def is_id(stem: str) -> bool:
    """Tell whether a file's name without its ending is one that M3FD or the samples of TarDAL's code have."""
    return bool(_ID.fullmatch(stem.removeprefix("M3FD_")))


def sample_id_of(stem: str, where: str) -> str:
    """Return the sample id that a file's name without its ending is.

    Raises:
        BadInputError: it is none of M3FD's; the message begins with `where`.
    """
    if stem.startswith("M3FD_"):
        raise BadInputError(
            f"{where}: {stem!r} is one of the samples of TarDAL's code, which are pairs for fusion: another picture"
            " than the detection pair of that number; take it out"
        )
    if not _ID.fullmatch(stem):
        raise BadInputError(f"{where}: {stem!r} is no M3FD name such as 00471")
    if stem not in frames():
        raise BadInputError(f"{where}: {stem} is no pair of M3FD, whose detection pairs are 00000 to 04199")
    return stem


def class_of(name: str, where: str) -> int:
    """Return a class's number; the spellings that circulate stand for the published names.

    Raises:
        BadInputError: a class that M3FD does not have; the message begins with `where`.
    """
    if name.lower() not in _CLASS_OF:
        raise BadInputError(f"{where}: unknown class {name!r}. {did_you_mean(name, [*CLASSES, 'Person', 'Motor'])}")
    return _CLASS_OF[name.lower()]


def make_labels(sample_id: str, source: str, size: tuple[int, int], objects: Iterable[Object], where: str) -> Labels:
    """Return the labels of one pair; illumination and scene are those of the packaged table.

    Raises:
        BadInputError: a class that M3FD does not have; the message begins with `where`.
    """
    frame = frames()[sample_id]
    boxes = (Box(one.bbox, class_of(one.name, where), one.area, one.iscrowd, one.ignore) for one in objects)
    return Labels(
        sample_id=sample_id,
        width=size[0],
        height=size[1],
        objects=tuple(boxes),
        illumination=frame.illumination,
        scene=frame.scene,
        source=source,
    )

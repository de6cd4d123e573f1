"""What FLIR-aligned's labels mean in every layout: names, classes, day and night, parts."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from rgbt_bench.errors import BadInputError, did_you_mean
from rgbt_bench.formats.coco import CocoImage
from rgbt_bench.formats.voc import VocFile
from rgbt_bench.formats.yolo import YoloObject
from rgbt_bench.schema import Box, Illumination, Labels

from ._id_lists import id_list

CLASSES = ("person", "bike", "car")
SIZE = (640, 512)
_CLASS_OF = {"person": 0, "bike": 1, "bicycle": 1, "car": 2}
_DROPPED = frozenset({"dog"})
YOLO_CLASSES = ("person", "car", "bicycle")  # the order of CFT and of those who follow it
_NAME = re.compile(r"(FLIR_[0-9]{5})(?:_(?:PreviewData|RGB))?(?:\.(?:jpe?g|png))?")
_FRAMES_PER_BLOCK = 100
_VAL_BLOCK = 7  # about a tenth of train: 415 of the 4,128 published frames, 82 of the 653 at night


def part_of(sample_id: str, listed_in: str) -> str:
    """Return the default split's part: val is every tenth block of 100 frame numbers of the published train list."""
    block = int(sample_id.removeprefix("FLIR_")) // _FRAMES_PER_BLOCK
    return "val" if listed_in == "train" and block % 10 == _VAL_BLOCK else listed_in


def illumination_of(sample_id: str) -> Illumination:
    """Return day or night for the test pairs of the published lists, unknown for all others."""
    return _illuminations().get(sample_id, "unknown")


@cache
def _illuminations() -> dict[str, Illumination]:
    day: dict[str, Illumination] = dict.fromkeys(id_list("flir_test_day"), "day")
    return {**day, **dict.fromkeys(id_list("flir_test_night"), "night")}


def sample_id_of(name: str, where: str) -> str:
    """Return the sample id in the name of a list line or an image file.

    Raises:
        BadInputError: it is not a FLIR-aligned name; the message begins with `where`.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise BadInputError(f"{where}: {name!r} is no FLIR-aligned name such as FLIR_00002_PreviewData")
    return match[1]


def labels_of_coco(image: CocoImage, source: str, quirks: Counter[str], where: str) -> Labels:
    """Return the labels of one image of the published COCO files.

    Raises:
        BadInputError: a class or a file name that FLIR-aligned does not have; the message begins with `where`.
    """
    boxes = _boxes(((one.name, one.bbox, one.area, one.iscrowd, one.ignore) for one in image.objects), where, quirks)
    return make_labels(sample_id_of(image.file_name, where), source, (image.width, image.height), boxes)


def labels_of_voc(sample_id: str, voc: VocFile, source: str, quirks: Counter[str], where: str) -> Labels:
    """Return the labels of one VOC file, with the boxes as the published COCO files have them.

    Raises:
        BadInputError: a class that FLIR-aligned does not have; the message begins with `where`.
    """
    boxes = _boxes(
        ((one.name, one.bbox, one.bbox[2] * one.bbox[3], False, False) for one in voc.objects), where, quirks
    )
    return make_labels(sample_id, source, (voc.width, voc.height), boxes)


def labels_of_yolo(
    sample_id: str, objects: Iterable[YoloObject], size: tuple[int, int], source: str, quirks: Counter[str]
) -> Labels:
    """Return the labels of one YOLO file, with the boxes as they are there."""
    boxes = _boxes(((one.name, one.bbox, one.bbox[2] * one.bbox[3], False, False) for one in objects), source, quirks)
    return make_labels(sample_id, source, size, boxes)


def same_names(names: Iterable[str]) -> list[str]:
    """Return class names with those that stand for one class made equal."""
    return [CLASSES[_CLASS_OF[name.lower()]] if name.lower() in _CLASS_OF else name for name in names]


def make_labels(sample_id: str, source: str, size: tuple[int, int], boxes: tuple[Box, ...]) -> Labels:
    """Return the labels of one pair with the given boxes."""
    return Labels(
        sample_id=sample_id,
        width=size[0],
        height=size[1],
        objects=boxes,
        illumination=illumination_of(sample_id),
        source=source,
    )


def _boxes(
    objects: Iterable[tuple[str, tuple[float, float, float, float], float, bool, bool]],
    where: str,
    quirks: Counter[str],
) -> tuple[Box, ...]:
    boxes = []
    for name, bbox, area, iscrowd, ignore in objects:
        if name in _DROPPED:
            quirks[f"{name} boxes dropped (not a class of FLIR-aligned)"] += 1
        elif name in _CLASS_OF:
            boxes.append(Box(bbox, _CLASS_OF[name], area, iscrowd, ignore))
            quirks["boxes that begin at -1"] += bbox[0] == -1 or bbox[1] == -1
        else:
            raise BadInputError(f"{where}: unknown class {name!r}. {did_you_mean(name, [*_CLASS_OF, *_DROPPED])}")
    return tuple(boxes)

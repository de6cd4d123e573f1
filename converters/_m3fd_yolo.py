"""The layouts of M3FD with YOLO labels: that of TarDAL's code, and folders by modality and part."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import image_size, is_image
from rgbt_bench.formats.yolo import label_names, read_yolo
from rgbt_bench.plain_yaml import YamlFaultError, load_plain_yaml
from rgbt_bench.sources import Source

from ._m3fd_coco import COCO
from ._m3fd_labels import BOXES, CLASSES, Object, class_of, is_id, make_labels
from ._m3fd_pairs import PARTS, Entry, Found, M3fdLayout, first_folder, ids_in, read_lists
from ._m3fd_scenes import frames
from ._m3fd_voc import FLAT, IR, VIS

YOLO_CLASSES = ("People", "Car", "Bus", "Lamp", "Motorcycle", "Truck")  # TarDAL's loader/m3fd.py
_MODALITIES = (("vi", "ir"), ("visible", "infrared"), ("Vis", "Ir"), ("vis", "ir"), ("rgb", "ir"))
_FOLDERS = ("images/{0}/{1}", "{0}/images/{1}", "{0}/{1}/images", "{0}/{1}", "images/{0}")
_INTEGER_KEY = re.compile(r"(^|[{,\s])(\d+):(?=\s)", re.MULTILINE)

_TARDAL_TREE = """
m3fd/                                        class numbers: 0 People, 1 Car, 2 Bus, 3 Lamp, 4 Motorcycle, 5 Truck,
                                             unless a classes.txt or data.yaml there or in labels/ names them
  {vi,ir}/          00000.png; also Vis and Ir
  labels/           00000.txt
  meta/             train.txt, val.txt: lists of image names, if there are any (mask/ and iqa/ are not read)
"""
_YOLO_TREE = """
m3fd/                                        class numbers as in the layout tardal
  images/{vi,ir}/{train,val,test}/           00000.png; also {visible,infrared}, {Vis,Ir} and {rgb,ir}, the folder of
                                             the modality before images/ or alone, and no folder of a part
  labels in labels/ instead of images/, also without the folder of the modality, or beside the images: 00000.txt
Six decimals give whole pixels back. Labels made from the annotations with x = xmin - 1 and width = xmax - xmin + 1 are
the original ones, and have their digest; others may differ by a pixel and have a digest of their own.
"""


def _has_originals(source: Source, base: str) -> bool:
    """Tell whether the same folder has annotations that the YOLO labels were made from."""
    return bool(FLAT.marks(source, base) or COCO.marks(source, base))


def _tardal_marks(source: Source, base: str) -> set[str]:
    folders = _tardal_folders(source, base)
    labelled = any(name.endswith(".txt") for name in source.files_in(f"{base}labels"))
    return set(folders) if folders and labelled and not _has_originals(source, base) else set()


def _tardal_folders(source: Source, base: str) -> tuple[str, str] | None:
    vi, ir = first_folder(source, base, ("vi", *VIS)), first_folder(source, base, IR)
    return (vi, ir) if vi and ir else None


def _read_tardal(source: Source, base: str, scan: Scan) -> Found:
    places = _pairs(source, _tardal_folders(source, base) or ("", ""), scan)
    labels = {one: name if (name := f"{base}labels/{one}.txt") in source else None for one in places}
    return Found(_entries(source, base, places, labels, scan), read_lists(source, base, scan))


def _pairs(source: Source, folders: tuple[str, str], scan: Scan) -> dict[str, tuple[str, str]]:
    """Return the names of each pair's images in a folder of visible and one of thermal images, where they should be."""
    rgb, thermal = (ids_in(source, folder, "", scan) for folder in folders)
    return {
        one: (rgb.get(one, f"{folders[0]}/{one}.png"), thermal.get(one, f"{folders[1]}/{one}.png"))
        for one in sorted(rgb | thermal)
    }


def _part_folders(source: Source, base: str) -> list[tuple[str, str, str]]:
    """Return part, visible and thermal folder of every place that has images, if both modalities have some."""
    for first, second in _MODALITIES:
        found = []
        for template in _FOLDERS:
            parts = PARTS if "{1}" in template else ("",)
            folders = [(one, base + template.format(first, one), base + template.format(second, one)) for one in parts]
            filled = [[any(map(is_image, source.files_in(name))) for name in pair] for _, *pair in folders]
            if all(map(any, zip(*filled, strict=True))):
                found += [one for one, images in zip(folders, filled, strict=True) if any(images)]
        if found:
            return found
    return []


def _yolo_marks(source: Source, base: str) -> set[str]:
    folders = {name for _, *folders in _part_folders(source, base) for name in folders}
    return set() if _has_originals(source, base) else folders


def _read_yolo(source: Source, base: str, scan: Scan) -> Found:
    places: dict[str, tuple[str, str]] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for part, *folders in _part_folders(source, base):
        found = _pairs(source, (folders[0], folders[1]), scan)
        for one in [one for one in found if one in places]:
            scan.faults.append(f"{source.where(found[one][1])}: {one} again, first {places[one][1]}; keep one")
        places = found | places
        if part:
            lists[part] = (*lists.get(part, ()), *found)
    labels = {one: _label_file(source, names, one, scan) for one, names in places.items()}
    return Found(_entries(source, base, places, labels, scan), lists or read_lists(source, base, scan))


def _label_file(source: Source, names: tuple[str, str], stem: str, scan: Scan) -> str | None:
    """Return the label file of a pair, the thermal image's if each has one."""
    rgb, thermal = (next((one for one in label_names(name, [stem]) if one in source), None) for name in names)
    if thermal and rgb and thermal != rgb and source.read(thermal) != source.read(rgb):
        scan.quirks["pairs whose two label files differ (the thermal one is used)"] += 1
    return thermal or rgb


def _entries(
    source: Source,
    base: str,
    places: dict[str, tuple[str, str]],
    labels: dict[str, str | None],
    scan: Scan,
) -> list[Entry]:
    files = [name for name in labels.values() if name]
    if not files:
        raise BadInputError(f"{source.where(base)}: no label file such as 00000.txt of any image here")
    scan.quirks["images without a label file (kept, no boxes: background)"] += len(labels) - len(files)
    with_labels = {f"{name.rpartition('/')[0]}/" for name in files}
    stems = {file.removesuffix(".txt") for folder in with_labels for file in source.files_in(folder)}
    scan.quirks["label files of pairs without images (left out)"] += sum(map(is_id, stems - labels.keys()))
    folders = sorted({base, f"{base}labels/", *with_labels})
    named = _named_classes(source, folders)
    entries = []
    for sample_id, (rgb, thermal) in places.items():
        try:
            entries.append(_entry(source, base, sample_id, (rgb, thermal), labels[sample_id], named or YOLO_CLASSES))
        except BadInputError as error:
            scan.faults.append(str(error))
    if not named:
        _require_order(entries, f"{source.where(base)}classes.txt" if base else source.where("classes.txt"))
        scan.quirks["label files read in TarDAL's order of classes (no classes.txt or data.yaml is there)"] = len(files)
    return entries


def _entry(
    source: Source,
    base: str,
    sample_id: str,
    places: tuple[str, str],
    labels: str | None,
    classes: tuple[str, ...],
) -> Entry:
    rgb, thermal = places
    size = image_size(source, thermal if thermal in source else rgb)
    objects = read_yolo(source, labels, size, classes) if labels else ()
    boxes = (Object(one.name, one.bbox, one.bbox[2] * one.bbox[3]) for one in objects)
    where = source.where(labels or thermal)
    found = make_labels(sample_id, thermal.removeprefix(base), size, boxes, where)
    return Entry(rgb, thermal, found, labels or "")


def _named_classes(source: Source, folders: Iterable[str]) -> tuple[str, ...] | None:
    """Return the classes in the order that a file beside the labels names, or None where there is none."""
    found: dict[tuple[str, ...], str] = {}
    for name in (f"{folder}{file}" for folder in folders for file in ("classes.txt", "data.yaml")):
        if name in source:
            names = source.text(name).splitlines() if name.endswith(".txt") else _yaml_names(source, name)
            where = source.where(name)
            order = tuple(CLASSES[class_of(one.strip(), where)] for one in names if one.strip())
            found.setdefault(order, where)
    if len(found) > 1:
        raise BadInputError(f"{' and '.join(found.values())}: they name the classes in different orders; keep one")
    return next(iter(found), None)


def _yaml_names(source: Source, name: str) -> list[str]:
    """Return the `names` of a data.yaml of ultralytics: a list, or a mapping from numbers."""
    try:
        content = load_plain_yaml(_INTEGER_KEY.sub(r'\1"\2":', source.text(name)))
    except YamlFaultError as error:
        raise BadInputError(f"{source.where(name)}: {error}") from None
    names: Any = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and set(names) == {str(number) for number in range(len(names))}:
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
        raise BadInputError(
            f"{source.where(name)}: `names` is neither a list of classes nor numbers from 0 with classes"
        )
    return names


def _require_order(entries: list[Entry], place: str) -> None:
    """Refuse the whole set where its numbers of boxes are those of the classes in another order."""
    if len(entries) < len(frames()):
        return
    found = Counter(box.category for entry in entries for box in entry.labels.objects)
    read_as = [found[CLASSES.index(name)] for name in YOLO_CLASSES]
    if sorted(read_as) == sorted(BOXES) and [found[number] for number in range(len(CLASSES))] != list(BOXES):
        order = ", ".join(CLASSES[BOXES.index(count)] for count in read_as)
        raise BadInputError(
            f"{place}: missing, and by the numbers of their boxes the classes are {order}, not"
            f" {', '.join(YOLO_CLASSES)}: write them into this file in that order, one a line"
        )


TARDAL = M3fdLayout("tardal", _TARDAL_TREE, "vi/, ir/ and labels/", _tardal_marks, _read_tardal)
YOLO = M3fdLayout("yolo", _YOLO_TREE, "images/vi/train/ and images/ir/train/", _yolo_marks, _read_yolo)

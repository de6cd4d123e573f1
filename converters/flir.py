"""FLIR-aligned (Zhang et al., CFR, ICIP 2020): registered RGB-thermal pairs of road scenes."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, NamedTuple

from rgbt_bench.converting import Converter, Images, Item, Scan, file_image
from rgbt_bench.errors import BadInputError, did_you_mean
from rgbt_bench.files import read_text
from rgbt_bench.schema import Box, DatasetInfo, Illumination, Labels, SplitList

from .formats.coco import CocoImage, read_coco
from .formats.voc import VocFile, read_voc

CLASSES = ("person", "bike", "car")
_CLASS_OF = {"person": 0, "bike": 1, "bicycle": 1, "car": 2}
_DROPPED = frozenset({"dog"})
_NAME = re.compile(r"(FLIR_[0-9]{5})_(?:PreviewData|RGB)(?:\.jpe?g)?")
_FRAMES_PER_BLOCK = 100
_VAL_BLOCK = 7  # about a tenth of train: 415 of the 4,128 published frames, 82 of the 653 at night
_SIZE = (640, 512)
_VOC_LISTS = {"train": "align_train.txt", "test": "align_validation.txt"}
_COCO_FILES = {"train": "meta/thermal/flir_train.json", "test": "meta/thermal/flir_test.json"}
_KNOWN_WITHOUT_XML = {"train": 1, "test": 0}  # the published COCO files lack one of the 4,129 listed frames

_VOC_TREE = """
align/
  align_train.txt  align_validation.txt      lines like FLIR_00002_PreviewData
  JPEGImages/      FLIR_00002_RGB.jpg, FLIR_00002_PreviewData.jpeg
  Annotations/     FLIR_00002_PreviewData.xml
"""
_COCO_TREE = """
FLIR_Aligned/
  images_{rgb,thermal}_{train,test}/data/    FLIR_00002_RGB.jpg, FLIR_00002_PreviewData.jpg
  meta/thermal/flir_train.json               COCO json
  meta/thermal/flir_test.json
"""


class _Pair(NamedTuple):
    rgb: Path
    thermal: Path


class Flir(Converter):
    """FLIR-aligned from its VOC layout (the original `align/`) or its COCO layout (FFKD, RGBXFusion)."""

    info = DatasetInfo(
        name="flir",
        title="FLIR-aligned (RGB-thermal, 640x512)",
        classes=CLASSES,
        tasks=("detection",),
        homepage="https://www.flir.com/oem/adas/adas-dataset-form/ (images); Zhang et al., ICIP 2020 (alignment)",
        licence="FLIR's terms (form or click-through); a right to redistribute is not established, so keep it private.",
        citation="H. Zhang, E. Fromont, S. Lefevre, B. Avignon: Multispectral fusion for object detection with cyclic"
        " fuse-and-refine blocks. ICIP 2020, pp. 276-280.",
        split_policy="test is the published validation list (1,013 pairs). val is carved from the published train list"
        " (4,129) by blocks of 100 frame numbers: those whose hundreds digit is 7 (415 of the published ids)."
        " `flir@official` has no val.",
    )
    how_to_get = """
Get FLIR ADAS v1 through FLIR's form (https://www.flir.com/oem/adas/adas-dataset-form/) and accept its terms;
the aligned pairs (5,142, Zhang et al. 2020) are linked by their author in issue 6 of
CalayZhou/Multispectral-Pedestrian-Detection-Resource on GitHub. Then: rgbt-bench convert flir PATH
"""
    layouts: ClassVar[dict[str, str]] = {"voc": _VOC_TREE, "coco": _COCO_TREE}
    expected: ClassVar[dict[str, int]] = {"train+val": 4129, "test": 1013}

    def scan(self, root: Path) -> Scan:
        """Describe every listed pair, in whichever of the two layouts is under `root`."""
        layout, base = find_layout(root)
        scan = Scan(layout)
        listed: dict[str, list[str]] = {}
        for part in ("train", "test"):
            entries = _voc_entries(base, part, scan) if layout == "voc" else _coco_entries(base, part, scan)
            items = [item for item in (_item(base, part, pair, labels, scan) for pair, labels in entries) if item]
            # An id in both lists is a fault; where it is skipped, it must not be trained on and tested on.
            listed[part] = [
                one.labels.sample_id for one in items if one.labels.sample_id not in listed.get("train", ())
            ]
            scan.items += items
        if layout == "voc":
            _count_unlisted_voc(base, scan)
        scan.named_splits = [
            SplitList("official", {part: tuple(ids) for part, ids in listed.items()}),
            SplitList(
                "rgbxfusion",
                {
                    "train": id_list("flir_rgbxfusion_train"),
                    "val": id_list("flir_rgbxfusion_val"),
                    "test": tuple(listed["test"]),
                },
            ),
        ]
        return scan


CONVERTER = Flir


@cache
def id_list(name: str) -> tuple[str, ...]:
    """Return the sample ids of a packaged list."""
    return tuple((files(__package__) / "splits" / f"{name}.txt").read_text().split())


def find_layout(root: Path) -> tuple[str, Path]:
    """Return the layout under `root` and its base folder, looking at most two folders deep.

    Raises:
        BadInputError: neither layout is there, or more than one is.
    """
    if root.is_file():
        raise BadInputError(f"{root}: is a file; unpack the archive and give its folder")
    found = []
    for base in (root, *sorted(root.glob("*/")), *sorted(root.glob("*/*/"))):
        if (base / _VOC_LISTS["train"]).is_file() or (base / _VOC_LISTS["test"]).is_file():
            found.append(("voc", base))
        if (base / _COCO_FILES["train"]).is_file() or (base / _COCO_FILES["test"]).is_file():
            found.append(("coco", base))
    if not found:
        wanted = f"{_VOC_LISTS['train']} (voc layout) or {_COCO_FILES['train']} (coco layout)"
        raise BadInputError(f"{root}: no FLIR-aligned layout here: looked for {wanted}.\n{_VOC_TREE}{_COCO_TREE}")
    if len(found) > 1:
        places = ", ".join(f"{base} ({layout})" for layout, base in found)
        raise BadInputError(f"{root}: more than one layout here: {places}; name one of them")
    return found[0]


def part_of(sample_id: str, listed_in: str) -> str:
    """Return the default split's part: val is every tenth block of 100 frame numbers of the published train list."""
    block = int(sample_id.removeprefix("FLIR_")) // _FRAMES_PER_BLOCK
    return "val" if listed_in == "train" and block % 10 == _VAL_BLOCK else listed_in


def illumination_of(sample_id: str) -> Illumination:
    """Return day or night for the test pairs of the published lists, unknown for all others."""
    if sample_id in id_list("flir_test_day"):
        return "day"
    return "night" if sample_id in id_list("flir_test_night") else "unknown"


def sample_id_of(name: str, where: Path | str) -> str:
    """Return the sample id in the name of a list line or an image file.

    Raises:
        BadInputError: it is not a FLIR-aligned name; the message begins with `where`.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise BadInputError(f"{where}: {name!r} is no FLIR-aligned name such as FLIR_00002_PreviewData")
    return match[1]


def labels_of_coco(image: CocoImage, source: str, quirks: Counter[str]) -> Labels:
    """Return the labels of one image of the published COCO files.

    Raises:
        BadInputError: a class or a file name that FLIR-aligned does not have.
    """
    boxes = _boxes(((one.name, one.bbox, one.area, one.iscrowd, one.ignore) for one in image.objects), source, quirks)
    return _labels(sample_id_of(image.file_name, source), source, (image.width, image.height), boxes)


def labels_of_voc(sample_id: str, voc: VocFile, source: str, quirks: Counter[str]) -> Labels:
    """Return the labels of one VOC file, with the boxes as the published COCO files have them."""
    boxes = _boxes(
        ((one.name, one.bbox, one.bbox[2] * one.bbox[3], False, False) for one in voc.objects), source, quirks
    )
    return _labels(sample_id, source, (voc.width, voc.height), boxes)


def _labels(sample_id: str, source: str, size: tuple[int, int], boxes: tuple[Box, ...]) -> Labels:
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
    source: str,
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
            raise BadInputError(f"{source}: unknown class {name!r}. {did_you_mean(name, [*_CLASS_OF, *_DROPPED])}")
    return tuple(boxes)


def _item(base: Path, part: str, pair: _Pair, labels: Labels, scan: Scan) -> Item | None:
    missing = [path for path in pair if not path.is_file()]
    if missing:
        names = " and ".join(str(path) for path in missing)
        scan.faults.append(f"{names}: missing, but {labels.sample_id} is listed in {part}")
        return None
    if not labels.objects:
        scan.quirks[f"{part}: pairs without boxes (kept)"] += 1
    sizes = [path.stat().st_size for path in pair]
    stamp = " ".join(f"{path.relative_to(base)} {path.stat().st_mtime_ns}" for path in pair)
    return Item(part_of(labels.sample_id, part), labels, lambda: _read(pair), sum(sizes), stamp)


def _read(pair: _Pair) -> Images:
    return Images(rgb=file_image(pair.rgb), thermal=file_image(pair.thermal))


def _voc_entries(base: Path, part: str, scan: Scan) -> Iterator[tuple[_Pair, Labels]]:
    listed = list(_voc_listed(base / _VOC_LISTS[part], part, scan))
    annotations = {sample_id: base / "Annotations" / f"{sample_id}_PreviewData.xml" for sample_id in listed}
    without = {sample_id for sample_id, xml in annotations.items() if not xml.exists()}
    if len(without) > _KNOWN_WITHOUT_XML[part]:
        missing = (annotations[sample_id] for sample_id in sorted(without))
        scan.faults += [f"{xml}: no such annotation file, but the pair is listed in {part}" for xml in missing]
        listed = [sample_id for sample_id in listed if sample_id not in without]
    elif without:
        scan.quirks[f"{part}: listed pair without an annotation file (kept, no boxes)"] += len(without)
    for sample_id in listed:
        images = base / "JPEGImages"
        pair = _Pair(images / f"{sample_id}_RGB.jpg", images / f"{sample_id}_PreviewData.jpeg")
        source = pair.thermal.relative_to(base).as_posix()
        if sample_id in without:
            yield pair, _labels(sample_id, source, _SIZE, ())
            continue
        try:
            yield pair, labels_of_voc(sample_id, read_voc(annotations[sample_id]), source, scan.quirks)
        except BadInputError as error:
            scan.faults.append(str(error))


def _voc_listed(path: Path, part: str, scan: Scan) -> Iterator[str]:
    """Yield the sample ids of a list file in its order; bad lines are faults."""
    if not path.is_file():
        scan.quirks[f"{part}: no list {path.name}, so this part is empty"] += 1
        return
    for row, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield sample_id_of(line.strip(), f"{path}: line {row}")
        except BadInputError as error:
            scan.faults.append(str(error))


def _count_unlisted_voc(base: Path, scan: Scan) -> None:
    lists = [base / name for name in _VOC_LISTS.values()]
    listed = {stem for path in lists if path.is_file() for stem in read_text(path).split()}
    found = {path.stem for path in (base / "JPEGImages").glob("FLIR_*_PreviewData.jpeg")}
    scan.quirks["thermal images that no list names (left out)"] += len(found - listed)


def _coco_entries(base: Path, part: str, scan: Scan) -> Iterator[tuple[_Pair, Labels]]:
    path = base / _COCO_FILES[part]
    if not path.is_file():
        scan.quirks[f"{part}: no {path.name}, so this part is empty"] += 1
        return
    folders = {modality: base / f"images_{modality}_{part}" / "data" for modality in ("rgb", "thermal")}
    listed = set()
    for image in read_coco(path):
        try:
            sample_id = sample_id_of(image.file_name, path)
            pair = _Pair(folders["rgb"] / f"{sample_id}_RGB.jpg", folders["thermal"] / f"{sample_id}_PreviewData.jpg")
            listed.add(pair.thermal.name)
            yield pair, labels_of_coco(image, pair.thermal.relative_to(base).as_posix(), scan.quirks)
        except BadInputError as error:
            scan.faults.append(str(error))
    unlisted = {entry.name for entry in folders["thermal"].glob("FLIR_*.jp*g")} - listed
    scan.quirks[f"{part}: thermal images that {path.name} does not list (left out)"] += len(unlisted)

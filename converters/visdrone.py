"""VisDrone2019-DET (Zhu et al.): images from drones with boxes of ten classes; there is no thermal image."""

from collections.abc import Iterator
from typing import ClassVar

from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import image_size
from rgbt_bench.formats.yolo import read_yolo
from rgbt_bench.schema import Box, DatasetInfo, Labels, Rect, SplitList
from rgbt_bench.sources import Source

from ._stems import images_by_stem, labels_by_stem
from ._visdrone_labels import CLASSES, boxes_of_yolo, read_annotations, scene_of
from ._visdrone_layouts import FOLDERS, LAYOUTS, UNLABELLED, PartFolder, find_parts

_LOST = "YOLO labels: boxes of score 0, ignored regions, others, truncation and occlusion are lost in this layout"
_VAL_ORIGIN = (
    "this project: train is the published train, test the published val, which papers report on; no part is left to"
    " select on, and test-dev is in no part; the ids are those of the archive"
)


class VisDrone(Converter):
    """VisDrone2019-DET as published, part by part, or with the YOLO labels that Ultralytics makes of it."""

    info = DatasetInfo(
        name="visdrone",
        title="VisDrone2019-DET (RGB from drones, no thermal)",
        classes=CLASSES,
        tasks=("detection",),
        homepage="https://github.com/VisDrone/VisDrone-Dataset",
        licence="Not established: the authors' repository states none, and copies on the Hub contradict each other; a"
        " right to redistribute is not established, so keep it private.",
        citation="P. Zhu, L. Wen, D. Du, X. Bian, H. Fan, Q. Hu, H. Ling: Detection and tracking meet drones challenge."
        " IEEE TPAMI 44(11), 2022, pp. 7380-7399.",
        split_policy="The published parts: train, val; `test` is test-dev, whose labels are public (Ultralytics calls"
        " it so, too); `challenge` is test-challenge, whose labels are not: its samples without boxes are unlabelled,"
        " not background. Part names take no hyphen, as Hugging Face's split names do not. `others` is no class that"
        " is evaluated: its boxes are always ignored. A scene is a clip or a collection of photographs, which is the"
        " first number of a name; as published, train and val share some clips.",
    )
    how_to_get = """
Follow the links to Task 1 (object detection in images) in the README of https://github.com/VisDrone/VisDrone-Dataset:
VisDrone2019-DET-{train,val,test-dev,test-challenge}.zip. Give one of the zips, or unpack several into one folder and
give that. Then: rgbt-bench convert visdrone PATH
"""
    layouts: ClassVar[dict[str, str]] = {layout.name: layout.tree for layout in LAYOUTS}
    parts: ClassVar[tuple[str, ...]] = tuple(FOLDERS)
    expected: ClassVar[dict[str, int]] = {"train": 6471, "val": 548, "test": 1610, "challenge": 1580}

    def scan(self, source: Source) -> Scan:
        """Describe every image of every part that is there."""
        layout, folders = find_parts(source)
        scan = Scan(layout)
        for folder in folders:
            scan.items += _items(source, folder, scan)
        if layout == "yolo":
            scan.quirks[_LOST] += 1
        scan.named_splits = _val_split(scan.items)
        return scan


CONVERTER = VisDrone


def _val_split(items: list[Item]) -> list[SplitList]:
    """Return the split whose test part is the published val, where train and val are here."""
    ids = {
        name: tuple(sorted(item.labels.sample_id for item in items if item.part == part))
        for name, part in (("train", "train"), ("test", "val"))
    }
    return [SplitList("val", ids, _VAL_ORIGIN)] if all(ids.values()) else []


def _items(source: Source, folder: PartFolder, scan: Scan) -> Iterator[Item]:
    """Yield the samples of a part; halves that are missing are faults.

    Raises:
        BadInputError: a part that has labels has no file of them.
    """
    images = images_by_stem(source, folder.images, scan)
    at = folder.labels if folder.layout(source) == "yolo" else folder.annotations
    texts = labels_by_stem(source, at, ".txt")
    if not texts and folder.part != UNLABELLED:
        raise BadInputError(
            f"{source.where(at)}: no annotations of the images of {folder.part} (0000002_00005_d_0000014.txt and so"
            " on): put those of the published archive there"
        )
    for other in folder.passed_over:
        scan.quirks[f"{folder.part}: another copy of the images (left out)"] += len(source.files_in(other))
    scan.faults += [
        f"{source.where(texts[stem])}: there is no image {stem} in {source.where(folder.images)}"
        for stem in sorted(texts.keys() - images.keys())
    ]
    for stem, name in images.items():
        try:
            yield _item(source, folder, stem, name, texts, scan)
        except BadInputError as error:
            scan.faults.append(str(error))


def _item(source: Source, folder: PartFolder, stem: str, name: str, texts: dict[str, str], scan: Scan) -> Item:
    is_yolo = folder.layout(source) == "yolo"
    if texts and stem not in texts and not is_yolo:
        raise BadInputError(
            f"{source.where(name)}: no annotation file of this image, but others of {folder.part} have one; an empty"
            " file would say that nothing is labelled there"
        )
    size = image_size(source, name)
    boxes, regions = _read(source, texts[stem], size, is_yolo, scan) if stem in texts else ((), ())
    labels = Labels(
        sample_id=stem,
        width=size[0],
        height=size[1],
        objects=boxes,
        ignore_regions=regions,
        scene=scene_of(stem),
        source=name.removeprefix(folder.base),
    )
    if not texts:
        scan.quirks[f"{folder.part}: images without published labels (kept; unlabelled, not background)"] += 1
    elif stem not in texts:
        scan.quirks[f"{folder.part}: images without a label file (kept, no boxes: background)"] += 1
    elif not boxes:
        scan.quirks[f"{folder.part}: images without boxes (kept)"] += 1
    return Item(folder.part, labels, name, label_file=texts.get(stem, ""))


def _read(
    source: Source, text: str, size: tuple[int, int], is_yolo: bool, scan: Scan
) -> tuple[tuple[Box, ...], tuple[Rect, ...]]:
    """Return the boxes and the ignored regions of one image."""
    if is_yolo:
        return boxes_of_yolo(read_yolo(source, text, size, CLASSES, without_area=True), scan.quirks), ()
    return read_annotations(source, text, scan.quirks)

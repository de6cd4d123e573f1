"""The layouts that FLIR-aligned comes in: where each keeps its lists, images and annotations."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from rgbt_bench.converting import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Labels
from rgbt_bench.sources import Source

from ._flir_labels import SIZE, labels_of_coco, labels_of_voc, make_labels, sample_id_of
from .formats.coco import read_coco
from .formats.voc import read_voc

PARTS = ("train", "test")
_DEPTH = 2  # how far below what the user named a layout is looked for
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


class Pair(NamedTuple):
    """The names of a pair's two files in the source."""

    rgb: str
    thermal: str


Entries = Iterator[tuple[Pair, Labels]]


@dataclass(frozen=True)
class Layout:
    """One layout: its tree for people, the files that give it away (any will do), and how its pairs are listed.

    `entries(source, base, part, scan)` yields the pairs of `train` or `test`, whose file names begin with `base`.
    """

    name: str
    tree: str
    marks: tuple[str, ...]
    entries: Callable[[Source, str, str, Scan], Entries]


def find_layout(source: Source) -> tuple[Layout, str]:
    """Return the layout of a source and the prefix of its base folder, looking at most two folders deep.

    Raises:
        BadInputError: no layout is there, or more than one is.
    """
    found = [
        (layout, base)
        for base in source.bases(_DEPTH)
        for layout in LAYOUTS
        if any(base + mark in source for mark in layout.marks)
    ]
    if not found:
        wanted = " or ".join(f"{layout.marks[0]} ({layout.name} layout)" for layout in LAYOUTS)
        trees = "".join(layout.tree for layout in LAYOUTS)
        raise BadInputError(f"{source.root}: no FLIR-aligned layout here: looked for {wanted}.\n{trees}")
    if len(found) > 1:
        places = ", ".join(f"{source.where(base).rstrip('/')} ({layout.name})" for layout, base in found)
        raise BadInputError(f"{source.root}: more than one layout here: {places}; name one of them")
    return found[0]


def _voc_entries(source: Source, base: str, part: str, scan: Scan) -> Entries:
    listed = list(_voc_listed(source, base, part, scan))
    annotations = {sample_id: f"{base}Annotations/{sample_id}_PreviewData.xml" for sample_id in listed}
    without = {sample_id for sample_id, xml in annotations.items() if xml not in source}
    if len(without) > _KNOWN_WITHOUT_XML[part]:
        missing = (source.where(annotations[sample_id]) for sample_id in sorted(without))
        scan.faults += [f"{xml}: no such annotation file, but the pair is listed in {part}" for xml in missing]
        listed = [sample_id for sample_id in listed if sample_id not in without]
    elif without:
        scan.quirks[f"{part}: listed pair without an annotation file (kept, no boxes)"] += len(without)
    for sample_id in listed:
        images = f"JPEGImages/{sample_id}"
        pair = Pair(f"{base}{images}_RGB.jpg", f"{base}{images}_PreviewData.jpeg")
        place = f"{images}_PreviewData.jpeg"
        if sample_id in without:
            yield pair, make_labels(sample_id, place, SIZE, ())
            continue
        try:
            yield pair, labels_of_voc(sample_id, read_voc(source, annotations[sample_id]), place, scan.quirks)
        except BadInputError as error:
            scan.faults.append(str(error))
    if part == PARTS[-1]:
        _count_unlisted_voc(source, base, scan)


def _voc_listed(source: Source, base: str, part: str, scan: Scan) -> Iterator[str]:
    """Yield the sample ids of a list file in its order; bad lines are faults."""
    name = base + _VOC_LISTS[part]
    if name not in source:
        scan.quirks[f"{part}: no list {_VOC_LISTS[part]}, so this part is empty"] += 1
        return
    for row, line in enumerate(source.text(name).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield sample_id_of(line.strip(), f"{source.where(name)}: line {row}")
        except BadInputError as error:
            scan.faults.append(str(error))


def _count_unlisted_voc(source: Source, base: str, scan: Scan) -> None:
    lists = [base + name for name in _VOC_LISTS.values()]
    listed = {stem for name in lists if name in source for stem in source.text(name).split()}
    thermal = [name for name in source.files_in(f"{base}JPEGImages") if name.endswith("_PreviewData.jpeg")]
    found = {name.removesuffix(".jpeg") for name in thermal}
    scan.quirks["thermal images that no list names (left out)"] += len(found - listed)


def _coco_entries(source: Source, base: str, part: str, scan: Scan) -> Entries:
    name = base + _COCO_FILES[part]
    file = name.rpartition("/")[2]
    if name not in source:
        scan.quirks[f"{part}: no {file}, so this part is empty"] += 1
        return
    rgb, thermal = (f"images_{modality}_{part}/data" for modality in ("rgb", "thermal"))
    listed = set()
    for image in read_coco(source, name):
        try:
            sample_id = sample_id_of(image.file_name, source.where(name))
            place = f"{thermal}/{sample_id}_PreviewData.jpg"
            listed.add(f"{sample_id}_PreviewData.jpg")
            pair = Pair(f"{base}{rgb}/{sample_id}_RGB.jpg", base + place)
            yield pair, labels_of_coco(image, place, scan.quirks)
        except BadInputError as error:
            scan.faults.append(str(error))
    found = {one for one in source.files_in(base + thermal) if one.startswith("FLIR_")}
    scan.quirks[f"{part}: thermal images that {file} does not list (left out)"] += len(found - listed)


LAYOUTS = (
    Layout("voc", _VOC_TREE, tuple(_VOC_LISTS.values()), _voc_entries),
    Layout("coco", _COCO_TREE, tuple(_COCO_FILES.values()), _coco_entries),
)

"""The layouts of FLIR-aligned with VOC annotations: the original, that of D3T, and that of zonaqiu/FLIR-align."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.voc import read_voc
from rgbt_bench.sources import Source

from ._flir_labels import SIZE, labels_of_voc, make_labels, sample_id_of
from ._flir_pairs import PARTS, Entries, FlirLayout, Pair

_KNOWN_WITHOUT_XML = {"train": 1, "test": 0}  # the published COCO files lack one of the 4,129 listed frames
_MAIN = "ImageSets/Main/"
_ROOT_LISTS = {"train": ("align_train.txt",), "test": ("align_validation.txt",)}

_VOC_TREE = """
align/
  align_train.txt  align_validation.txt      lines like FLIR_00002_PreviewData
  JPEGImages/      FLIR_00002_RGB.jpg, FLIR_00002_PreviewData.jpeg
  Annotations/     FLIR_00002_PreviewData.xml
"""
_D3T_TREE = """
FLIR_ICIP2020_aligned/
  ImageSets/Main/  align_train.txt, or its halves align_train_CarPersonBicycle_{RGB,IR}.txt, which are put together;
                   align_validation.txt, or align_validation_CarPersonBicycle_{RGB,IR}.txt
  JPEGImages/      FLIR_00002_RGB.jpg, FLIR_00002_PreviewData.jpeg
  Annotations/     FLIR_00002_PreviewData.xml
"""
_IR_TREE = """
FLIR-align/
  align_train.txt  align_validation.txt      lines like FLIR_00002_PreviewData
  JPEGImages/      FLIR_00002_RGB.jpg
  IR/              FLIR_00002_PreviewData.jpeg
  Annotations/     FLIR_00002_PreviewData.xml, to be copied here from the original archive
"""


@dataclass(frozen=True)
class _Voc:
    """Where one of the layouts keeps its lists, by part, and its thermal images; lists at the top go before others."""

    lists: Mapping[str, tuple[str, ...]]
    thermal: str = "JPEGImages"

    def marks(self, source: Source, base: str) -> set[str]:
        """Return the lists that are there, if the thermal images are in the folder of this layout."""
        here = self.thermal == ("IR" if source.files_in(f"{base}IR") else "JPEGImages")
        at_top, names = (
            [base + name for found in lists.values() for name in found] for lists in (_ROOT_LISTS, self.lists)
        )
        if names != at_top and any(name in source for name in at_top):
            return set()
        return {name for name in names if here and name in source}

    def entries(self, source: Source, base: str, part: str, scan: Scan) -> Entries:
        """Yield the pairs that the lists of a part name."""
        listed = list(self._listed(source, base, part, scan))
        xmls = {sample_id: f"{base}Annotations/{sample_id}_PreviewData.xml" for sample_id in listed}
        without = {sample_id for sample_id, xml in xmls.items() if xml not in source}
        if listed and not source.files_in(f"{base}Annotations"):
            raise BadInputError(
                f"{source.where(base + 'Annotations')}: no annotations (FLIR_00002_PreviewData.xml and so on): copy"
                " Annotations/ of the original archive to this place; `rgbt-bench convert flir` says where it is found"
            )
        if len(without) > _KNOWN_WITHOUT_XML[part]:
            missing = (source.where(xmls[sample_id]) for sample_id in sorted(without))
            scan.faults += [f"{xml}: no such annotation file, but the pair is listed in {part}" for xml in missing]
            listed = [sample_id for sample_id in listed if sample_id not in without]
        elif without:
            scan.quirks[f"{part}: listed pair without an annotation file (kept, no boxes)"] += len(without)
        for sample_id in listed:
            place = f"{self.thermal}/{sample_id}_PreviewData.jpeg"
            pair = Pair(f"{base}JPEGImages/{sample_id}_RGB.jpg", base + place)
            if sample_id in without:
                yield pair, make_labels(sample_id, place, SIZE, ()), ""
                continue
            xml = xmls[sample_id]
            try:
                yield pair, labels_of_voc(sample_id, read_voc(source, xml), place, scan.quirks, source.where(xml)), xml
            except BadInputError as error:
                scan.faults.append(str(error))
        if part == PARTS[-1]:
            self._count_unlisted(source, base, scan)

    def _listed(self, source: Source, base: str, part: str, scan: Scan) -> Iterator[str]:
        """Yield the sample ids of a part in their order; bad lines are faults."""
        names = [base + name for name in self.lists[part] if base + name in source]
        if not names:
            scan.quirks[f"{part}: no list {' or '.join(self.lists[part])}, so this part is empty"] += 1
        before: set[str] = set()  # an id may be in each list, but in no list twice
        for name in names:
            found = list(_lines(source, name, scan.faults))
            yield from (sample_id for sample_id in found if sample_id not in before)
            before.update(found)

    def _count_unlisted(self, source: Source, base: str, scan: Scan) -> None:
        names = (base + name for lists in self.lists.values() for name in lists)
        listed = {sample_id for name in names if name in source for sample_id in _lines(source, name, [])}
        end = "_PreviewData.jpeg"
        found = {name.removesuffix(end) for name in source.files_in(base + self.thermal) if name.endswith(end)}
        scan.quirks["thermal images that no list names (left out)"] += len(found - listed)


def _lines(source: Source, name: str, faults: list[str]) -> Iterator[str]:
    for row, line in enumerate(source.text(name).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield sample_id_of(line.strip(), f"{source.where(name)}: line {row}")
        except BadInputError as error:
            faults.append(str(error))


def _layout(name: str, tree: str, looked_for: str, voc: _Voc) -> FlirLayout:
    return FlirLayout(name, tree, looked_for, voc.marks, voc.entries)


def _in_main(name: str) -> tuple[str, ...]:
    """Return the lists of D3T for a part: the whole one and the halves for each modality."""
    return tuple(f"{_MAIN}{name}{half}.txt" for half in ("", "_CarPersonBicycle_RGB", "_CarPersonBicycle_IR"))


VOC = _layout("voc", _VOC_TREE, "align_train.txt", _Voc(_ROOT_LISTS))
D3T = _layout(
    "d3t",
    _D3T_TREE,
    f"{_MAIN}align_train*.txt",
    _Voc({"train": _in_main("align_train"), "test": _in_main("align_validation")}),
)
IR = _layout("voc-ir", _IR_TREE, "align_train.txt beside IR/", _Voc(_ROOT_LISTS, "IR"))

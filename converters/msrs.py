"""MSRS (Tang et al., PIAFusion, 2022): MFNet's aligned pairs with enhanced thermal pictures."""

from collections.abc import Mapping
from typing import ClassVar

from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import image_size, is_image
from rgbt_bench.layouts import Layout, find_layout
from rgbt_bench.schema import DatasetInfo, Labels, SplitList
from rgbt_bench.sources import Source

from ._id_lists import id_list
from ._mfnet_labels import CLASSES as MASK_CLASSES
from ._mfnet_labels import PALETTE, SAMPLE_ID, illumination_of
from ._msrs_boxes import CLASSES, BoxFiles

_PARTS = ("train", "test")
_RGB, _THERMAL, _MASK = _KINDS = ("vi", "ir", "Segmentation_labels")
_FRAMES_PER_BLOCK = 50
_VAL_BLOCK = 7  # about a tenth of train by day and by night: 54 of 536 and 57 of 547
_TREE = """
MSRS/
  {train,test}/vi/, ir/                      00001D.png
  {train,test}/Segmentation_labels/          00001D.png; may be missing
  detection_label/fusion/{train,test}/       00001D.txt, YOLO: 0 person, 1 bicycle, 2 car; may be missing
  detection_label/classes.txt
detection_label/{infrared,visible}/ and detection/ are left out.
"""


def _marks(source: Source, base: str) -> set[str]:
    folders = [f"{base}{part}/{kind}" for part in _PARTS for kind in (_RGB, _THERMAL)]
    return {folder for folder in folders if _pictures(source, folder)}


def _pictures(source: Source, folder: str) -> dict[str, str]:
    """Return a folder's pictures by sample id."""
    stems = {file.rpartition(".")[0]: file for file in source.files_in(folder) if is_image(file)}
    return {stem: f"{folder}/{file}" for stem, file in stems.items() if SAMPLE_ID.fullmatch(stem)}


LAYOUT = Layout("original", _TREE, "train/vi/00001D.png or test/vi/00001D.png", _marks)


class Msrs(Converter):
    """MSRS as its authors publish it, with the detection labels that circulate beside it."""

    info = DatasetInfo(
        name="msrs",
        title="MSRS (RGB-thermal road scenes, 640x480)",
        classes=CLASSES,
        tasks=("fusion", "segmentation", "detection"),
        homepage="https://github.com/Linfeng-Tang/MSRS",
        licence="None stated (its pictures are MFNet's, of which none was found either), so keep it private.",
        citation="L. Tang, J. Yuan, H. Zhang, X. Jiang, J. Ma: PIAFusion: A progressive infrared and visible image"
        " fusion network based on illumination aware. Information Fusion 83-84, 2022, pp. 79-92.",
        split_policy="test is the published one (361 pairs). val is carved from the published train (1,083) by blocks"
        " of 50 numbers: those whose block number ends in 7 (111 pairs, 54 by day). `msrs@official` has no val. test is"
        " every fourth pair of the 1,444, so the frame before and the frame after it are in train: it favours what"
        " remembers. The pairs are MFNet's under the same ids: 277 of MSRS's train are in MFNet's test, and 182 of"
        " MSRS's test in MFNet's train, so never train on one set and test on the other. Boxes are those of"
        " detection_label/fusion, which is not of the authors' archive: of its 34 boxes on eleven pairs each is also"
        " drawn on the thermal picture (12), the visible one (1) or both (21). It is not the union of the other two"
        " folders: 17 small boxes of infrared's 50 and 5 of visible's 27 are not in it. `msrs@detection` has the pairs"
        " with such labels.",
        mask_classes=MASK_CLASSES,
        palette=PALETTE,
    )
    how_to_get = """
The authors publish it at https://github.com/Linfeng-Tang/MSRS; no licence is stated: keep it private.
Then: rgbt-bench convert msrs PATH
"""
    layouts: ClassVar[dict[str, str]] = {LAYOUT.name: LAYOUT.tree}
    expected: ClassVar[dict[str, int]] = {"train+val": 1083, "test": 361}

    def published_splits(self) -> tuple[SplitList, ...]:
        """Return the authors' two parts."""
        origin = (
            "Linfeng-Tang/MSRS: its folders; ids as in haoqiu111/RGB-T-3, whose first hundred of each part and whose"
            " counts were compared with the authors' folders"
        )
        return (SplitList("official", _published(), origin),)

    def scan(self, source: Source) -> Scan:
        """Describe every pair of both parts."""
        layout, base = find_layout(source, [LAYOUT], "MSRS")
        scan = Scan(layout.name)
        boxes = BoxFiles(source, base)
        boxes.check_classes(scan)
        places: dict[str, str] = {}
        for part in _PARTS:
            kinds = {kind: _pictures(source, f"{base}{part}/{kind}") for kind in _KINDS}
            ids = kinds[_RGB].keys() | kinds[_THERMAL].keys()
            for sample_id in sorted(ids):
                item = _item(source, base, part, sample_id, kinds, boxes, places, scan)
                scan.items += [item] if item else []
            boxes.count(part, set(ids), scan)
            _count(source, base, part, kinds, scan)
        scan.quirks["files in detection/ (left out: their names are bare numbers, their classes unnamed)"] += sum(
            name.startswith(f"{base}detection/") for name in source.names
        )
        if boxes.named:
            scan.named_splits = [_detection_split(scan, boxes.named)]
        return scan


CONVERTER = Msrs


def part_of(sample_id: str, folder: str) -> str:
    """Return the default split's part: val is every tenth block of 50 numbers of the published train part."""
    block = int(sample_id[:-1]) // _FRAMES_PER_BLOCK
    return "val" if folder == "train" and block % 10 == _VAL_BLOCK else folder


def _published() -> dict[str, tuple[str, ...]]:
    return {part: id_list(f"msrs_{part}") for part in _PARTS}


def _detection_split(scan: Scan, named: set[str]) -> SplitList:
    parts: dict[str, tuple[str, ...]] = {
        part: tuple(one.labels.sample_id for one in scan.items if one.part == part and one.labels.sample_id in named)
        for part in Msrs.parts
    }
    return SplitList("detection", parts, "the default split's pairs that detection_label/fusion has a file of")


def _item(
    source: Source,
    base: str,
    part: str,
    sample_id: str,
    kinds: Mapping[str, Mapping[str, str]],
    boxes: BoxFiles,
    places: dict[str, str],
    scan: Scan,
) -> Item | None:
    """Return a pair, or None where it is faulty; `places` has where each id was found before."""
    names = {kind: kinds[kind].get(sample_id) for kind in _KINDS}
    rgb, thermal, mask = names.values()
    if not rgb or not thermal:
        missing, other = (_RGB, thermal) if not rgb else (_THERMAL, rgb)
        place = source.where(f"{base}{part}/{missing}/{sample_id}.png")
        scan.faults.append(f"{place}: missing, but {source.where(other or '')} is there")
        return None
    if sample_id in places:
        scan.faults.append(f"{source.where(rgb)}: {sample_id} again, first in {places[sample_id]}; keep one")
        return None
    places[sample_id] = source.where(rgb)
    try:
        width, height = size = image_size(source, mask or thermal)
        objects = boxes.read(part, sample_id, size)
    except BadInputError as error:
        scan.faults.append(str(error))
        return None
    labels = Labels(
        sample_id=sample_id,
        width=width,
        height=height,
        objects=objects,
        illumination=illumination_of(sample_id),
        source=rgb.removeprefix(base),
    )
    return Item(part_of(sample_id, part), labels, rgb, thermal, mask, boxes.file(part, sample_id))


def _count(source: Source, base: str, part: str, kinds: Mapping[str, Mapping[str, str]], scan: Scan) -> None:
    """Count what a part's folders lack, what is not read of them, and what the published lists have elsewhere."""
    ids = kinds[_RGB].keys() | kinds[_THERMAL].keys()
    scan.quirks[f"{part}: no pictures, so this part is empty"] += not ids
    scan.quirks[f"{part}: pairs without a label map (kept)"] += len(ids - kinds[_MASK].keys())
    scan.quirks[f"{part}: label maps of no pair (left out)"] += len(kinds[_MASK].keys() - ids)
    read = {name for found in kinds.values() for name in found.values()}
    others = [name for name in source.names if name.startswith(f"{base}{part}/") and name not in read]
    scan.quirks[f"{part}: other files (left out)"] += len(others)
    published = {sample_id: where for where, listed in _published().items() for sample_id in listed}
    strange = [published.get(sample_id) for sample_id in ids if published.get(sample_id) != part]
    scan.quirks[f"{part}: pairs that neither published part has"] += strange.count(None)
    scan.quirks[f"{part}: pairs that the published set has in the other part"] += len(strange) - strange.count(None)

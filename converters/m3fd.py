"""M3FD (Liu et al., TarDAL, CVPR 2022): registered RGB-thermal pairs of roads and campuses."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.errors import BadInputError
from rgbt_bench.layouts import find_layout
from rgbt_bench.schema import DatasetInfo, SplitList
from rgbt_bench.sources import Source

from ._id_lists import id_list
from ._m3fd_coco import COCO
from ._m3fd_labels import CLASSES
from ._m3fd_pairs import PARTS, Entry, first_folder
from ._m3fd_scenes import frames
from ._m3fd_voc import FLAT, FUSION, IR, OLD, VIS
from ._m3fd_yolo import TARDAL, YOLO

LAYOUTS = (OLD, FLAT, COCO, TARDAL, YOLO)


class M3fd(Converter):
    """M3FD from any of the layouts that circulate."""

    info = DatasetInfo(
        name="m3fd",
        title="M3FD (RGB-thermal, mostly 1024x768)",
        classes=CLASSES,
        tasks=("detection", "fusion"),
        homepage="https://github.com/JinyuanLiu-CV/TarDAL",
        licence="None is stated; a right to redistribute is not established, so keep it private.",
        citation="J. Liu, X. Fan, Z. Huang, G. Wu, R. Liu, W. Zhong, Z. Luo: Target-aware dual adversarial learning and"
        " a multi-scenario multi-modality benchmark to fuse infrared and visible for object detection. CVPR 2022,"
        " pp. 5802-5811.",
        split_policy="No split is official. Ours goes by scene: ranges of ids of one scenario and scene, overlapping"
        " ranges, neighbours of one name, and neighbours whose labels go on are one group, and no group is in two"
        " parts (docs/measurements/m3fd_split.py). `m3fd@random82` is the field's random 8:2, whose parts hold frames"
        " of the same videos.",
    )
    how_to_get = """
Get M3FD through the README of JinyuanLiu-CV/TarDAL on GitHub, which links a Google Drive folder and a Baidu copy
(M3FD_Detection, 4,200 pairs; the 300 pairs of M3FD_Fusion are other pictures and are left out). Then:
rgbt-bench convert m3fd PATH
"""
    layouts: ClassVar[dict[str, str]] = {layout.name: layout.tree for layout in LAYOUTS}
    expected: ClassVar[dict[str, int]] = {"train+val+test": 4200}

    def published_splits(self) -> tuple[SplitList, ...]:
        """Return our split by scene, which is the default one, and those of the field whose lists are known."""
        ours = {part: tuple(one for one, frame in frames().items() if frame.part == part) for part in PARTS}
        field = {part: id_list(f"m3fd_rgbxfusion_{part}") for part in PARTS}
        random82 = {"train": tuple(sorted(field["train"] + field["val"])), "test": field["test"]}
        nine = {part: id_list(f"m3fd_togethernet_{part}") for part in ("val", "test")}
        rest = tuple(sorted(frames().keys() - {*nine["val"], *nine["test"]}))
        return (
            SplitList(DEFAULT_SPLIT, ours, "this project's split by scene: docs/measurements/m3fd_split.py"),
            SplitList("rgbxfusion", field, "dsriaditya999/RGBXFusion: meta/{train,val,test}.txt; random, frames leak"),
            SplitList(
                "random82",
                random82,
                "the field's random 8:2, as in ganlumomo/TarDAL (meta/{train,val}.txt: 3,360 and 840); its 840 are the"
                " test part of RGBXFusion, which cut the 3,360 again; of the 3,360 only the ends of the list were"
                " seen, train is all that are not in the 840; frames leak",
            ),
            SplitList(
                "togethernet",
                {"train": rest, **nine},
                "yehengkang/TogetherNet_Priors: datasets/M3FD/{val,test}.txt (random 9:1, twice); train is all others,"
                " its list was not read; frames leak",
            ),
        )

    def scan(self, source: Source) -> Scan:
        """Describe every pair, in whichever of the layouts the source has."""
        _require_labels(source)
        layout, base = find_layout(source, LAYOUTS, "M3FD")
        scan = Scan(layout.name)
        found = layout.read(source, base, scan)
        scan.items = [item for item in (_item(source, entry, scan) for entry in found.entries) if item]
        scan.named_splits = self._archive_split(found.lists, scan)
        return scan

    def _archive_split(self, lists: Mapping[str, tuple[str, ...]], scan: Scan) -> list[SplitList]:
        """Return the archive's own lists as a split, if they are none that is known."""
        lists = {part: ids for part, ids in lists.items() if ids}
        every = [sample_id for ids in lists.values() for sample_id in ids]
        pairs = {item.labels.sample_id for item in scan.items}
        if len(lists) < 2:
            return []
        scan.quirks["ids in lists of the archive that have no pair"] += len(set(every) - pairs)
        if twice := len(every) - len(set(every)):
            scan.quirks["pairs in more than one list of the archive (which are no split: left out)"] += twice
            return []
        if any(_is_within(lists, known.parts) for known in self.published_splits()):
            return []
        return [SplitList("archive", lists, "the lists or the folders of the parts in the archive that was converted")]


CONVERTER = M3fd


def _is_within(lists: Mapping[str, Sequence[str]], parts: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether every list lies in a part of its own, whatever the part is called."""
    homes = [[name for name, ids in parts.items() if set(found) <= set(ids)] for found in lists.values()]
    return all(homes) and len({name for names in homes for name in names}) == len(lists)


def _require_labels(source: Source) -> None:
    if not any(name.endswith((".xml", ".txt", ".json")) for name in source.names) and all(
        first_folder(source, "", names) for names in (VIS, IR)
    ):
        raise BadInputError(
            f"{source.root}: Vis and Ir are here, but no labels: Annotation/ of M3FD_Detection belongs beside them. The"
            f" 300 pairs of {FUSION} have none, and are other pictures than the detection pairs of the same ids"
        )


def _item(source: Source, entry: Entry, scan: Scan) -> Item | None:
    sample_id = entry.labels.sample_id
    missing = [source.where(name) for name in (entry.rgb, entry.thermal) if name not in source]
    if missing:
        scan.faults.append(f"{' and '.join(missing)}: missing, but {sample_id} has the rest of a pair")
        return None
    scan.quirks["pairs without boxes (kept)"] += not entry.labels.objects
    return Item(frames()[sample_id].part, entry.labels, entry.rgb, entry.thermal, label_file=entry.label_file)

"""FLIR-aligned (Zhang et al., CFR, ICIP 2020): registered RGB-thermal pairs of road scenes."""

from typing import ClassVar

from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.layouts import find_layout
from rgbt_bench.schema import DatasetInfo, Labels, SplitList
from rgbt_bench.sources import Source

from ._flir_labels import CLASSES, part_of
from ._flir_layouts import LAYOUTS
from ._flir_pairs import PARTS, Pair
from ._id_lists import id_list


class Flir(Converter):
    """FLIR-aligned from any of the layouts that circulate."""

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
    layouts: ClassVar[dict[str, str]] = {layout.name: layout.tree for layout in LAYOUTS}
    expected: ClassVar[dict[str, int]] = {"train+val": 4129, "test": 1013}

    def published_splits(self) -> tuple[SplitList, ...]:
        """Return the split of RGBXFusion; its test part is the official one."""
        lists = {part: id_list(f"flir_rgbxfusion_{part}") for part in ("train", "val")}
        test = id_list("flir_test_day") + id_list("flir_test_night")
        origin = "dsriaditya999/RGBXFusion: the ids of its COCO files; test is the official one"
        return (SplitList("rgbxfusion", {**lists, "test": test}, origin),)

    def scan(self, source: Source) -> Scan:
        """Describe every listed pair, in whichever of the layouts the source has."""
        layout, base = find_layout(source, LAYOUTS, "FLIR-aligned")
        scan = Scan(layout.name)
        listed: dict[str, list[str]] = {}
        for part in PARTS:
            entries = layout.entries(source, base, part, scan)
            items = [item for item in (_item(source, part, *entry, scan) for entry in entries) if item]
            # An id in both lists is a fault; where it is skipped, it must not be trained on and tested on.
            listed[part] = [
                one.labels.sample_id for one in items if one.labels.sample_id not in listed.get("train", ())
            ]
            scan.items += items
        official = {part: tuple(ids) for part, ids in listed.items()}
        scan.named_splits = [SplitList("official", official, "Zhang et al. 2020: the lists of the archive")]
        return scan


CONVERTER = Flir


def _item(source: Source, part: str, pair: Pair, labels: Labels, label_file: str, scan: Scan) -> Item | None:
    missing = [source.where(name) for name in pair if name not in source]
    if missing:
        scan.faults.append(f"{' and '.join(missing)}: missing, but {labels.sample_id} is listed in {part}")
        return None
    if not labels.objects:
        scan.quirks[f"{part}: pairs without boxes (kept)"] += 1
    return Item(part_of(labels.sample_id, part), labels, pair.rgb, pair.thermal, label_file=label_file)

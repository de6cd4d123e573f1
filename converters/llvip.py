"""LLVIP (Jia et al., ICCVW 2021): registered RGB-thermal pairs of streets, nearly all by night, with persons."""

import re
from collections.abc import Iterator
from typing import ClassVar

from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.errors import BadInputError, did_you_mean
from rgbt_bench.formats.images import is_image
from rgbt_bench.formats.voc import read_voc
from rgbt_bench.layouts import Layout, find_layout
from rgbt_bench.schema import Box, DatasetInfo, Labels, SplitList
from rgbt_bench.sources import Source

from ._stems import images_by_stem, labels_by_stem, paired

_PARTS = ("train", "test")
_MODALITIES = ("visible", "infrared")
_NAME = re.compile(r"([0-9]{2})[0-9]{4}")
_VAL_VIDEOS = ("07", "17")  # ours: two of the nineteen of train
_TREE = """
LLVIP/
  visible/{train,test}/     010001.jpg: the first two digits are the video
  infrared/{train,test}/    010001.jpg
  Annotations/              010001.xml, of both parts
"""


def _marks(source: Source, base: str) -> set[str]:
    """Return the folders with images, if both modalities have any."""
    found = [
        [folder for part in _PARTS if any(map(is_image, source.files_in(folder := f"{base}{modality}/{part}")))]
        for modality in _MODALITIES
    ]
    return {*found[0], *found[1]} if all(found) else set()


_LAYOUTS = (Layout("original", _TREE, "visible/train and infrared/train, or test", _marks),)


class Llvip(Converter):
    """LLVIP as published."""

    info = DatasetInfo(
        name="llvip",
        title="LLVIP (RGB-thermal, 1280x1024, low light)",
        classes=("person",),
        tasks=("detection",),
        homepage="https://github.com/bupt-ai-cz/LLVIP",
        licence="The authors' terms: non-commercial use with citation; they grant no right to redistribute, and persons"
        " may not be identified. Keep it private.",
        citation="X. Jia, C. Zhu, M. Li, W. Tang, W. Zhou: LLVIP: A visible-infrared paired dataset for low-light"
        " vision. ICCV Workshops 2021, pp. 3496-3504.",
        split_policy="test is the published one (3,463 pairs). val is carved from the published train (12,025) by"
        " videos, which are the first two digits of a name: 07 and 17 of the nineteen (01 to 18, and 25)."
        " `llvip@official` has no val. A box is x = xmin, width = xmax - xmin, as the authors' own tools write it. The"
        " annotations were corrected in February 2023 and both versions circulate: their label digests differ.",
    )
    how_to_get = """
Follow the README of https://github.com/bupt-ai-cz/LLVIP and accept its terms: LLVIP.zip holds the registered pairs and
the annotations; take the ones corrected in February 2023. Then: rgbt-bench convert llvip PATH
This converter follows that documentation. Three real pairs without annotations were at hand to check it with.
"""
    layouts: ClassVar[dict[str, str]] = {layout.name: layout.tree for layout in _LAYOUTS}
    expected: ClassVar[dict[str, int]] = {"train+val": 12025, "test": 3463}

    def scan(self, source: Source) -> Scan:
        """Describe every pair of both parts."""
        layout, base = find_layout(source, _LAYOUTS, "LLVIP")
        scan = Scan(layout.name)
        labels = labels_by_stem(source, f"{base}Annotations", ".xml")
        if not labels:
            raise BadInputError(
                f"{source.where(base + 'Annotations')}: no annotations (010001.xml and so on): LLVIP.zip has them, or"
                " the separate archive of the corrected ones; put them in this place"
            )
        listed: dict[str, list[str]] = {}
        for part in _PARTS:
            items = list(_items(source, base, part, labels, scan))
            # A pair in both parts is a fault; where it is skipped, it must not be trained on and tested on.
            known = listed.get("train", ())
            listed[part] = [one.labels.sample_id for one in items if one.labels.sample_id not in known]
            scan.items += items
        images = {name.rpartition("/")[2].rpartition(".")[0] for name in source.names if is_image(name)}
        scan.quirks["annotations without images (left out)"] += len(labels.keys() - images)
        official = {part: tuple(ids) for part, ids in listed.items()}
        scan.named_splits = [SplitList("official", official, "Jia et al. 2021: the folders of the archive")]
        return scan


CONVERTER = Llvip


def part_of(sample_id: str, published: str) -> str:
    """Return the default split's part: val is two videos of the published train part."""
    return "val" if published == "train" and sample_id[:2] in _VAL_VIDEOS else published


def _items(source: Source, base: str, part: str, labels: dict[str, str], scan: Scan) -> Iterator[Item]:
    folders = f"{base}visible/{part}", f"{base}infrared/{part}"
    rgb, thermal = (images_by_stem(source, folder, scan) for folder in folders)
    stems = paired(source, rgb, thermal, folders, scan)
    scan.quirks[f"{part}: no images, so this part is empty"] += not (rgb or thermal)
    for stem in stems:
        try:
            found = _labels(source, stem, rgb[stem], labels, base)
        except BadInputError as error:
            scan.faults.append(str(error))
            continue
        scan.quirks[f"{part}: pairs without boxes (kept)"] += not found.objects
        yield Item(part_of(stem, part), found, rgb[stem], thermal[stem], label_file=labels[stem])


def _labels(source: Source, stem: str, image: str, labels: dict[str, str], base: str) -> Labels:
    name = _NAME.fullmatch(stem)
    if name is None:
        raise BadInputError(f"{source.where(image)}: {stem!r} is no LLVIP name such as 010001")
    if stem not in labels:
        raise BadInputError(f"{source.where(f'{base}Annotations/{stem}.xml')}: missing, but its images are there")
    voc = read_voc(source, labels[stem])
    for one in voc.objects:
        if one.name != "person":
            hint = did_you_mean(one.name, ["person"])
            raise BadInputError(f"{source.where(labels[stem])}: unknown class {one.name!r}. {hint}")
    return Labels(
        sample_id=stem,
        width=voc.width,
        height=voc.height,
        objects=tuple(_box(one.corners) for one in voc.objects),
        scene=name[1],
        source=image.removeprefix(base),
    )


def _box(corners: tuple[float, float, float, float]) -> Box:
    xmin, ymin, xmax, ymax = corners
    width, height = xmax - xmin, ymax - ymin
    return Box((xmin, ymin, width, height), 0, width * height)

"""RoadScene (Xu et al., AAAI 2020): registered RGB-thermal pairs of road scenes without labels."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import image_size
from rgbt_bench.formats.pairs import count_others, pair_folders
from rgbt_bench.layouts import DEPTH, Layout, find_layout
from rgbt_bench.schema import DatasetInfo, Labels, SplitList
from rgbt_bench.sources import Source

from ._id_lists import id_list

_RGB, _HIGH_RESOLUTION, _THERMAL = "crop_LR_visible", "crop_HR_visible", "cropinfrared"
# By layout: the folders of the RGB and of the thermal images.
_FOLDERS = {
    "original": (_RGB, _THERMAL),
    "vi-ir": ("vi", "ir"),
    "vis-ir": ("vis", "ir"),
    "visible-infrared": ("visible", "infrared"),
}
_ORIGINS = {
    "cddfuse": "Zhaozixiang1228/MMIF-CDDFuse: the 50 names in its test_img/RoadScene",
    "danet": "Pancy9476/DANet: the 25 names in its test_img/RoadScene, which are the first ones in order",
}
_HELD_OUT = "heldout"
_OURS = "this project's: 40 named pairs, the whole scenes 3, 7, 11, ... of 162 pairs, are test, all others train"
_SCENE_GAP = 20  # frames; at FLIR's one or two a second, ten seconds of driving or more
_NAME = re.compile(r"FLIR_(?:video_)?[0-9]{5}")


def _marks(rgb: str, thermal: str) -> Callable[[Source, str], set[str]]:
    def marks(source: Source, base: str) -> set[str]:
        # The original also has a folder `infrared`: the frames before they were registered and cut.
        if thermal != _THERMAL and source.files_in(base + _THERMAL):
            return set()
        both = source.files_in(base + rgb) and source.files_in(base + thermal)
        return {base + rgb, base + thermal} if both else set()

    return marks


def _layout(name: str, rgb: str, thermal: str) -> Layout:
    tree = f"\nRoadScene/\n  {rgb + '/':<18}FLIR_00006.jpg\n  {thermal + '/':<18}FLIR_00006.jpg\n"
    return Layout(name, tree, f"{rgb} beside {thermal}", _marks(rgb, thermal))


_LAYOUTS = tuple(_layout(name, *folders) for name, folders in _FOLDERS.items())


class RoadScene(Converter):
    """RoadScene from the authors' repository, or re-packed in two folders."""

    info = DatasetInfo(
        name="roadscene",
        title="RoadScene (RGB-thermal pairs for fusion, no labels)",
        classes=(),
        tasks=("fusion",),
        homepage="https://github.com/hanna-xu/RoadScene",
        licence="None is stated; cut from FLIR's video, so FLIR's terms may hold, too. A right to redistribute is not"
        " established, so keep it private.",
        citation="H. Xu, J. Ma, Z. Le, J. Jiang, X. Guo: FusionDN: A unified densely connected network for image"
        " fusion. AAAI 2020.",
        split_policy="The authors publish no split: all pairs are test. They are frames of video, and neighbours in"
        " number can show the same place: pairs whose numbers are 20 or less apart are one scene here. The split"
        " heldout tests on 40 named pairs and trains on those of other scenes.",
    )
    how_to_get = """
Clone https://github.com/hanna-xu/RoadScene (221 pairs). The pairs of one size are crop_LR_visible and cropinfrared;
crop_HR_visible has other sizes and is not read. Then: rgbt-bench convert roadscene PATH
"""
    layouts: ClassVar[dict[str, str]] = {layout.name: layout.tree for layout in _LAYOUTS}
    parts = ("test",)
    expected: ClassVar[dict[str, int]] = {"test": 221}

    def published_splits(self) -> tuple[SplitList, ...]:
        """Return the test pairs that two papers' repositories hold."""
        return tuple(
            SplitList(name, {"test": id_list(f"roadscene_{name}")}, origin) for name, origin in _ORIGINS.items()
        )

    def scan(self, source: Source) -> Scan:
        """Describe every pair of images of one name."""
        _require_low_resolution(source)
        layout, base = find_layout(source, _LAYOUTS, "RoadScene")
        scan = Scan(layout.name)
        rgb, thermal = (base + folder for folder in _FOLDERS[layout.name])
        for pair in pair_folders(source, rgb, thermal, _sample_id_of, scan.faults):
            try:
                width, height = image_size(source, pair.thermal)  # the checks hold the RGB one against it
            except BadInputError as error:
                scan.faults.append(str(error))
                continue
            place = pair.thermal.removeprefix(base)
            labels = Labels(sample_id=pair.sample_id, width=width, height=height, source=place)
            scan.items.append(Item("test", labels, pair.rgb, pair.thermal))
        _name_scenes(scan.items)
        scan.named_splits += _held_out(scan.items)
        scan.quirks.update(count_others(source, base, (rgb, thermal)))
        return scan


CONVERTER = RoadScene


def _name_scenes(items: list[Item]) -> None:
    """Give each pair its scene: the first of a run of pairs whose numbers are near, which are frames of one place."""
    scene, last = "", ("", 0)
    for place, item in enumerate(items):
        video, _, number = item.labels.sample_id.rpartition("_")
        if video != last[0] or int(number) - last[1] > _SCENE_GAP:
            scene = item.labels.sample_id
        last = video, int(number)
        items[place] = replace(item, labels=replace(item.labels, scene=scene))


def _held_out(items: list[Item]) -> list[SplitList]:
    """Return the split whose test part is the held-out pairs, where all of them are here; no scene is in both parts."""
    test = set(id_list(f"roadscene_{_HELD_OUT}"))
    there = [item.labels for item in items]
    if not test <= {labels.sample_id for labels in there}:
        return []
    scenes = {labels.scene for labels in there if labels.sample_id in test}
    train = tuple(labels.sample_id for labels in there if labels.scene not in scenes)
    return [SplitList(_HELD_OUT, {"train": train, "test": tuple(sorted(test))}, _OURS)]


def _sample_id_of(stem: str, where: str) -> str:
    if not _NAME.fullmatch(stem):
        raise BadInputError(
            f"{where}: no name of RoadScene such as FLIR_00006; which pair a renumbered copy is cannot be known:"
            " take the original names"
        )
    return stem


def _require_low_resolution(source: Source) -> None:
    for base in source.bases(DEPTH):
        high, thermal, low = (source.files_in(base + folder) for folder in (_HIGH_RESOLUTION, _THERMAL, _RGB))
        if high and thermal and not low:
            raise BadInputError(
                f"{source.where(base + _HIGH_RESOLUTION)}: these images have other sizes than those of {_THERMAL} and"
                f" make no pairs with them; copy {_RGB} of the original archive beside them"
            )

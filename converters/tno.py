"""The TNO Image Fusion Dataset (Toet 2014): infrared and visible pairs, most of them of one channel each."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from PIL import Image as Pillow

from rgbt_bench.converters import Converter, Images, Item, Scan
from rgbt_bench.datasets.digests import open_image
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import image_header, is_image
from rgbt_bench.formats.pairs import count_others, pair_folders
from rgbt_bench.layouts import Layout, find_layout
from rgbt_bench.schema import DatasetInfo, Image, Labels
from rgbt_bench.sources import Source

from ._tno_pairs import Original, originals

# Published with two images of different sizes: ten more rows in one, another scale in the other.
_UNEQUAL = frozenset({"Triclobs_Marne_15", "Triclobs_Movie_24"})
_NUMBER = re.compile(r"(?:TNO_)?([0-9]{1,3})")
_ORIGINAL_TREE = """
TNO_Image_Fusion_Dataset/
  tank/                                LWIR.tif, Vis.tif
  Athena_images/bunker/                IR_bunker_g.bmp, bunker_r.bmp
  Athena_images/APC_1/view_1/          IR_fk_06_005.bmp, VIS_fk_06_005.bmp
  Triclobs_images/Marne_01/            Marne_01_IR.bmp, Marne_01_Vis.bmp
  DHV_images/Fire_sequence/part_1/     thermal/RAD2.bmp, dhv/DHV2.bmp
  FEL_images/Duine_sequence/           thermal/7400i.bmp, visual/7400v.bmp
"""


@dataclass(frozen=True)
class _Repacked:
    """A layout of numbered pairs in two folders."""

    rgb: str
    thermal: str

    def marks(self, source: Source, base: str) -> set[str]:
        """Return the two folders, if both have files."""
        both = source.files_in(base + self.rgb) and source.files_in(base + self.thermal)
        return {base + self.rgb, base + self.thermal} if both else set()

    def layout(self) -> Layout:
        """Return it as a layout."""
        tree = f"\nTNO/\n  {self.rgb + '/':<5}1.png, 01.bmp or TNO_028.bmp\n  {self.thermal + '/':<5}the same names\n"
        return Layout(f"{self.rgb}-{self.thermal}", tree, f"{self.rgb} beside {self.thermal}", self.marks)


def _original_marks(source: Source, base: str) -> set[str]:
    return {name for one in originals() if (name := base + one.thermal) in source}


_ORIGINAL = Layout("original", _ORIGINAL_TREE, "the folders of the archive, such as Athena_images", _original_marks)
_REPACKED = {one.layout(): one for one in (_Repacked("vi", "ir"), _Repacked("vis", "ir"), _Repacked("VIS", "IR"))}


class Tno(Converter):
    """TNO from its archive, or as numbered pairs; its infrared images with a palette are stored again as one channel.

    What is known of the archive is a third party's list of its names and sizes: no real file was at hand.
    """

    info = DatasetInfo(
        name="tno",
        title="TNO Image Fusion Dataset (infrared and visible, no labels)",
        classes=(),
        tasks=("fusion",),
        homepage="https://figshare.com/articles/dataset/TNO_Image_Fusion_Dataset/1008029",
        licence="Not verified here: read the terms of the figshare record. Until then keep it private.",
        citation="A. Toet: TNO Image Fusion Dataset. figshare, 2014. doi:10.6084/m9.figshare.1008029.",
        split_policy="The author publishes no split: all pairs are test. 180 of them are frames of six sequences"
        " (`scene`). Numbered copies have ids of their own: which scenes they are cannot be known from their names.",
    )
    how_to_get = """
Get https://figshare.com/articles/dataset/TNO_Image_Fusion_Dataset/1008029 and unpack it. The original layout gives the
235 pairs of long-wave infrared and visible images, less two of unequal sizes; papers count others (TarDAL: 261), and
use 21, 25, 40 or 42 of them as numbered copies without saying which. Then: rgbt-bench convert tno PATH
"""
    layouts: ClassVar[dict[str, str]] = {layout.name: layout.tree for layout in (_ORIGINAL, *_REPACKED)}
    parts = ("test",)
    expected: ClassVar[dict[str, int]] = {"test": 233}

    def scan(self, source: Source) -> Scan:
        """Describe every pair that is there."""
        layout, base = find_layout(source, (_ORIGINAL, *_REPACKED), "TNO")
        scan = Scan(layout.name)
        found = _repacked(source, base, _REPACKED[layout], scan) if layout in _REPACKED else _there(source, base, scan)
        for pair in found:
            try:
                _add(source, base, pair, scan)
            except BadInputError as error:
                scan.faults.append(str(error))
        return scan

    def read(self, source: Source, item: Item) -> Images:
        """Return the encoded images of one sample; of the infrared one with a palette, its greys."""
        images = super().read(source, item)
        if images.thermal is None or item.thermal is None:
            return images
        return replace(images, thermal=_greys(images.thermal, source.where(item.thermal)))


CONVERTER = Tno


def _there(source: Source, base: str, scan: Scan) -> Iterator[Original]:
    """Yield the pairs of the archive that are there; half of one is a fault."""
    known = set()
    for one in originals():
        names = [base + one.rgb, base + one.thermal]
        known.update(names)
        missing = [name for name in names if name not in source]
        if not missing:
            yield one._replace(rgb=names[0], thermal=names[1])
        elif len(missing) == 1:
            other = names[1 - names.index(missing[0])]
            scan.faults.append(f"{source.where(missing[0])}: missing, but its other half {other} is there")
    others = [one for one in source.names if one.startswith(base) and is_image(one) and one not in known]
    scan.quirks["images of no infrared-visible pair, such as near infrared (left out)"] += len(others)


def _repacked(source: Source, base: str, folders: _Repacked, scan: Scan) -> Iterator[Original]:
    rgb, thermal = base + folders.rgb, base + folders.thermal
    for pair in pair_folders(source, rgb, thermal, _repacked_id, scan.faults):
        scan.quirks["pairs of a numbered copy (nothing in them shows that they are TNO's)"] += 1
        yield Original(pair.sample_id, "", pair.rgb, pair.thermal)
    scan.quirks.update(count_others(source, base, (rgb, thermal)))


def _repacked_id(stem: str, where: str) -> str:
    match = _NUMBER.fullmatch(stem)
    if match is None:
        raise BadInputError(f"{where}: no number of a re-packed TNO such as 1, 01 or TNO_028")
    return f"repacked_{int(match[1]):03d}"


def _add(source: Source, base: str, pair: Original, scan: Scan) -> None:
    """Add a pair to the scan unless it is one of those that are known to be of unequal sizes, and is so here."""
    (width, height), mode = image_header(source, pair.thermal)
    if mode.startswith(("I", "F")):
        raise BadInputError(
            f"{source.where(pair.thermal)}: more than 8 bits a pixel (Pillow's mode {mode}), for which no range of"
            " values is published: convert it to 8 bits yourself, and say how"
        )
    if pair.sample_id in _UNEQUAL and image_header(source, pair.rgb)[0] != (width, height):
        scan.quirks["pairs published with images of unequal sizes (left out)"] += 1
        return
    scan.quirks["infrared images with a palette (stored again as one channel)"] += mode == "P"
    place = pair.thermal.removeprefix(base)
    labels = Labels(sample_id=pair.sample_id, width=width, height=height, scene=pair.scene, source=place)
    scan.items.append(Item("test", labels, pair.rgb, pair.thermal))


def _greys(image: Image, where: str) -> Image:
    """Return an image with a palette of greys as a PNG of one channel, any other image as it is."""
    try:
        with open_image(image.data) as opened:
            if opened.mode != "P":
                return image
            channels = opened.convert("RGB").split()
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        raise BadInputError(f"{where}: cannot be decoded: {error}") from None
    if any(channel.tobytes() != channels[0].tobytes() for channel in channels):
        raise BadInputError(f"{where}: an infrared image whose palette has colours")
    return Image(_png(channels[0]), f"{image.name.rpartition('.')[0]}.png")


def _png(picture: Pillow.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()

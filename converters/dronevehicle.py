"""DroneVehicle (Sun et al., TCSVT 2022): RGB-infrared pairs from drones with boxes of vehicles."""

import io
from collections.abc import Iterator
from typing import ClassVar

from PIL import Image as Pillow
from PIL import ImageChops, ImageStat

from rgbt_bench.converters import Converter, Images, Item, Scan, read_image
from rgbt_bench.datasets.digests import is_jpeg, open_image, strip_jpeg_metadata
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import image_size, is_image
from rgbt_bench.layouts import Layout, find_layouts
from rgbt_bench.schema import DatasetInfo, Image, Labels
from rgbt_bench.sources import Source

from ._dronevehicle_labels import CLASSES, FRAME, FRAMED_SIZE, SIZE, read_labels
from ._stems import images_by_stem, labels_by_stem, paired

_PARTS = ("train", "val", "test")
_WHITE = 240.0  # the mean of a side of the frame; compression leaves 250 and more of its 255
_CONTENT = (FRAME, FRAME, FRAME + SIZE[0], FRAME + SIZE[1])
_SIDES = (
    (0, 0, FRAMED_SIZE[0], FRAME),
    (0, FRAMED_SIZE[1] - FRAME, *FRAMED_SIZE),
    (0, 0, FRAME, FRAMED_SIZE[1]),
    (FRAMED_SIZE[0] - FRAME, 0, *FRAMED_SIZE),
)
_PNG_LEVEL = 1  # level 6 takes two to four times as long for a seventh of the size
_TREE = """
DroneVehicle/
  train/          and val, test; all of them, or any one alone
    trainimg/     00001.jpg, RGB, 840x712 with a white frame of 100 pixels
    trainimgr/    00001.jpg, infrared
    trainlabelr/  00001.xml, the labels of the infrared image, which are read
    trainlabel/   00001.xml, those of the RGB image, which are not
"""


def _marks(source: Source, base: str) -> set[str]:
    """Return the folders of RGB images that lie in a folder beside those of infrared ones."""
    return {f"{base}{part}img" for part in _PARTS if _has_images(source, base, part)}


def _has_images(source: Source, base: str, part: str) -> bool:
    return all(any(map(is_image, source.files_in(f"{base}{part}{kind}"))) for kind in ("img", "imgr"))


_LAYOUTS = (Layout("original", _TREE, "trainimg and trainimgr, or another part's", _marks),)


class DroneVehicle(Converter):
    """DroneVehicle as published, its white frames cropped."""

    info = DatasetInfo(
        name="dronevehicle",
        title="DroneVehicle (RGB-infrared from drones, 640x512)",
        classes=CLASSES,
        tasks=("detection",),
        homepage="https://github.com/VisDrone/DroneVehicle",
        licence="Not stated by the authors; a right to redistribute is not established, so keep it private.",
        citation="Y. Sun, B. Cao, P. Zhu, Q. Hu: Drone-based RGB-infrared cross-modality vehicle detection via"
        " uncertainty-aware learning. IEEE TCSVT 32(10), 2022, pp. 6700-6713.",
        split_policy="The published parts. Numbers begin anew in each, so an id is train_00001. Ground truth is the"
        " labels of the infrared images, as usual; those of the RGB images are not read. A box encloses its polygon:"
        " x = min, width = max - min (ours: corners of polygons are points, not pixels). The white frame of 100 pixels"
        " is cropped, which no JPEG allows without loss at 100 pixels, so the decoded pixels are stored as PNG: the"
        " pixel digest depends on the last bit of the JPEG decoder.",
    )
    how_to_get = """
Follow the README of https://github.com/VisDrone/DroneVehicle (Baidu): one zip a part. Give one of the zips, or unpack
them into one folder and give that. Then: rgbt-bench convert dronevehicle PATH
This converter was written from documentation; no real file was at hand to check it with.
"""
    layouts: ClassVar[dict[str, str]] = {layout.name: layout.tree for layout in _LAYOUTS}
    expected: ClassVar[dict[str, int]] = {"train": 17990, "val": 1469, "test": 8980}

    def scan(self, source: Source) -> Scan:
        """Describe every pair of every part that is there."""
        found = find_layouts(source, _LAYOUTS, "DroneVehicle")
        scan = Scan("original")
        for part in _PARTS:
            bases = [base for _, base in found if _has_images(source, base, part)]
            if len(bases) > 1:
                places = ", ".join(source.where(f"{base}{part}img") for base in bases)
                raise BadInputError(f"{source.root}: {part} is there twice: {places}; name one of the folders")
            if bases:
                scan.items += _items(source, bases[0], part, scan)
        return scan

    def read(self, source: Source, item: Item) -> Images:
        """Return the images of one pair, their frames cropped."""
        rgb, thermal = (_content(source, name, mode) for name, mode in zip(item.files, ("RGB", "L"), strict=True))
        if rgb[1] != thermal[1]:
            where, other = (source.where(name) for name in item.files)
            raise BadInputError(f"{where} and {other}: one has the white frame, the other has not: crop both or none")
        return Images(rgb[0], thermal[0])


CONVERTER = DroneVehicle


def _items(source: Source, base: str, part: str, scan: Scan) -> Iterator[Item]:
    """Yield the pairs of a part.

    Raises:
        BadInputError: there are no labels of infrared images.
    """
    folders = f"{base}{part}img", f"{base}{part}imgr"
    rgb, thermal = (images_by_stem(source, folder, scan) for folder in folders)
    at = f"{base}{part}labelr"
    labels, of_rgb = labels_by_stem(source, at, ".xml"), labels_by_stem(source, f"{base}{part}label", ".xml")
    if not labels:
        raise BadInputError(
            f"{source.where(at)}: no labels of the infrared images of {part} (00001.xml and so on), which are the"
            " ground truth: put those of the published archive there"
        )
    scan.quirks[f"{part}: labels of RGB images (not read)"] += len(of_rgb)
    scan.quirks[f"{part}: labels without images (left out)"] += len(labels.keys() - (rgb.keys() | thermal.keys()))
    for stem in paired(source, rgb, thermal, folders, scan):
        if stem not in labels and stem in of_rgb:
            scan.quirks[f"{part}: pairs of which the RGB image alone is labelled (left out)"] += 1
        elif stem not in labels:
            scan.faults.append(f"{source.where(f'{at}/{stem}.xml')}: missing, but its images are there")
        else:
            try:
                yield _item(source, part, stem, (rgb[stem], thermal[stem]), labels[stem], scan)
            except BadInputError as error:
                scan.faults.append(str(error))


def _item(source: Source, part: str, stem: str, pair: tuple[str, str], label: str, scan: Scan) -> Item:
    size = image_size(source, pair[1])
    _require_known_size(size, source.where(pair[1]))
    boxes = read_labels(source, label, size, scan.quirks)
    scan.quirks[f"{part}: pairs without boxes (kept)"] += not boxes
    scan.quirks["pairs of 640x512 pixels (cropped already: taken as they are)"] += size == SIZE
    file = "/".join(pair[1].rsplit("/", 2)[-2:])
    labels = Labels(sample_id=f"{part}_{stem}", width=SIZE[0], height=SIZE[1], objects=boxes, source=f"{part}/{file}")
    return Item(part, labels, *pair, label_file=label)


def _require_known_size(size: tuple[int, int], where: str) -> None:
    if size not in (SIZE, FRAMED_SIZE):
        known = " or ".join(f"{width}x{height}" for width, height in (FRAMED_SIZE, SIZE))
        raise BadInputError(f"{where}: {size[0]}x{size[1]} pixels; {known} (cropped) are expected")


def _content(source: Source, name: str, mode: str) -> tuple[Image, bool]:
    """Return an image without its white frame, and whether it had one; in `mode` where that loses nothing.

    Raises:
        BadInputError: it cannot be read, has another size, or its frame is not white.
    """
    image, where = read_image(source, name), source.where(name)
    try:
        with open_image(image.data) as opened:
            _require_known_size(opened.size, where)
            if opened.size == SIZE:
                return image, False
            opened.load()
            picture = opened.convert("RGB")
        if is_jpeg(image.data):
            strip_jpeg_metadata(image.data)  # a decoder mends what breaks off
    except BadInputError:
        raise
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        raise BadInputError(f"{where}: cannot be decoded: {error}") from None
    sides = [ImageStat.Stat(picture.crop(side).convert("L")).mean[0] for side in _SIDES]
    if min(sides) < _WHITE:
        raise BadInputError(
            f"{where}: its frame of {FRAME} pixels is not white (mean {min(sides):.0f} of 255): not as published; get"
            " the image again"
        )
    return Image(_png(picture.crop(_CONTENT), mode), f"{image.name.rpartition('.')[0]}.png"), True


def _png(picture: Pillow.Image, mode: str) -> bytes:
    """Return an RGB picture as PNG, for mode L in one channel where its three are equal."""
    first, *others = picture.split()
    grey = mode == "L" and all(ImageChops.difference(first, other).getbbox() is None for other in others)
    stream = io.BytesIO()
    (first if grey else picture).save(stream, "PNG", compress_level=_PNG_LEVEL)
    return stream.getvalue()

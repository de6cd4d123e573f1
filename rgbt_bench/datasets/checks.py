"""Looking at one sample before it is stored: what is wrong with it, and its digests, each image decoded once."""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, ImageChops
from PIL import Image as Pillow

from rgbt_bench.datasets.digests import (
    SampleDigests,
    is_jpeg,
    mask_digest,
    open_image,
    picture_digest,
    sample_label_digest,
)
from rgbt_bench.schema import VOID, Box, DatasetInfo, Image, Labels, Sample

MAX_PIXELS = 64_000_000
_EIGHT_BITS = 255
_TURNING = range(2, 9)  # the orientations of EXIF that are not upright; there are no others
# Decoders differ in how they bring other colours, such as CMYK, to RGB.
_COLOUR_MODES = frozenset({"RGB", "RGBA", "L", "LA", "P", "PA", "1"})


@dataclass(frozen=True, slots=True)
class Look:
    """What looking at a sample showed.

    `digests` is None where the sample is faulty; `weight` is what its images weigh in bytes; `contents` are their
    checksums, by which a change between the look and the writing is noticed. `turned` tells that an image has an EXIF
    orientation: we read it as it is stored, others may turn it.
    """

    digests: SampleDigests | None
    weight: int
    contents: tuple[int, ...]
    faults: tuple[str, ...]
    turned: bool = False


def look_at(sample: Sample, info: DatasetInfo, label_file: str = "") -> Look:
    """Decode every image of a sample, check it and its labels, and return its digests.

    Faults of its boxes name `label_file`, or else the sample's place in the original.
    """
    digests: dict[str, str] = {}
    faults: list[str] = []
    turned = False
    for kind, image in sample_images(sample):
        where = f"{sample.sample_id} ({kind}, {image.name})"
        try:
            digests[kind], found, is_turned = _look_at_image(kind, image, sample, info)
            faults += [f"{where}: {fault}" for fault in found]
            turned = turned or is_turned
        except Exception as error:  # a damaged file makes a decoder raise almost anything
            faults.append(f"{where}: cannot be decoded: {error}")
    faults += label_faults(sample, info.classes, label_file)
    weight = sum(len(image.data) for _, image in sample_images(sample))
    if faults:
        return Look(None, weight, checksums(sample), tuple(faults))
    label = sample_label_digest(sample, info.classes, digests.get("mask"))
    return Look(SampleDigests(label, digests["rgb"], digests.get("thermal")), weight, checksums(sample), (), turned)


def sample_images(sample: Sample) -> list[tuple[str, Image]]:
    """Return the images that a sample has, each with what it is."""
    images = (("rgb", sample.rgb), ("thermal", sample.thermal), ("mask", sample.mask))
    return [(kind, image) for kind, image in images if image is not None]


def checksums(sample: Sample) -> tuple[int, ...]:
    """Return the CRC-32 of each image of a sample, its name included."""
    return tuple(zlib.crc32(image.data, zlib.crc32(image.name.encode())) for _, image in sample_images(sample))


def _look_at_image(kind: str, image: Image, sample: Labels, info: DatasetInfo) -> tuple[str, list[str], bool]:
    """Return an image's digest, what is wrong with it, and whether it has an orientation.

    Where there is too much to decode, the digest is empty.
    """
    with open_image(image.data) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            return "", [f"{opened.width}x{opened.height} is above {MAX_PIXELS} pixels"], False
        (width, height), mode = opened.size, opened.mode
        if is_jpeg(image.data) and (kind == "rgb" or (kind == "thermal" and mode == "L")):
            opened.draft("L", (1, 1))  # every coefficient is read, which is where a JPEG breaks, few pixels are made
        opened.load()
        digest = mask_digest(opened) if kind == "mask" else picture_digest(image.data, opened)
        faults = []
        if (width, height) != (sample.width, sample.height):
            faults.append(f"{width}x{height}, but the labels and the pair say {sample.width}x{sample.height}")
        fault = channel_fault(kind, opened, mode)
        if kind == "mask" and not fault:
            fault = _mask_fault(opened, info.mask_classes)
        if kind == "thermal" and not fault:
            fault = _range_fault(opened, info)
        if fault:
            faults.append(fault)
        return digest, faults, opened.getexif().get(ExifTags.Base.Orientation) in _TURNING


def _mask_fault(picture: Pillow.Image, mask_classes: Sequence[str]) -> str:
    """Return which values of a label map are no class, or an empty text."""
    count = len(mask_classes)
    wrong = [value for value, pixels in enumerate(picture.histogram()[:VOID]) if pixels and value >= count]
    if not wrong:
        return ""
    shown = ", ".join(map(str, wrong[:5])) + (f" and {len(wrong) - 5} more values" if len(wrong) > 5 else "")
    known = f"class numbers are 0..{count - 1}, and {VOID} is void" if count else "the dataset declares none"
    return f"a label map with the value(s) {shown}; {known}"


def channel_fault(kind: str, picture: Pillow.Image, mode: str) -> str:
    """Return what is wrong with an image's channels, or an empty text; `mode` is Pillow's as the file has it."""
    if kind == "rgb" and mode not in _COLOUR_MODES:
        return f"8-bit colour was expected (RGB, a palette or grey), not Pillow's mode {mode}"
    if kind == "mask" and mode not in ("L", "P"):
        return f"a label map has one 8-bit channel, not Pillow's mode {mode}"
    if kind == "thermal" and mode != "L" and not mode.startswith("I") and not _is_grey(picture):
        return f"not a thermal image: neither one channel nor three equal ones (Pillow's mode {mode})"
    return ""


def _range_fault(picture: Pillow.Image, info: DatasetInfo) -> str:
    """Return why a thermal image of more than 8 bits cannot be of a dataset with its range, or an empty text."""
    if not picture.mode.startswith("I"):
        return ""
    low, high = info.thermal_range
    values = np.asarray(picture)
    if (coldest := values.min()) < min(low, 0):
        found = f"values down to {coldest}"
    elif (hottest := values.max()) > _EIGHT_BITS >= high:
        found = f"values up to {hottest}"
    else:
        return ""
    return f"{found}, but {info.name} declares the thermal range {low:g}..{high:g}"


def _is_grey(picture: Pillow.Image) -> bool:
    """Tell whether a picture has three equal channels."""
    if picture.mode != "RGB":
        return False
    first, *others = picture.split()
    return all(ImageChops.difference(first, other).getbbox() is None for other in others)


def label_faults(sample: Labels, classes: Sequence[str], label_file: str = "") -> Iterator[str]:
    """Yield what is wrong with a sample's id and boxes; each names `label_file`, or else its place in the original."""
    where = f"{label_file}: {sample.sample_id}" if label_file else sample.source or sample.sample_id
    # Digests are over lines of ids.
    if not sample.sample_id.isprintable() or " " in sample.sample_id or not sample.sample_id:
        yield f"{where}: {sample.sample_id!r} is no sample id: it is empty, or has a space or a control character"
    for box in sample.objects:
        if not 0 <= box.category < len(classes):
            yield f"{where}: box {list(box.bbox)} has class number {box.category}, but there are {len(classes)} classes"
        elif fault := _box_fault(box, sample):
            yield f"{where}: {classes[box.category]} box {list(box.bbox)} {fault}"


def _box_fault(box: Box, labels: Labels) -> str:
    """Return what is wrong with a box, or an empty text."""
    x, y, width, height = box.bbox
    if not all(map(math.isfinite, (*box.bbox, box.area))):
        return "is not finite"
    if not (width > 0 and height > 0):
        # What counts neither way may be as it was published: a protocol may count it as something nobody can find.
        return "" if box.ignore and min(width, height) >= 0 else "has no area"
    if x >= labels.width or y >= labels.height or x + width <= 0 or y + height <= 0:
        return f"lies wholly outside the {labels.width}x{labels.height} image"
    return ""

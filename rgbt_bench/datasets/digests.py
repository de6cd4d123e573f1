"""The digests that name what a number was computed on: SHA-256 over canonical, sorted content.

A label digest covers sample ids and canonical labels, a pixel digest one modality's pictures, a fingerprint both. None
depends on archive layout, file names, shard size or machine; illumination, scene and split membership are in none.
"""

import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from rgbt_bench.files import canonical_json, sha256_text
from rgbt_bench.schema import SCHEMA_VERSION, Box, Labels, Sample

_JPEG_START = b"\xff\xd8"
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_END_OF_IMAGE, _START_OF_SCAN, _COMMENT, _ADOBE = 0xD9, 0xDA, 0xFE, 0xEE
# Nothing else is opened: some formats (EPS) Pillow hands to another program.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP")


@dataclass(frozen=True, slots=True)
class SampleDigests:
    """The digests of one sample, from which those of any split are made; None where there is no such image."""

    label: str
    rgb: str
    thermal: str | None


def strip_jpeg_metadata(data: bytes) -> bytes:
    """Return a JPEG's bytes without its APPn and comment segments, and without anything after the end of the image.

    APP14 (Adobe) stays, because it changes the colours a decoder returns.

    Raises:
        ValueError: the segments are cut short or no end of image is found.
    """
    return b"".join(_picture_segments(data))


def _picture_segments(data: bytes) -> list[memoryview]:
    view = memoryview(data)
    kept = [view[:2]]
    position = 2
    while True:
        if position + 4 > len(data) or data[position] != 0xFF:
            raise ValueError("truncated or damaged JPEG segments")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte before a marker
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _START_OF_SCAN:
            scan_end = _MARKER_AFTER_SCAN.search(data, end)
            if scan_end is None:
                raise ValueError("no end of image")
            end = scan_end.start()
        if not (0xE0 <= marker <= 0xEF and marker != _ADOBE) and marker != _COMMENT:
            kept.append(view[position:end])
        position = end
        if data[position : position + 2] == bytes((0xFF, _END_OF_IMAGE)):
            return [*kept, view[position : position + 2]]


def open_image(data: bytes) -> Pillow.Image:
    """Open an encoded image of a format that datasets come in; its pixels are not decoded yet.

    Raises:
        OSError: not such an image.
    """
    try:
        return Pillow.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:  # its words are of an object in memory
        raise UnidentifiedImageError(f"not a readable {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]} image") from None


def image_digest(data: bytes) -> str:
    """Return the digest of an encoded image: a JPEG by its picture segments, anything else by its decoded pixels.

    JPEG decoders differ in the last bit, so a JPEG is never digested by its pixels. EXIF orientation is metadata:
    images are read as they are stored. A palette is resolved, because the same indices can be any colours.
    """
    if is_jpeg(data):
        return _jpeg_digest(data)
    with open_image(data) as image:
        return picture_digest(data, image)


def picture_digest(data: bytes, opened: Pillow.Image) -> str:
    """Return what `image_digest` returns of an image that is opened already, so that it is decoded only once."""
    if is_jpeg(data):
        return _jpeg_digest(data)
    picture = opened.convert() if opened.mode == "P" else opened
    return _pixel_hash(picture, picture.mode)


def mask_digest(opened: Pillow.Image) -> str:
    """Return the digest of an opened label map: its class ids, whatever palette shows them."""
    return _pixel_hash(opened, "L" if opened.mode == "P" else opened.mode)


def is_jpeg(data: bytes) -> bool:
    """Tell whether bytes begin as a JPEG does."""
    return data.startswith(_JPEG_START)


def _jpeg_digest(data: bytes) -> str:
    digest = hashlib.sha256(b"jpeg\n")
    for segment in _picture_segments(data):
        digest.update(segment)
    return digest.hexdigest()


def _pixel_hash(image: Pillow.Image, mode: str) -> str:
    return hashlib.sha256(f"{mode} {image.width} {image.height}\n".encode() + image.tobytes()).hexdigest()


def _canonical_box(box: Box, classes: tuple[str, ...]) -> list[object]:
    return [
        classes[box.category],
        *(_number(value) for value in box.bbox),
        _number(box.area),
        bool(box.iscrowd),
        bool(box.ignore),
        box.truncation,
        box.occlusion,
    ]


def _number(value: float) -> float:
    return float(value) + 0.0  # -0.0 becomes 0.0: equal numbers have one text


def sample_label_digest(labels: Labels, classes: tuple[str, ...], mask: str | None = None) -> str:
    """Return the digest of one sample's labels, `mask` being the digest of its label map.

    The order of its boxes does not matter, duplicates count.
    """
    boxes = sorted(canonical_json(_canonical_box(box, classes)) for box in labels.objects)
    regions = sorted([_number(value) for value in region] for region in labels.ignore_regions)
    # The canonical JSON of one list, of which each box was written once.
    head, tail = canonical_json([labels.sample_id, labels.width, labels.height]), canonical_json([regions, mask])
    return sha256_text(f"{head[:-1]},[{','.join(boxes)}],{tail[1:]}")


def sample_digests(sample: Sample, classes: tuple[str, ...]) -> SampleDigests:
    """Return the digests of one sample."""
    mask = None
    if sample.mask:
        with open_image(sample.mask.data) as opened:
            mask = mask_digest(opened)
    return SampleDigests(
        label=sample_label_digest(sample, classes, mask),
        rgb=image_digest(sample.rgb.data),
        thermal=image_digest(sample.thermal.data) if sample.thermal else None,
    )


def label_digest(sample_labels: Mapping[str, str], classes: tuple[str, ...]) -> str:
    """Return the label digest of a set of samples, from their ids and per-sample label digests.

    The class list is part of it: category ids in predictions are positions in that list.
    """
    return sha256_text("\n".join([f"labels {SCHEMA_VERSION} {canonical_json(classes)}", *_lines(sample_labels)]))


def pixel_digest(sample_images: Mapping[str, str]) -> str:
    """Return the pixel digest of one modality over a set of samples, from their ids and per-image digests."""
    return sha256_text("\n".join([f"pixels {SCHEMA_VERSION}", *_lines(sample_images)]))


@dataclass(frozen=True, slots=True)
class SplitDigests:
    """The digests of a set of samples; `thermal` is None where no sample has a thermal image."""

    label: str
    rgb: str
    thermal: str | None


def split_digests(digests: Mapping[str, SampleDigests], ids: Iterable[str], classes: tuple[str, ...]) -> SplitDigests:
    """Return the digests of the samples named by `ids`."""
    chosen = {sample_id: digests[sample_id] for sample_id in ids}
    thermal = {sample_id: one.thermal for sample_id, one in chosen.items() if one.thermal is not None}
    return SplitDigests(
        label=label_digest({sample_id: one.label for sample_id, one in chosen.items()}, classes),
        rgb=pixel_digest({sample_id: one.rgb for sample_id, one in chosen.items()}),
        thermal=pixel_digest(thermal) if thermal else None,
    )


def fingerprint(digests: Mapping[str, SampleDigests], classes: tuple[str, ...]) -> str:
    """Return the fingerprint of a whole dataset: its label digest and its pixel digests over all samples."""
    whole = split_digests(digests, digests, classes)
    return sha256_text(f"fingerprint {SCHEMA_VERSION}\n{whole.label}\n{whole.rgb}\n{whole.thermal or '-'}")


def _lines(entries: Mapping[str, str]) -> list[str]:
    return [f"{sample_id} {digest}" for sample_id, digest in sorted(entries.items())]

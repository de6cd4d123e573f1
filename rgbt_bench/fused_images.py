"""Fused images on disk: a folder of 8-bit PNG files, one a sample, checked whole before anything is scored.

`SAMPLE_ID.png` is of the sample's size: grey, or RGB whose luma is scored. Nothing else is read, because what a file
format loses or rescales moves every metric: a JPEG of quality 95 costs about a bit of MI.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from PIL import Image as Pillow

from rgbt_bench.errors import BadInputError, MissingError, enumerate_faults
from rgbt_bench.metrics.fusion import luma_of
from rgbt_bench.png_folders import (
    SUFFIX,
    Bytes,
    by_text,
    decode_png,
    depth,
    name_missing,
    open_png,
    pngs_by_sample,
    save_new_png,
)
from rgbt_bench.schema import DatasetInfo, Labels, Sample

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_READ: Final = "save 8-bit grey, or RGB"
Colours = Literal["grey", "RGB"]


@dataclass(frozen=True, slots=True, eq=False)
class FusedImage:
    """The fused image of one sample.

    Attributes:
        index: the sample's place in the part's ids.
        pixels: uint8[H, W] of the sample's size, or uint8[H, W, 3] as RGB.
    """

    index: int
    pixels: Bytes

    @property
    def luma(self) -> Bytes:
        """What is scored, uint8[H, W]: grey as it is, of RGB the BT.601 luma."""
        return self.pixels if self.pixels.ndim == 2 else luma_of(self.pixels)


@dataclass(frozen=True, slots=True)
class FusedImages(Sequence[FusedImage]):
    """A checked folder of fused images, one a sample of a part in the order of its ids; decoded when asked for."""

    files: tuple[Path, ...]
    colours: Colours

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> FusedImage:  # type: ignore[override]
        return FusedImage(range(len(self))[index], decode_png(self.files[index]))

    def __iter__(self) -> Iterator[FusedImage]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What is fused: `rgb` uint8[H, W, 3], its BT.601 `luma` and `thermal`, uint8[H, W] each."""

    rgb: Bytes
    luma: Bytes
    thermal: Bytes


def source_images(sample: Sample, info: DatasetInfo) -> Sources:
    """Return a sample's images in 8 bits; 16-bit thermal is scaled by the dataset's declared range and rounded.

    Raises:
        BadInputError: it has no thermal image.
    """
    if sample.thermal is None:
        raise BadInputError(f"{info.name}: sample {sample.sample_id!r} has no thermal image, and so nothing to fuse")
    with Pillow.open(io.BytesIO(sample.rgb.data)) as opened:
        rgb = np.asarray(opened.convert("RGB"))
    with Pillow.open(io.BytesIO(sample.thermal.data)) as opened:
        values = np.asarray(opened)
    thermal = values[..., 0] if values.ndim == 3 else values  # the channels of a colour file were checked to be equal
    if thermal.dtype != np.uint8:
        low, high = info.thermal_range
        thermal = np.rint((thermal.astype(np.float64) - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
    return Sources(rgb, luma_of(rgb), thermal)


def read_fused_images(folder: Path, labels: Sequence[Labels], aliases: Mapping[str, str] = _NOTHING) -> FusedImages:
    """Return the fused images of a part's samples, given as `labels` in the order of their ids, after a check of all.

    `aliases` maps other names of a sample (the stem of its original file) to its id.

    Raises:
        MissingError: there is no such folder.
        BadInputError: a file is missing, left over, damaged, of another size or depth, or some are grey and some are
            colours; each file is named.
    """
    if not folder.exists():
        raise MissingError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise BadInputError(f"{folder}: is a file; fused images are a folder with one {SUFFIX} a sample")
    sizes = {one.sample_id: (one.width, one.height) for one in labels}
    # an id means its own sample, whatever else is called so
    named = {alias: name for alias, name in aliases.items() if name in sizes} | {name: name for name in sizes}
    files, faults = pngs_by_sample(folder, named)
    colours: dict[Colours, list[Path]] = {"grey": [], "RGB": []}
    for name in (name for name in sizes if name in files):
        kind, fault = _look(files[name], sizes[name])
        if kind is None:
            faults.append(f"{files[name]}: {fault}")
        else:
            colours[kind].append(files[name])
    faults = name_missing(sizes, files, faults, "fused image") + _mixed(colours)
    if faults:
        raise BadInputError(enumerate_faults(f"{folder}: cannot be scored:", faults))
    return FusedImages(tuple(files[name] for name in sizes), "RGB" if colours["RGB"] else "grey")


def write_fused_image(folder: Path, labels: Labels, found: FusedImage) -> None:
    """Write one sample's fused image into a folder that is there.

    Raises:
        ValueError: another shape or type than `FusedImage` says, or a sample that has one there already.
    """
    shape = (labels.height, labels.width)
    if found.pixels.shape not in (shape, (*shape, 3)) or found.pixels.dtype != np.uint8:
        raise ValueError(f"{labels.sample_id}: uint8{shape} expected, not {found.pixels.dtype}{found.pixels.shape}")
    save_new_png(found.pixels, folder / f"{labels.sample_id}{SUFFIX}")


def _look(path: Path, size: tuple[int, int]) -> tuple[Colours | None, str]:
    """Return whether a file is grey or colours, or None with what is wrong with it."""
    try:
        with open_png(path) as opened:
            if opened.size != size:
                sizes = f"{by_text(opened.size)}, but its sources are {by_text(size)}"
                return None, f"{sizes}; fuse at the sample's own size"
            if opened.mode not in ("L", "RGB") or depth(opened) not in ("mode L", "mode RGB"):
                alpha = " with transparency" if opened.mode in ("LA", "PA", "RGBA") else ""
                return None, f"{depth(opened)}{alpha}; {_READ}, without a palette or transparency"
            opened.load()
            return ("grey" if opened.mode == "L" else "RGB"), ""
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        return None, f"cannot be decoded: {str(error).replace(repr(str(path)), '').strip() or type(error).__name__}"


def _mixed(colours: Mapping[Colours, Sequence[Path]]) -> list[str]:
    """Return the fault of a folder with both kinds of files, or none."""
    fewer, more = sorted(colours, key=lambda kind: len(colours[kind]))
    if not colours[fewer]:
        return []
    shown = ", ".join(path.name for path in colours[fewer][:3])
    return [
        f"{len(colours[fewer]):,} are {fewer} and {len(colours[more]):,} are {more}, such as {shown}; save all alike"
    ]

"""Label maps on disk: a folder of PNG files, one a sample, checked whole before anything is scored.

`SAMPLE_ID.png` is 8-bit grey (or a palette) of the sample's size; each value is the place of a class in
`DatasetInfo.mask_classes`, from 0. A folder `edges/` with files of the same names may hold maps of predicted edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from rgbt_bench.errors import BadInputError, MissingError, enumerate_faults
from rgbt_bench.metrics.edges import edge_step
from rgbt_bench.png_folders import (
    COLOURED,
    EDGES_FOLDER,
    SUFFIX,
    Bytes,
    by_text,
    decode_png,
    depth,
    is_scaled,
    name_missing,
    open_png,
    pngs_by_sample,
    save_new_png,
)
from rgbt_bench.schema import VOID, DatasetInfo, Labels

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """The prediction of one sample.

    Attributes:
        index: the sample's place in the part's ids.
        labels: uint8[H, W] of the sample's size, each value the place of a class in `DatasetInfo.mask_classes`.
        edges: uint8[h, w] or None, how surely a pixel is an edge between classes, stretched to 0..255 over this sample;
            h and w are the sample's divided by the same whole number, rounded up.
    """

    index: int
    labels: Bytes
    edges: Bytes | None = None


@dataclass(frozen=True, slots=True)
class LabelMaps(Sequence[LabelMap]):
    """A checked folder of label maps, one a sample of a part in the order of its ids; decoded when asked for."""

    files: tuple[Path, ...]
    edges: tuple[Path, ...] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> LabelMap:  # type: ignore[override]
        edges = None if self.edges is None else decode_png(self.edges[index])
        return LabelMap(range(len(self))[index], decode_png(self.files[index]), edges)

    def __iter__(self) -> Iterator[LabelMap]:
        return (self[index] for index in range(len(self)))


def read_label_maps(
    folder: Path, labels: Sequence[Labels], info: DatasetInfo, aliases: Mapping[str, str] = _NOTHING
) -> LabelMaps:
    """Return the label maps of a part's samples, given as `labels` in the order of their ids, after a check of all.

    `aliases` maps other names of a sample (the stem of its original file) to its id.

    Raises:
        MissingError: there is no such folder.
        BadInputError: a file is missing, left over, damaged, of another size, in colours, or has a value that is no
            class; each file is named.
    """
    if not folder.exists():
        raise MissingError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise BadInputError(f"{folder}: is a file; label maps are a folder with one {SUFFIX} a sample")
    sizes = {one.sample_id: (one.width, one.height) for one in labels}
    # an id means its own sample, whatever else is called so
    named = {alias: name for alias, name in aliases.items() if name in sizes} | {name: name for name in sizes}
    files, faults = pngs_by_sample(folder, named, EDGES_FOLDER)
    faults += [
        f"{files[name]}: {fault}"
        for name in sizes
        if name in files
        if (fault := _fault(files[name], info, sizes[name]))
    ]
    faults = name_missing(sizes, files, faults)
    edges: dict[str, Path] | None = None
    if (folder / EDGES_FOLDER).is_dir():
        edges, wrong = _edge_files(folder / EDGES_FOLDER, sizes, named)
        faults += [f"{EDGES_FOLDER}: {fault}" for fault in wrong]
    if faults:
        raise BadInputError(enumerate_faults(f"{folder}: cannot be scored:", faults))
    return LabelMaps(
        tuple(files[name] for name in sizes), tuple(edges[name] for name in sizes) if edges is not None else None
    )


def write_label_map(folder: Path, labels: Labels, info: DatasetInfo, found: LabelMap) -> None:
    """Write one sample's label map, and its edges where there are some, into a folder that is there.

    Raises:
        ValueError: another shape, type or value than `LabelMap` says, or a sample that has one there already.
    """
    shape = (labels.height, labels.width)
    if found.labels.shape != shape or found.labels.dtype != np.uint8:
        raise ValueError(f"{labels.sample_id}: uint8{shape} expected, not {found.labels.dtype}{found.labels.shape}")
    if found.labels.size and int(found.labels.max()) >= len(info.mask_classes):
        raise ValueError(
            f"{labels.sample_id}: the value {found.labels.max()} is none of {len(info.mask_classes)} classes"
        )
    if found.edges is not None and (found.edges.dtype != np.uint8 or not _step(found.edges.shape, shape)):
        raise ValueError(f"{labels.sample_id}: edges {found.edges.dtype}{found.edges.shape} do not divide {shape}")
    save_new_png(found.labels, folder / f"{labels.sample_id}{SUFFIX}")
    if found.edges is not None:
        save_new_png(found.edges, folder / EDGES_FOLDER / f"{labels.sample_id}{SUFFIX}")


def _edge_files(
    folder: Path, sizes: Mapping[str, tuple[int, int]], named: Mapping[str, str]
) -> tuple[dict[str, Path], list[str]]:
    """Return the files of edge maps by sample id, and what is wrong with them; their fraction of the sample is one."""
    files, faults = pngs_by_sample(folder, named, EDGES_FOLDER)
    first: tuple[Path, int] | None = None
    for path, size in ((files[name], size) for name, size in sizes.items() if name in files):
        step, fault = _look_at_edges(path, size)
        if fault:
            faults.append(f"{path}: {fault}")
            continue
        first = first or (path, step)
        if step != first[1]:
            faults.append(
                f"{path}: is 1/{step} of its sample and {first[0].name} is 1/{first[1]}; make all edge maps of one"
                " fraction"
            )
    return files, name_missing(sizes, files, faults, "edge map")


def _fault(path: Path, info: DatasetInfo, size: tuple[int, int]) -> str:
    """Return what is wrong with a label map's file, or an empty text."""
    classes = info.mask_classes
    known = f"0 {classes[0]} to {len(classes) - 1} {classes[-1]}" if classes else "none"
    try:
        with open_png(path) as opened:
            if opened.size != size:
                return (
                    f"{by_text(opened.size)}, but the sample is {by_text(size)}; resize label maps by nearest neighbour"
                )
            if opened.mode in COLOURED:
                return f"colours ({opened.mode}) instead of class ids; write one 8-bit value a pixel ({known})"
            if opened.mode not in ("L", "P") or is_scaled(opened):
                return f"{depth(opened)} instead of 8-bit grey; write one 8-bit value a pixel ({known})"
            values = np.asarray(opened)
            colours = opened.getpalette() if opened.mode == "P" else None
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        return f"cannot be decoded: {str(error).replace(repr(str(path)), '').strip() or type(error).__name__}"
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    if beyond := [int(value) for value in used if value >= len(classes)]:
        note = "; 255 is void in labels, a prediction says a class everywhere" if beyond[-1] == VOID else ""
        return f"the value(s) {', '.join(map(str, beyond[:5]))} are no class: {known}{note}"
    return _palette_fault(used.tolist(), colours or [], info)


def _palette_fault(used: Sequence[int], colours: Sequence[int], info: DatasetInfo) -> str:
    """Return why a palette's colours mean other classes than its values, or an empty text."""
    published = {colour: place for place, colour in enumerate(info.palette)}
    for value, colour in ((value, tuple(colours[3 * value : 3 * value + 3])) for value in used):
        place = published.get((colour[0], colour[1], colour[2])) if len(colour) == 3 else None
        if place is not None and info.palette[value : value + 1] != (colour,):
            names = info.mask_classes
            return f"the value {value} ({names[value]}) has the colour of {place} ({names[place]}); write class ids"
    return ""


def _look_at_edges(path: Path, size: tuple[int, int]) -> tuple[int, str]:
    """Return an edge map's step and what is wrong with its file, or an empty text; the step is 0 where it is faulty."""
    try:
        with open_png(path) as opened:
            if opened.mode != "L" or is_scaled(opened):
                return 0, f"{depth(opened)} instead of 8-bit grey, 0 for no edge to 255"
            step = _step(opened.size, size)
            if not step:
                return 0, f"{by_text(opened.size)} is no whole fraction of the sample's {by_text(size)}"
            opened.load()
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        return 0, f"cannot be decoded: {str(error).replace(repr(str(path)), '').strip() or type(error).__name__}"
    return step, ""


def _step(small: tuple[int, int], large: tuple[int, int]) -> int:
    """Return the step from an edge map to its sample, or 0 where there is none."""
    try:
        return edge_step(small, large)
    except ValueError:
        return 0

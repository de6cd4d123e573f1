"""Folders of PNG files, one a sample: which file is whose, what is missing or left over, and their digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from rgbt_bench.files import sha256_file, write_with
from rgbt_bench.sources import is_stray

SUFFIX: Final = ".png"
EDGES_FOLDER: Final = "edges"  # of label maps, beside their files
_DEPTHS: Final = {
    "1": "1-bit grey",
    "L;2": "2-bit grey",
    "L;4": "4-bit grey",
    "I;16B": "16-bit grey",
    "LA;16B": "16-bit grey",
    "RGB;16B": "16-bit RGB",
    "RGBA;16B": "16-bit RGB",
}
COLOURED: Final = frozenset({"RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr"})

Bytes = NDArray[np.uint8]


def save_new_png(values: Bytes, path: Path) -> None:
    """Write uint8[H, W] of a sample that has no file yet.

    Raises:
        ValueError: it has one.
    """
    if path.exists():
        raise ValueError(f"{path.stem}: was predicted twice")
    write_with(path, partial(save_png, values))


def save_png(values: Bytes, path: Path) -> None:
    """Write uint8[H, W] as an 8-bit grey PNG."""
    Pillow.fromarray(values).save(path, format="PNG")


def png_digest(folder: Path) -> str:
    """Return the SHA-256 over the names and bytes of a folder's files, of its `edges` too, in hexadecimal."""
    # a name may be no UTF-8
    return _digest((os.fsencode(path.relative_to(folder).as_posix()), sha256_file(path)) for path in png_files(folder))


def png_digest_of(contents: Mapping[str, bytes]) -> str:
    """Return what `png_digest` returns of a folder with these files, by their names in it."""
    names = sorted(contents, key=PurePosixPath)
    return _digest((name.encode(), hashlib.sha256(contents[name]).hexdigest()) for name in names)


def _digest(files: Iterable[tuple[bytes, str]]) -> str:
    digest = hashlib.sha256()
    for name, sha256 in files:
        digest.update(name + f" {sha256}\n".encode())
    return digest.hexdigest()


def png_files(folder: Path) -> list[Path]:
    """Return the files of a folder of PNGs, and of its `edges`, sorted; strays of file managers are none."""
    found = [*folder.iterdir(), *(folder / EDGES_FOLDER).glob("*")]
    return sorted(path for path in found if path.is_file() and not is_stray(path.name))


def holds_pngs(folder: Path) -> bool:
    """Tell whether a folder has PNG files."""
    return any(path.suffix.lower() == SUFFIX for path in png_files(folder))


def pngs_by_sample(folder: Path, named: Mapping[str, str], apart: str = "") -> tuple[dict[str, Path], list[str]]:
    """Return a folder's files by sample id, and a fault for each that is no sample's; a folder `apart` may be there."""
    found: dict[str, Path] = {}
    faults = []
    for path in sorted(folder.iterdir()):
        if is_stray(path.name) or (path.is_dir() and path.name == apart):
            continue
        sample_id = named.get(path.stem)
        if path.is_dir():
            faults.append(f"{path}: is a folder; put the {SUFFIX} files side by side")
        elif not path.is_file():
            faults.append(f"{path}: not a file, or a link that leads nowhere; put the {SUFFIX} file there")
        elif path.suffix.lower() != SUFFIX:
            faults.append(f"{path}: not a {SUFFIX} file; save it without loss, or take it away")
        elif sample_id is None:
            near = get_close_matches(path.stem, named, n=1)
            faults.append(
                f"{path}: no sample of this part is called so; take it away"
                + (f". Did you mean {near[0]}?" if near else "")
            )
        elif sample_id in found:
            faults.append(f"{path}: the sample {sample_id} has {found[sample_id].name}, too; keep one")
        else:
            found[sample_id] = path
    return found, faults


def name_missing(
    sizes: Mapping[str, object], files: Mapping[str, Path], faults: list[str], what: str = "label map"
) -> list[str]:
    """Return the faults with one more where samples have no file; it is the first."""
    lacking = [f"{name}{SUFFIX}" for name in sizes if name not in files]
    if not lacking:
        return faults
    shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5:,} more" if len(lacking) > 5 else "")
    return [f"{len(lacking):,} of {len(sizes):,} samples have no {what}: {shown}; every one needs its own", *faults]


def is_scaled(opened: Pillow.Image) -> bool:
    """Tell whether a grey picture has 2 or 4 bits, which a decoder stretches to 8: class ids become others."""
    return _raw_mode(opened) in ("L;2", "L;4")


def depth(opened: Pillow.Image) -> str:
    """Return what a picture has in place of 8-bit grey, in a few words; of 16-bit colours a decoder keeps 8."""
    return _DEPTHS.get(_raw_mode(opened), f"mode {opened.mode}")


def _raw_mode(opened: Pillow.Image) -> str:
    """Return how Pillow names what is stored in a file, which its pixels are decoded from."""
    tiles = getattr(opened, "tile", ())  # of opened files alone
    return str(tiles[0][3]) if tiles else opened.mode


def by_text(size: tuple[int, int]) -> str:
    """Return a size as WIDTHxHEIGHT."""
    return f"{size[0]}x{size[1]}"


def open_png(path: Path) -> Pillow.Image:
    """Open a file that is a PNG whatever its name says."""
    return Pillow.open(path, formats=["PNG"])


def decode_png(path: Path) -> Bytes:
    """Return the pixels of a PNG, uint8[H, W] or [H, W, 3]."""
    with open_png(path) as opened:
        return np.asarray(opened, dtype=np.uint8)

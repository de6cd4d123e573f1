"""Measure how far apart the hashes of related and of unrelated RGB-thermal pairs are, from which `NEAR` was chosen.

Related: frames of MFNet that follow one another, and copies made of RoadScene's pairs. Unrelated: pairs of two datasets
of other places, and frames of one dataset whose numbers are more than 100 apart (some of these may be of one place).

    python docs/measurements/look_alikes.py FOLDER      with FLIR_aligned/align, MFNet and RoadScene in it
"""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageEnhance

from rgbt_bench.datasets.leaks import hamming, phash

BOUNDS = (8, 10, 12, 14, 16, 18, 20, 22)
FAR = 100
Set = tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint64]]  # frame numbers, hashes of RGB and of thermal
Distances = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def hash_of(picture: Pillow.Image) -> int:
    """Return a picture's hash, as the leak report has it."""
    return phash(np.asarray(picture.convert("L").resize((32, 32), Pillow.Resampling.LANCZOS)))


def mfnet(root: Path) -> Iterator[tuple[int, Pillow.Image, Pillow.Image]]:
    """Yield MFNet's pairs without its mirrored copies."""
    for path in sorted((root / "MFNet/images").glob("[0-9]*[DN].png")):
        values = np.asarray(Pillow.open(path))
        yield int(path.stem[:5]), Pillow.fromarray(values[..., :3]), Pillow.fromarray(values[..., 3])


def flir(root: Path) -> Iterator[tuple[int, Pillow.Image, Pillow.Image]]:
    """Yield FLIR-aligned's pairs."""
    for path in sorted((root / "FLIR_aligned/align/JPEGImages").glob("*_RGB.jpg")):
        thermal = path.with_name(path.name.replace("_RGB.jpg", "_PreviewData.jpeg"))
        yield int(path.stem[5:10]), Pillow.open(path), Pillow.open(thermal)


def roadscene(root: Path) -> Iterator[tuple[int, Pillow.Image, Pillow.Image]]:
    """Yield RoadScene's pairs; the frames of its video are numbered after all others."""
    for path in sorted((root / "RoadScene/cropinfrared").glob("*.jpg")):
        number = int(path.stem[-5:]) + 100_000 * ("video" in path.stem)
        yield number, Pillow.open(root / "RoadScene/crop_LR_visible" / path.name), Pillow.open(path)


def hashed(pairs: Iterator[tuple[int, Pillow.Image, Pillow.Image]]) -> Set:
    """Return the numbers and hashes of pairs."""
    rows = [(number, hash_of(rgb), hash_of(thermal)) for number, rgb, thermal in pairs]
    numbers, rgb, thermal = zip(*rows, strict=True)
    return np.array(numbers), np.array(rgb, np.uint64), np.array(thermal, np.uint64)


def within(pairs: Set, chosen: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> Distances:
    """Return the distances of a set's pairs whose frame numbers are so far apart as `chosen` says."""
    numbers, rgb, thermal = pairs
    some = np.triu(chosen(np.abs(numbers[:, None] - numbers)), 1)
    return hamming(rgb, rgb)[some], hamming(thermal, thermal)[some]


def between(a: Set, b: Set) -> Distances:
    """Return the distances of all pairs of one set from all of another."""
    return hamming(a[1], b[1]).ravel(), hamming(a[2], b[2]).ravel()


def copies(root: Path, change: Callable[[Pillow.Image], Pillow.Image]) -> Distances:
    """Return the distances of RoadScene's pairs from their changed copies."""
    before = hashed(roadscene(root))
    after = hashed((number, change(rgb), change(thermal)) for number, rgb, thermal in roadscene(root))
    rgb, thermal = (np.bitwise_count(one ^ other) for one, other in zip(before[1:], after[1:], strict=True))
    return rgb, thermal


def cropped(share: float) -> Callable[[Pillow.Image], Pillow.Image]:
    """Return what cuts a share of an image off at each side."""

    def change(picture: Pillow.Image) -> Pillow.Image:
        x, y = round(picture.width * share), round(picture.height * share)
        return picture.crop((x, y, picture.width - x, picture.height - y))

    return change


def encoded(picture: Pillow.Image) -> Pillow.Image:
    """Return a picture after JPEG of a low quality."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=30)
    return Pillow.open(stream)


def report(name: str, distances: Distances) -> None:
    """Print the share of pairs that are at most as far apart as each bound, by the mean, by RGB and by thermal."""
    rgb, thermal = (one.astype(float) for one in distances)
    ways = {"mean": (rgb + thermal) / 2, "larger": np.maximum(rgb, thermal), "rgb": rgb, "thermal": thermal}
    for way, values in ways.items():
        shares = " | ".join(f"{100 * (values <= bound).mean():.2f}" for bound in BOUNDS)
        print(f"| {name} | {len(values)} | {way} | {shares} | {values.min():g} |")


def main(root: Path) -> None:
    """Print the whole table."""
    frames, streets, roads = (hashed(read(root)) for read in (mfnet, flir, roadscene))
    print("| pairs | count | by | " + " | ".join(f"≤ {bound}" for bound in BOUNDS) + " | least |")
    print("|" + "---|" * (len(BOUNDS) + 4))
    report("MFNet and RoadScene", between(frames, roads))
    report("MFNet and FLIR-aligned", between(frames, streets))
    report(f"MFNet, > {FAR} frames apart", within(frames, lambda gap: gap > FAR))
    report(f"RoadScene, > {FAR} frames apart", within(roads, lambda gap: gap > FAR))
    report(f"FLIR-aligned, > {FAR} frames apart", within(streets, lambda gap: gap > FAR))
    report("MFNet, next frame", within(frames, lambda gap: gap == 1))
    report("MFNet, two or three frames on", within(frames, lambda gap: (gap > 1) & (gap < 4)))
    report("copy: JPEG of quality 30", copies(root, encoded))
    report("copy: half the size", copies(root, lambda one: one.resize((one.width // 2, one.height // 2))))
    report("copy: 1.3 times as bright", copies(root, lambda one: ImageEnhance.Brightness(one).enhance(1.3)))
    report("copy: 2% cut off at each side", copies(root, cropped(0.02)))
    report("copy: 5% cut off at each side", copies(root, cropped(0.05)))
    report("copy: mirrored", copies(root, lambda one: one.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

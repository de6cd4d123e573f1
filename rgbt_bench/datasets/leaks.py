"""Samples of one part that look like samples of another: perceptual hashes of both modalities, compared across parts.

A hash finds copies (encoded again, scaled, brighter, cropped by a few per cent) and frames of a camera that stands.
It does not find mirrored copies, nor most frames of a camera that moves: few hits do not prove that nothing leaks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from rgbt_bench.datasets.digests import open_image
from rgbt_bench.datasets.ranges import eight_bits
from rgbt_bench.datasets.store import AGAIN, Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import DatasetInfo, Image

Hashes = NDArray[np.uint64]
Progress = Callable[[str, int, int], None]

# docs/measurements/look-alikes.md: 0 of 41,323 unrelated pairs are as near, and 97.5% of copies cropped by 5% a side.
NEAR = 14.0
NEAR_RGB_ALONE = 10.0  # night scenes are alike in RGB: 14 calls 7 of 569 pairs near, 6 of them wrongly
WORST_LISTED = 20
_SIDE, _KEPT = 32, 8
_BITS = _KEPT * _KEPT
_BOUNDS = (*range(0, _BITS // 2 + 1, 2), _BITS)
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class HashedPart:
    """The hashes of a part: `ids` [N], `rgb` uint64 [N], `thermal` uint64 [N], or None where it has not all of them."""

    name: str
    ids: tuple[str, ...]
    rgb: Hashes
    thermal: Hashes | None


@dataclass(frozen=True)
class LookAlike:
    """A sample and the one of the other part that is nearest to it.

    Distances are bits of 64 that differ: `rgb` and `thermal` (None: not compared), and `distance`, their mean.
    """

    sample_id: str
    other_id: str
    distance: float
    rgb: int
    thermal: int | None


@dataclass(frozen=True)
class Comparison:
    """One part held against another: for each sample of `part` its nearest one in `other`, the nearest first.

    `in_both` counts the samples that are in both parts by their ids.
    """

    part: str
    other: str
    near: float
    in_both: int
    nearest: tuple[LookAlike, ...]

    @cached_property
    def leaks(self) -> int:
        """How many samples have one in the other part at a distance of at most `near`."""
        return sum(one.distance <= self.near for one in self.nearest)

    @cached_property
    def median(self) -> float:
        """The median of the distances to the nearest one; between sets that share nothing it is 22 to 25."""
        return float(np.median([one.distance for one in self.nearest]))

    @cached_property
    def histogram(self) -> tuple[tuple[int, int], ...]:
        """Bounds and counts: how many nearest distances are at most a bound and above the bound before it."""
        distances = [one.distance for one in self.nearest]
        places = np.searchsorted(_BOUNDS, distances, side="left")
        return tuple(zip(_BOUNDS, np.bincount(places, minlength=len(_BOUNDS)).tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data, with the WORST_LISTED nearest pairs."""
        return {
            "part": self.part,
            "other": self.other,
            "samples": len(self.nearest),
            "near": self.near,
            "leaks": self.leaks,
            "in_both": self.in_both,
            "median": self.median,
            "histogram": [list(entry) for entry in self.histogram],
            "worst": [vars(one) for one in self.nearest[:WORST_LISTED]],
        }


@dataclass(frozen=True)
class LeakReport:
    """How much the parts of a split look alike; `comparisons` holds every later part against every earlier one."""

    dataset: str
    modalities: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready data."""
        return {
            "dataset": self.dataset,
            "modalities": list(self.modalities),
            "comparisons": [one.to_dict() for one in self.comparisons],
        }


def phash(grey: NDArray[np.uint8]) -> int:
    """Return the 64-bit perceptual hash of a picture of 32x32 greys, uint8 [32, 32].

    The 8x8 lowest frequencies of its DCT-II, each as a bit: whether it is above their median, row by row, the first in
    the highest bit. Equal to that of the package imagehash (`phash`), but for pictures without any detail in a
    direction, whose bits there are rounding errors and are 0 here.
    """
    frequencies = _COSINES @ grey.astype(np.float64) @ _COSINES.T
    frequencies = frequencies.round(6)
    bits = frequencies > np.median(frequencies)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _cosines() -> NDArray[np.float64]:
    frequency, place = np.arange(_KEPT)[:, None], np.arange(_SIDE)[None]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * _SIDE))


_COSINES = _cosines()


def hamming(a: Hashes, b: Hashes) -> NDArray[np.uint8]:
    """Return how many bits differ: of hashes [N] and hashes [M], uint8 [N, M] in 0..64."""
    differing: NDArray[np.uint8] = np.bitwise_count(a[:, None] ^ b[None])
    return differing


def compare(part: HashedPart, other: HashedPart) -> Comparison:
    """Return for each sample of a part the nearest one of another, by the mean of both modalities' distances.

    Both must agree, because images without detail hash alike: night scenes in RGB, fog and walls in thermal. Of
    several nearest ones the first id is named. Where either part lacks thermal images, RGB alone is compared.
    """
    thermal = (part.thermal, other.thermal) if part.thermal is not None and other.thermal is not None else None
    found: list[LookAlike] = []
    for start in range(0, len(part.ids) if other.ids else 0, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        rgb = hamming(part.rgb[rows], other.rgb)
        warm = hamming(thermal[0][rows], thermal[1]) if thermal else rgb
        total = rgb.astype(np.uint16) + warm
        nearest = total.argmin(axis=1)
        for row, at in enumerate(nearest.tolist()):
            distances = int(rgb[row, at]), int(warm[row, at]) if thermal else None
            found.append(LookAlike(part.ids[start + row], other.ids[at], int(total[row, at]) / 2, *distances))
    found.sort(key=lambda one: (one.distance, one.sample_id))
    in_both = len(set(part.ids) & set(other.ids))
    return Comparison(part.name, other.name, NEAR if thermal else NEAR_RGB_ALONE, in_both, tuple(found))


def leak_report(dataset: Dataset, progress: Progress = lambda stage, done, total: None) -> LeakReport:
    """Decode and hash every sample of a dataset's split, and compare its parts.

    Raises:
        BadInputError: an image cannot be decoded, or a shard cannot be read.
    """
    parts = {name: dataset.part(name).ids for name in dataset.parts}
    wanted = {sample_id for ids in parts.values() for sample_id in ids}
    ordered = [sample_id for sample_id in dataset.labels if sample_id in wanted]  # as they lie in the shards
    hashes: dict[str, tuple[int, int | None]] = {}
    for done, sample_id in enumerate(ordered, start=1):
        sample = dataset.sample(sample_id)
        thermal = _hash(sample.thermal, sample_id, dataset.info) if sample.thermal else None
        hashes[sample_id] = _hash(sample.rgb, sample_id, dataset.info), thermal
        progress("hashing", done, len(ordered))
    hashed = [_part(name, ids, [dataset.look_up(hashes, one) for one in ids]) for name, ids in parts.items()]
    both = all(part.thermal is not None for part in hashed)
    comparisons = tuple(compare(later, earlier) for earlier, later in combinations(hashed, 2))
    return LeakReport(dataset.name, ("rgb", "thermal") if both else ("rgb",), comparisons)


def _part(name: str, ids: tuple[str, ...], hashes: Sequence[tuple[int, int | None]]) -> HashedPart:
    thermal = [one for _, one in hashes if one is not None]
    whole = np.array(thermal, np.uint64) if len(thermal) == len(ids) else None
    return HashedPart(name, ids, np.array([rgb for rgb, _ in hashes], np.uint64), whole)


def _hash(image: Image, sample_id: str, info: DatasetInfo) -> int:
    try:
        return phash(small_grey(image, info.thermal_range))
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        raise BadInputError(f"{sample_id} ({image.name}): cannot be decoded: {error}; {AGAIN}") from None


def small_grey(image: Image, value_range: tuple[float, float]) -> NDArray[np.uint8]:
    """Return an encoded image as 32x32 greys, uint8 [32, 32]; more than 8 bits are scaled from `value_range`.

    Raises:
        Exception: it cannot be decoded.
    """
    with open_image(image.data) as opened:
        grey = eight_bits(opened, value_range).convert("L")
        return np.asarray(grey.resize((_SIDE, _SIDE), Pillow.Resampling.LANCZOS))

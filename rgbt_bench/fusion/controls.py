"""The control rows of every fusion table: results that no method should need to be measured against, and must be."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from zlib import crc32

import numpy as np

from rgbt_bench.fused_images import Sources
from rgbt_bench.png_folders import Bytes

DEFINITION: Final = 2  # counted up whenever a control gives other pixels
Control = Callable[[Sources, str], Bytes]


def infrared(sources: Sources, sample_id: str) -> Bytes:
    """Return the thermal image as it is."""
    return sources.thermal


def visible(sources: Sources, sample_id: str) -> Bytes:
    """Return the luma of the RGB image as it is."""
    return sources.luma


def average(sources: Sources, sample_id: str) -> Bytes:
    """Return the mean of thermal and luma, halves rounded up: to even they would thin every other level."""
    return ((sources.thermal.astype(np.uint16) + sources.luma + 1) // 2).astype(np.uint8)


def maximum(sources: Sources, sample_id: str) -> Bytes:
    """Return the brighter of thermal and luma at every pixel."""
    return np.maximum(sources.thermal, sources.luma)


def noise(sources: Sources, sample_id: str) -> Bytes:
    """Return uniform noise over 0..255 that depends on the sample's id and size alone."""
    generator = np.random.Generator(np.random.PCG64(crc32(sample_id.encode())))
    return generator.integers(0, 256, sources.thermal.shape, dtype=np.uint8)


CONTROLS: Final[Mapping[str, Control]] = MappingProxyType(
    {"infrared": infrared, "visible": visible, "average": average, "max": maximum, "noise": noise}
)

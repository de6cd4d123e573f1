"""A pair and its fused image as every fusion metric takes them: three uint8 images of one size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Counts = NDArray[np.int64]

LEVELS: Final = 256


def luma_of(rgb: NDArray[np.uint8]) -> Gray:
    """Return the 8-bit BT.601 luma of an RGB image, uint8[H, W] of uint8[H, W, 3], with the bits of Pillow's "L".

    It is (19595 R + 38470 G + 7471 B + 32768) / 65536, rounded down.

    Raises:
        ValueError: another dtype or shape.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"rgb: uint8[H, W, 3] expected, not {rgb.dtype}{rgb.shape}")
    weighted = rgb[..., 0] * np.uint32(19595)
    weighted += rgb[..., 1] * np.uint32(38470)
    weighted += rgb[..., 2] * np.uint32(7471)
    weighted += np.uint32(0x8000)
    weighted >>= np.uint32(16)
    return weighted.astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Triple:
    """The luma of an RGB image, the thermal image and the image fused of both, uint8[H, W] each.

    What several metrics need (histograms, sums, gradients) is counted once, when the first of them asks for it.

    Raises:
        ValueError: another dtype, no two dimensions, no pixel, or two sizes.
    """

    luma: Gray
    thermal: Gray
    fused: Gray

    def __post_init__(self) -> None:
        for name in ("luma", "thermal", "fused"):
            image = getattr(self, name)
            if image.dtype != np.uint8 or image.ndim != 2 or not image.size:
                raise ValueError(f"{name}: uint8[H, W] expected, not {image.dtype}{image.shape}")
            if image.shape != self.luma.shape:
                raise ValueError(f"luma is {self.luma.shape} and {name} {image.shape}: one size expected")
            object.__setattr__(self, name, _read_only(image))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.luma.shape
        return height, width

    @property
    def images(self) -> tuple[Gray, Gray, Gray]:
        """Luma, thermal and fused."""
        return self.luma, self.thermal, self.fused

    @cached_property
    def joint_histograms(self) -> Counts:
        """How often each level of luma, and of thermal, meets each of fused: int64[2, 256 of the source, 256]."""
        from rgbt_bench.metrics.fusion import _pixel_kernels as kernels

        return kernels.joint_histograms(*(image.ravel() for image in self.images))

    @cached_property
    def histograms(self) -> Counts:
        """How often each level occurs in luma, thermal and fused: int64[3, 256]."""
        sources = self.joint_histograms.sum(axis=2)
        return np.concatenate([sources, self.joint_histograms[:1].sum(axis=1)])

    @cached_property
    def products(self) -> Counts:
        """The sums over the pixels of the products of two of (1, luma, thermal, fused): int64[4, 4], exact."""
        from rgbt_bench.metrics.fusion import _pixel_kernels as kernels

        return kernels.products(*(image.ravel() for image in self.images))


def _read_only(image: Gray) -> Gray:
    """Return a view, or a copy in rows, that is not written to: one layout, for which loops are compiled once."""
    view = np.ascontiguousarray(image).view()
    view.flags.writeable = False
    return view

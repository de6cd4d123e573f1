"""Fusion metrics as other toolboxes compute them, so that their numbers can be met on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from rgbt_bench.errors import unknown_name
from rgbt_bench.metrics.fusion.conventions.base import Bytes, Convention, check_images, check_names
from rgbt_bench.metrics.fusion.conventions.cddfuse import CDDFUSE
from rgbt_bench.metrics.fusion.conventions.ivif_zoo import IVIF_ZOO
from rgbt_bench.metrics.fusion.conventions.tang_matlab import TANG_MATLAB
from rgbt_bench.metrics.fusion.conventions.vifb import VIFB
from rgbt_bench.metrics.fusion.figures import fusion_figures
from rgbt_bench.metrics.fusion.triple import luma_of
from rgbt_bench.metrics.fusion_catalogue import METRICS

__all__ = ["CONVENTIONS", "DEFAULT", "Convention", "find_convention"]


def _figures(rgb: Bytes, thermal: Bytes, fused: Bytes, names: Sequence[str] | None = None) -> dict[str, float]:
    """Return the default fusion metrics of the luma of rgb and of fused."""
    chosen = check_names("rgbt-bench", names, tuple(METRICS))
    check_images(rgb, thermal, fused)
    luma, gray = (image if image.ndim == 2 else luma_of(image) for image in (rgb, fused))
    return fusion_figures(luma, thermal, gray, chosen)


DEFAULT: Final = Convention(
    name="rgbt-bench",
    title="rgbt-bench, the metrics' own definitions",
    source="rgbt_bench.metrics.fusion",
    images="Pillow's luma of rgb and fused, thermal as it is",
    metrics=tuple(METRICS),
    figures=_figures,
    differences=MappingProxyType({}),
)

CONVENTIONS: Final[tuple[Convention, ...]] = (DEFAULT, VIFB, TANG_MATLAB, IVIF_ZOO, CDDFUSE)


def find_convention(name: str) -> Convention:
    """Return a convention by name.

    Raises:
        UsageError: there is none of that name.
    """
    for convention in CONVENTIONS:
        if convention.name == name:
            return convention
    raise unknown_name("fusion convention", name, [convention.name for convention in CONVENTIONS])

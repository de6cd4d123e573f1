"""Pictures of fused images: each pair beside what was made of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from rgbt_bench.datasets.sheet import spread, to_rgb
from rgbt_bench.datasets.store import Part
from rgbt_bench.fused_images import FusedImage
from rgbt_bench.pictures import save_sheet

SHEET_PAIRS: Final = 8
_TILE, _GAP, _LINE = 256, 4, 16
_GROUND, _TEXT = "#202020", "#e0e0e0"


def draw_fused(
    path: Path,
    part: Part,
    predictions: Sequence[FusedImage],
    pairs: int = SHEET_PAIRS,
    chosen: Sequence[int] | None = None,
    captions: Mapping[int, str] | None = None,
) -> None:
    """Write a contact sheet of pairs and their fused images: those at `chosen` places, or `pairs` spread over them."""
    draw_methods(path, part, {"fused": predictions}, pairs, chosen, captions)


def draw_methods(
    path: Path,
    part: Part,
    methods: Mapping[str, Sequence[FusedImage]],
    pairs: int = SHEET_PAIRS,
    chosen: Sequence[int] | None = None,
    captions: Mapping[int, str] | None = None,
) -> None:
    """Write a sheet with a row a pair: RGB, thermal, and the fused image of each method under its name."""
    places = spread(len(part), pairs) if chosen is None else chosen
    rows = [_row(part, place, methods, (captions or {}).get(place, part.ids[place])) for place in places]
    heading = _texts(["RGB", "thermal", *methods])
    sheet = Pillow.new("RGB", (heading.width, heading.height + sum(row.height for row in rows)), _GROUND)
    top = 0
    for strip in (heading, *rows):
        sheet.paste(strip, (0, top))
        top += strip.height
    save_sheet(path, sheet)


def _row(part: Part, place: int, methods: Mapping[str, Sequence[FusedImage]], caption: str) -> Pillow.Image:
    sample, info = part[place], part.dataset.info
    pictures = [to_rgb(sample.rgb, info), *([to_rgb(sample.thermal, info)] if sample.thermal else [])]
    pictures += [Pillow.fromarray(found[place].pixels).convert("RGB") for found in methods.values()]
    height = max(1, round(_TILE * sample.height / sample.width))
    strip = Pillow.new("RGB", (_width(len(pictures)), height + _GAP + _LINE), _GROUND)
    for column, picture in enumerate(pictures):
        strip.paste(picture.resize((_TILE, height), Pillow.Resampling.BILINEAR), (_left(column), 0))
    ImageDraw.Draw(strip).text((_GAP, height + 1), caption, _TEXT, ImageFont.load_default(11))
    return strip


def _texts(titles: Sequence[str]) -> Pillow.Image:
    strip = Pillow.new("RGB", (_width(len(titles)), _LINE + _GAP), _GROUND)
    for column, title in enumerate(titles):
        ImageDraw.Draw(strip).text((_left(column), 2), title, _TEXT, ImageFont.load_default(11))
    return strip


def _left(column: int) -> int:
    return _GAP + column * (_TILE + _GAP)


def _width(columns: int) -> int:
    return _left(columns)

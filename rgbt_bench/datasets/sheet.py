"""Contact sheets: pairs side by side with their boxes, and detections where there are any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from rgbt_bench.datasets.digests import open_image
from rgbt_bench.schema import DatasetInfo, Image, Sample

COLOURS = ("#00c8ff", "#ffd400", "#ff5c8a", "#7cff6b", "#c58bff", "#ff9a3c", "#4fffd2", "#ffffff", "#b5b500", "#ff4040")
_CAPTION, _GAP = 16, 4


@dataclass(frozen=True)
class DrawnBox:
    """A box to draw: x, y, width, height in pixels of the sample, 0-based class, score in 0..1 where it has one."""

    bbox: tuple[float, float, float, float]
    category: int
    score: float | None = None


def contact_sheet(
    samples: Sequence[Sample],
    info: DatasetInfo,
    detections: Mapping[str, Sequence[DrawnBox]] | None = None,
    tile_width: int = 320,
    columns: int = 2,
    captions: Mapping[str, str] | None = None,
    thin: str = "label",
) -> Pillow.Image:
    """Return a picture of RGB-thermal pairs: labels as solid boxes; detections by sample id as thick ones with scores.

    With detections, labels are drawn thin and white, so that both can be told apart; `thin` says in the legend what the
    thin boxes are (empty: there are none). `captions` stand over the pairs instead of what is known of the samples.
    """
    font = ImageFont.load_default(11)
    tiles = [_pair_tile(sample, info, detections, captions or {}, tile_width, font) for sample in samples]
    width = (tile_width * 2 + _GAP) * columns + _GAP * (columns + 1)
    legend = _legend(info, thin if detections is not None else "", width, font)
    if not tiles:
        return legend
    width = legend.width
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in row) for row in rows]
    sheet = Pillow.new("RGB", (width, legend.height + sum(heights) + _GAP * (len(rows) + 1)), "#202020")
    sheet.paste(legend, (0, 0))
    top = legend.height + _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_GAP + column * (tile_width * 2 + 2 * _GAP), top))
        top += height + _GAP
    return sheet


def spread(count: int, wanted: int) -> list[int]:
    """Return `wanted` indices spread evenly over `count` items."""
    if count <= wanted:
        return list(range(count))
    return [round(index * (count - 1) / max(wanted - 1, 1)) for index in range(wanted)]


def _pair_tile(
    sample: Sample,
    info: DatasetInfo,
    detections: Mapping[str, Sequence[DrawnBox]] | None,
    captions: Mapping[str, str],
    width: int,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> Pillow.Image:
    scale = width / sample.width
    height = max(1, round(sample.height * scale))
    tile = Pillow.new("RGB", (width * 2 + _GAP, height + _CAPTION), "#202020")
    known = f"{sample.sample_id}   {sample.illumination}   {len(sample.objects)} boxes"
    caption = captions.get(sample.sample_id, known)
    ImageDraw.Draw(tile).text((2, 1), caption, fill="#e0e0e0", font=font)
    for column, image in enumerate((sample.rgb, sample.thermal)):
        if image is None:
            continue
        picture = _to_rgb(image, info).resize((width, height), Pillow.Resampling.BILINEAR)
        _draw_boxes(picture, sample, detections, scale, font)
        tile.paste(picture, (column * (width + _GAP), _CAPTION))
    return tile


def _to_rgb(image: Image, info: DatasetInfo) -> Pillow.Image:
    with open_image(image.data) as opened:
        opened.load()
        if not opened.mode.startswith("I"):
            return opened.convert("RGB")
        low, high = info.thermal_range
        values = (np.asarray(opened).astype(np.float64) - low) / (high - low)
        return Pillow.fromarray((values.clip(0, 1) * 255).astype(np.uint8)).convert("RGB")


def _draw_boxes(
    picture: Pillow.Image,
    sample: Sample,
    detections: Mapping[str, Sequence[DrawnBox]] | None,
    scale: float,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    draw = ImageDraw.Draw(picture)
    for box in sample.objects:
        colour = "#ffffff" if detections is not None else COLOURS[box.category % len(COLOURS)]
        draw.rectangle(_corners(box.bbox, scale), outline=colour, width=1 if detections is not None else 2)
    for found in (detections or {}).get(sample.sample_id, ()):
        colour = COLOURS[found.category % len(COLOURS)]
        corners = _corners(found.bbox, scale)
        draw.rectangle(corners, outline=colour, width=2)
        if found.score is not None:
            draw.text((corners[0] + 2, max(0, corners[1] - 12)), f"{found.score:.2f}", fill=colour, font=font)


def _corners(bbox: tuple[float, float, float, float], scale: float) -> tuple[float, float, float, float]:
    x, y, width, height = (value * scale for value in bbox)
    return x, y, x + width, y + height


def _legend(
    info: DatasetInfo, thin: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> Pillow.Image:
    legend = Pillow.new("RGB", (width, 20), "#101010")
    draw = ImageDraw.Draw(legend)
    left = 6.0
    entries = [(name, COLOURS[index % len(COLOURS)]) for index, name in enumerate(info.classes)]
    if thin:
        entries.append((f"thin white: {thin}", "#ffffff"))
    for name, colour in entries:
        draw.rectangle((left, 5, left + 10, 15), fill=colour)
        draw.text((left + 15, 4), name, fill="#e0e0e0", font=font)
        left += 28 + draw.textlength(name, font=font)
    return legend

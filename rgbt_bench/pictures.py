"""Pictures of a part: pairs with their labels, and with detections."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from rgbt_bench.datasets.sheet import DrawnBox, contact_sheet, spread
from rgbt_bench.datasets.store import Part
from rgbt_bench.files import write_with
from rgbt_bench.predictions import Detections

SHEET_PAIRS = 8
SHEET_MIN_SCORE = 0.3
_LARGE, _SMALL = 640, 320


def draw_predictions(
    path: Path,
    part: Part,
    detections: Detections,
    min_score: float = SHEET_MIN_SCORE,
    pairs: int = SHEET_PAIRS,
    chosen: Sequence[int] | None = None,
    captions: dict[str, str] | None = None,
) -> None:
    """Write a contact sheet of pairs with their labels and the detections from `min_score` on.

    The pairs are those of `chosen`, or else `pairs` of them spread over the part.
    """
    places = spread(len(part), pairs) if chosen is None else chosen
    drawn = _drawn(part, detections.take(detections.score >= min_score), places)
    save_sheet(path, contact_sheet([part[place] for place in places], part.dataset.info, drawn, captions=captions))


def draw_found(path: Path, part: Part, detections: Detections, places: Sequence[int]) -> None:
    """Write a picture of pairs without labels, with their detections; one pair alone is drawn large."""
    drawn = _drawn(part, detections, places)
    captions = {
        part.ids[place]: f"{part.labels[place].source}   {len(drawn[part.ids[place]])} detection(s)" for place in places
    }
    size = {"tile_width": _LARGE, "columns": 1} if len(places) == 1 else {"tile_width": _SMALL, "columns": 2}
    samples = [part[place] for place in places]
    save_sheet(path, contact_sheet(samples, part.dataset.info, drawn, captions=captions, thin="", **size))


def draw_labels(path: Path, part: Part, pairs: int) -> None:
    """Write a contact sheet of pairs spread over the part, with their labels."""
    save_sheet(path, contact_sheet([part[index] for index in spread(len(part), pairs)], part.dataset.info))


def save_sheet(path: Path, sheet: Pillow.Image) -> None:
    """Write a picture as PNG, whole or not at all."""
    write_with(path, lambda aside: sheet.save(aside, format="PNG"))


def _drawn(part: Part, detections: Detections, places: Sequence[int]) -> dict[str, list[DrawnBox]]:
    drawn: dict[str, list[DrawnBox]] = {part.ids[place]: [] for place in places}
    shown = detections.take(np.isin(detections.sample_index, np.asarray(places, dtype=np.int64)))
    for index, category, bbox, score in zip(shown.sample_index, shown.category, shown.bbox, shown.score, strict=True):
        x, y, width, height = (float(value) for value in bbox)
        drawn[part.ids[int(index)]].append(DrawnBox((x, y, width, height), int(category), float(score)))
    return drawn

"""Pictures of a part: pairs with their labels, and with detections."""

from pathlib import Path

import numpy as np

from rgbt_bench.datasets.sheet import DrawnBox, contact_sheet, spread
from rgbt_bench.datasets.store import Part
from rgbt_bench.files import write_with
from rgbt_bench.predictions import Detections

SHEET_PAIRS = 8
SHEET_MIN_SCORE = 0.3


def draw_predictions(path: Path, part: Part, detections: Detections, min_score: float = SHEET_MIN_SCORE) -> None:
    """Write a contact sheet of pairs spread over the part, with the detections above `min_score`."""
    chosen = spread(len(part), SHEET_PAIRS)
    drawn: dict[str, list[DrawnBox]] = {part.ids[index]: [] for index in chosen}
    shown = detections.take(np.isin(detections.sample_index, chosen) & (detections.score >= min_score))
    for index, category, bbox, score in zip(shown.sample_index, shown.category, shown.bbox, shown.score, strict=True):
        x, y, width, height = (float(value) for value in bbox)
        drawn[part.ids[int(index)]].append(DrawnBox((x, y, width, height), int(category), float(score)))
    sheet = contact_sheet([part[index] for index in chosen], part.dataset.info, drawn)
    write_with(path, lambda aside: sheet.save(aside, format="PNG"))


def draw_labels(path: Path, part: Part, pairs: int) -> None:
    """Write a contact sheet of pairs spread over the part, with their labels."""
    sheet = contact_sheet([part[index] for index in spread(len(part), pairs)], part.dataset.info)
    write_with(path, lambda aside: sheet.save(aside, format="PNG"))

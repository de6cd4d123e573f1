"""What MFNet's labels mean, here and in the sets that others made of it: classes, colours, names, day and night."""

import re

from rgbt_bench.schema import Illumination

CLASSES = ("unlabeled", "car", "person", "bike", "curve", "car_stop", "guardrail", "color_cone", "bump")
PALETTE = (
    (0, 0, 0),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
    (0, 0, 192),
    (128, 128, 0),
    (64, 64, 128),
    (192, 128, 128),
    (192, 64, 0),
)
SAMPLE_ID = re.compile(r"[0-9]{5}[DN]")


def illumination_of(sample_id: str) -> Illumination:
    """Return day or night, which is the last letter of a sample id."""
    return "day" if sample_id.endswith("D") else "night"

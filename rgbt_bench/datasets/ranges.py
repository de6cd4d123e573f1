"""Thermal images of more than 8 bits, brought to the 8 that pictures and hashes are made of."""

import numpy as np
from PIL import Image as Pillow


def eight_bits(opened: Pillow.Image, value_range: tuple[float, float]) -> Pillow.Image:
    """Return an opened image of more than 8 bits as grey in 8, scaled from `value_range`; any other as it is."""
    if not opened.mode.startswith("I"):
        return opened
    low, high = value_range
    values = (np.asarray(opened).astype(np.float64) - low) / (high - low)
    return Pillow.fromarray((values.clip(0, 1) * 255).astype(np.uint8))

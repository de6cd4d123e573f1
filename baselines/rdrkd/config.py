"""The sections of an RDR-KD recipe beside its loss."""

from typing import Literal

from ..yolo.config import RgbModelSection

Taps = Literal["neck", "backbone"]


class ModelSection(RgbModelSection):
    """The detector, and which layers a student and its teacher are compared in.

    Both sets have strides 4, 8, 16 and 32: the backbone's first stage and the neck's three outputs, or the backbone's
    four stages alone.
    """

    taps: Taps = "neck"

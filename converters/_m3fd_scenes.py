"""Where and when each pair of M3FD was taken, and its part of the split by scene: the packaged table."""

from functools import cache
from importlib.resources import files
from typing import NamedTuple, cast

from rgbt_bench.schema import Illumination


class Frame(NamedTuple):
    """What the table says of one pair; the illumination of 111 pairs is unknown."""

    illumination: Illumination
    scene: str
    part: str


@cache
def frames() -> dict[str, Frame]:
    """Return the frames of the whole set by sample id, in the order of the ids.

    A line has the first and the last id of a run of pairs, their illumination, scene and part. Scenes and illuminations
    are those of RGBXFusion's scenario.json; docs/measurements/m3fd_split.py makes the table.
    """
    found: dict[str, Frame] = {}
    for line in (files(__package__) / "splits" / "m3fd_scenes.txt").read_text(encoding="utf-8").splitlines():
        first, last, illumination, scene, part = line.split()
        frame = Frame(cast(Illumination, illumination), scene, part)
        found.update((f"{number:05d}", frame) for number in range(int(first), int(last) + 1))
    return found

"""What a generated drone's camera sees without any object: a place from some height, by day or by night."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rgbt_bench.datasets.sample_drone_camera import FOCAL, SIZE, Camera, Picture, Sun, photograph
from rgbt_bench.datasets.sample_drone_places import LAYOUTS, Area, Place
from rgbt_bench.datasets.sample_scenes import IntArray, Random, blend, hill, tint

BLOCK = 4  # samples that share a place and a camera
_AROUND = 4 * SIZE  # 1/16 px around the image where an object may stand


@dataclass(frozen=True)
class _Style:
    """What a layout looks like from above: tenths of a pixel a metre, and the number of objects; a dense one's too."""

    scale: tuple[int, int]
    objects: tuple[int, int]
    dense_scale: tuple[int, int]
    dense_objects: tuple[int, int]


_STYLES = {
    "street": _Style((30, 42), (18, 46), (26, 32), (50, 80)),
    "parking": _Style((26, 34), (34, 70), (17, 20), (120, 200)),
    "square": _Style((38, 52), (24, 60), (32, 38), (115, 180)),
    "crossing": _Style((28, 38), (20, 44), (26, 30), (44, 76)),
    "meadow": _Style((30, 44), (14, 44), (28, 34), (40, 70)),
    "yard": _Style((26, 36), (12, 32), (24, 28), (24, 44)),
}
_CROWDED = ("square", "meadow", "yard")
# Sine and cosine (of 1024) of how far the camera looks down: straight, nearly straight, and from the side.
_TILTS = ((1024, 0), (1024, 0), (1005, 196), (946, 392), (862, 553), (784, 658))


@dataclass(frozen=True)
class View:
    """What one camera sees without any object; it is shared by a block of samples and never changed.

    Attributes:
        camera: where it is.
        sun: where shadows fall.
        place: what is there.
        rgb: the ground and what lies low, int64 (SIZE, SIZE, 3).
        shade: how much of a pixel is in a shadow, int64 (SIZE, SIZE) of 0..16.
        tall: what may hide objects, by its order of painting.
        light: how much of the colours shows, int64 (SIZE, SIZE, 3), 256 for all.
        night: whether it is night.
        wanted: the least and the largest number of objects.
    """

    camera: Camera
    sun: Sun
    place: Place
    rgb: IntArray
    shade: IntArray
    tall: tuple[tuple[int, Picture], ...]
    light: IntArray
    night: bool
    wanted: tuple[int, int]


@lru_cache(maxsize=2)
def view(split: str, block: int) -> View:
    """Return what the camera of a block sees without any object."""
    random = Random(f"sample_drone_{split}_place_{block:02d}")
    layout = tuple(LAYOUTS)[block % len(LAYOUTS)]
    dense, night = block // len(LAYOUTS) % 2 == 1, block % 4 == 3
    style = _STYLES[layout]
    scale = random.between(*(style.dense_scale if dense else style.scale))
    sine, cosine = random.pick(_TILTS)
    camera = Camera(FOCAL * 1000 * sine // (1024 * scale), sine, cosine)
    place = Place(camera, random.below(32))
    LAYOUTS[layout](place, random)
    length = 40 if night else random.between(60, 330)
    angle = random.pick(((10, 4), (-9, 5), (7, -7), (-6, -8), (3, 10)))
    sun = Sun(length * angle[0] // 10, length * angle[1] // 10, 60 if night else random.between(104, 140))
    rgb = _ground(place, random)
    shade = np.zeros((SIZE, SIZE), np.int64)
    tall: list[tuple[int, Picture]] = []
    for fixture in place.fixtures:
        at = place.world(fixture.place)
        if not near(camera, at):
            continue
        picture = photograph(camera, sun, fixture.model, at, fixture.heading + place.heading)
        there, here = picture.windows()
        shade[there] = np.maximum(shade[there], picture.shadow[here])
        if fixture.hides:
            tall.append((painting_order(camera, at, 1000), picture))
        else:
            rgb[there] = blend(rgb[there], picture.rgb[here], picture.cover[here][..., None])
    if layout in _CROWDED and not dense and random.chance(70):
        _reserve_crowd(place, random)
    light = _lamps(random) if night else np.full_like(rgb, 256)
    wanted = style.dense_objects if dense else style.objects
    return View(camera, sun, place, rgb, shade, tuple(tall), light, night, wanted)


def _ground(place: Place, random: Random) -> IntArray:
    """Return the picture of the ground, int64 (SIZE, SIZE, 3)."""
    points = np.array(place.colours, np.int64)[place.kinds].reshape(SIZE, 2, SIZE, 2, 3)
    rough = random.texture(5, 7, SIZE) + random.texture(23, 9, SIZE) + random.noise((SIZE, SIZE), 3)
    ground: IntArray = points.sum(axis=(1, 3)) // 4 + rough[..., None]
    return ground


def _lamps(random: Random) -> IntArray:
    """Return the light of a night: dim and bluish, with warm pools."""
    light = np.zeros((SIZE, SIZE, 3), np.int64) + np.array((78, 82, 100), np.int64)
    for _ in range(random.between(3, 6)):
        wide = random.between(60, 110)
        pool = hill(random.between(0, SIZE), random.between(0, SIZE), wide, wide, 104, SIZE)
        light += tint(pool, (16, 14, 10))
    return np.minimum(light, 250)


def near(camera: Camera, at: tuple[int, int], margin: int = _AROUND) -> bool:
    """Return whether a place on the ground is in the image or not far from it."""
    if at[1] * camera.cosine + camera.height * camera.sine < 256 * camera.height:
        return False
    column, row = camera.project(*at, 0)
    return -margin <= column < 16 * SIZE + margin and -margin <= row < 16 * SIZE + margin


def painting_order(camera: Camera, at: tuple[int, int], high: int) -> int:
    """Return when to paint what stands there: from far to near, or from low to high where one looks straight down."""
    return -at[1] if camera.cosine > 300 else high


def _reserve_crowd(place: Place, random: Random) -> None:
    """Keep an area free for a crowd that is too dense to label."""
    u, v = random.between(-1600, 1600), random.between(-1600, 1600)
    across, deep = random.between(350, 620), random.between(300, 480)
    area = u - across, v - deep, u + across, v + deep
    lanes = [zone.area for zone in place.zones if zone.heading is not None]
    if near(place.camera, place.world((u, v)), -320) and not any(overlap(area, lane) for lane in lanes):
        place.crowd = area
        place.taken.append((u - across - 150, v - deep - 150, u + across + 150, v + deep + 150))


def overlap(first: Area, second: Area) -> bool:
    """Return whether two areas share more than an edge."""
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]

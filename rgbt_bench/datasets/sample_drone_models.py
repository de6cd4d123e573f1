"""The bodies of the generated drone's views, in cm: people, vehicles, and what is no object.

People and bicycles are larger than life, so that they cover some pixels from so far above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rgbt_bench.datasets.sample_drone_camera import Ball, Model, Point, Solid, shaded
from rgbt_bench.datasets.sample_scenes import Colour, Random

# What is to be told apart is lacquer too: vans are mostly white, buses never are; cars come in all colours.
_CARS: tuple[Colour, ...]
_CARS = (
    (234, 234, 232), (234, 234, 232), (196, 200, 204), (40, 42, 48), (40, 42, 48), (70, 74, 82), (176, 28, 34),
    (30, 62, 140), (120, 20, 30), (206, 168, 40), (44, 92, 66), (150, 180, 206),
)  # fmt: skip
_VANS: tuple[Colour, ...] = ((238, 238, 236), (238, 238, 236), (212, 214, 216), (206, 176, 60), (60, 84, 120))
_CABS: tuple[Colour, ...] = ((186, 40, 34), (40, 84, 160), (226, 226, 222), (214, 128, 30), (44, 110, 76))
_LOADS: tuple[Colour, ...] = ((226, 224, 216), (166, 170, 174), (70, 104, 128), (150, 118, 84), (110, 122, 78))
_BUSES: tuple[Colour, ...] = ((206, 44, 38), (28, 116, 168), (236, 176, 32), (64, 146, 84))
_SHIRTS: tuple[Colour, ...]
_SHIRTS = (
    (200, 36, 42), (36, 74, 176), (240, 238, 232), (26, 28, 34), (232, 184, 40), (36, 132, 84), (214, 108, 150),
    (232, 118, 32),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = ((40, 48, 80), (34, 34, 38), (118, 104, 82))
_HAIR: tuple[Colour, ...] = ((44, 32, 26), (24, 22, 24), (120, 84, 48), (214, 180, 150))
_GLASS, _TYRE, _METAL = (46, 58, 70), (26, 26, 28), (150, 152, 156)


def block(left: int, right: int, half: int) -> tuple[Point, ...]:
    """Return the corners of a rectangle from `left` to `right` along and `half` to both sides across."""
    return (left, -half), (right, -half), (right, half), (left, half)


def prism(ring: tuple[Point, ...], low: int, high: int, colour: Colour, layer: int = 0) -> Solid:
    """Return an upright body of one colour."""
    return Solid(ring, low, ring, high, colour, (colour,) * len(ring), layer)


def patch(ring: tuple[Point, ...], up: int, colour: Colour, layer: int) -> Solid:
    """Return a flat mark."""
    return Solid(ring, up, ring, up, colour, (), layer)


def pedestrian(random: Random) -> Model:
    """Return somebody on foot."""
    shirt, trousers = random.pick(_SHIRTS), random.pick(_TROUSERS)
    stride = random.between(20, 62)
    return [
        prism(((-stride, -34), (20, -34), (stride, 34), (-20, 34)), 0, 95, trousers),
        prism(((-38, -78), (38, -78), (38, 78), (-38, 78)), 95, 185, shirt, 1),
        Ball(8, 0, 215, 36, random.pick(_HAIR), 2),
    ]


def bicycle(random: Random) -> Model:
    """Return a bicycle, in three of four cases with its rider."""
    frame = random.pick(_SHIRTS)
    parts: list[Solid | Ball] = [
        prism(block(-125, -30, 13), 0, 75, _TYRE),
        prism(block(30, 125, 13), 0, 75, _TYRE),
        prism(block(-80, 85, 17), 50, 95, frame, 1),
        prism(block(58, 78, 52), 95, 112, (60, 60, 64), 2),
    ]
    if random.chance(75):
        parts.append(prism(block(-55, 30, 44), 95, 180, random.pick(_SHIRTS), 3))
        parts.append(Ball(5, 0, 200, 34, random.pick(_HAIR), 4))
    return parts


def car(random: Random) -> Model:
    """Return a saloon, a hatchback or an estate: a long bonnet, a small roof between two panes."""
    length, half = random.between(200, 228), random.between(86, 92)
    paint = random.pick(_CARS)
    rear, roof_rear, roof_fore, fore = random.pick(((-150, -95, 40, 105), (-205, -170, 35, 100), (-215, -195, 45, 105)))
    parts = _wheeled(-length, length, half, 95, paint)
    parts.append(_cabin((rear, fore), (roof_rear, roof_fore), half - 6, 150, paint, (_GLASS,) * 4))
    return [*parts, *_lamps(length, half, 96)]


def van(random: Random) -> Model:
    """Return a van: longer, wider and higher than a car, a long closed roof and a short bonnet."""
    length, half = random.between(252, 280), random.between(104, 110)
    paint = random.pick(_VANS)
    parts = _wheeled(-length, length, half, 110, paint)
    glass = paint, _GLASS, paint, paint
    parts.append(_cabin((-length, length - 70), (-length + 10, length - 150), half - 4, 235, paint, glass))
    for along in range(-length + 60, length - 190, 110):
        parts.append(patch(block(along, along + 14, half - 30), 236, shaded(paint, 4, 5), 3))
    return [*parts, *_lamps(length, half, 112)]


def truck(random: Random) -> Model:
    """Return a truck: a coloured cab, a gap, and a box or an open bed with its load."""
    length, half = random.between(340, 430), random.between(116, 124)
    cab, load = random.pick(_CABS), random.pick(_LOADS)
    nose = length - 170
    parts = _wheeled(-length, length, half - 10, 70, (54, 54, 58))
    parts.append(_cabin((nose, length), (nose + 10, length - 45), half - 6, 250, cab, (cab, _GLASS, cab, cab)))
    if random.chance(60):
        parts.append(prism(block(-length, nose - 50, half), 90, 320, load, 2))
        return [*parts, *_lamps(length, half, 72)]
    parts.append(prism(block(-length, nose - 50, half), 90, 150, cab, 2))
    parts.append(patch(block(-length + 22, nose - 72, half - 22), 151, (92, 84, 74), 3))
    for along in range(-length + 40, nose - 160, 120):
        parts.append(
            prism(block(along, along + random.between(60, 100), half - 45), 151, random.between(170, 230), load, 4)
        )
    return [*parts, *_lamps(length, half, 72)]


def bus(random: Random) -> Model:
    """Return a bus: very long, windows all along, vents on the roof."""
    length, half = random.between(480, 570), random.between(122, 128)
    paint = random.pick(_BUSES)
    parts = _wheeled(-length, length, half, 120, paint)
    parts.append(Solid(block(-length, length, half), 120, block(-length, length, half), 240, _GLASS, (_GLASS,) * 4, 2))
    parts.append(prism(block(-length, length, half), 240, 310, paint, 3))
    parts.append(patch(block(-length + 30, length - 30, half - 40), 311, shaded(paint, 7, 8), 4))
    for along in (-length // 2, 0, length // 2):
        parts.append(prism(block(along - 60, along + 60, 62), 311, 340, (226, 226, 224), 5))
    return parts


def tractor(random: Random) -> Model:
    """Return a small tractor with a trailer: one of the others, which are never evaluated."""
    paint, load = (
        random.pick(((40, 120, 50), (190, 50, 36), (36, 84, 150))),
        random.pick(((150, 118, 70), (120, 108, 96))),
    )
    parts: list[Solid | Ball] = [
        prism(block(60, 250, 46), 40, 130, paint),
        *(prism(tuple((60 + a, side + c) for a, c in block(-70, 70, 24)), 0, 140, _TYRE) for side in (-90, 90)),
        *(prism(tuple((215 + a, side + c) for a, c in block(-34, 34, 18)), 0, 80, _TYRE) for side in (-70, 70)),
        prism(block(10, 110, 62), 130, 220, paint, 2),
        patch(block(20, 100, 48), 221, (230, 226, 214), 3),
        prism(block(-280, -30, 95), 60, 130, (104, 92, 80)),
        patch(block(-262, -48, 78), 131, load, 1),
    ]
    return parts


OBJECTS: Mapping[str, tuple[Callable[[Random], Model], int, int]] = {
    # The body, and half its length and width for keeping others away.
    "pedestrian": (pedestrian, 60, 80),
    "bicycle": (bicycle, 130, 60),
    "car": (car, 228, 95),
    "van": (van, 280, 112),
    "truck": (truck, 430, 126),
    "bus": (bus, 570, 130),
    "others": (tractor, 285, 120),
}


def _wheeled(rear: int, front: int, half: int, high: int, paint: Colour) -> list[Solid | Ball]:
    """Return the lower body of a vehicle over its dark wheels."""
    skirt = prism(block(rear + 20, front - 20, half - 6), 0, 40, _TYRE)
    round_front = (
        (rear, -half),
        (front - 30, -half),
        (front, -half + 26),
        (front, half - 26),
        (front - 30, half),
        (rear, half),
    )
    return [skirt, prism(round_front, 40, high, paint, 1)]


def _cabin(
    foot: Point, roof: Point, half: int, high: int, paint: Colour, sides: tuple[Colour, Colour, Colour, Colour]
) -> Solid:
    """Return what stands on the body; `sides` are the right, the front, the left and the rear."""
    return Solid(block(*foot, half), 95, block(*roof, half - 14), high, paint, sides, 2)


def _lamps(length: int, half: int, up: int) -> list[Solid | Ball]:
    """Return the head lamps and tail lamps as they are seen from above."""
    lamps: list[Solid | Ball] = []
    for side in (-1, 1):
        spot = side * (half - 28)
        lamps.append(patch(tuple((a, spot + c) for a, c in block(length - 36, length - 4, 20)), up, (250, 244, 214), 6))
        lamps.append(patch(tuple((a, spot + c) for a, c in block(-length + 2, -length + 26, 20)), up, (206, 26, 24), 6))
    return lamps


_GREENS: tuple[Colour, ...] = ((52, 88, 40), (66, 104, 46), (84, 118, 54), (60, 96, 60), (104, 112, 50))


def tree(random: Random) -> Model:
    """Return a tree with a crown of many balls, the upper ones lighter."""
    wide, high, green = random.between(150, 290), random.between(380, 620), random.pick(_GREENS)
    parts: list[Solid | Ball] = [prism(block(-18, 18, 18), 0, high, (78, 60, 44))]
    for layer, count in ((1, 6), (2, 6), (3, 5)):
        lighter = shaded(green, 60 + 18 * layer + random.between(-8, 8), 100)
        for _ in range(count):
            reach = wide * (4 - layer) // 4
            step = random.between(-reach, reach), random.between(-reach, reach)
            size = random.between(wide * 3 // 8, wide * 5 // 8) * (5 - layer) // 4
            parts.append(Ball(*step, high + 60 * layer, size, lighter, layer))
    return parts


def bench(random: Random) -> Model:
    """Return a bench, which is as long as a bicycle."""
    return [prism(block(-25, 25, 90), 20, 46, random.pick(((146, 104, 62), (108, 84, 60), (120, 124, 128))))]


def bin_(random: Random) -> Model:
    """Return a bin or a bollard, which is as large as somebody's shoulders."""
    colour = random.pick(((52, 92, 62), (70, 72, 76), (44, 70, 120)))
    ring = (40, 0), (28, 28), (0, 40), (-28, 28), (-40, 0), (-28, -28), (0, -40), (28, -28)
    return [prism(ring, 0, 100, colour), patch(tuple((a * 3 // 5, c * 3 // 5) for a, c in ring), 101, (26, 28, 30), 1)]


def crates(random: Random) -> Model:
    """Return a stack of crates or pallets."""
    parts: list[Solid | Ball] = []
    for along in range(-130, 131, 130):
        colour = random.pick(((170, 134, 88), (150, 116, 74), (96, 112, 120)))
        parts.append(prism(tuple((along + a, c) for a, c in block(-56, 56, 56)), 0, random.between(60, 150), colour))
        parts.append(patch(tuple((along + a, c) for a, c in block(-6, 6, 50)), 151, (104, 82, 54), 1))
    return parts


def container(random: Random) -> Model:
    """Return a shipping container: as long as a truck, one colour, ribbed, without a cab or wheels."""
    colour = random.pick(((166, 66, 44), (44, 92, 130), (84, 116, 88), (178, 150, 92)))
    dark = shaded(colour, 3, 4)
    ribs = [patch(block(along, along + 22, 110), 261, dark, 1) for along in range(-280, 270, 70)]
    return [prism(block(-305, 305, 122), 0, 260, colour), *ribs]


def stall(random: Random) -> Model:
    """Return a market stall under striped cloth."""
    first = random.pick(((200, 60, 50), (60, 110, 170), (70, 140, 90), (220, 170, 60)))
    parts: list[Solid | Ball] = [prism(block(-190, 190, 140), 200, 220, (236, 232, 222))]
    return parts + [patch(block(along, along + 48, 140), 221, first, 1) for along in range(-190, 190, 95)]


def lamp_post(random: Random) -> Model:
    """Return a lamp post with its arm."""
    grey = random.pick(((96, 98, 102), (124, 126, 128)))
    return [prism(block(-9, 9, 9), 0, 640, grey), prism(block(-9, 130, 12), 640, 655, grey, 1)]


_ROOFS: tuple[Colour, ...] = ((150, 84, 66), (128, 122, 116), (168, 160, 148), (104, 100, 104), (140, 104, 80))


def building(random: Random, length: int, width: int) -> Model:
    """Return a house with a flat roof that carries vents, or with two slopes."""
    high, roof = random.between(420, 760), random.pick(_ROOFS)
    wall = random.pick(((188, 172, 148), (170, 150, 130), (196, 192, 186), (150, 110, 92)))
    half, ring = width // 2, block(-length // 2, length // 2, width // 2)
    parts: list[Solid | Ball] = [prism(ring, 0, high, wall)]
    if random.chance(40):
        ridge = ((-length // 2, 0), (length // 2, 0), (length // 2, 0), (-length // 2, 0))
        dark = shaded(roof, 3, 4)
        return [*parts, Solid(ring, high, ridge, high + half // 2, roof, (roof, dark, dark, dark), 1)]
    parts.append(patch(ring, high + 1, shaded(roof, 2, 3), 1))
    parts.append(patch(block(-length // 2 + 35, length // 2 - 35, half - 35), high + 2, roof, 2))
    for _ in range(random.between(3, 9)):
        along, across = random.between(-length // 2 + 120, length // 2 - 120), random.between(-half + 120, half - 120)
        size, tall = random.between(35, 90), random.between(30, 110)
        ring = tuple((along + a, across + c) for a, c in block(-size, size, random.between(35, 80)))
        parts.append(prism(ring, high + 2, high + tall, random.pick((_METAL, (206, 206, 202), (96, 98, 100))), 3))
    return parts

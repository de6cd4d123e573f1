"""The places that the generated drone looks at: what lies on the ground, what stands there, and where things can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from rgbt_bench.datasets import sample_drone_models as models
from rgbt_bench.datasets.sample_drone_camera import Camera, Model, Point, turned
from rgbt_bench.datasets.sample_scenes import BoolArray, Colour, IntArray, Random

Area = tuple[int, int, int, int]
GRASS, PAVING, TAR, EARTH = (98, 126, 66), (172, 164, 152), (98, 98, 102), (150, 130, 100)
WHITE, KERB, ZEBRA = (222, 222, 216), (190, 186, 178), (232, 232, 226)
TRAFFIC = (*("car",) * 12, "van", "van", "van", "truck", "truck", "bus", "bus", "bicycle", "others")
PARKED = (*("car",) * 12, "van", "van", "truck")
WALKERS = (*("pedestrian",) * 8, "bicycle")
WORKS = ("truck", "truck", "van", "van", "car", "car", "others")
QUARTER = 8  # a right angle in directions


@dataclass(frozen=True)
class Zone:
    """Where things of a mix can be: anywhere in an area, or on slots (u, v); `heading` None is any direction."""

    mix: tuple[str, ...]
    weight: int
    area: Area = (0, 0, 0, 0)
    slots: tuple[Point, ...] = ()
    heading: int | None = None

    def spot(self, random: Random) -> tuple[Point, int]:
        """Return a place in it and a direction."""
        heading = random.below(32) if self.heading is None else self.heading
        if self.slots:
            return random.pick(self.slots), heading + 16 * random.below(2)
        left, low, right, high = self.area
        return (random.between(left, right), random.between(low, high)), heading


@dataclass(frozen=True)
class Fixture:
    """What always stands there: its body, place and direction, and whether it is high enough to hide things."""

    model: Model
    place: Point
    heading: int
    hides: bool


class Place:
    """A place in its own coordinates (u, v; cm from the middle of the view), turned against the camera's.

    `far` is how far from the middle anything is seen.
    """

    def __init__(self, camera: Camera, heading: int) -> None:
        self.camera, self.heading = camera, heading
        right, away = camera.ground()
        away = away - camera.ahead
        cosine, sine = turned(1024, 0, heading)
        self.u: IntArray = (right * cosine + away * sine) >> 10
        self.v: IntArray = (away * cosine - right * sine) >> 10
        self.far = int(max(np.abs(self.u).max(), np.abs(self.v).max()))
        self.kinds = np.zeros(self.u.shape, np.uint8)
        self.colours: list[Colour] = []
        self.zones: list[Zone] = []
        self.fixtures: list[Fixture] = []
        self.taken: list[Area] = []
        self.crowd: Area | None = None

    def world(self, place: Point) -> Point:
        """Return a place as cm to the right of and away from the camera's foot."""
        right, away = turned(*place, self.heading)
        return right, away + self.camera.ahead

    def lay(self, where: BoolArray, colour: Colour) -> None:
        """Give the ground a colour."""
        if colour not in self.colours:
            self.colours.append(colour)
        self.kinds[where] = self.colours.index(colour)

    def within(self, left: int, low: int, right: int, high: int) -> BoolArray:
        """Return which points of the ground are in an area."""
        inside: BoolArray = (self.u >= left) & (self.u < right) & (self.v >= low) & (self.v < high)
        return inside

    def rectangle(self, left: int, low: int, right: int, high: int, colour: Colour) -> None:
        """Give an area a colour."""
        self.lay(self.within(left, low, right, high), colour)

    def disc(self, place: Point, radius: int, colour: Colour, hole: int = 0) -> None:
        """Give a disc or a ring a colour."""
        square = (self.u - place[0]) ** 2 + (self.v - place[1]) ** 2
        self.lay((square <= radius**2) & (square >= hole**2), colour)

    def stand(self, model: Model, place: Point, heading: int = 0, *, hides: bool = False, room: int = 0) -> None:
        """Put something there; `room` around it stays free of objects."""
        self.fixtures.append(Fixture(model, place, heading, hides))
        if room:
            self.taken.append((place[0] - room, place[1] - room, place[0] + room, place[1] + room))

    def trees(self, random: Random, count: int, area: Area) -> None:
        """Put trees into an area."""
        for _ in range(count):
            spot = random.between(area[0], area[2]), random.between(area[1], area[3])
            self.stand(models.tree(random), spot, random.below(32), hides=True, room=40)

    def house(self, random: Random, place: Point, length: int, width: int) -> None:
        """Put a house there."""
        self.stand(models.building(random, length, width), place, hides=True)
        self.taken.append(
            (place[0] - length // 2, place[1] - width // 2, place[0] + length // 2, place[1] + width // 2)
        )

    def clutter(self, random: Random, count: int, area: Area, kinds: tuple[Callable[[Random], Model], ...]) -> None:
        """Put small things that are no objects into an area."""
        for _ in range(count):
            spot = random.between(area[0], area[2]), random.between(area[1], area[3])
            self.stand(random.pick(kinds)(random), spot, random.below(32), room=110)

    def road(self, random: Random, half: int, across: bool = False, aside: int = 0) -> None:
        """Lay a road with two lanes each way, pavements, marks and its traffic through the whole view."""
        far, tar = self.far, random.between(-12, 14)
        along, beside = (self.v, self.u - aside) if across else (self.u, self.v - aside)
        self.lay(np.abs(beside) < half + 290, PAVING)
        self.lay(np.abs(beside) < half + 22, KERB)
        grey = TAR[0] + tar
        self.lay(np.abs(beside) < half, (grey, grey, grey + 4))
        self.lay((np.abs(beside) < 9) & (along % 600 < 330), WHITE)
        self.lay(np.abs(np.abs(beside) - half + 26) < 7, (grey + 60, grey + 60, grey + 56))
        lane = half // 2
        headings = {1: QUARTER, -1: 3 * QUARTER} if across else {-1: 0, 1: 2 * QUARTER}  # driving on the right
        for side, heading in headings.items():
            drive = aside + side * lane - half // 5, aside + side * lane + half // 5
            edges = aside + side * (half + 60), aside + side * (half + 250)
            self.zones.append(Zone(TRAFFIC, 5, _strip(drive, far, across), heading=heading))
            self.zones.append(Zone(WALKERS, 4, _strip(edges, far, across)))

    def zebra(self, place: int, half: int) -> None:
        """Paint a crossing over the road along u."""
        self.lay(self.within(place - 170, -half + 40, place + 170, half - 40) & (self.v % 110 < 56), ZEBRA)
        self.zones.append(Zone(WALKERS, 1, (place - 140, -half, place + 140, half)))


def _strip(edges: Point, far: int, across: bool) -> Area:
    """Return the area between two edges along u, or along v."""
    low, high = sorted(edges)
    return (low, -far, high, far) if across else (-far, low, far, high)


def street(place: Place, random: Random) -> None:
    """Lay a street with parked cars, houses and trees."""
    far, half = place.far, random.between(560, 820)
    place.lay(place.kinds >= 0, random.pick((GRASS, PAVING, EARTH)))
    if random.chance(50):
        parked = half + 230
        place.road(random, parked)
        slots = [(u, side * (parked - 110)) for u in range(-far, far, 560) for side in (-1, 1)]
        place.zones.append(Zone(PARKED, 5, slots=tuple(slots), heading=0))
    else:
        parked = half
        place.road(random, half)
    place.zebra(random.between(-600, 600), parked)
    edge = parked + 290
    for side in (-1, 1):
        u = -far + random.below(500)
        while u < far:
            length, width = random.between(900, 1500), random.between(700, 1000)
            if random.chance(60):
                place.house(random, (u + length // 2, side * (edge + 120 + width // 2)), length, width)
            else:
                spot = side * (edge + 400)
                place.trees(random, random.between(1, 4), (u, spot - 300, u + length, spot + 300))
            u += length + random.between(150, 500)
        for u in range(-far + random.below(900), far, random.between(900, 1500)):
            kind = random.below(3)
            at = u, side * (edge - 60)
            if kind:
                place.stand(models.tree(random), at, random.below(32), hides=True, room=50)
            else:
                place.stand(models.lamp_post(random), at, 24 if side > 0 else 8, hides=True, room=50)
    place.clutter(
        random, random.between(4, 9), (-far // 2, parked + 60, far // 2, edge - 40), (models.bench, models.bin_)
    )


def crossing(place: Place, random: Random) -> None:
    """Lay two roads that cross."""
    half, far = random.between(600, 760), place.far
    place.lay(place.kinds >= 0, random.pick((GRASS, PAVING)))
    place.road(random, half)
    middle = random.between(-500, 500)
    place.road(random, half, across=True, aside=middle)
    place.rectangle(middle - half, -half, middle + half, half, (TAR[0], TAR[0], TAR[2]))
    for side in (-1, 1):
        place.zebra(middle + side * (half + 190), half)
    corner = half + 330
    for right in (-1, 1):
        for away in (-1, 1):
            u, v = middle + right * (corner + 600), away * (corner + 500)
            if random.chance(55):
                place.house(random, (u, v), 1100, 900)
            else:
                place.trees(random, random.between(3, 6), (u - 500, v - 400, u + 500, v + 400))
    place.clutter(random, 6, (-far // 2, half + 60, far // 2, half + 260), (models.bin_, models.bench))


def parking(place: Place, random: Random) -> None:
    """Lay a car park with painted rows."""
    far, grey = place.far, random.between(96, 124)
    place.lay(place.kinds >= 0, (grey, grey, grey + 3))
    pitch, deep, aisle = random.between(275, 300), 520, random.between(640, 760)
    slots = []
    for row in range(-far, far, 2 * deep + aisle):
        place.lay(place.within(-far, row - deep, far, row + deep) & ((place.u + far) % pitch < 14), WHITE)
        place.rectangle(-far, row - 7, far, row + 7, WHITE)
        slots += [(u, row + side * 262) for u in range(-far + pitch // 2 + 7, far, pitch) for side in (-1, 1)]
        if random.chance(40):
            place.rectangle(-far, row - 110, far, row + 110, GRASS)
            slots = [(u, v + (70 if v > row else -70)) if abs(v - row) == 262 else (u, v) for u, v in slots]
            for u in range(-far + random.below(600), far, random.between(700, 1400)):
                place.stand(models.tree(random), (u, row), random.below(32), hides=True, room=30)
        lane = row + deep + aisle // 2
        for heading, across in ((0, -130), (16, 130)):
            place.zones.append(
                Zone(("car", "car", "van"), 1, (-far, lane + across - 30, far, lane + across + 30), (), heading)
            )
        place.zones.append(Zone(("pedestrian",), 1, (-far, lane - 300, far, lane + 300)))
    mix = (*("car",) * 18, "van", "van", "van", "truck")
    place.zones.append(Zone(mix, 30, slots=tuple(slots), heading=QUARTER))
    place.clutter(
        random, random.between(2, 6), (-far // 2, -far // 2, far // 2, far // 2), (models.bin_, models.crates)
    )


def square(place: Place, random: Random) -> None:
    """Lay a paved square with stalls, benches and trees."""
    far, tile, step = place.far, random.pick((PAVING, (186, 170, 150), (160, 160, 164))), random.between(300, 520)
    darker: Colour = (tile[0] - 14, tile[1] - 14, tile[2] - 14)
    place.lay(place.kinds >= 0, tile)
    place.lay((place.u // step + place.v // step) % 2 == 0, darker)
    if random.chance(60):
        at = random.between(-800, 800), random.between(-800, 800)
        place.disc(at, 420, KERB)
        place.disc(at, 360, random.pick(((92, 140, 150), GRASS)))
        place.taken.append((at[0] - 420, at[1] - 420, at[0] + 420, at[1] + 420))
    for _ in range(random.between(1, 3)):
        u, v = random.between(-far, far), random.between(-far, far)
        place.rectangle(u - 500, v - 220, u + 500, v + 220, GRASS)
        place.trees(random, random.between(1, 3), (u - 400, v - 150, u + 400, v + 150))
    half = far * 2 // 3
    for u in range(-half, half, 560):
        if random.chance(45):
            place.stand(models.stall(random), (u, half // 2 + random.between(-80, 80)), hides=True, room=230)
    place.clutter(random, random.between(8, 14), (-half, -half, half, half), (models.bench, models.bin_, models.crates))
    place.zones.append(Zone((*("pedestrian",) * 11, "bicycle"), 10, (-far, -far, far, far)))
    place.zones.append(Zone(("car", "van", "others"), 1, (-far, -far, far, -far // 2), (), 0))


def meadow(place: Place, random: Random) -> None:
    """Lay a playing field or a meadow with a path, and a strip for cars."""
    far, band = place.far, random.between(360, 600)
    place.lay(place.kinds >= 0, GRASS)
    place.lay((place.u // band) % 2 == 0, (88, 116, 58))
    if random.chance(60):
        long, wide = far * 3 // 5, far * 2 // 5
        line = place.within(-long, -wide, long, wide) & ~place.within(-long + 16, -wide + 16, long - 16, wide - 16)
        place.lay(line | (place.within(-8, -wide, 8, wide)), WHITE)
        place.disc((0, 0), wide // 3, WHITE, wide // 3 - 16)
    path, strip = random.between(far // 3, far // 2), -far // 2
    place.rectangle(-far, path - 130, far, path + 130, (196, 178, 140))
    place.rectangle(-far, strip - 420, far, strip + 420, EARTH)
    place.rectangle(-far, strip - 170, far, strip + 170, TAR)
    place.zones += [
        Zone((*("pedestrian",) * 9, "bicycle"), 5, (-far, strip + 420, far, far)),
        Zone(("pedestrian", "bicycle", "bicycle"), 3, (-far, path - 100, far, path + 100), (), 0),
        Zone(TRAFFIC, 2, (-far, strip - 100, far, strip - 70), (), 0),
        Zone(TRAFFIC, 2, (-far, strip + 70, far, strip + 100), (), 16),
        Zone(PARKED, 3, slots=tuple((u, strip + 320) for u in range(-far, far, 290)), heading=QUARTER),
    ]
    place.trees(random, random.between(5, 10), (-far, path + 200, far, far))
    place.clutter(random, random.between(4, 9), (-far // 2, strip + 500, far // 2, path), (models.bench, models.bin_))


def yard(place: Place, random: Random) -> None:
    """Lay a works yard with containers, crates, halls and trucks."""
    far, grey = place.far, random.between(128, 150)
    place.lay(place.kinds >= 0, (grey, grey - 2, grey - 8))
    slab = random.between(480, 700)
    place.lay((place.u % slab < 12) | (place.v % slab < 12), (grey - 22, grey - 24, grey - 28))
    for _ in range(5):
        spot = random.between(-far, far) // 2, random.between(-far, far) // 2
        place.disc(spot, random.between(60, 200), (grey - 26, grey - 28, grey - 32))
    hall = far * 2 // 3
    place.house(random, (random.between(-400, 400), hall), 1800, 1000)
    for u in range(-far // 2, far // 2, 320):
        if random.chance(55):
            place.stand(models.container(random), (u, -far // 2), QUARTER, hides=True)
            place.taken.append((u - 140, -far // 2 - 330, u + 140, -far // 2 + 330))
    place.clutter(
        random, random.between(8, 14), (-far // 2, -far // 4, far // 2, far // 2), (models.crates, models.bin_)
    )
    place.rectangle(-far, -60 - 240, far, -60 + 240, (grey - 34, grey - 34, grey - 32))
    slots = tuple((u, far // 4 + 200) for u in range(-far, far, 360))
    place.zones += [
        Zone(WORKS, 5, slots=slots, heading=QUARTER),
        Zone(TRAFFIC, 3, (-far, -190, far, -170), (), 0),
        Zone(TRAFFIC, 3, (-far, 50, far, 70), (), 16),
        Zone(WORKS, 2, (-far, -far, far, -far // 2 - 400)),
        Zone(WALKERS, 5, (-far, -far // 3, far, far // 2)),
    ]


LAYOUTS: Mapping[str, Callable[[Place, Random], None]] = {
    "street": street, "crossing": crossing, "parking": parking, "square": square, "meadow": meadow, "yard": yard,
}  # fmt: skip

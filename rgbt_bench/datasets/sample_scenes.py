"""What the generated sample sets are drawn from: integer random numbers, integer rasterising, backgrounds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

SIZE = 96
FULL = 16  # coverage of a pixel that lies wholly inside a shape: 4 x 4 points are tested

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Colour = tuple[int, int, int]
Inside = Callable[[IntArray, IntArray], BoolArray]
T = TypeVar("T")

_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Random:
    """A stream of integers named by its key (splitmix64), the same on every machine and with every NumPy."""

    def __init__(self, key: str) -> None:
        self._state = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")

    def below(self, limit: int) -> int:
        """Return an integer of 0 to `limit - 1`."""
        self._state = (self._state + _GOLDEN) & _WORD
        bits = self._state
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _WORD
        return (bits ^ (bits >> 31)) % limit

    def between(self, low: int, high: int) -> int:
        """Return an integer of `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: int) -> bool:
        """Return true in so many of a hundred cases."""
        return self.below(100) < percent

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.below(len(options))]

    def words(self, count: int) -> npt.NDArray[np.uint64]:
        """Return the stream's next numbers, uint64 of shape (count,)."""
        bits = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN) + np.uint64(self._state)
        self._state = (self._state + count * _GOLDEN) & _WORD
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: npt.NDArray[np.uint64] = bits ^ (bits >> np.uint64(31))
        return mixed

    def noise(self, shape: tuple[int, ...], spread: int) -> IntArray:
        """Return nearly normal int64 noise of mean 0 and standard deviation `spread`."""
        count = math.prod(shape)
        # The sum of a word's eight bytes has mean 1020 and standard deviation 209.
        total: IntArray = self.words(count).view(np.uint8).reshape(count, 8).sum(axis=1, dtype=np.int64)
        noise: IntArray = (total * (2 * spread) - 2040 * spread + 209) // 418
        return noise.reshape(shape)

    def texture(self, cell: int, amplitude: int, size: int = SIZE) -> IntArray:
        """Return a smooth int64 field of shape (size, size), range ±`amplitude`, that changes over `cell` pixels."""
        knots = size // cell + 2
        lattice = self.words(knots * knots).reshape(knots, knots) % np.uint64(2 * amplitude + 1)
        grid = lattice.astype(np.int64) - amplitude
        at = np.arange(size, dtype=np.int64)
        knot: IntArray = at // cell
        part: IntArray = at % cell
        rows: IntArray = grid[knot] * (cell - part)[:, None] + grid[knot + 1] * part[:, None]
        field: IntArray = (rows[:, knot] * (cell - part) + rows[:, knot + 1] * part) // (cell * cell)
        return field


def ellipse(x: int, y: int, across: int, down: int) -> Inside:
    """Return the inside test of an ellipse with this centre and these half axes."""
    return lambda u, v: ((u - x) * down) ** 2 + ((v - y) * across) ** 2 <= (across * down) ** 2


def ring(x: int, y: int, radius: int, stroke: int) -> Inside:
    """Return the inside test of a circle's line, `stroke` wide inwards from `radius`."""
    hole = max(radius - stroke, 0) ** 2
    return lambda u, v: _between((u - x) ** 2 + (v - y) ** 2, hole, radius**2)


def _between(value: IntArray, low: int, high: int) -> BoolArray:
    return (value >= low) & (value <= high)


def line(x0: int, y0: int, x1: int, y1: int, radius: int) -> Inside:
    """Return the inside test of a line with round ends, twice `radius` wide."""
    dx, dy = x1 - x0, y1 - y0
    square = dx * dx + dy * dy

    def inside(u: IntArray, v: IntArray) -> BoolArray:
        along, beside = (u - x0) * dx + (v - y0) * dy, (u - x0) * dy - (v - y0) * dx
        ends = ellipse(x0, y0, radius, radius)(u, v) | ellipse(x1, y1, radius, radius)(u, v)
        return ends | (_between(along, 0, square) & (beside**2 <= radius**2 * square))

    return inside


def polygon(*corners: tuple[int, int]) -> Inside:
    """Return the inside test of a convex polygon, its corners clockwise on the screen."""
    edges = list(zip(corners, (*corners[1:], corners[0]), strict=True))

    def inside(u: IntArray, v: IntArray) -> BoolArray:
        whole = np.ones(np.broadcast_shapes(u.shape, v.shape), np.bool_)
        for (x0, y0), (x1, y1) in edges:
            whole &= (x1 - x0) * (v - y0) >= (y1 - y0) * (u - x0)
        return whole

    return inside


def coverage(inside: Inside, width: int, height: int, units: int = 16, pixels: int = 1) -> IntArray:
    """Return how much of each pixel a shape covers, int64 (height, width) of 0..16; `units` of it span `pixels`."""
    x = (np.arange(4 * width, dtype=np.int64) * 4 + 2) * units // (16 * pixels)
    y = (np.arange(4 * height, dtype=np.int64) * 4 + 2) * units // (16 * pixels)
    counts: IntArray = inside(x, y[:, None]).reshape(height, 4, width, 4).sum(axis=(1, 3), dtype=np.int64)
    return counts


def blend(under: IntArray, over: IntArray | int, cover: IntArray) -> IntArray:
    """Return `over` laid on `under` where `cover` (0..16) says so."""
    mixed: IntArray = (under * (FULL - cover) + over * cover) // FULL
    return mixed


def hill(x: int, y: int, across: int, down: int, peak: int, size: int = SIZE) -> IntArray:
    """Return an int64 (size, size) field that falls softly from `peak` at (x, y) to 0 on the ellipse around it."""
    at = np.arange(size, dtype=np.int64)
    square = ((at - x) * down) ** 2 + ((at[:, None] - y) * across) ** 2
    edge = (across * down) ** 2
    height = np.maximum(edge - square, 0) * 256 // edge
    soft: IntArray = height * height * peak >> 16
    return soft


def tint(strength: IntArray, colour: Colour) -> IntArray:
    """Return light of this strength and colour (16 for all of it), int64 (SIZE, SIZE, 3)."""
    light: IntArray = strength[..., None] * np.array(colour, np.int64) // 16
    return light


class Canvas:
    """A picture in both modalities: `rgb` int64 (SIZE, SIZE, 3) and `heat` int64 (SIZE, SIZE), in grey levels."""

    def __init__(self, colour: Colour, heat: int) -> None:
        self.rgb: IntArray = np.zeros((SIZE, SIZE, 3), np.int64) + np.array(colour, np.int64)
        self.heat: IntArray = np.full((SIZE, SIZE), heat, np.int64)

    def box(self, left: int, top: int, right: int, bottom: int, colour: Colour, heat: int) -> None:
        """Fill whole pixels, `right` and `bottom` not included."""
        rows, columns = slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))
        self.rgb[rows, columns] = colour
        self.heat[rows, columns] = heat

    def fill(self, inside: Inside, colour: Colour, heat: int) -> None:
        """Fill a shape whose coordinates are sixteenths of a pixel."""
        cover = coverage(inside, SIZE, SIZE)
        self.rgb = blend(self.rgb, np.array(colour, np.int64), cover[..., None])
        self.heat = blend(self.heat, heat, cover)


@dataclass
class View:
    """What one camera sees without any object; it is shared by a block of samples and never changed.

    Attributes:
        rgb: colours under full light, int64 (SIZE, SIZE, 3).
        heat: thermal grey levels, int64 (SIZE, SIZE).
        light: how much of the colours shows, int64 (SIZE, SIZE, 3), 256 for all.
        lamps: light of lamps and lit windows, which objects may cover, int64 (SIZE, SIZE, 3).
        glare: light that falls into the RGB camera over everything, int64 (SIZE, SIZE, 3).
        front: where a pole or fence stands before everything else, bool (SIZE, SIZE).
        horizon: the row where the ground begins.
        ground: the thermal grey level of the ground.
        night: whether it is night.
        hot: whether the ground is as warm as people are.
    """

    rgb: IntArray
    heat: IntArray
    light: IntArray
    lamps: IntArray
    glare: IntArray
    front: BoolArray
    horizon: int
    ground: int
    night: bool
    hot: bool


WALLS: tuple[Colour, ...] = ((150, 92, 74), (170, 158, 138), (128, 132, 140), (186, 170, 120), (112, 98, 92))
SIGNS: tuple[Colour, ...] = ((214, 40, 36), (36, 84, 200), (240, 200, 30), (30, 150, 70), (230, 110, 20))


@lru_cache(maxsize=2)
def view(scene: str, night: bool) -> View:
    """Return the background of a scene, the same for the same name."""
    random = Random(scene)
    horizon = random.between(30, 40)
    hot = not night and random.chance(55)
    ground = random.between(62, 76) if night else random.between(128, 142) if hot else random.between(92, 106)
    canvas = Canvas((150, 190, 232), 22 if night else 40)
    shade = np.arange(SIZE, dtype=np.int64)[:, None] * 60 // SIZE
    canvas.rgb += shade[..., None] * np.array((1, 1, 0), np.int64)
    canvas.heat += shade // 4
    lamps = np.zeros_like(canvas.rgb)
    _backdrop(canvas, random, horizon, ground, lamps if night else None)
    _ground(canvas, random, horizon, ground)
    _clutter(canvas, random, horizon, ground)
    light = _street_light(canvas, random, horizon, ground, lamps) if night else np.full_like(lamps, 256)
    glare = np.zeros_like(lamps) if night else _sun(random, horizon)
    front = _front(canvas, random, ground)
    canvas.rgb += (random.texture(6, 9) + random.noise((SIZE, SIZE), 4))[..., None]
    canvas.heat += random.texture(8, 5)
    return View(canvas.rgb, canvas.heat, light, lamps, glare, front, horizon, ground, night, hot)


def _backdrop(canvas: Canvas, random: Random, horizon: int, ground: int, lamps: IntArray | None) -> None:
    """Line the horizon with houses and trees; `lamps` takes the light of windows at night."""
    left = -random.below(10)
    while left < SIZE:
        kind = random.below(10)
        if kind < 6:
            left += _house(canvas, random, left, horizon, ground, lamps)
        else:
            left += random.between(14, 24)
            if kind < 9:
                _tree(canvas, random, left - 10, horizon, ground)


def _house(canvas: Canvas, random: Random, left: int, horizon: int, ground: int, lamps: IntArray | None) -> int:
    """Draw one house from `left` on and return its width."""
    width = random.between(14, 30)
    top, right = random.between(2, horizon - 12), left + width
    heat = ground + random.between(-14, 6)
    canvas.box(left, top, right, horizon + 3, random.pick(WALLS), heat)
    canvas.box(left, top, right, top + 1, (90, 84, 80), heat - 8)
    for y in range(top + 3, horizon - 4, 7):
        for x in range(left + 2, right - 3, 6):
            # Heated rooms are thermal clutter, whether lit or not; a window is never an object.
            warm = random.chance(40 if lamps is not None else 15)
            canvas.box(x, y, x + 3, y + 4, (58, 70, 84), heat + (random.between(25, 70) if warm else -10))
            if lamps is not None and random.chance(25) and x >= 0:
                lamps[y : y + 4, x : x + 3] = random.pick(((150, 120, 60), (120, 110, 90)))
    return width


def _tree(canvas: Canvas, random: Random, x: int, horizon: int, ground: int) -> None:
    heat = ground - random.between(12, 20)
    canvas.box(x - 1, horizon - 12, x + 2, horizon + 4, (84, 62, 44), heat)
    for _ in range(4):
        green = random.between(70, 110)
        at = (16 * (x + random.between(-6, 6)), 16 * (horizon - random.between(10, 20)))
        crown = ellipse(*at, 16 * random.between(5, 8), 16 * random.between(5, 8))
        canvas.fill(crown, (green - 28, green, green - 42), heat + random.between(-3, 3))


def _ground(canvas: Canvas, random: Random, horizon: int, ground: int) -> None:
    """Lay grass or paving with a road on it that narrows towards the horizon."""
    grass = random.chance(45)
    canvas.box(0, horizon, SIZE, SIZE, (92, 122, 62) if grass else (158, 152, 144), ground - (12 if grass else 3))
    far, near, aside = random.between(20, 76), random.between(30, 66), random.between(34, 46)
    kerb, tar = random.between(5, 9), random.between(84, 108)
    for spread, colour, heat in ((3, (182, 178, 170), ground - 2), (0, (tar, tar, tar + 4), ground + 4)):
        top, bottom = kerb + spread // 2, aside + spread
        corners = (far - top, horizon), (far + top, horizon), (near + bottom, SIZE), (near - bottom, SIZE)
        canvas.fill(polygon(*((16 * x, 16 * y) for x, y in corners)), colour, heat)
    for top, length in ((6, 4), (16, 7), (32, 12)):
        steps = (top, top + length)
        start, end = ((16 * (far + (near - far) * y // (SIZE - horizon)), 16 * (horizon + y)) for y in steps)
        canvas.fill(line(*start, *end, 6 + top // 3), (214, 212, 204), ground + 1)


def _clutter(canvas: Canvas, random: Random, horizon: int, ground: int) -> None:
    """Add what is no object: coloured signs that thermal does not show, manholes and vents that RGB hardly shows."""
    for _ in range(random.between(0, 2)):
        x, y = random.between(4, SIZE - 8), random.between(horizon - 6, horizon + 16)
        panel, colour = random.between(3, 5), random.pick(SIGNS)
        canvas.box(x, y, x + 1, y + 14, (120, 120, 122), ground - 4)
        if random.chance(50):
            canvas.fill(ellipse(16 * x + 8, 16 * y, 16 * panel, 16 * panel), colour, ground - 5)
        else:
            canvas.box(x - panel, y - panel, x + panel, y + panel // 2, colour, ground - 5)
    for _ in range(random.between(0, 2)):
        x, y = random.between(8, SIZE - 8), random.between(horizon + 12, SIZE - 6)
        width = 16 * random.between(3, 5)
        canvas.fill(ellipse(16 * x, 16 * y, width, width // 2), (88, 86, 84), ground + random.between(30, 60))


def _sun(random: Random, horizon: int) -> IntArray:
    """Return the glare of a low sun and its streak on the road, which saturate the RGB image, or none."""
    x, low = random.between(12, SIZE - 12), random.chance(35)
    glare = hill(x, horizon - 14, 30, 28, 400) + hill(x, horizon + 24, 16, 44, 340)
    return low * tint(glare, (16, 15, 12))


def _street_light(canvas: Canvas, random: Random, horizon: int, ground: int, lamps: IntArray) -> IntArray:
    """Return the light map of a dark night with the pools of one or two street lamps."""
    light = np.zeros_like(lamps) + np.array((13, 14, 19), np.int64)
    sky = canvas.heat < ground - 24
    for _ in range(random.between(1, 2)):
        x, y = random.between(8, SIZE - 8), horizon - random.between(12, 22)
        canvas.box(x, y, x + 1, horizon + 14, (70, 70, 72), ground - 4)
        pool = hill(x, horizon + 22, random.between(24, 34), 52, 250)
        light += tint(np.where(sky, 0, pool), (16, 14, 10))
        lamps += tint(hill(x, y, 7, 7, 400), (16, 15, 11))
    return light


def _front(canvas: Canvas, random: Random, ground: int) -> BoolArray:
    """Put a pole, a fence or nothing before the camera and return where it stands."""
    front = np.zeros((SIZE, SIZE), np.bool_)
    kind = random.below(3)
    if kind == 0:
        left = random.between(14, SIZE - 16)
        front[:, left : left + random.between(2, 4)] = True
    elif kind == 1:
        top, pitch, start = random.between(64, 72), random.between(9, 13), random.below(9)
        for x in range(start, SIZE, pitch):
            front[top : top + 24, x : x + 2] = True
        front[top + 3 : top + 5] = front[top + 17 : top + 19] = True
    canvas.rgb[front] = random.pick(((104, 108, 112), (72, 96, 70), (142, 112, 80)))
    canvas.heat[front] = ground - 9
    return front

"""How the generated drone's camera sees solids and the ground: projection and rasterising in integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbt_bench.datasets.sample_scenes import FULL, BoolArray, Colour, IntArray

SIZE = 256
FOCAL = 340  # pixels
TURNS = 32  # directions of a full turn, counted anticlockwise from the right
_ONE = 1024  # the sine of a right angle
TURN = tuple(
    (round(_ONE * math.cos(math.tau * k / TURNS)), round(_ONE * math.sin(math.tau * k / TURNS))) for k in range(TURNS)
)
_LARGE = 48  # pixels; larger pictures are sampled at 2 x 2 points a pixel instead of 4 x 4
Point = tuple[int, int]
Windows = tuple[tuple[slice, slice], tuple[slice, slice]]


@dataclass(frozen=True)
class Solid:
    """A body between two rings of equally many corners (along, across; anticlockwise seen from above), in cm.

    `sides` are the colours of the faces from each corner to the next; of two solids, the one of the lower layer is
    painted first.
    """

    base: tuple[Point, ...]
    low: int
    roof: tuple[Point, ...]
    high: int
    top: Colour
    sides: tuple[Colour, ...]
    layer: int = 0


@dataclass(frozen=True)
class Ball:
    """A sphere: its centre (along, across, up) and radius in cm."""

    along: int
    across: int
    up: int
    radius: int
    colour: Colour
    layer: int = 0


Model = Sequence[Solid | Ball]


@dataclass(frozen=True)
class Sun:
    """Where shadows fall: cm to the right and away per 256 cm of height; `strength` of 256 is a black one."""

    right: int
    away: int
    strength: int


@dataclass(frozen=True)
class Camera:
    """A drone's camera `height` cm above the origin that looks down by the angle of this sine and cosine (of 1024)."""

    height: int
    sine: int
    cosine: int

    @property
    def ahead(self) -> int:
        """How far away the middle of the image is on the ground, in cm."""
        return self.height * self.cosine // self.sine

    def project(self, right: int, away: int, up: int) -> Point:
        """Return where a place (cm) is seen: column and row in 1/16 px."""
        below = self.height - up
        depth = away * self.cosine + below * self.sine
        column = 16 * FOCAL * _ONE * right // depth
        row = 16 * FOCAL * (below * self.cosine - away * self.sine) // depth
        return column + 8 * SIZE, row + 8 * SIZE

    def span(self, away: int, up: int, length: int) -> int:
        """Return how long a length across the view is there, in 1/16 px."""
        return 16 * FOCAL * _ONE * length // (away * self.cosine + (self.height - up) * self.sine)

    def ground(self) -> tuple[IntArray, IntArray]:
        """Return the place on the ground of 2 x 2 points a pixel: cm right and away, int64 (2 SIZE, 2 SIZE) each."""
        quarter = 2 * np.arange(2 * SIZE, dtype=np.int64) + 1 - 2 * SIZE
        row = quarter[:, None]
        steep = 4 * FOCAL * self.sine + row * self.cosine
        right = self.height * _ONE * quarter // steep
        away = self.height * (4 * FOCAL * self.cosine - row * self.sine) // steep
        return right, np.broadcast_to(away, right.shape)


@dataclass(frozen=True)
class Picture:
    """What is seen of a thing: `cover` and `shadow` int64 (h, w) of 0..16, `rgb` int64 (h, w, 3), and where."""

    left: int
    top: int
    cover: IntArray
    shadow: IntArray
    rgb: IntArray

    @property
    def solid(self) -> BoolArray:
        """Which pixels belong to the thing, bool (h, w)."""
        return self.cover >= FULL // 2

    def windows(self) -> Windows:
        """Return the part of the image that the picture covers and the part of the picture that is in the image."""
        height, width = self.cover.shape
        top, left = min(max(self.top, 0), SIZE), min(max(self.left, 0), SIZE)
        bottom, right = min(max(self.top + height, top), SIZE), min(max(self.left + width, left), SIZE)
        there = slice(top, bottom), slice(left, right)
        here = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
        return there, here


def turned(along: int, across: int, heading: int) -> Point:
    """Return a step along and across (to the left of) a direction as one to the right and away."""
    cosine, sine = TURN[heading % TURNS]
    return (along * cosine - across * sine) // _ONE, (along * sine + across * cosine) // _ONE


def photograph(camera: Camera, sun: Sun, model: Model, place: Point, heading: int) -> Picture:
    """Return what is seen of a model that stands at a place (cm right and away) and heads into a direction."""
    faces: list[_Face] = []
    fallen: list[Point] = []
    for part in sorted(model, key=lambda part: (part.layer, -turned(*_middle(part), heading)[1])):
        if isinstance(part, Ball):
            (centre,) = _stand(((part.along, part.across),), place, heading)
            column, row = camera.project(*centre, part.up)
            wide = max(camera.span(centre[1], part.up, part.radius), 8)
            faces.append((tuple((column + wide * a // 10, row + wide * b // 10) for a, b in _OCTAGON), part.colour))
            ring = [(centre[0] + part.radius * a // 10, centre[1] + part.radius * b // 10) for a, b in _OCTAGON]
            fallen += _shadow(camera, sun, ring, part.up)
        else:
            base, roof = (_stand(ring, place, heading) for ring in (part.base, part.roof))
            faces += _faces(camera, sun, part, base, roof)
            fallen += _shadow(camera, sun, base, part.low) + _shadow(camera, sun, roof, part.high)
    return _raster(faces, hull(fallen))


_Steps = npt.NDArray[np.int32]
_Face = tuple[tuple[Point, ...], Colour]
_OCTAGON = ((10, 0), (7, 7), (0, 10), (-7, 7), (-10, 0), (-7, -7), (0, -10), (7, -7))


def _middle(part: Solid | Ball) -> Point:
    if isinstance(part, Ball):
        return part.along, part.across
    along, across = zip(*part.base, strict=True)
    return sum(along) // len(along), sum(across) // len(across)


def _stand(ring: tuple[Point, ...], place: Point, heading: int) -> list[Point]:
    """Return where the corners of a ring are: cm right and away."""
    steps = (turned(*corner, heading) for corner in ring)
    return [(place[0] + right, place[1] + away) for right, away in steps]


def _faces(camera: Camera, sun: Sun, solid: Solid, base: list[Point], roof: list[Point]) -> list[_Face]:
    """Return the faces of a solid that the camera sees, turned clockwise, with their colours in this light."""
    low = [camera.project(*corner, solid.low) for corner in base]
    high = [camera.project(*corner, solid.high) for corner in roof]
    faces: list[_Face] = []
    for corner, colour in enumerate(solid.sides):
        following = (corner + 1) % len(base)
        right, away = base[following][0] - base[corner][0], base[following][1] - base[corner][1]
        shade = 226 if right * sun.away > away * sun.right else 256 - sun.strength * 3 // 4
        faces.append(((low[corner], low[following], high[following], high[corner]), shaded(colour, shade, 256)))
    faces.append((tuple(high), solid.top))
    return [(corners[::-1], colour) for corners, colour in faces if _area(corners) < 0]


def shaded(colour: Colour, share: int, of: int) -> Colour:
    """Return a colour in less light."""
    red, green, blue = colour
    return red * share // of, green * share // of, blue * share // of


def _area(corners: tuple[Point, ...]) -> int:
    """Return twice the area of a polygon, positive where its corners are clockwise on the screen."""
    following = (*corners[1:], corners[0])
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(corners, following, strict=True))


def _shadow(camera: Camera, sun: Sun, ring: list[Point], up: int) -> list[Point]:
    """Return where the shadows of corners are seen on the ground."""
    right, away = sun.right * up // 256, sun.away * up // 256
    return [camera.project(corner[0] + right, corner[1] + away, 0) for corner in ring]


def hull(points: Sequence[Point]) -> list[Point]:
    """Return the corners of the convex hull of points, clockwise on the screen (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    halves = []
    for row in (ordered, ordered[::-1]):
        half: list[Point] = []
        for x, y in row:
            while len(half) > 1:
                (ax, ay), (bx, by) = half[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                half.pop()
            half.append((x, y))
        halves += half[:-1]
    return halves


def _raster(faces: list[_Face], fallen: list[Point]) -> Picture:
    """Return the picture of faces, a later one before an earlier one, and of the shadow."""
    corners = [*fallen, *(corner for face, _ in faces for corner in face)]
    columns, rows = zip(*corners, strict=True)
    left, top = min(columns) // 16, min(rows) // 16
    width, height = max(columns) // 16 + 1 - left, max(rows) // 16 + 1 - top
    fine = 4 if max(width, height) <= _LARGE else 2
    step = 16 // fine
    x = np.arange(width * fine, dtype=np.int32) * step + step // 2 + 16 * left
    y = (np.arange(height * fine, dtype=np.int32) * step + step // 2 + 16 * top)[:, None]
    first = np.zeros((height * fine, width * fine), np.uint8)
    for number, (face, _) in enumerate(faces, 1):
        _fill(first, face, number, x, y)
    dark = np.zeros_like(first)
    _fill(dark, tuple(fallen), 1, x, y)
    points = FULL // fine**2
    colours = np.array([(0, 0, 0), *(colour for _, colour in faces)], np.uint8)
    count = _per_pixel((first > 0).view(np.uint8), fine)
    total = _per_pixel(colours[first], fine)
    return Picture(left, top, count * points, _per_pixel(dark, fine) * points, total // np.maximum(count, 1)[..., None])


def _per_pixel(points: npt.NDArray[np.uint8], fine: int) -> IntArray:
    """Return the sums over the points of each pixel, int64 (h, w) or (h, w, 3)."""
    rows = points[::fine].astype(np.int64)
    for row in range(1, fine):
        rows += points[row::fine]
    sums = rows[:, ::fine].copy()
    for column in range(1, fine):
        sums += rows[:, column::fine]
    return sums


def _fill(first: npt.NDArray[np.uint8], corners: tuple[Point, ...], number: int, x: _Steps, y: _Steps) -> None:
    """Write a number wherever a point lies in a convex polygon whose corners are clockwise on the screen."""
    columns, rows = zip(*corners, strict=True)
    across = slice(*np.searchsorted(x, (min(columns), max(columns) + 1)).tolist())
    down = slice(*np.searchsorted(y[:, 0], (min(rows), max(rows) + 1)).tolist())
    u, v = x[across], y[down]
    inside = np.ones((len(v), len(u)), np.bool_)
    for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if (ax, ay) != (bx, by):
            inside &= (bx - ax) * (v - ay) >= (by - ay) * (u - ax)
    first[down, across][inside] = number

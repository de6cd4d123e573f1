"""Scatter plots with their Pareto frontier, as coordinates that a template draws; numbers in, numbers out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 32, 46
_WIDE_RANGE: Final = 5.0  # from here on an axis of sizes or times is logarithmic
_CHARACTER: Final = 6.6  # the width of one, for labels that must not overlap
_LONGEST_LABEL: Final = 26
_LINE: Final = 15.0


@dataclass(frozen=True)
class Point:
    """What is drawn: cost on the x axis (lower is better) and figure on the y axis (higher is better).

    Only a `ranked` one can be on the frontier.
    """

    name: str
    target: str
    x: float
    y: float
    title: str
    ranked: bool = True


@dataclass(frozen=True)
class Tick:
    """A tick's place along its axis and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A point where it is drawn; `label` is empty where it would cover another, `anchor` is SVG's."""

    point: Point
    x: float
    y: float
    on_frontier: bool
    label: str = ""
    label_x: float = 0.0
    label_y: float = 0.0
    anchor: str = "start"


@dataclass(frozen=True)
class Plot:
    """A whole plot: the frame, ticks, marks, and the frontier as SVG points."""

    title: str
    x_name: str
    y_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    frontier: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def scatter(
    title: str, x_name: str, y_name: str, points: Sequence[Point], x_text: Callable[[float], str], y_digits: int
) -> Plot | None:
    """Return the plot of points, or None where fewer than two could be compared."""
    shown = [one for one in points if one.x > 0 and math.isfinite(one.x) and math.isfinite(one.y)]
    if len(shown) < 2:
        return None
    x_ticks, to_x = _x_axis([one.x for one in shown])
    y_ticks = _linear_ticks(min(one.y for one in shown), max(one.y for one in shown))
    low, high = y_ticks[0], y_ticks[-1]
    bottom = HEIGHT - _BOTTOM

    def to_y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - _TOP)

    best = frontier(shown)
    marks = _labelled([Mark(one, _at(to_x(one.x)), _at(to_y(one.y)), one in best) for one in shown])
    return Plot(
        title=title,
        x_name=x_name,
        y_name=y_name,
        x_ticks=tuple(Tick(_at(to_x(one)), x_text(one)) for one in x_ticks),
        y_ticks=tuple(Tick(_at(to_y(one)), f"{one:.{y_digits}f}") for one in y_ticks),
        marks=tuple(marks),
        frontier=_stairs([(_at(to_x(one.x)), _at(to_y(one.y))) for one in best]),
    )


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the ranked points that no other is at least as good as in both and better in one, by cost."""
    found: list[Point] = []
    for one in sorted((one for one in points if one.ranked), key=lambda one: (one.x, -one.y)):
        if not found or one.y > found[-1].y or (one.x, one.y) == (found[-1].x, found[-1].y):
            found.append(one)
    return found


def _x_axis(values: Sequence[float]) -> tuple[list[float], Callable[[float], float]]:
    """Return the ticks of the x axis and the function that places a value on it."""
    low, high = min(values), max(values)
    span = WIDTH - _LEFT - _RIGHT
    if high / low > _WIDE_RANGE:
        begin, end = math.log10(low / 1.15), math.log10(high * 1.15)
        ticks = [
            step * 10.0**power
            for power in range(math.floor(begin), math.ceil(end) + 1)
            for step in ((1, 2, 5) if end - begin < 3 else (1,))
            if begin <= math.log10(step * 10.0**power) <= end
        ]
        return ticks, lambda value: _LEFT + (math.log10(value) - begin) / (end - begin) * span
    ticks = _linear_ticks(low, high)
    return ticks, lambda value: _LEFT + (value - ticks[0]) / (ticks[-1] - ticks[0]) * span


def _linear_ticks(low: float, high: float) -> list[float]:
    """Return four to nine round values, the first at or below `low`, the last at or above `high`."""
    spread = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(spread / 4))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if spread / (one * power) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    return [place * step for place in range(first, last + 1)]


def _stairs(corners: Sequence[tuple[float, float]]) -> str:
    """Return the frontier as SVG points: at equal figures up to the next cost, then up."""
    found: list[tuple[float, float]] = []
    for x, y in corners:
        if found:
            found.append((x, found[-1][1]))
        found.append((x, y))
    return " ".join(f"{x:g},{y:g}" for x, y in found)


def _labelled(marks: Sequence[Mark]) -> list[Mark]:
    """Give labels to the marks on the frontier first, then to others, as long as none covers another or leaves."""
    taken = [(mark.x - 6, mark.x + 6, mark.y - 6, mark.y + 6) for mark in marks] if len(marks) <= 60 else []
    labels: dict[int, Mark] = {}
    for place in sorted(range(len(marks)), key=lambda place: (not marks[place].on_frontier, place)):
        mark = marks[place]
        if len(marks) > 30 and not mark.on_frontier:
            continue
        for one in _choices(mark):
            left, right = _extent(one)
            box = (left, right, one.label_y - 11, one.label_y + 3)
            inside = left >= _LEFT + 2 and right <= WIDTH - 2 and box[2] >= 0 and box[3] <= HEIGHT - _BOTTOM
            if inside and not any(_overlaps(box, other) for other in taken):
                taken.append(box)
                labels[place] = one
                break
    return [labels.get(place, mark) for place, mark in enumerate(marks)]


def _choices(mark: Mark) -> list[Mark]:
    """Return a mark with its label at the left above, where no frontier runs, and at other places around it."""
    name = mark.point.name
    text = name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…"
    spots = [(-7, -7, "end"), (9, -8, "start"), (9, 4, "start"), (9, _LINE, "start"), (-9, _LINE, "end")]
    if not mark.on_frontier:
        spots = [(9, 4, "start"), (-9, 4, "end"), *spots]
    return [
        Mark(mark.point, mark.x, mark.y, mark.on_frontier, text, _at(mark.x + x), _at(mark.y + y), anchor)
        for x, y, anchor in spots
    ]


def _extent(mark: Mark) -> tuple[float, float]:
    width = len(mark.label) * _CHARACTER
    begin = mark.label_x - {"start": 0.0, "middle": width / 2, "end": width}[mark.anchor]
    return begin, begin + width


def _overlaps(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _at(value: float) -> float:
    return round(value, 1)

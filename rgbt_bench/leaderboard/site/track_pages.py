"""A page a track: its table with rows and reported figures, plots of cost, bars of classes, frozen definitions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rgbt_bench.leaderboard.reported import Reported, reported_on
from rgbt_bench.leaderboard.tracks import PROTOCOLS
from rgbt_bench.results import FusionMetrics, Interval
from rgbt_bench.seeds import Summary

from .facts import BoardFacts, RowFacts, TrackFacts, dataset_command
from .links import paper_page, row_page, track_page
from .plots import Plot, Point, scatter
from .rendering import Frame, render
from .texts import PERCENT, PLAIN, Unit, milliseconds, plural, short_count, tick_count, tick_milliseconds

_MOST_FIGURES: Final = 6  # beside the main one; a row's own page has all
_TOP: Final = 5
_WHISKER: Final = 88
_WHISKER_MARGIN: Final = 5


@dataclass(frozen=True)
class Whisker:
    """A figure with its interval as a line and a dot, in pixels of a drawing 88 wide."""

    low: float
    high: float
    at: float


@dataclass(frozen=True)
class Figures:
    """One figure of a row as it is shown: its text, its interval, and its value for sorting."""

    text: str
    interval: str
    value: float | None


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    facts: RowFacts
    target: str
    rank: str
    shares: int
    main: Figures
    whisker: Whisker | None
    others: tuple[Figures, ...]


@dataclass(frozen=True)
class ReportedLine:
    """A paper's row of the table."""

    row: Reported
    target: str
    figures: tuple[Figures, ...]


@dataclass(frozen=True)
class Bars:
    """Figures of classes or subsets beside each other: a name a line, a column a row, each a share of a full bar."""

    title: str
    what: str
    columns: tuple[RowFacts, ...]
    lines: tuple[tuple[str, tuple[tuple[str, float | None], ...]], ...]


@dataclass(frozen=True)
class Times:
    """A latency plot of one device class and one set of conditions; `key` names them in attributes."""

    key: str
    conditions: str
    plot: Plot | None


def track_pages(facts: BoardFacts, frame: Frame) -> Iterator[tuple[str, bytes]]:
    """Yield the page of every track of a board."""
    for track in facts.tracks.values():
        reported = reported_on(track.name)
        unit = _unit(track)
        figures = _figures(track, reported)
        lines = _lines(track, figures, unit, facts.version)
        times = _times(track, unit, facts.version)
        path = track_page(facts.version, track.name)
        yield render(
            "track",
            frame,
            path,
            f"{track.name}, leaderboard {facts.version}",
            version=facts.version,
            track=track,
            siblings=[
                (one, track_page(facts.version, one.name)) for one in facts.tracks.values() if _is_beside(one, track)
            ],
            unit=unit,
            figures=figures,
            unshown=_unshown(track, figures),
            ranked=[one for one in lines if one.facts.place.rank is not None],
            unranked=[one for one in lines if one.facts.place.rank is None],
            controls=_controls(track, figures, unit),
            reported=_reported_lines(reported, track.name, figures, unit),
            reported_notes=_notes(reported),
            presets=sorted({one.preset for one in track.rows}),
            times=times,
            time_keys={one.conditions: one.key for one in times},
            sizes=_sizes(track, unit, facts.version),
            bars=[one for one in (_class_bars(track, unit), _subset_bars(track, unit)) if one],
            protocol=PROTOCOLS.get(track.track.protocol, {}),
            protocol_digest=facts.definitions.protocols[track.track.protocol],
            confirm=dataset_command(track.data),
        )


def _is_beside(one: TrackFacts, track: TrackFacts) -> bool:
    """Tell whether two tracks are of one dataset."""
    return one.dataset == track.dataset


def _unit(track: TrackFacts) -> Unit:
    return PLAIN if track.track.protocol == "fusion" else PERCENT


def _figures(track: TrackFacts, reported: Sequence[Reported]) -> list[str]:
    """Return the figures that the table shows, the main one first: those of the rows, or what papers report."""
    if track.rows:
        return list(track.rows[0].row.first.metrics.figures)[: _MOST_FIGURES + 1]
    names = dict.fromkeys(name for one in reported for name in one.tracks[track.name])
    plain = [name for name in names if " " not in name]
    return (plain or list(names) or ["figure"])[: _MOST_FIGURES + 1]


def _unshown(track: TrackFacts, figures: Sequence[str]) -> list[str]:
    return [name for name in (track.rows[0].row.first.metrics.figures if track.rows else ()) if name not in figures]


def _lines(track: TrackFacts, figures: Sequence[str], unit: Unit, version: str) -> list[Line]:
    scale = _whisker_scale([one.interval for one in track.ranked or track.rows])
    shares = Counter(one.place.rank for one in track.ranked)
    return [
        Line(
            facts=one,
            target=row_page(version, one.id),
            rank="" if one.place.rank is None else str(one.place.rank),
            shares=shares[one.place.rank],
            main=_shown(one.figures.get(figures[0]), one.interval, unit),
            whisker=_whisker(one, scale),
            others=tuple(_shown(one.figures.get(name), None, unit) for name in figures[1:]),
        )
        for one in track.rows
    ]


def _shown(summary: Summary | None, interval: Interval, unit: Unit) -> Figures:
    value = summary.mean if summary else None
    return Figures(unit.text(value), unit.between(interval), value)


def _whisker_scale(intervals: Sequence[Interval]) -> tuple[float, float] | None:
    ends = [end for one in intervals if one is not None for end in one]
    return (min(ends), max(ends)) if ends and max(ends) > min(ends) else None


def _whisker(one: RowFacts, scale: tuple[float, float] | None) -> Whisker | None:
    if scale is None or one.interval is None or one.value is None:
        return None
    span = (_WHISKER - 2 * _WHISKER_MARGIN) / (scale[1] - scale[0])
    low, high, at = (round(_WHISKER_MARGIN + (end - scale[0]) * span, 1) for end in (*one.interval, one.value))
    return Whisker(low, high, at) if low >= 0 and high <= _WHISKER and 0 <= at <= _WHISKER else None


def _controls(track: TrackFacts, figures: Sequence[str], unit: Unit) -> list[tuple[str, list[Figures]]]:
    """Return what no method should have to beat, of the first row that has it: they are the same for all rows."""
    for one in track.rows:
        metrics = one.row.first.metrics
        if isinstance(metrics, FusionMetrics) and metrics.controls:
            return [
                (name, [Figures(unit.text(each.get(figure)), "", each.get(figure)) for figure in figures])
                for name, each in metrics.controls.items()
            ]
    return []


def _reported_lines(reported: Sequence[Reported], track: str, figures: Sequence[str], unit: Unit) -> list[ReportedLine]:
    found = []
    for one in reported:
        values = one.tracks[track]
        shown = tuple(Figures(unit.text(values.get(name)), "", values.get(name)) for name in figures)
        found.append(ReportedLine(one, f"{paper_page(one.paper)}#{one.table}", shown))
    return found


def _notes(reported: Sequence[Reported]) -> list[tuple[str, list[str]]]:
    """Return the notes of the papers, each once, by the paper's title."""
    found: dict[str, dict[str, None]] = {}
    for one in reported:
        found.setdefault(one.title, {}).update(dict.fromkeys(one.notes))
    return [(title, list(notes)) for title, notes in found.items() if notes]


def _sizes(track: TrackFacts, unit: Unit, version: str) -> Plot | None:
    points = [
        _point(one, float(one.parameters), short_count(one.parameters), unit, version)
        for one in track.rows
        if one.parameters and one.value is not None
    ]
    return _plot(track, "parameters", "parameters", points, tick_count, unit)


def _times(track: TrackFacts, unit: Unit, version: str) -> list[Times]:
    """Return a plot for each set of conditions that a row was timed under; none has times of two device classes."""
    found = sorted({time.conditions for one in track.rows for time in one.times})
    plots = []
    for place, conditions in enumerate(found):
        points = [
            _point(one, time.seconds, milliseconds(time.seconds), unit, version)
            for one in track.rows
            for time in one.times
            if time.conditions == conditions and one.value is not None
        ]
        plot = _plot(
            track, f"time of one pair, {conditions}", "median time of one pair", points, tick_milliseconds, unit
        )
        plots.append(Times(f"t{place}", conditions, plot))
    return plots


def _point(one: RowFacts, x: float, x_text: str, unit: Unit, version: str) -> Point:
    value = unit.scale * (one.value or 0.0)
    title = f"{one.name}: {one.main} {unit.text(one.value)}, {x_text}"
    return Point(one.name, row_page(version, one.id), x, value, title, one.place.rank is not None)


def _plot(track: TrackFacts, what: str, x_name: str, points: list[Point], text: Any, unit: Unit) -> Plot | None:
    if not track.rows or unit is PLAIN:
        return None
    main = track.rows[0].main
    return scatter(f"{main} against {what}", x_name, f"{main} ({unit.name})", points, text, unit.digits)


def _class_bars(track: TrackFacts, unit: Unit) -> Bars | None:
    """Return the main figure of each class, of the first rows of the table."""
    top = (track.ranked or track.rows)[:_TOP]
    if not top or unit is PLAIN:
        return None
    groups = top[0].row.first.metrics.intervals.per_class
    figure = next(iter(next(iter(groups.values()), {})), None)
    if figure is None:
        return None
    return _bars(f"{figure} of each class", figure, [f"{one} {figure}" for one in groups], top, unit)


def _subset_bars(track: TrackFacts, unit: Unit) -> Bars | None:
    """Return the main figure by illumination, of the first rows of the table; shown, never ranked."""
    top = (track.ranked or track.rows)[:_TOP]
    if not top or unit is PLAIN or not top[0].row.first.metrics.subsets:
        return None
    main = top[0].main
    names = [f"{subset} {main}" for subset in top[0].row.first.metrics.subsets]
    return _bars(f"{main} by illumination", main, names, top, unit)


def _bars(title: str, figure: str, names: Sequence[str], top: Sequence[RowFacts], unit: Unit) -> Bars:
    def cell(one: RowFacts, name: str) -> tuple[str, float | None]:
        value = one.figures[name].mean if name in one.figures else None
        return unit.text(value), None if value is None else round(100 * min(max(value, 0.0), 1.0), 2)

    lines = tuple((name.removesuffix(f" {figure}"), tuple(cell(one, name) for one in top)) for name in names)
    what = f"{plural(len(top), 'row')} from the top of the table, {unit.name}"
    return Bars(title, what, tuple(top), lines)

"""A page a row: every figure with its interval, what was compared, and everything that says how it was got."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rgbt_bench.latency import LatencyReport
from rgbt_bench.results import DetectionMetrics, Figure, FusionMetrics, Interval, Metrics, Result
from rgbt_bench.seeds import versions_note

from .commands import rerun, verify
from .facts import BoardFacts, RowFacts
from .links import outside, paper_page, row_page, track_page
from .rendering import Frame, render
from .texts import Unit, duration, flat

_MOST_BETTER: Final = 12  # named of the rows that are better


@dataclass(frozen=True)
class Cell:
    """A figure as it is shown; `around` is its interval, or the standard deviation over the seeds."""

    text: str
    around: str = ""


@dataclass(frozen=True)
class Grid:
    """Figures by name, a line each, over columns."""

    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Better:
    """A row that is significantly better, with its page's place."""

    name: str
    target: str


def row_pages(facts: BoardFacts, frame: Frame, pictures: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Yield the page of every row of a board; `pictures` has the places of contact sheets by row."""
    for one in facts.rows.values():
        yield _page(facts, one, frame, pictures.get(one.id))


def _page(facts: BoardFacts, one: RowFacts, frame: Frame, picture: str | None) -> tuple[str, bytes]:
    row, unit, results = one.row, one.unit, [run.result for run in one.row.runs]
    entry = row.entry
    known = row.track in facts.tracks
    return render(
        "row",
        frame,
        row_page(facts.version, one.id),
        f"{one.name}, {row.track}",
        version=facts.version,
        facts=one,
        row=row,
        first=row.first,
        model=row.first.model,
        unit=unit,
        track_target=track_page(facts.version, row.track) if known else None,
        paper_target=paper_page(entry.paper_key) if entry.paper_key in _paper_keys() else None,
        paper_url=outside(entry.paper_url),
        code_url=outside(entry.code_url),
        better=[
            Better(facts.rows[name].name, row_page(facts.version, name)) for name in one.place.better[:_MOST_BETTER]
        ],
        more_better=max(0, len(one.place.better) - _MOST_BETTER),
        grid=figure_grid(one, unit),
        classes=class_grid(one, unit),
        counts=_class_counts(row.first.metrics),
        seeds=_seed_grid(results, unit),
        further=_further(results, unit),
        controls=_controls(row.first.metrics, unit),
        resampling=row.first.metrics.intervals.resampling,
        notes=versions_note(results),
        rerun=rerun(results),
        verify=verify(one.id, facts.version),
        provenance=[provenance(result) for result in results],
        citation=citation(one, facts.version),
        picture=picture,
        history=_history(one),
        devices=[_device(report) for report in row.latency],
    )


def _paper_keys() -> set[str]:
    from rgbt_bench.leaderboard.papers import papers

    return set(papers())


def figure_grid(one: RowFacts, unit: Unit) -> Grid:
    """Return the row's figures over all samples and over each subset."""
    metrics = one.row.first.metrics
    columns = ("all", *metrics.subsets)
    return Grid(
        columns,
        tuple(
            (name, tuple(_cell(one, name if column == "all" else f"{column} {name}", unit) for column in columns))
            for name in metrics.figures
        ),
    )


def class_grid(one: RowFacts, unit: Unit) -> Grid | None:
    """Return the row's figures of each class, or None where there are no classes."""
    groups = one.row.first.metrics.intervals.per_class
    columns = tuple(next(iter(groups.values()), {}))
    if not columns:
        return None
    return Grid(
        columns, tuple((name, tuple(_cell(one, f"{name} {column}", unit) for column in columns)) for name in groups)
    )


def _cell(one: RowFacts, name: str, unit: Unit) -> Cell:
    summary = one.figures.get(name)
    if summary is None:
        return Cell("")
    if summary.sd is not None:
        return Cell(unit.text(summary.mean, 1), f"± {unit.text(summary.sd, 1)}")
    interval = one.interval if name == one.main and summary.n == 1 and one.interval else summary.interval
    return Cell(unit.text(summary.mean, 1), unit.between(interval, 1))


def _device(report: LatencyReport) -> str:
    """Return what a report says of its machine: the device, its threads, and the clocks that were seen."""
    said = ", ".join(f"{name} {text}" for name, text in flat(report.device | {"threads": report.threads}))
    if report.clocks is None:
        return f"{said}; its clock was not told"
    seen = report.clocks
    clocks = f"{seen.least:,.0f} to {seen.greatest:,.0f} {seen.unit}, median {seen.median:,.0f}"
    return f"{said}; clock {clocks} in {seen.readings} readings of {seen.source}"


def _class_counts(metrics: Metrics) -> dict[str, str]:
    """Return how many labels each class has, where the result says it."""
    found = {}
    for name, values in metrics.per_class.items():
        counts = [value for value in values.values() if isinstance(value, int) and not isinstance(value, bool)]
        if counts:
            found[name] = f"{counts[0]:,}"
    return found


def _seed_grid(results: Sequence[Result], unit: Unit) -> Grid | None:
    """Return the figures of each seed, or None where there is one seed alone."""
    if len(results) < 2:
        return None
    columns = tuple(results[0].metrics.figures)
    lines = []
    for result in results:
        intervals = result.metrics.intervals.figures
        cells = (_seed_cell(result.metrics.figures.get(one), intervals.get(one), unit) for one in columns)
        lines.append((_seed_name(result), tuple(cells)))
    return Grid(columns, tuple(lines))


def _seed_cell(value: Figure, interval: Interval, unit: Unit) -> Cell:
    return Cell(unit.text(value, 1), unit.between(interval, 1))


def _further(results: Sequence[Result], unit: Unit) -> Grid | None:
    """Return the figures of each seed with more detections allowed, or None where that changes none."""
    found = [one.metrics.further if isinstance(one.metrics, DetectionMetrics) else None for one in results]
    names = next((tuple(one) for one in found if one), ())
    if not names:
        return None
    seeds = tuple("all" if len(results) < 2 else f"seed {_seed_name(one)}" for one in results)
    return Grid(
        seeds, tuple((name, tuple(Cell(unit.text((one or {}).get(name), 1)) for one in found)) for name in names)
    )


def _seed_name(result: Result) -> str:
    return "" if result.model is None or result.model.seed is None else str(result.model.seed)


def _controls(metrics: Metrics, unit: Unit) -> Grid | None:
    if not isinstance(metrics, FusionMetrics) or not metrics.controls:
        return None
    controls = metrics.controls
    lines = tuple(
        (name, tuple(Cell(unit.text(one.get(name))) for one in controls.values())) for name in metrics.figures
    )
    return Grid(tuple(controls), lines)


def provenance(result: Result) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return everything that a result says beside its figures, as groups of names and texts."""
    groups = [
        ("Data", flat(result.data.model_dump())),
        ("Model", flat(result.model.model_dump() if result.model else {"model": "brought from outside"})),
        (
            "Scoring",
            flat(
                {
                    "evaluator": result.evaluator,
                    "protocol": result.protocol.get("name", ""),
                    "protocol_digest": result.protocol_digest,
                    "predictions_sha256": result.predictions_sha256,
                    "standing": result.standing,
                    "standing_reason": result.standing_reason,
                    "scored": result.created,
                    "result_schema": result.result_schema,
                }
            ),
        ),
        ("Durations", [(name, duration(value)) for name, value in result.durations_s.items()]),
        ("Hardware", flat(result.hardware)),
        ("Libraries", flat(result.libraries)),
    ]
    return [(title, pairs) for title, pairs in groups if pairs]


def citation(one: RowFacts, version: str) -> str:
    """Return a BibTeX entry of the row itself; its texts are what they are, without the braces that would end it."""
    created = one.row.created
    title = f"{one.name} on {one.row.track}, rgbt-bench leaderboard {version}"
    lines = [
        f"@misc{{rgbt-bench-{version}-{one.id},",
        f"  title = {{{_braceless(title)}}},",
        *([f"  author = {{{_braceless(one.row.entry.authors)}}},"] if one.row.entry.authors else []),
        *([f"  year = {{{created[:4]}}},"] if created[:4].isdecimal() else []),
        f"  note = {{row {one.id}, content SHA-256 {one.row.digest[:16]}, {one.badge}}},",
        "}",
    ]
    return "\n".join(lines)


def _braceless(text: str) -> str:
    return text.replace("{", "(").replace("}", ")").replace("\\", "/")


def _history(one: RowFacts) -> list[tuple[str, str]]:
    """Return what happened to the row, oldest first."""
    scored = sorted({run.result.created for run in one.row.runs})
    events = [(created, "scored") for created in scored] + [(one.row.created, "row made")]
    if one.proof:
        events.append((one.proof.created, f"{one.proof.kind} with rgbt-bench {one.proof.rgbt_bench}"))
    return sorted(events, key=lambda event: event[0])

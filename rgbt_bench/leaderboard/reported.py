"""The papers' own figures as rows of the leaderboard, which are shown apart and never ranked."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from rgbt_bench.leaderboard.papers import BY_RUNS, Paper, Row, Table, papers
from rgbt_bench.recipes import load_recipe

_DIGITS = 12  # of a figure that was brought to our unit


@dataclass(frozen=True)
class Reported:
    """One row of a paper's table; `id` is PAPER/TABLE/ROW.

    `figures` are as printed, by the names of the columns. `tracks` has those that we measure, too, in our unit and by
    our names, under the track that they are of; it is empty where the paper does not tell the track. A track's figures
    are the paper's own protocol's: they stand beside ours and are never ranked. `notes` are the table's and the
    paper's known contradictions.
    """

    id: str
    paper: str
    table: str
    row: str
    title: str
    source: str
    table_title: str
    recipe: str | None
    set: tuple[str, ...]
    labels: Mapping[str, str]
    figures: Mapping[str, int | float]
    tracks: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]

    @property
    def track(self) -> str | None:
        """The track of its figures, None where none is known or there are several."""
        return next(iter(self.tracks)) if len(self.tracks) == 1 else None


@cache
def reported_rows() -> tuple[Reported, ...]:
    """Return every row of the papers' tables that has a figure, in the order of papers, tables and rows."""
    return tuple(
        _reported(paper, key, table, name, row)
        for paper in papers().values()
        for key, table in paper.tables.items()
        for name, row in table.rows.items()
        if any(figure is not None for figure in row.figures)
    )


def reported_on(track: str) -> tuple[Reported, ...]:
    """Return the rows that have figures of a track."""
    return tuple(one for one in reported_rows() if track in one.tracks)


def _reported(paper: Paper, key: str, table: Table, name: str, row: Row) -> Reported:
    pairs = zip(table.columns, row.figures, strict=True)
    return Reported(
        id=f"{paper.key}/{key}/{name}",
        paper=paper.key,
        table=key,
        row=name,
        title=paper.title,
        source=paper.source,
        table_title=table.title,
        recipe=row.recipe,
        set=row.set,
        labels=row.labels,
        figures={column.name: figure for column, figure in pairs if figure is not None},
        tracks=_tracks(table, name, row),
        notes=(*table.notes, *paper.notes),
    )


def _tracks(table: Table, name: str, row: Row) -> dict[str, dict[str, float]]:
    """Return the measured columns' figures in our unit, by track."""
    printed = dict(zip((column.name for column in table.columns), row.figures, strict=True))
    found: dict[str, dict[str, float]] = {}
    for part in table.parts():
        recipe = part.rows[name].recipe
        task = _task(recipe) if recipe else row.task or table.task
        if part.kind not in BY_RUNS or part.dataset is None or task is None or not task.startswith(part.kind):
            continue
        for column in part.columns:
            figure = printed[column.name]
            if figure is not None and column.measured is not None:
                ours = float(f"{figure / column.scale:.{_DIGITS}g}")
                found.setdefault(f"{part.dataset}/{task}", {})[column.measured] = ours
    return found


@cache
def _task(recipe: str) -> str:
    return load_recipe(recipe).task

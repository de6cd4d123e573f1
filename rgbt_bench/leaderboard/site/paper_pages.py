"""A page a paper: its tables as printed, and beneath each row what the board measured where a row stands for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rgbt_bench.leaderboard.papers import BY_RUNS, Column, Paper, Row, Table, papers
from rgbt_bench.results import ModelProvenance

from .commands import settled_digest
from .facts import BoardFacts, RowFacts
from .links import paper_page, papers_page, row_page
from .rendering import Frame, render
from .texts import fixed


@dataclass(frozen=True)
class Measured:
    """A measured cell in the paper's unit: mean, and standard deviation or interval; empty where there is none."""

    text: str = ""
    around: str = ""


@dataclass(frozen=True)
class Standing:
    """A row of the board that stands for a paper's row: its page and its cells, one a column."""

    name: str
    target: str
    badge: str
    seeds: int
    cells: tuple[Measured, ...]


@dataclass(frozen=True)
class PaperLine:
    """A row of a paper's table: as printed, and the board's rows that stand for it."""

    name: str
    labels: tuple[str, ...]
    printed: tuple[str, ...]
    recipe: str | None
    measured: tuple[Standing, ...]


@dataclass(frozen=True)
class PaperTable:
    """A paper's table as its page shows it."""

    key: str
    table: Table
    labels: tuple[str, ...]
    lines: tuple[PaperLine, ...]
    by_runs: bool


def paper_pages(facts: BoardFacts, frame: Frame) -> Iterator[tuple[str, bytes]]:
    """Yield the page of every paper, and the page that lists them."""
    counts = []
    for paper in papers().values():
        tables = [paper_table(key, table, facts) for key, table in paper.tables.items()]
        filled = sum(bool(line.measured) for table in tables for line in table.lines)
        counts.append((paper, paper_page(paper.key), sum(len(table.lines) for table in tables), filled))
        yield _page(paper, tables, facts, frame)
    yield render("papers", frame, papers_page(), "Papers", version=facts.version, counts=counts)


def _page(paper: Paper, tables: Sequence[PaperTable], facts: BoardFacts, frame: Frame) -> tuple[str, bytes]:
    return render("paper", frame, paper_page(paper.key), paper.title, version=facts.version, paper=paper, tables=tables)


def paper_table(key: str, table: Table, facts: BoardFacts) -> PaperTable:
    """Return a table with the board's rows beside its own; a cell nobody measured stays empty."""
    labels = tuple(dict.fromkeys(name for row in table.rows.values() for name in row.labels))
    parts = [part for part in table.parts() if part.kind in BY_RUNS]
    return PaperTable(
        key=key,
        table=table,
        labels=labels,
        lines=tuple(
            PaperLine(
                name=name,
                labels=tuple(row.labels.get(label, "") for label in labels),
                printed=tuple("" if figure is None else f"{figure}" for figure in row.figures),
                recipe=row.recipe,
                measured=_standing(table.columns, [(part, part.rows[name]) for part in parts], facts),
            )
            for name, row in table.rows.items()
        ),
        by_runs=bool(parts),
    )


def _standing(columns: Sequence[Column], parts: Sequence[tuple[Table, Row]], facts: BoardFacts) -> tuple[Standing, ...]:
    """Return the board's rows that stand for a paper's row, those of the most seeds first."""
    found: dict[str, dict[str, Measured]] = {}
    for part, row in parts:
        for one in facts.rows.values():
            if stands_for(one, row, part.dataset):
                cells = {column.name: _measured(one, column) for column in part.columns}
                found.setdefault(one.id, {}).update(cells)
    rows = sorted((facts.rows[name] for name in found), key=lambda one: (-len(one.row.runs), one.id))
    return tuple(_shown(one, columns, found[one.id], facts.version) for one in rows)


def stands_for(one: RowFacts, row: Row, dataset: str | None) -> bool:
    """Tell whether a row of the board fills a paper's row: its recipe with its settings, trained, official labels."""
    return (
        row.recipe is not None
        and one.row.first.data.dataset == dataset
        and all(run.result.standing == "official" for run in one.row.runs)
        and all(_is_of(run.result.model, row.recipe, row.set) for run in one.row.runs)
    )


def _is_of(model: ModelProvenance | None, recipe: str, settings: tuple[str, ...]) -> bool:
    return (
        model is not None
        and model.recipe == recipe
        and model.preset == "paper"
        and model.weights_from is None
        and model.recipe_digest == settled_digest(recipe, "paper", settings)
    )


def _measured(one: RowFacts, column: Column) -> Measured:
    summary = one.figures.get(column.measured or "")
    if summary is None or summary.mean is None:
        return Measured()
    ours = summary.scaled(column.scale)
    assert ours.mean is not None
    if ours.sd is not None:
        return Measured(fixed(ours.mean, column.digits), f"± {fixed(ours.sd, column.digits)}")
    around = "" if ours.interval is None else " to ".join(fixed(end, column.digits) for end in ours.interval)
    return Measured(fixed(ours.mean, column.digits), around)


def _shown(one: RowFacts, columns: Sequence[Column], cells: Mapping[str, Measured], version: str) -> Standing:
    filled = tuple(cells.get(column.name, Measured()) for column in columns)
    return Standing(one.name, row_page(version, one.id), one.badge, len(one.row.runs), filled)

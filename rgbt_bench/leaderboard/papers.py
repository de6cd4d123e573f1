"""The papers' own figures, as packaged data: every table with its columns, rows and the recipes that stand for them."""

from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from rgbt_bench.errors import UsageError, unknown_name

Kind = Literal["detection", "segmentation", "fusion", "parameters", "count", "latency", "reported"]
BY_RUNS: tuple[Kind, ...] = ("detection", "segmentation", "fusion")  # the kinds that finished runs fill


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Record):
    """One column: its printed name and, where we measure it, our figure's name and the factor to the paper's unit.

    Our figure's name is that of `Metrics.by_name`, such as `mIoU`, `day mIoU` or `car IoU`. What differs from the
    table's own is said here: the kind, the dataset, and `of`, which of a row's recipes is measured.
    """

    name: str
    measured: str | None = None
    scale: float = 1.0
    digits: int = 1
    kind: Kind | None = None
    dataset: str | None = None
    of: str | None = None


class Stands(_Record):
    """The recipe that stands for something, and what is set in it: `path=value`, or `RECIPE:path=value`."""

    recipe: str
    set: tuple[str, ...] = ()


class Row(_Record):
    """One row: the paper's figures, null where the paper has none, and the recipe that stands for it.

    `set` is what the row changes in the recipe, `path=value`: the rows of an ablation are one recipe. `others` are
    further recipes of the row, by what columns call them. `task` is the task part of the row's track where the paper
    tells it and no recipe does.
    """

    recipe: str | None = None
    task: str | None = None
    set: tuple[str, ...] = ()
    others: dict[str, Stands] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    figures: tuple[int | float | None, ...]

    def as_of(self, of: str | None) -> "Row":
        """Return the row with the recipe that columns call `of`, or without one; None is its own."""
        if of is None:
            return self
        other = self.others.get(of)
        return self.model_copy(update={"recipe": other and other.recipe, "set": other.set if other else ()})


class Table(_Record):
    """One results table of a paper; `kind` says what fills our side of it, `task` is that of rows that name none."""

    title: str
    kind: Kind
    dataset: str | None = None
    task: str | None = None
    batch: int | None = None
    columns: tuple[Column, ...]
    rows: dict[str, Row]
    notes: tuple[str, ...] = ()

    def parts(self) -> "list[Table]":
        """Return the table as tables of one kind, dataset and recipe a row, without the columns nobody measures."""
        groups: dict[tuple[Kind, str | None, str | None], list[Column]] = {}
        for column in self.columns:
            if column.measured is not None:
                key = (column.kind or self.kind, column.dataset or self.dataset, column.of)
                groups.setdefault(key, []).append(column)
        return [
            self.model_copy(
                update={
                    "kind": kind,
                    "dataset": dataset,
                    "columns": tuple(columns),
                    "rows": {name: row.as_of(of) for name, row in self.rows.items()},
                }
            )
            for (kind, dataset, of), columns in groups.items()
        ]

    def datasets(self) -> set[str]:
        """Return the datasets that runs fill its columns from."""
        return {one.dataset for one in self.parts() if one.dataset and one.kind in BY_RUNS}


class Paper(_Record):
    """One paper: its title, where it is published, its tables, and claims that its own tables contradict."""

    key: str
    title: str
    source: str
    tables: dict[str, Table]
    notes: tuple[str, ...] = ()


@cache
def papers() -> dict[str, Paper]:
    """Return every paper by key, from the packaged `leaderboards/papers/`."""
    found = {}
    folder = files("rgbt_leaderboards") / "papers"
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yaml"):
            content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
            paper = Paper.model_validate(content)
            found[paper.key] = paper
    return found


def find_table(name: str) -> tuple[Paper, str, Table]:
    """Return the paper and table that `ffkd/table-2` names.

    Raises:
        UsageError: no such paper or table.
    """
    key, slash, table = name.partition("/")
    known = [f"{paper.key}/{one}" for paper in papers().values() for one in paper.tables]
    if not slash:
        raise UsageError(f"{name!r}: write PAPER/TABLE, such as {known[0]}")
    if key not in papers() or table not in papers()[key].tables:
        raise unknown_name("table", name, known)
    return papers()[key], table, papers()[key].tables[table]

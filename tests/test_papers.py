"""The papers' own figures: whole tables, recipes that exist, and figures as they were transcribed."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rgbt_bench.leaderboard.papers import BY_RUNS, papers
from rgbt_bench.leaderboard.tracks import leaderboard
from rgbt_bench.metrics.catalogue import METRICS
from rgbt_bench.recipes import load_recipe
from rgbt_bench.registry import recipe_files
from rgbt_bench.runs import settled_recipe

TABLES = [(f"{paper.key}/{key}", table) for paper in papers().values() for key, table in paper.tables.items()]
FACTS = Path(__file__).parent.parent.parent / "shared" / "facts" / "TABLES.yaml"
SOURCES = {  # and how many columns come before the figures
    ("ffkd", "table-1"): ("table_1_params_millions", 0),
    ("ffkd", "table-2"): ("table_2_flir_test", 0),
    ("ffkd", "table-3"): ("table_3_inference", 1),
    ("cekd", "table-1"): ("table_1_ed_position", 0),
    ("cekd", "table-2"): ("table_2_losses", 4),
    ("cekd", "table-3"): ("table_3_strategy", 3),
    ("cekd", "table-4"): ("table_4_rgbt_day_night", 0),
    ("cekd", "table-5"): ("table_5_thermal_day_night", 0),
    ("cekd", "table-6"): ("table_6_rgbt_per_class", 0),
    ("cekd", "table-7"): ("table_7_thermal_per_class", 0),
}


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_every_row_has_a_figure_or_null_for_every_column(name, table):
    assert table.rows
    assert {row: len(row_.figures) for row, row_ in table.rows.items() if len(row_.figures) != len(table.columns)} == {}
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_a_table_that_is_measured_says_how(name, table):
    parts = table.parts()
    recipes = {row.recipe for part in parts for row in part.rows.values() if row.recipe}
    assert recipes <= set(recipe_files())
    assert bool(recipes) == any(column.measured for column in table.columns) == (table.kind != "reported")
    for part in parts:
        if part.kind in BY_RUNS:
            names = {metric.name for metric in METRICS if metric.task == part.kind}
            assert {column.measured.split()[-1] for column in part.columns} <= names
            tasks = {load_recipe(row.recipe).task for row in part.rows.values() if row.recipe}
            assert {f"{part.dataset}/{task}" for task in tasks} <= leaderboard().tracks.keys()
        if part.kind == "latency":
            assert part.batch


def test_what_a_row_sets_fits_its_recipe():
    for _, table in TABLES:
        for part in table.parts():
            for row in part.rows.values():
                if row.recipe:
                    assert settled_recipe(row.recipe, "paper", row.set).digest


@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_the_row_that_a_recipe_stands_for_names_the_recipe(name):
    stands_for = load_recipe(name).paper
    if stands_for is None:
        required = {one for other in recipe_files() for one in load_recipe(other).requires.values()}
        rows = [row.recipe for _, table in TABLES for row in table.rows.values()]
        assert name in required or name in rows or load_recipe(name).training is None
        return
    row = papers()[stands_for.key].tables[stands_for.table].rows[stands_for.row]
    assert name in {row.recipe, *(other.recipe for other in row.others.values())}


def test_figures_are_never_negative():
    assert all(figure >= 0 for _, table in TABLES for row in table.rows.values() for figure in row.figures if figure)


@pytest.mark.parametrize(("paper", "table"), sorted(SOURCES))
def test_figures_are_those_of_the_papers_tables(paper, table):
    source, first = SOURCES[paper, table]
    transcribed = {row: as_columns(figures)[first:] for row, figures in facts()[paper][source]["rows"].items()}
    rows = papers()[paper].tables[table].rows
    # FFKD's facts spell T-RGB as t_rgb
    spelt = {row if row in transcribed else row.lower().replace("-", "_"): one for row, one in rows.items()}
    assert {row: list(one.figures) for row, one in spelt.items()} == transcribed


@pytest.mark.parametrize("table", ["table-6", "table-7"])
def test_columns_of_classes_are_in_the_order_of_the_transcribed_figures(table):
    expected = [f"{one} {name}" for one in facts()["cekd"]["class_order"] for name in ("Acc", "IoU")]
    assert [column.measured for column in papers()["cekd"].tables[table].columns] == [*expected, "mAcc", "mIoU"]


@pytest.mark.parametrize(("paper", "table"), [("cekd", "table-2"), ("cekd", "table-3")])
def test_labels_of_rows_are_those_of_the_papers_tables(paper, table):
    source, first = SOURCES[paper, table]
    transcribed = facts()[paper][source]["rows"]
    rows = papers()[paper].tables[table].rows
    assert {row: list(one.labels.values()) for row, one in rows.items()} == {
        row: [{True: "yes", False: "no"}.get(value, value) for value in values[:first]]
        for row, values in transcribed.items()
    }


def facts():
    if not FACTS.is_file():
        pytest.skip(f"{FACTS} is not here: the transcribed tables lie beside the maintainers' checkouts only")
    return YAML(typ="safe").load(FACTS.read_text())


def as_columns(figures):
    """Figures in the order of the columns; those of classes are transcribed apart, as Acc and IoU."""
    if isinstance(figures, list):
        return figures
    pairs = zip(figures["acc"], figures["iou"], strict=True)
    return [*(figure for pair in pairs for figure in pair), figures["macc"], figures["miou"]]

"""Rows in short: shown, and exported in the formats that other programs read."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from board_cases import add_row, empty_board, make_row
from rgbt_bench.errors import UsageError
from rgbt_bench.leaderboard.summaries import FORMATS, board_content, citation, summaries, write_export

TRACK = "flir/detection-rgbt"


@pytest.fixture
def board(tmp_path):
    board = empty_board(tmp_path / "leaderboards")
    add_row(board, make_row("good", value=0.4, recipe="ffkd-student"))
    add_row(board, make_row("best", value=0.5, noise=3, seeds=(0, 1)))
    add_row(board, make_row("elsewhere", track="flir/detection-thermal"))
    add_row(board, make_row("unofficial", value=0.9, standing="unofficial"))
    return board


def test_the_best_come_first_and_what_has_no_rank_last(board):
    found = summaries(board, TRACK)
    assert [(one["id"], one["rank"]) for one in found] == [("best", 1), ("good", 2), ("unofficial", None)]
    assert found[0]["sd"] is not None
    assert found[0]["low"] < found[0]["value"] < found[0]["high"]


def test_reported_figures_stand_apart_and_have_no_rank(board):
    (content,) = board_content(board, TRACK, reported=True)["tracks"]
    assert {one["id"] for one in content["reported"]} >= {"ffkd/table-2/S-Distillation"}
    assert all(one["rank"] is None and one["badge"] == "reported" for one in content["reported"])
    assert not board_content(board, TRACK)["tracks"][0]["reported"]
    assert content["reported"][-1]["figures"]["AP"] == pytest.approx(0.315)


def test_every_figure_of_the_papers_is_exported(board, tmp_path):
    from rgbt_bench.leaderboard.papers import papers

    write_export(board, "json", tmp_path / "all.json", reported=True)
    rows = json.loads((tmp_path / "all.json").read_text())
    printed = {
        (row["id"], name.removeprefix("printed ")): value
        for row in rows
        if row["badge"] == "reported"
        for name, value in row.items()
        if name.startswith("printed ") and value is not None
    }
    figures = {
        (f"{paper.key}/{table}/{name}", column.name): figure
        for paper in papers().values()
        for table, one in paper.tables.items()
        for name, row in one.rows.items()
        for column, figure in zip(one.columns, row.figures, strict=True)
        if figure is not None
    }
    assert printed == figures


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_has_every_row(board, tmp_path, style):
    out = tmp_path / "rows"
    assert write_export(board, style, out, TRACK) == 3
    data = out.read_bytes()
    if style == "csv":
        rows = list(csv.DictReader(io.StringIO(data.decode())))
        assert [row["id"] for row in rows] == ["best", "good", "unofficial"]
        assert float(rows[1]["figure AP"]) == 0.4
    elif style == "json":
        assert json.loads(data)[0]["figure AP"] == pytest.approx(0.5005)
    elif style == "parquet":
        assert pq.read_table(out)["rank"].to_pylist() == [1, 2, None]
    else:
        assert data.count(b"Good") >= 1


def test_bibtex_has_a_person_each(board):
    row = make_row("a", authors="Ann Author, Bob de Builder, rgbt-bench")
    assert "author = {Ann Author and Bob de Builder and {rgbt-bench}}" in citation(board, row)
    assert "author = {{anonymous}}" in citation(board, make_row("b", authors=""))


def test_papers_are_no_bibtex_of_rows(tmp_path):
    with pytest.raises(UsageError, match="no row to export"):
        write_export(empty_board(tmp_path / "leaderboards"), "bibtex", tmp_path / "x", reported=True)


def test_texts_of_a_row_are_texts_everywhere(tmp_path):
    board = empty_board(tmp_path / "leaderboards")
    row = make_row("hostile")
    entry = row.entry.model_copy(update={"name": r"=1+2 & \input{x}_%$"})
    add_row(board, row.model_copy(update={"entry": entry}))
    write_export(board, "csv", tmp_path / "a.csv")
    assert next(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))["name"].startswith("'=1+2")
    write_export(board, "latex", tmp_path / "a.tex")
    assert r"=1+2 \& \textbackslash{}input\{x\}\_\%\$" in (tmp_path / "a.tex").read_text()
    assert r"\input{" not in citation(board, board.row("hostile"))


def test_what_cannot_be_exported_says_why(board, tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'latex'"):
        write_export(board, "latx", tmp_path / "x")
    with pytest.raises(UsageError, match="Did you mean 'flir/detection-rgbt'"):
        write_export(board, "csv", tmp_path / "x", "flir/detection-rgbtt")
    with pytest.raises(UsageError, match="no row to export on m3fd/fusion"):
        write_export(board, "csv", tmp_path / "x", "m3fd/fusion")
    assert not (tmp_path / "x").exists()

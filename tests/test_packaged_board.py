"""The board that is packaged: every row may come in, and every number of it comes out again."""

import pytest

from rgbt_bench.converting import convert
from rgbt_bench.datasets.sample_converter import SampleConverter
from rgbt_bench.leaderboard.board import boards_home, open_board, versions
from rgbt_bench.leaderboard.checking import check_folder
from rgbt_bench.leaderboard.verifying import verify_rows


@pytest.fixture(scope="module")
def home_with_sample(tmp_path_factory):
    home = tmp_path_factory.mktemp("whole")
    convert(SampleConverter(), None, home / "datasets" / "sample")
    return home


def test_every_row_would_be_taken_today():
    assert check_folder().faults == ()


def test_every_row_whose_labels_are_generated_is_proven(home_with_sample, monkeypatch):
    monkeypatch.setenv("RGBT_BENCH_HOME", str(home_with_sample))
    board = open_board()
    rows = [row for row in board.rows.values() if row.track.startswith("sample/")]
    assert rows
    findings = verify_rows(board, rows, count=1)
    assert {one.state for one in findings} == {"proven"}, [one.faults for one in findings]


@pytest.mark.parametrize("version", versions(boards_home()))
def test_every_version_can_be_read(version):
    board = open_board(version)
    assert board.definitions.version == board.number
    assert all(row.track in board.definitions.tracks for row in board.rows.values())

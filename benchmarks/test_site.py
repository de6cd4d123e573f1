"""The leaderboard's pages of a thousand rows: built within the bound that the project sets; `pytest benchmarks`."""

import sys
import time
from pathlib import Path

import pytest

from rgbt_bench.leaderboard.site.building import build

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from board_cases import add_row, empty_board, make_row

ROWS = 1000
MOST_S = 30


@pytest.mark.parametrize("tracks", [1, 6])
def test_a_thousand_rows_are_built_in_time(tmp_path, tracks):
    board = empty_board(tmp_path / "board")
    names = [name for name, track in board.definitions.tracks.items() if track.protocol == "coco"][:tracks]
    for place in range(ROWS):
        value = 0.2 + 0.15 * (place * 37 % ROWS) / ROWS
        add_row(board, make_row(f"row-{place:04d}", track=names[place % tracks], value=value, noise=place))
    begin = time.perf_counter()
    found = build(tmp_path / "site", board.root)
    taken = time.perf_counter() - begin
    print(f"{found['files']} files of {ROWS} rows on {tracks} track(s): {taken:.1f} s")
    assert found["rows"] == ROWS
    assert taken < MOST_S

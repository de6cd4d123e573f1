"""Versions of the leaderboard: the next one by scoring again, what moved, and nothing half-made."""

import pytest

from board_cases import add_row, make_row
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.leaderboard import versions
from rgbt_bench.leaderboard.board import open_board
from rgbt_bench.leaderboard.tracks import PROTOCOLS
from rgbt_bench.leaderboard.verifying import verify_rows
from rgbt_bench.leaderboard.versions import diff_versions, next_version
from verified_rows import board_with_row, reopened

ROW = "sample-detection-rgbt-mine"


@pytest.fixture
def board(tmp_path, home, tiny_folder, monkeypatch):
    return board_with_row(tmp_path, home, tiny_folder, monkeypatch)


@pytest.fixture
def another_protocol(monkeypatch):
    """A definition of `coco` that counts at most five detections an image."""
    monkeypatch.setitem(PROTOCOLS, "coco", PROTOCOLS["coco"] | {"definition": 2})


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_next_version_scores_the_old_predictions_again(board, another_protocol, monkeypatch):
    from rgbt_bench.leaderboard import rescoring

    real = rescoring.rescore

    def other_figures(result, part, path):
        again = real(result, part, path)
        halved = {name: value and value / 2 for name, value in again.metrics.figures.items()}
        return rescoring.Rescored(again.metrics.model_copy(update={"figures": halved}), again.drawn)

    monkeypatch.setattr(rescoring, "rescore", other_figures)
    before = files(board.folder)
    newer, left = next_version(board)
    assert (newer.version, left) == ("v2", [])
    assert files(board.folder) == before, "v1 stays as it is"
    assert open_board(None, board.root).version == "v2"
    moved = diff_versions(reopened(board), newer)
    assert set(moved["protocols"]) == {"coco"}
    (one,) = moved["rows"]
    assert one["difference"] == pytest.approx(-one["before"]["value"] / 2)
    row = newer.row(ROW)
    assert row.board == 2
    assert row.first.protocol["definition"] == 2
    assert newer.predictions_file(row.runs[0].predictions.file).is_file()


def test_a_row_of_the_next_version_is_proven_there(board, another_protocol):
    newer, _ = next_version(board)
    assert [one.state for one in verify_rows(newer, list(newer.rows.values()), count=1)] == ["proven"]
    assert "v1 froze" in verify_rows(board, list(board.rows.values()), count=1)[0].faults[0]


def test_without_a_change_there_is_no_next_version(board):
    with pytest.raises(UsageError, match="they define what v1 does"):
        next_version(board)
    assert not list(board.root.glob("v2*"))


def test_definitions_can_be_given(board, tmp_path):
    text = (board.folder / "leaderboard.yaml").read_text()
    (tmp_path / "new.yaml").write_text(
        text.replace("version: 1", "version: 2").replace("flir/detection-rgb:", "flir/x:")
    )
    newer, _ = next_version(board, tmp_path / "new.yaml")
    found = diff_versions(board, newer)
    assert set(found["tracks"]) == {"flir/detection-rgb", "flir/x"}
    assert found["rows"][0]["difference"] == 0
    with pytest.raises(UsageError, match="made once"):
        next_version(board, tmp_path / "new.yaml")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("version: 1", "version: 7", "of version 7"),
        ("tracks:", "trcks:", "not the definitions of a leaderboard"),
        (
            "version: 1\nprotocols:\n  coco: 8",
            "version: 2\nprotocols:\n  coco: 9",
            "this rgbt-bench defines coco as 8bce",
        ),
    ],
)
def test_definitions_that_will_not_do_are_refused(board, tmp_path, old, new, fault):
    text = (board.folder / "leaderboard.yaml").read_text()
    (tmp_path / "new.yaml").write_text(text.replace(old, new))
    with pytest.raises((UsageError, BadInputError), match=fault):
        next_version(board, tmp_path / "new.yaml")
    assert not list(board.root.glob("v2*")), "nothing is left"


def test_rows_without_labels_here_stop_it_or_are_left_behind(board, another_protocol):
    add_row(board, make_row("from-elsewhere"))
    board = reopened(board)
    with pytest.raises(MissingError, match=r"from-elsewhere: .*--skip-missing leaves such rows in v1"):
        next_version(board)
    assert not list(board.root.glob("v2*"))
    newer, left = next_version(board, skip_missing=True)
    assert left == ["from-elsewhere"]
    gone = [one for one in diff_versions(board, newer)["rows"] if one["row"] == "from-elsewhere"]
    assert gone[0]["after"]["value"] is None


def test_one_that_was_killed_leaves_the_old_state_and_the_next_try_begins_anew(board, another_protocol, monkeypatch):
    real = versions.row_bytes
    monkeypatch.setattr(versions, "row_bytes", lambda row: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        next_version(board)
    assert open_board(None, board.root).version == "v1"
    monkeypatch.setattr(versions, "row_bytes", real)
    assert next_version(board)[0].rows.keys() == {ROW}

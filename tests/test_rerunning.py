"""`verify --rerun`: a maintainer's own run beside a row."""

import json

import pytest

from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.leaderboard.rerunning import rerun_proof, write_proof
from rgbt_bench.leaderboard.submitting import make_row, read_entry, write_row
from run_cases import finish, make_done
from verified_rows import convert_home, detections, reopened, submitted, tiny_board


@pytest.fixture
def board(tmp_path, home, scenes_folder, monkeypatch):
    convert_home(home, scenes_folder)
    return tiny_board(tmp_path / "leaderboards", scenes_folder, monkeypatch)


def made(home, scenes_folder, key, seed=0, **run):
    predictions = json.loads(detections(home / f"{key}.json", seed=seed).read_text())
    return make_done(home, scenes_folder, key=key, predictions=predictions, **run)


def row_of(board, folder):
    write_row(board, make_row(board, [str(folder)], read_entry(None, {"name": "A run"}), "quick"))
    return next(iter(reopened(board).rows.values()))


def test_a_run_made_again_is_a_proof_of_its_row(board, home, scenes_folder):
    row = row_of(board, made(home, scenes_folder, "aaaa11112222"))
    proof = rerun_proof(board, row, [str(made(home, scenes_folder, "bbbb11112222"))])
    assert "1 of 1 predictions are the same to the byte" in proof.note
    write_proof(board, proof)
    assert reopened(board).badge(row) == "re-run"


def test_another_recipe_is_no_proof(board, home, scenes_folder):
    row = row_of(board, made(home, scenes_folder, "aaaa11112222"))
    with pytest.raises(BadInputError, match="and the run is not"):
        rerun_proof(board, row, [str(made(home, scenes_folder, "bbbb11112222", recipe="ffkd-student-thermal"))])


def test_predictions_from_elsewhere_cannot_be_re_run(board, tmp_path):
    board = submitted(board, [detections(tmp_path / "p.json")])
    with pytest.raises(UsageError, match="rescored but not re-run"):
        rerun_proof(board, next(iter(board.rows.values())), ["x"])


def test_figures_that_differ_are_no_proof(board, home, scenes_folder):
    row = row_of(board, made(home, scenes_folder, "aaaa11112222"))
    worse = made(home, scenes_folder, "bbbb11112222", seed=3)
    predictions = json.loads((worse / "predictions.json").read_text())
    (worse / "predictions.json").write_text(json.dumps(predictions[: len(predictions) // 4]))
    finish(worse, scenes_folder)
    with pytest.raises(BadInputError, match="the run made again differs"):
        rerun_proof(board, row, [str(worse)])

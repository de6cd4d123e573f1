"""Rows of real predictions on the tiny sample set, made as users make them."""

import json
import shutil

import numpy as np

from board_cases import empty_board
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.leaderboard.board import Board
from rgbt_bench.leaderboard.submitting import read_entry, submit_row
from rgbt_bench.opening import open_dataset


def tiny_board(folder, tiny_folder, monkeypatch):
    """Return an empty board that has frozen the tiny set, as this rgbt-bench would have."""
    board = empty_board(folder)
    path = board.folder / "leaderboard.yaml"
    text, frozen = path.read_text(), board.definitions.data["sample-test"]
    record = Dataset(tiny_folder).part("test").record
    for name in ("ids_sha256", "label_digest", "rgb_digest", "thermal_digest"):
        text = text.replace(getattr(frozen, name), getattr(record, name))
    path.write_text(text.replace("samples: 128", f"samples: {record.samples}"))
    board = Board(board.root, board.version)
    monkeypatch.setattr("rgbt_bench.leaderboard.checking.checker.leaderboard", lambda: board.definitions)
    return board


def convert_home(home, tiny_folder):
    """Put the tiny set where a user's sets are."""
    if not (home / "datasets" / "sample").exists():
        shutil.copytree(tiny_folder, home / "datasets" / "sample")


def detections(path, seed=0, off=2.0):
    """Write predictions that are the labels, a few pixels off, with chance scores."""
    generator = np.random.default_rng(seed)
    rows = [
        {
            "image_id": labels.sample_id,
            "category_id": box.category + 1,
            "bbox": [float(one) for one in np.array(box.bbox) + generator.normal(0, off, 4).clip(-off, off)],
            "score": float(generator.uniform(0.1, 1.0)),
        }
        for labels in open_dataset("sample").part("test").labels
        for box in labels.objects
    ]
    path.write_text(json.dumps(rows))
    return path


def submitted(board, targets, name="Mine", task="detection-rgbt", **options):
    """Make a row of predictions and write it."""
    entry = read_entry(None, {"name": name, "authors": "Ann", "dataset": "sample", "task": task})
    submit_row(board, [str(one) for one in targets], entry, **options)
    return reopened(board)


def board_with_row(tmp_path, home, tiny_folder, monkeypatch, **made):
    """Return a board with one row of the tiny set."""
    convert_home(home, tiny_folder)
    path = detections(tmp_path / "predictions.json", **made)
    return submitted(tiny_board(tmp_path / "leaderboards", tiny_folder, monkeypatch), [path])


def reopened(board):
    """Return the same board, read anew."""
    return Board(board.root, board.version)

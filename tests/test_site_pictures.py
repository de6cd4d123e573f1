"""Contact sheets on the leaderboard's pages: of datasets that may be shown, and of no others."""

import gzip
import hashlib
import shutil

import pytest
from PIL import Image as Pillow

from board_cases import add_row, empty_board, make_row
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.leaderboard.site.building import build
from rgbt_bench.leaderboard.tracks import leaderboard
from site_cases import parse


@pytest.fixture
def pictured(home, tiny_folder, tmp_path):
    """A board whose check track is that of a set that is converted here, with a row of it."""
    shutil.copytree(tiny_folder, home / "datasets" / "sample")
    record = Dataset(tiny_folder).part("test").record
    board = empty_board(tmp_path / "board")
    path = board.folder / "leaderboard.yaml"
    ours = leaderboard().data["sample-test"]
    text = path.read_text()
    for name in ("label_digest", "rgb_digest", "thermal_digest"):
        text = text.replace(getattr(ours, name), getattr(record, name))
    path.write_text(text)
    empty = gzip.compress(b"[]", mtime=0)
    row = make_row("drawn", track="sample/detection-rgbt", standing="unofficial")
    packed = row.runs[0].predictions.model_copy(update={"sha256": hashlib.sha256(empty).hexdigest()})
    add_row(board, row.model_copy(update={"runs": (row.runs[0].model_copy(update={"predictions": packed}),)}), empty)
    return board


def test_pictures_come_with_the_flag_alone_and_where_the_images_may_be_shown(pictured, tmp_path):
    build(tmp_path / "without", pictured.root)
    assert list((tmp_path / "without").rglob("*.png")) == []
    build(tmp_path / "with", pictured.root, pictures=True)
    assert [path.name for path in (tmp_path / "with").rglob("*.png")] == ["drawn.png"]
    assert Pillow.open(tmp_path / "with" / "v1" / "rows" / "drawn.png").width > 500
    assert "drawn.png" in parse(tmp_path / "with" / "v1" / "rows" / "drawn.html").sources


@pytest.mark.parametrize("change", [("    pictures: true\n", ""), ("rgb_digest: ", "rgb_digest: 0")])
def test_images_that_nobody_said_may_be_shown_are_not(pictured, tmp_path, change):
    path = pictured.folder / "leaderboard.yaml"
    head, mark, tail = path.read_text().partition("  sample-test:")
    assert change[0] in tail
    path.write_text(head + mark + tail.replace(*change, 1))
    build(tmp_path / "site", pictured.root, pictures=True)
    assert list((tmp_path / "site").rglob("*.png")) == []


def test_only_generated_images_are_said_to_be_showable():
    assert [name for name, data in leaderboard().data.items() if data.pictures] == [
        "sample-drone-test", "sample-test",
    ]  # fmt: skip


def test_changed_predictions_are_not_drawn(pictured, tmp_path):
    pictured.predictions_file("drawn.s0.json.gz").write_bytes(gzip.compress(b"[ ]", mtime=0))
    with pytest.raises(BadInputError, match="changed since the row was made"):
        build(tmp_path / "site", pictured.root, pictures=True)
    assert not (tmp_path / "site").exists()

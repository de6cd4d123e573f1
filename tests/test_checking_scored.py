"""`leaderboard check` of what the harness in truth scored: its rules are those of our own results."""

import hashlib

import numpy as np
import pytest
from PIL import Image as Pillow

from board_cases import empty_board
from rgbt_bench.converters import Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.sample import scenes
from rgbt_bench.datasets.sample_converter import SampleConverter, to_item
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.leaderboard.checking import check_folder
from rgbt_bench.leaderboard.packing import pack
from rgbt_bench.leaderboard.rows import Entry, Packed, Row, ScoredRun, encode_resamples, row_bytes
from rgbt_bench.predictions import Detections, write_predictions
from rgbt_bench.protocols import protocol_of_task
from rgbt_bench.scoring import score_file
from rgbt_bench.statistics import blocks, draw_weights

COUNT = 128


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """The test part of the embedded set, whole, so that its digests are the frozen ones."""

    class TestPart(SampleConverter):
        expected = {"test": COUNT}  # noqa: RUF012

        def scan(self, source):
            return Scan("generated", [to_item("test", one) for one in scenes("test", COUNT)])

    folder = tmp_path_factory.mktemp("whole") / "sample"
    convert(TestPart(), None, folder)
    return Dataset(folder).part("test")


def detected(part, folder):
    generator = np.random.default_rng(0)
    place = np.repeat(np.arange(COUNT), 3)
    corner, size = generator.uniform(0, 60, (len(place), 2)), generator.uniform(5, 40, (len(place), 2))
    category = generator.integers(0, len(part.dataset.info.classes), len(place))
    found = Detections(place, category, np.column_stack([corner, size]), generator.uniform(0, 1, len(place)))
    write_predictions(folder / "p.json", found, part.ids)
    return folder / "p.json"


def segmented(part, folder):
    (folder / "p").mkdir()
    for labels in part.labels:
        Pillow.new("L", (labels.width, labels.height), 1).save(folder / "p" / f"{labels.sample_id}.png")
    return folder / "p"


@pytest.mark.parametrize(("task", "predict"), [("detection-rgbt", detected), ("segmentation-rgb", segmented)])
def test_what_the_harness_scored_passes(part, tmp_path, task, predict):
    board = empty_board(tmp_path / "board")
    path = predict(part, tmp_path)
    result = score_file(path, part, task)
    protocol = protocol_of_task(task)
    weights = draw_weights(blocks([labels.scene for labels in part.labels]))
    drawn = protocol.evidence(part, protocol.read(path, part)).resampled(weights)[:, 0]
    suffix, data = pack(path)
    packed = Packed(file=f"scored.s0{suffix}", sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    run = ScoredRun(seed=0, result=result, predictions=packed, resamples=encode_resamples(drawn))
    row = Row(id="scored", board=1, entry=Entry(name="Scored"), created=result.created, runs=(run,))
    board.row_file("scored").write_bytes(row_bytes(row))
    board.predictions_file(packed.file).write_bytes(data)
    report = check_folder(board.root)
    assert report.faults == ()
    assert [(one.track, one.standing) for one in report.rows] == [(f"sample/{task}", "unofficial")]

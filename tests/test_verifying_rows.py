"""`verify`: every number of a row again, and whatever was changed is named."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from board_cases import edited
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.leaderboard.rows import encode_resamples
from rgbt_bench.leaderboard.tracks import PROTOCOLS
from rgbt_bench.leaderboard.verifying import differences, report_of, verify_rows, write_proofs
from verified_rows import board_with_row, convert_home, detections, reopened, submitted, tiny_board

ROW = "sample-detection-rgbt-mine"


@pytest.fixture
def board(tmp_path, home, scenes_folder, monkeypatch):
    return board_with_row(tmp_path, home, scenes_folder, monkeypatch)


def verified(board):
    board = reopened(board)
    (finding,) = verify_rows(board, list(board.rows.values()), count=1)
    return finding


def test_a_row_of_true_numbers_is_proven(board):
    assert verified(board).state == "proven"
    assert len(board.row(ROW).runs[0].drawn()) == 1000, "the tiny set has scenes enough to be resampled"


def test_two_processes_prove_what_one_does(board, tmp_path):
    board = submitted(board, [detections(tmp_path / "other.json", seed=1)], name="Other")
    assert [one.state for one in verify_rows(board, list(board.rows.values()), count=2)] == ["proven", "proven"]


FALSE_ROWS = {
    "runs__0__result__metrics__figures__AP": (lambda value: value * (1 + 1e-11), "metrics.figures.AP"),
    "runs__0__result__metrics__figures__AP50": (lambda value: value - 0.01, "metrics.figures.AP50"),
    "runs__0__result__metrics__per_class__person__ground_truths": (lambda value: value + 1, "person.ground_truths"),
    "runs__0__result__metrics__subset_samples__day": (lambda value: value + 1, "subset_samples.day"),
    "runs__0__result__metrics__intervals__figures__AP": (lambda value: [0.0, 1.0], "intervals.figures.AP.0"),
    "runs__0__result__data__label_digest": (lambda value: "f" * 64, "data.label_digest"),
    "runs__0__result__data__ids_sha256": (lambda value: "f" * 64, "data.ids_sha256"),
    "runs__0__result__data__samples": (lambda value: value + 1, "data.samples"),
    "runs__0__result__protocol__max_detections": (lambda value: [1, 10, 99], "protocol"),
    "runs__0__result__protocol_digest": (lambda value: "f" * 64, "protocol"),
    "runs__0__result__standing": (lambda value: "official", "standing"),
    "runs__0__result__predictions_sha256": (lambda value: "f" * 64, "predictions_sha256"),
    "runs__0__predictions__sha256": (lambda value: "f" * 64, "changed since"),
    "runs__0__resamples": (lambda value: encode_resamples(np.full(1000, 0.9)), "resamples"),
}


@pytest.mark.parametrize("path", FALSE_ROWS)
def test_a_false_number_is_named(board, path):
    change, named = FALSE_ROWS[path]
    content = json.loads(board.row_file(ROW).read_bytes())
    value = content
    for step in path.split("__"):
        value = value[int(step) if step.isdigit() else step]
    board.row_file(ROW).write_bytes(edited(board.row(ROW), **{path: change(value)}))
    finding = verified(board)
    assert finding.state == "failed"
    assert named in " ".join(finding.faults)


def test_a_float_within_a_billionth_of_a_thousandth_is_the_same(board):
    value = board.row(ROW).first.metrics.figures["AP"]
    change = {"runs__0__result__metrics__figures__AP": value * (1 + 1e-14)}
    board.row_file(ROW).write_bytes(edited(board.row(ROW), **change))
    assert verified(board).state == "proven"


def test_changed_predictions_are_named(board):
    path = board.predictions_file(f"{ROW}.sx.json.gz")
    rows = json.loads(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(json.dumps(rows[1:]).encode(), mtime=0))
    assert f"{ROW}.sx.json.gz: changed" in verified(board).faults[0]
    path.unlink()
    assert f"{ROW}.sx.json.gz: missing" in verified(board).faults[0]


def test_changed_labels_of_the_set_are_named(board, home):
    shard = next((home / "datasets" / "sample" / "data").glob("test-*"))
    table = pq.read_table(shard)
    objects = table["objects"].to_pylist()
    objects[0][0]["bbox"][0] += 1.0
    place = table.schema.get_field_index("objects")
    field = table.schema.field(place)
    pq.write_table(table.set_column(place, field, pa.array(objects, field.type)), shard)
    finding = verified(board)
    assert finding.state == "failed"
    assert "labels of test are not those that its record names: sample_test_0000" in finding.faults[0]


def test_a_changed_split_list_is_named(board, home):
    path = home / "datasets" / "sample" / "splits" / "default.json"
    lists = json.loads(path.read_text())
    lists["test"] = lists["test"][1:]
    path.write_text(json.dumps(lists))
    assert "default.json: the ids of test" in verified(board).faults[0]


def test_another_definition_of_the_protocol_is_named(board, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "coco", PROTOCOLS["coco"] | {"definition": 99})
    assert "protocol coco: this rgbt-bench defines it as" in verified(board).faults[0]


def test_changed_frozen_definitions_are_named(board):
    path = board.folder / "leaderboard.yaml"
    frozen = board.definitions.protocols["coco"]
    path.write_text(path.read_text().replace(frozen, "ab" * 32))
    assert "v1 froze abababababab" in " ".join(verified(board).faults)


def test_without_the_set_nothing_is_proven_and_nothing_false(board, home):
    (home / "datasets" / "sample").rename(home / "elsewhere")
    finding = verified(board)
    assert (finding.state, finding.faults) == ("not here", ())
    assert "rgbt-bench convert sample" in finding.missing[0]
    assert report_of(board, [finding])["exit_code"] == 4
    assert report_of(board, [finding], skip_missing=True)["exit_code"] == 0


def test_label_maps_are_proven_too(tmp_path, home, tiny_folder, monkeypatch):
    convert_home(home, tiny_folder)
    folder = tmp_path / "maps"
    folder.mkdir()
    for sample in Dataset(tiny_folder).part("test"):
        Pillow.fromarray(np.zeros((sample.height, sample.width), np.uint8)).save(folder / f"{sample.sample_id}.png")
    board = submitted(
        tiny_board(tmp_path / "leaderboards", tiny_folder, monkeypatch), [folder], task="segmentation-rgbt"
    )
    assert verified(board).state == "proven"


def test_fused_images_are_proven_and_changed_sources_are_named(tmp_path, home, tiny_folder, monkeypatch):
    convert_home(home, tiny_folder)
    folder = tmp_path / "fused"
    folder.mkdir()
    for sample in Dataset(tiny_folder).part("test"):
        grey = np.full((sample.height, sample.width), 100, np.uint8)
        grey[10:20] = 200
        Pillow.fromarray(grey).save(folder / f"{sample.sample_id}.png")
    board = submitted(tiny_board(tmp_path / "leaderboards", tiny_folder, monkeypatch), [folder], task="fusion")
    assert verified(board).state == "proven"
    monkeypatch.setattr("rgbt_bench.leaderboard.labels_here.image_digest", lambda data: "0" * 64)
    assert "images of test are not those" in verified(board).faults[0]


def test_proofs_are_written_kept_and_taken_away(board):
    rows = list(board.rows.values())
    findings = verify_rows(board, rows, count=1)
    write_proofs(board, rows, findings)
    proof = board.proof_file(ROW).read_bytes()
    assert board.badge(rows[0]) == "rescored"
    write_proofs(board, rows, findings)
    assert board.proof_file(ROW).read_bytes() == proof, "what is proven stays as it is"
    renamed = rows[0].model_copy(update={"entry": rows[0].entry.model_copy(update={"name": "Another"})})
    assert board.badge(renamed) == "measured", "a proof is of one content alone"
    board.predictions_file(f"{ROW}.sx.json.gz").write_bytes(b"")
    write_proofs(board, rows, verify_rows(board, rows, count=1))
    assert not board.proof_file(ROW).exists()


def test_differences_name_the_place_and_count_the_rest():
    theirs = {"a": [1, 2.0, None], "b": {"c": "x"}, **{f"k{n}": n for n in range(9)}}
    ours = {"a": [1, 2.0 + 1e-9, 0.0], "b": {"d": "x"}, **{f"k{n}": n + 1 for n in range(9)}}
    found = differences(theirs, ours, "metrics")
    assert found[0] == "metrics.a.1: the row has 2.0, computed again it is 2.000000001"
    assert "metrics.a.2: the row has None, computed again it is 0.0" in found
    assert found[-1] == "metrics: and 8 more differences"
    assert differences({"a": True}, {"a": 1}, "x"), "true is no count"
    assert not differences({"a": 0.0}, {"a": 0.0}, "x")


def test_nothing_of_it_imports_torch(board, home):
    code = (
        "import sys\nfrom rgbt_bench.cli import main\nsys.argv = ['rgbt-bench', 'verify', '--all', '--workers', '1',"
        f" '--board', {str(board.root)!r}]\ntry:\n    main()\nexcept SystemExit as end:\n"
        "    assert end.code == 0, end.code\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

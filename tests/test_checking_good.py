"""`leaderboard check` of what is as it should be: nothing is refused, and what was found is said."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from board_cases import empty_board
from checking_cases import NAME, PREDICTIONS, ROWS, brought, restand
from cli_cases import only_object
from rgbt_bench.leaderboard.checking import Change, check_changes
from rgbt_bench.results import ModelProvenance
from rgbt_bench.runs import settled_recipe

TRACKS = {
    "flir/detection-rgbt": "official",
    "m3fd/detection-thermal": "official",
    "m3fd/detection-on-fused": "unofficial",
    "mfnet/segmentation-rgbt": "pending",
    "m3fd/fusion": "pending",
    "roadscene/fusion": "official",
    "sample/segmentation-rgb": "unofficial",
}


@pytest.fixture
def board(tmp_path):
    return empty_board(tmp_path / "board")


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2, 3, 4), (None,)], ids=str)
def test_a_good_entry_passes(board, track, seeds):
    report = brought(track, seeds).report(board.root)
    assert report.faults == ()
    (row,) = report.rows
    assert (row.id, row.track, row.seeds, row.standing) == (NAME, track, len(seeds), TRACKS[track])
    assert row.sentence.endswith("its numbers are not verified by this")
    assert report.is_entry
    assert report.passed


def test_several_rows_come_at_once(board):
    one, other = brought(), brought("flir/detection-rgb", name="Another")
    other.content["id"] = "another"
    other.run["predictions"]["file"] = "another.s0.json.gz"
    files = {f"{ROWS}another.json": json.dumps(other.content).encode()}
    files[f"{PREDICTIONS}another.s0.json.gz"] = next(iter(other.packed.values()))
    one.files = files
    report = one.report(board.root)
    assert report.faults == ()
    assert [row.id for row in report.rows] == ["another", NAME]
    assert report.rows[1].sentence.startswith("1 new row on flir/detection-rgbt, 1 seed, ")


def test_predictions_may_lie_on_the_hub(board):
    entry = brought()
    entry.packed = {}
    entry.run["predictions"] |= {"file": None, "hub": f"hub:ann/runs@{'a' * 40}/good/predictions.json.gz"}
    assert entry.report(board.root).faults == ()


def test_a_registered_recipe_with_its_digest_passes(board):
    entry, digest = brought(seeds=(0, 1)), settled_recipe("ffkd-student").digest
    for run in entry.content["runs"]:
        run["result"]["model"] = ModelProvenance(
            recipe="ffkd-student", preset="paper", recipe_digest=digest, run_key="1" * 64, settings=(),
            weights_sha256=f"{run['seed']}" * 64, requires={"teacher": "x"}, parameters={"n": 5}, epochs=9,
            seed=run["seed"],
        ).model_dump(mode="json")  # fmt: skip
    assert entry.report(board.root).faults == ()


def test_an_official_row_of_the_one_recipe_passes(board):
    entry = brought("m3fd/detection-on-fused")
    settings = ("requires.fusion=tardal-ct",)
    model = ModelProvenance(
        recipe="yolov5s-on-fused", preset="paper", run_key="1" * 64, settings=settings, weights_sha256="5" * 64,
        recipe_digest=settled_recipe("yolov5s-on-fused", "paper", settings).digest, requires={"fusion": "x"},
        parameters={"n": 5}, epochs=9, seed=0,
    )  # fmt: skip
    entry.result["model"] = model.model_dump(mode="json")
    restand(entry.result, model)
    assert entry.result["standing"] == "official"
    assert entry.report(board.root).faults == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"authors": "Søren Ångström, Łukasz Żółć, 李雷, Иван Петров, Ελένη Παππά, أحمد"},
        {"note": "trained on <b>1 µs</b> of data; see https://arxiv.org/abs/2401.00001 & rgb/thermal, 3/4 of it"},
        {"bibtex": '@article{a2026,\n\ttitle = {A {B}},\n  author = {Müller, J{\\"o}rg},\n url={https://a.org/x}\n}\n'},
        {"paper": "Fusion: 100 % of α, β and γ", "paper_url": "https://doi.org/10.1000/xyz(1)"},
        {"paper_key": "ffkd"},
        {"name": "Réseau-2 (v1.0), A & B"},
        {"code_url": "https://github.com/ann/code/tree/main#readme"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_honest_texts_pass(board, fields):
    assert brought(**fields).report(board.root).faults == ()


def test_a_pull_request_of_something_else_is_no_entry(board):
    other = Change("README.md", "modified", 0o100755, 9, lambda limit: b"#!/bin/sh")
    report = check_changes(board.root, [other])
    assert (report.is_entry, report.passed, report.rows) == (False, True, ())


def written(board, entry):
    for path, data in entry.all_files().items():
        (board.root.parent / path.replace("leaderboards", board.root.name, 1)).write_bytes(data)
    return board


def test_the_command_checks_a_folder_and_a_row_of_it(board, bench):
    written(board, brought())
    for more in ([], [NAME]):
        code, out, _ = bench("leaderboard", "check", *more, "--board", board.root)
        assert code == 0
        assert f"{NAME}: 1 new row on flir/detection-rgbt, 1 seed, 16.2 kB; its numbers are not verified by this" in out
        assert "nothing is refused in version v1, 1 row(s)" in out


def test_the_command_tells_every_fault_as_json(board, bench):
    entry = brought()
    entry.content["entry"]["name"] = "Good\u202eNet"
    entry.result["metrics"]["figures"]["AP50"] = 1.5
    written(board, entry)
    code, out, _ = bench("leaderboard", "check", "--board", board.root, "--json")
    content = only_object(out)
    assert code == 3
    assert {fault["rule"] for fault in content["faults"]} == {"characters", "name", "figures"}
    assert all(
        set(fault) == {"file", "rule", "what", "why", "do"} and all(fault.values()) for fault in content["faults"]
    )
    assert "\u202e" not in out


def test_the_command_says_what_to_do(board, bench):
    entry = brought()
    entry.packed = {}
    written(board, entry)
    code, out, _ = bench("leaderboard", "check", "--board", board.root)
    assert code == 3
    assert "predictions-missing: names good-net.s0.json.gz, which the change does not add" in out
    assert "add the file that the row names" in out
    assert "refused: 1 fault(s)" in out


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("nothing", 2, "unknown row 'nothing'"),
        ("--base main", 2, "--base and --head go together"),
        ("a --base main --head x", 2, "leave out ROWS"),
        ("--board NOWHERE", 4, "no leaderboard here"),
    ],
)
def test_a_mistaken_call_is_told(tmp_path, bench, line, code, told):
    words = [str(tmp_path / "nowhere") if word == "NOWHERE" else word for word in line.split()]
    ended, _, err = bench("leaderboard", "check", *words)
    assert (ended, told in err) == (code, True)


def test_a_board_of_other_definitions_is_not_checked_against_ours(board, bench):
    path = board.folder / "leaderboard.yaml"
    path.write_text(path.read_text().replace("samples: 1013", "samples: 1012"))
    written(board, brought())
    code, _, err = bench("leaderboard", "check", "--board", board.root)
    assert code == 3
    assert "its frozen definitions are not those of this rgbt-bench" in err


def test_checking_a_detection_row_loads_neither_torch_nor_numba(board):
    written(board, brought(seeds=(0, 1)))
    code = f"""
import sys
from pathlib import Path
from rgbt_bench.leaderboard.checking import check_folder
report = check_folder(Path({str(board.root)!r}))
assert report.passed and len(report.rows) == 1, report.faults
print(*[name for name in ("torch", "numba", "scipy", "datasets") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_now_is_given_for_tests_alone(board):
    report = brought().report(board.root, now=datetime(2026, 11, 20, tzinfo=UTC))
    assert {fault.rule for fault in report.faults} == {"time"}

"""`--json` of every command: one object on stdout, whatever happens, and all else on stderr."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image as Pillow

from board_cases import add_row, empty_board, make_row
from cli_cases import only_object
from onnx_cases import WithForm
from rgbt_bench import cli, doctor, timing
from rgbt_bench.cli.page import commands
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.hub.names import HubName
from rgbt_bench.hub.sets import set_files
from rgbt_bench.predictions import Detections
from run_cases import make_done
from verified_rows import tiny_board

# One call of each command that succeeds; a new command needs one, too.
CALLS = {
    "convert": "convert flir",
    "inspect": "inspect sample",
    "splits": "splits sample",
    "export": "export sample --format coco --out EXPORT",
    "push": "push sample --hub ann/sample --dry-run",
    "pull": "pull ann/sample --out EXPORT",
    "list": "list tables",
    "show": "show ffkd-student",
    "run": "run ffkd-student --dataset sample --dry-run",
    "evaluate": "evaluate PREDICTIONS --dataset sample",
    "latency": "latency ffkd-student-rgb --preset quick --batch 1 --device cpu",
    "count": "count mfnet-rgbt mfnet-thermal",
    "reproduce": "reproduce ffkd/table-2",
    "compare": "compare PREDICTIONS PREDICTIONS --dataset sample",
    "predict": "predict ffkd-student-rgb --rgb PICTURE --device cpu",
    "preview": "preview ffkd-student-rgb --out SHEET",
    "export-model": "export-model ffkd-student-rgb --samples 1",
    "diff": "diff sample sample",
    "doctor": "doctor",
    "sweep": "sweep ffkd/table-2 --preset quick --dataset sample --device cpu --dry-run",
    "verify": "verify --all --skip-missing --board BOARD",
    "submit": "submit PREDICTIONS --name Mine --dataset sample --task detection-rgb --board BOARD",
    "first-holder": "first-holder sample --preset quick --device cpu",
    "leaderboard show": "leaderboard show flir/detection-rgbt --board BOARD",
    "leaderboard compare": "leaderboard compare one other --board BOARD",
    "leaderboard diff": "leaderboard diff v1 v1 --board BOARD",
    "leaderboard export": "leaderboard export --format bibtex --out EXPORT --board BOARD",
    "leaderboard next": "leaderboard next --skip-missing --definitions DEFINITIONS --board BOARD",
    "runs list": "runs list",
    "leaderboard build": "leaderboard build --out EXPORT --board BOARD",
    "runs clean": "runs clean --checkpoints",
    "leaderboard check": "leaderboard check --board NO-ROWS",
}
FAULTS = {
    "verify": (2, "say --all"),
    "verify on --board BOARD": (2, "Did you mean 'one'"),
    "verify one --board NOWHERE": (4, "no leaderboard here"),
    "verify one --version v7 --board BOARD": (2, "unknown version 'v7'"),
    "submit PREDICTIONS --name Mine --board BOARD": (2, "--dataset"),
    "submit --name Mine --board BOARD": (2, "name a run"),
    "submit PREDICTIONS --name Mine --dataset sampel --task detection-rgb --board BOARD": (2, "Did you mean 'sample'"),
    "first-holder": (2, "Missing argument 'name'"),
    "first-holder flr": (2, "Did you mean 'flir'"),
    "first-holder flir": (4, "give its PATH"),
    "first-holder sample": (3, "not the official one"),
    "leaderboard check none --board BOARD": (2, "unknown row 'none'"),
    "leaderboard check --base main": (2, "go together"),
    "leaderboard show flir/detection-rgb --version v1 --board NOWHERE": (4, "no leaderboard here"),
    "leaderboard show flir/detection --board BOARD": (2, "Did you mean 'flir/detection-rgb'"),
    "leaderboard compare one othr --board BOARD": (2, "Did you mean 'other'"),
    "leaderboard export --format xls --board BOARD": (2, "unknown format 'xls'"),
    "leaderboard next --board BOARD": (2, "they define what v1 does"),
    "predict nothing --rgb PICTURE": (2, "unknown run 'nothing'"),
    "predict ffkd-student-rgb": (2, "give --rgb, too"),
    "predict ffkd-student-rgb --rgb NOWHERE": (4, "no such file"),
    "predict ffkd-student-rgb --rgb PREDICTIONS": (3, "cannot be decoded"),
    "predict ffkd-student-rgb --rgb PICTURE --device gpu": (2, "choose one of auto, cpu, cuda"),
    "predict ffkd-student-rgb --rgb PICTURE --min-score -1": (2, "--min-score"),
    "predict ffkd-student-rgb --rgb PICTURE --out PREDICTIONS/x": (3, "p.json"),
    "preview ./NOWHERE": (4, "no run here"),
    "preview ffkd-student-rgb --pairs 0": (2, "--pairs"),
    "preview ffkd-student-rgb --dataset sampel": (2, "Did you mean 'sample'"),
    "export-model ffkd-student-rbg": (2, "Did you mean 'ffkd-student-rgb'"),
    "export-model ffkd-student-rgb --out SHEET": (2, "ends in .onnx"),
    "export-model ffkd-student-rgb --samples 0": (2, "--samples"),
    "push sample": (2, "Missing option '--hub'"),
    "push sampel --hub ann/sample": (2, "Did you mean 'sample'"),
    "push sample --hub sample": (2, "OWNER/NAME"),
    "push sample --hub ann/sample --public": (2, "--accept-terms sample"),
    "pull sample": (2, "OWNER/NAME"),
    "pull bob/none": (4, "HF_HUB_OFFLINE is set"),
    "diff sample": (2, "Missing argument"),
    "diff sample sampel": (2, "Did you mean 'sample'"),
    "diff sample sample@x": (2, "split of sample 'x'"),
    "diff sample NOWHERE": (4, "no converted set here"),
    "doctor now": (2, "unexpected extra argument"),
    "runs": (2, "No such option: --json"),
    "runs lst": (2, "No such command 'lst'"),
    "runs list --state x": (2, "unknown state 'x'"),
    "runs clean": (2, "say what to delete"),
    "runs clean nothing --yes": (2, "unknown run 'nothing'"),
    "runs clean --older-than -1": (2, "--older-than"),
}


class Blind:
    """A submission that says a word on stdout, as libraries do, and finds nothing."""

    def __init__(self, recipe, info):
        print("a library's greeting")

    def predict(self, weights, part, device, progress):
        from rgbt_bench.devices import resolve_device

        resolve_device(device)
        empty = np.empty(0)
        return Detections(empty.astype(np.int64), empty.astype(np.int64), np.empty((0, 4)), empty)


@pytest.fixture
def called(home, tiny_folder, tmp_path, monkeypatch, bench, request):
    """Call the command line where every command has what it needs."""
    shutil.copytree(tiny_folder, home / "datasets" / "sample")
    make_done(home, tiny_folder)
    monkeypatch.setattr("rgbt_bench.predicting.load_submission", lambda name: Blind)
    monkeypatch.setattr("rgbt_bench.onnx_export.load_submission", lambda name: WithForm)
    monkeypatch.setattr(
        timing, "time_passes", lambda forwards, device, passes, *_: {name: [1.0] * passes for name in forwards}
    )
    monkeypatch.setattr("rgbt_bench.leaderboard.estimating._forward_seconds", lambda recipe, device: 0.01)
    probes = {"torch": {"installed": False}, "submissions": {}}
    monkeypatch.setattr(doctor, "_probe", lambda what: (probes[what], ""))
    (tmp_path / "p.json").write_text("[]")
    made = tiny_board(tmp_path / "board", tiny_folder, monkeypatch)
    empty_board(tmp_path / "no-rows")
    for name in ("one", "other"):
        add_row(made, make_row(name))
    changed = (
        (made.folder / "leaderboard.yaml").read_text().replace("version: 1", "version: 2").replace("test list", "list")
    )
    (tmp_path / "new.yaml").write_text(changed)
    Pillow.new("RGB", (20, 10)).save(tmp_path / "a.png")
    names = {
        "PREDICTIONS": "p.json",
        "PICTURE": "a.png",
        "SHEET": "sheet.png",
        "NOWHERE": "nowhere/it",
        "EXPORT": "export",
        "BOARD": "board",
        "NO-ROWS": "no-rows",
        "DEFINITIONS": "new.yaml",
    }

    def call(line, *more):
        if line.startswith("pull ann"):
            files = set_files(Dataset(tiny_folder), HubName("ann/sample"))
            contents = {path: one if isinstance(one, bytes) else one.read_bytes() for path, one in files.items()}
            request.getfixturevalue("hub").create_repo("ann/sample", files=contents)
        for word, name in names.items():
            line = line.replace(f"./{word}", str(tmp_path / name)).replace(word, str(tmp_path / name))
        return bench(*line.split(), *more, "--json")

    return call


def test_every_command_is_called_here():
    assert {name for name, _ in commands()} == CALLS.keys(), "give the new command a call in CALLS"


@pytest.mark.parametrize("name", CALLS)
def test_success_is_one_object(called, name):
    code, out, err = called(CALLS[name])
    assert code == 0, err
    assert "error" not in only_object(out)


@pytest.mark.parametrize("name", CALLS)
def test_a_mistyped_option_is_one_object(called, name):
    code, out, err = called(CALLS[name], "--jsn")
    assert code == only_object(out)["exit_code"] == 2
    assert "No such option: --jsn" in err


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_is_one_object(called, name, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    # The last moment: all is done and is about to be printed.
    monkeypatch.setattr("rgbt_bench.cli.options.json.dumps", Once(interrupted))
    code, out, err = called(CALLS[name])
    assert code == only_object(out)["exit_code"] == 130
    assert "the same command goes on" in err


@pytest.mark.parametrize("name", CALLS)
def test_a_failure_nobody_foresaw_is_one_object(called, name, monkeypatch, capsys):
    def failing(*arguments, **options):
        raise ZeroDivisionError("no")

    monkeypatch.setattr("rgbt_bench.cli.options.json.dumps", Once(failing))
    with pytest.raises(ZeroDivisionError):
        called(CALLS[name])
    assert only_object(capsys.readouterr().out) == {"error": "ZeroDivisionError: no", "exit_code": 1}


class Once:
    """Fail the first time that an outcome is written as JSON, and only the first time: the error's is the next."""

    def __init__(self, fault):
        self.fault = fault
        self.real = json.dumps

    def __call__(self, *arguments, **options):
        if self.fault and sys._getframe(1).f_code.co_name == "emit":
            fault, self.fault = self.fault, None
            fault()
        return self.real(*arguments, **options)


@pytest.mark.parametrize("line", FAULTS)
def test_each_fault_is_one_object_with_its_code(called, line):
    expected, message = FAULTS[line]
    code, out, err = called(line)
    content = only_object(out)
    assert code == content["exit_code"] == expected
    assert message in content["error"]
    assert err.endswith(f"error: {content['error']}\n")


def test_what_a_library_prints_goes_to_stderr(called):
    _, out, err = called(CALLS["predict"])
    assert "greeting" not in out
    assert "a library's greeting" in err


def test_help_is_help_even_with_json(called, bench):
    code, out, _ = bench("diff", "--help", "--json")
    assert code == 0
    assert "--exit-code" in out


def test_stdout_is_given_back(monkeypatch, bench):
    before = sys.stdout
    bench("list", "tables", "--json")
    bench("list", "tbles", "--json")
    assert sys.stdout is before
    assert cli.options._outcome == []

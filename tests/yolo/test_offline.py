"""ultralytics in a process of its own: without a network, without a trace in the home, and without a word."""

import os
import re
import subprocess
import sys

import pytest

from rgbt_baselines.yolo import offline
from rgbt_baselines.yolo.detector import build_detector
from rgbt_bench.errors import MissingError

BLOCKED = """
import socket, subprocess
def refuse(*arguments, **options):
    raise AssertionError("a connection or a process was started")
for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, refuse)
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, refuse)
subprocess.Popen.__init__ = refuse
"""
EVERYTHING = """
import sys
from rgbt_baselines.yolo.detector import Targets, build_detector, detect, detection_losses
assert not {"ultralytics", "cv2"} & set(sys.modules)
torch.manual_seed(0)
detector = build_detector("yolov5n", 3)
optimizer = torch.optim.SGD(detector.parameters(), 0.001)
targets = Targets(torch.tensor([[0.5, 0.5, 0.4, 0.4]]), torch.tensor([1]), torch.tensor([0]))
detection_losses(detector, torch.rand(2, 3, 64, 64), targets)["total"].backward()
optimizer.step()
assert len(detect(detector.eval(), torch.rand(2, 3, 64, 64), 0.0, 0.6, 10)) == 2
"""
STATE = """
import json, os, warnings
import numpy as np, rgbt_baselines.yolo.submission
from PIL import Image
def state():
    shown = [np.get_printoptions(), {**vars(torch._tensor_str.PRINT_OPTS)}]
    patched = [torch.save.__module__, Image.open.__module__]
    return [patched, shown, list(warnings.filters), dict(os.environ)]
before = state()
"""
COMPARE = """
after = state()
new = {name: after[3].pop(name) for name in set(after[3]) - set(before[3])}
assert before == after
assert sys.modules["cv2"].getNumThreads() >= 1
settings = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
assert new == settings, new
"""
DOWNLOADS = """
from rgbt_baselines.yolo.offline import library
from rgbt_bench.errors import MissingError
for ask, told in (
    (lambda: library("utils.downloads").attempt_download_asset("yolov8n.pt"), "put that file at yolov8n.pt"),
    (lambda: library("utils.downloads").attempt_download_asset("unheard-of.pt"), "ultralytics/assets"),
    (lambda: library("utils.checks").check_file("https://example.org/some.yaml"), "put that file at some.yaml"),
    (lambda: library("nn.tasks").torch_safe_load("weights/yolov8s.pt"), "put that file at weights/yolov8s.pt"),
):
    try:
        ask()
    except MissingError as error:
        assert told in str(error), error
    else:
        raise AssertionError(told)
"""


def in_a_fresh_process(code, tmp_path, **environment):
    """Run code in an empty home and working folder; return what it printed and the files it left in them."""
    folders = {name: tmp_path / name for name in ("home", "work", "temporary")}
    for folder in folders.values():
        folder.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("YOLO_", "OMP_", "XDG_"))}
    told = {"HOME": str(folders["home"]), "TMPDIR": str(folders["temporary"])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folders["work"], env={**clean, **told, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr, [path for folder in folders.values() for path in folder.rglob("*")]


def test_all_that_is_done_with_it_asks_no_network_and_leaves_no_file_no_word_and_no_setting(tmp_path):
    code = "import torch\n" + BLOCKED + STATE + EVERYTHING + COMPARE + DOWNLOADS
    assert in_a_fresh_process(code, tmp_path) == ("", [])


def test_the_block_of_the_network_would_be_noticed(tmp_path):
    asked = BLOCKED + "\nimport urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')"
    with pytest.raises(AssertionError, match="a connection or a process was started"):
        in_a_fresh_process(asked, tmp_path)


def test_one_process_of_several_waits_for_no_other(tmp_path):
    code = "from rgbt_baselines.yolo.offline import library\nprint(library('utils').LOCAL_RANK)"
    told = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}
    assert in_a_fresh_process(code, tmp_path, **told)[0] == "-1\n"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (ModuleNotFoundError("No module named 'ultralytics'", name="ultralytics"), "rgbt-bench[yolo]"),
        (ImportError("libGL.so.1: cannot open shared object file"), "apt-get install libgl1"),
    ],
    ids=["the package", "a system library"],
)
def test_a_library_that_is_not_there_is_named_with_what_to_do(broken, told, monkeypatch):
    def refuse(name):
        raise broken

    monkeypatch.setattr(offline, "_imported", False)
    monkeypatch.setattr(offline, "import_module", refuse)
    with pytest.raises(MissingError, match=re.escape(told)):
        build_detector("yolov5s", 6)

"""Trainings killed anywhere, and disks that are full: what is there is whole, and it goes on to the same bits."""

import errno
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from rgbt_bench.errors import BadInputError
from rgbt_bench.files import read_json, remove_leftovers, write_text, write_with
from rgbt_bench.results import read_result
from training_cases import SMALL, KilledError, execute_small, plan_small, run_line, run_line_killed_at

FILE_LIMIT = 100_000  # bytes: more than a record, less than the weights
# torch imports its compiler with the first optimiser
MODULES = ["rgbt_bench.harness", "rgbt_baselines.ffkd.submission", "matplotlib.figure", "torch._dynamo", "pytest"]


@pytest.fixture(scope="module")
def start():
    """Start a function in a new process that has imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)

    def started(function, *arguments):
        process = context.Process(target=function, args=arguments)
        process.start()
        return process

    assert exit_code(started(os.getpid)) == 0
    return started


def exit_code(process):
    process.join(120)
    return process.exitcode


def snapshot(folder):
    """Every file below a folder by name and content; which process was last here does not count."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def losses(folder):
    rows = map(json.loads, (folder / "losses.jsonl").read_text().splitlines())
    return [(row["epoch"], row["train"], row["val"]) for row in rows]


@pytest.fixture(scope="module")
def whole(tiny_folder, tmp_path_factory):
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    execute_small(tiny_folder, out)
    return plan_small(tiny_folder, out)


def same_outcome(run, other):
    for name in ("weights.safetensors", "predictions.json"):
        assert (run.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
    found, expected = (read_result(one.folder / "result.json") for one in (run, other))
    assert found.metrics == expected.metrics
    assert found.model == expected.model
    assert losses(run.folder) == losses(other.folder)


def test_killed_before_any_operation_on_a_file_it_goes_on_to_the_same_bits(tmp_path, start, monkeypatch):
    monkeypatch.setattr("rgbt_bench.training.loop.draw_curves", None)  # run_line sets it; undone after the test
    run_line(tmp_path / "whole")
    expected = snapshot(tmp_path / "whole")
    assert {"checkpoint/model-2.safetensors", "checkpoint/model-3.safetensors"} < expected.keys()
    assert expected["weights.safetensors"] == expected["checkpoint/model-2.safetensors"]
    operation = 0
    while exit_code(start(run_line_killed_at, tmp_path / "killed", operation)) == -signal.SIGKILL:
        assert not (tmp_path / "killed/weights.safetensors").exists() or operation > 25
        run_line(tmp_path / "killed")
        remove_leftovers(tmp_path / "killed")  # as the harness does, which knows that nobody else is there
        found = snapshot(tmp_path / "killed")
        assert found.keys() == expected.keys()
        assert found["weights.safetensors"] == expected["weights.safetensors"]
        assert found["checkpoint/optimizer-3.pt"] == expected["checkpoint/optimizer-3.pt"]
        assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
        shutil.rmtree(tmp_path / "killed")
        operation += 1
    assert operation > 25
    assert snapshot(tmp_path / "killed").keys() == expected.keys()


def epochs_done(run):
    state = run.folder / "checkpoint/state.json"
    return read_json(state)["epoch"] if state.exists() else 0


@pytest.mark.slow
def test_killed_at_random_moments_a_run_ends_in_the_same_figures(tmp_path, start, tiny_folder, whole):
    run = plan_small(tiny_folder, tmp_path)
    moments = random.Random(0)
    kills = 0
    for epochs in (0, 1, 2, 4, 6):
        process = start(execute_small, tiny_folder, tmp_path)
        while epochs_done(run) < epochs and process.is_alive():
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        kills += exit_code(process) == -signal.SIGKILL
        if (run.folder / "result.json").exists():
            read_result(run.folder / "result.json")
    assert kills >= 3
    assert exit_code(start(execute_small, tiny_folder, tmp_path)) == 0
    same_outcome(run, whole)
    assert snapshot(run.folder).keys() == snapshot(whole.folder).keys()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"history": [{}]}'])
def test_a_damaged_checkpoint_beside_whole_weights_says_what_to_do(tmp_path, tiny_folder, whole, text):
    run = plan_small(tiny_folder, tmp_path)
    shutil.copytree(whole.folder, run.folder)
    (run.folder / "result.json").unlink()
    (run.folder / "checkpoint/state.json").write_text(text)
    with pytest.raises(BadInputError, match=r"state\.json: damaged; delete .*: the weights beside it are whole"):
        execute_small(tiny_folder, tmp_path)
    shutil.rmtree(run.folder / "checkpoint")
    assert execute_small(tiny_folder, tmp_path).metrics == read_result(whole.folder / "result.json").metrics


def test_predictions_that_are_gone_are_made_again_and_changed_ones_are_refused(tmp_path, tiny_folder, whole):
    run = plan_small(tiny_folder, tmp_path)
    shutil.copytree(whole.folder, run.folder)
    (run.folder / "predictions.json").unlink()
    assert run.state == "to evaluate"
    execute_small(tiny_folder, tmp_path)
    same_outcome(run, whole)
    (run.folder / "predictions.json").write_text("[]")
    with pytest.raises(BadInputError, match=r"predictions\.json: changed since result\.json .* delete result\.json"):
        execute_small(tiny_folder, tmp_path)
    (run.folder / "result.json").unlink()
    execute_small(tiny_folder, tmp_path)
    same_outcome(run, whole)


def stopped_after_an_epoch(dataset, out):
    def stop(stage, done, total):
        if stage.endswith(": training"):
            raise KilledError

    with pytest.raises(KilledError):
        execute_small(dataset, out, stop)
    return plan_small(dataset, out)


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))


@pytest.mark.slow
def test_a_file_that_finds_no_room_is_named_and_the_old_state_stays(tmp_path, tiny_folder, whole):
    run = stopped_after_an_epoch(tiny_folder, tmp_path)
    before = snapshot(run.folder)
    settings = [word for setting in SMALL for word in ("--set", setting)]
    options = ["--preset", "quick", "--dataset", str(tiny_folder), "--device", "cpu", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "rgbt_bench", "run", "ffkd-student-rgb", *options, *settings, "--json"]
    done = subprocess.run(command, preexec_fn=limit_file_size, capture_output=True, text=True, check=False)
    path = run.folder / "checkpoint/model-2.safetensors"
    message = (
        f"{path}: File too large: raise the limit on the size of a file (ulimit -f, or the file system's own),"
        " then the same command goes on where it stopped"
    )
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout) == {"error": message, "exit_code": 4}
    assert "Traceback" not in done.stderr
    assert snapshot(run.folder) == before
    execute_small(tiny_folder, tmp_path)
    same_outcome(run, whole)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path):
    with path.open("wb", buffering=0) as stream:
        for size in (4096, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def test_a_full_disk_leaves_the_old_state(small_disk, tmp_path, monkeypatch):
    monkeypatch.setattr("rgbt_bench.training.loop.draw_curves", None)
    run_line(tmp_path / "whole")

    def stop_and_fill(stage, done, total):
        if stage == "training" and done == 2:
            fill(small_disk / "filler")

    from training_cases import BestInTheMiddle, run

    with pytest.raises(OSError, match="No space left on device") as caught:
        run(BestInTheMiddle(), small_disk / "run", stop_and_fill, epochs=3, keep="best")
    assert caught.value.filename == str(small_disk / "run/checkpoint/model-3.safetensors")
    state = read_json(small_disk / "run/checkpoint/state.json")
    assert state["epoch"] == 2
    names = {"state.json", "model-2.safetensors", "optimizer-2.pt"}
    assert {path.name for path in (small_disk / "run/checkpoint").iterdir()} == names
    (small_disk / "filler").unlink()
    run_line(small_disk / "run")
    assert snapshot(small_disk / "run")["weights.safetensors"] == snapshot(tmp_path / "whole")["weights.safetensors"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_the_file_without_room_is_named_whatever_library_wrote_it(tmp_path, number):
    write_text(tmp_path / "a.txt", "old")

    class RustError(Exception):
        pass

    def plain(path):
        raise OSError(number, os.strerror(number))

    def inside(path):
        try:
            plain(path)
        finally:
            raise RuntimeError("unexpected pos 576 vs 534")

    def told(path):
        raise RustError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")

    for write in (plain, inside, told):
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            write_with(tmp_path / "a.txt", write)
        assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "a.txt"))
    assert snapshot(tmp_path) == {"a.txt": b"old"}


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; name a file") as caught:
        write_text(tmp_path, "")
    assert caught.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_file_is_named_and_not_the_temporary_file(tmp_path):
    path = tmp_path / ("a" * 250)  # the temporary name beside it is too long
    with pytest.raises(OSError, match="name too long") as caught:
        write_text(path, "")
    assert caught.value.filename == str(path)


def test_other_faults_of_a_write_stay_what_they_are(tmp_path):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", "elsewhere")

    with pytest.raises(PermissionError) as caught:
        write_with(tmp_path / "a.txt", refuse)
    assert caught.value.filename == "elsewhere"


def test_only_temporary_files_of_ours_are_leftovers(tmp_path):
    ours = {".result.json.a1_b2c3d.json", ".notes.abcdefgh", ".model-3.safetensors.00000000.safetensors"}
    others = {".lock", ".lock.owner", "result.json", ".result.json.abcdefgh.txt", ".hidden.json", "a.abcdefgh"}
    for name in ours | others:
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == others

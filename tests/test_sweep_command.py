"""`rgbt-bench sweep` and `run --seeds` in processes of their own: killed, interrupted, failing, and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from sweep_plugin import TORCH, write_project

DEADLINE_S = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory, pip_install):
    """The third party's project as pip installs it, and a torch that takes no seconds to import."""
    project, target = tmp_path_factory.mktemp("instant"), tmp_path_factory.mktemp("site")
    write_project(project)
    pip_install(project, target)
    (target / "torch.py").write_text(TORCH)
    return target


@pytest.fixture
def start(site, home, tiny_folder, tmp_path):
    """Start a command of ours; its runs are on the tiny set."""
    environment = {**os.environ, "PYTHONPATH": str(site), "RGBT_BENCH_HOME": str(home)}
    for name in ("OMP_NUM_THREADS", "COLUMNS"):
        environment.pop(name, None)

    def begin(command, text=None, *options):
        target = text
        if command == "sweep" and text.startswith("runs:"):
            target = tmp_path / "sweep.yaml"
            target.write_text(text)
        arguments = [command, str(target), "--dataset", str(tiny_folder), "--device", "cpu", *options]
        return subprocess.Popen(
            [sys.executable, "-m", "rgbt_bench", *arguments],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return begin


@pytest.fixture
def bench(start):
    """Run a command to its end; return its exit code, the one object it prints, and stderr."""

    def call(*arguments):
        process = start(*arguments, "--json")
        out, err = process.communicate(timeout=DEADLINE_S)
        return process.returncode, json.loads(out), err

    return call


def until(true, deadline=DEADLINE_S):
    ends = time.monotonic() + deadline
    while not (found := true()):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found


def results(home):
    return sorted((home / "runs").glob("*/*/*/result.json"))


def identities(paths):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def trainings(home):
    """Return, for every run's folder, the processes that began to train it."""
    found = (home / "runs").glob("*/*/*/trained.txt")
    return {path.parent: [line.split() for line in path.read_text().splitlines()] for path in found}


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_dry_run_prints_the_plan_and_touches_nothing(bench, home):
    code, content, _ = bench("sweep", "runs: [{recipe: instant-one, seeds: 2}]", "--dry-run", "--jobs", "2")
    assert code == 0
    assert [(row["recipe"], row["seed"], row["state"]) for row in content["plan"]] == [
        ("instant", 0, "to train"), ("instant-one", 0, "to train"),
        ("instant", 1, "to train"), ("instant-one", 1, "to train"),
    ]  # fmt: skip
    assert not home.exists()


def test_a_killed_sweep_does_the_rest_when_started_again(start, bench, home):
    text = "runs: [{recipe: instant-one, seeds: 2}, {recipe: instant-two, seeds: 2}]"
    options = ("--jobs", "2")
    slow = text.replace("seeds: 2", "seeds: 2, set: [model.sleep=0.3, 'instant:model.sleep=0.3']")
    process = start("sweep", slow, *options)
    until(lambda: len(results(home)) >= 2 and len(trainings(home)) > len(results(home)))
    process.kill()
    process.communicate()
    before = identities(results(home))
    assert 2 <= len(before) < 6

    code, content, err = bench("sweep", slow, *options)
    assert code == 0, err
    assert len(results(home)) == 6
    assert identities(before) == before
    # what the killed sweep had started went on by itself, was waited for, and was not trained twice
    assert [len(who) for who in trainings(home).values()] == [1] * 6
    states = {row["folder"]: row["state"] for row in content["runs"]}
    assert {states[str(path.parent)] for path in before if str(path.parent) in states} <= {"was done"}
    assert set(states.values()) == {"done", "was done"}
    finished = identities(results(home))
    assert {row["state"] for row in bench("sweep", slow, *options)[1]["runs"]} == {"was done"}
    assert identities(results(home)) == finished


def test_a_run_that_another_process_works_on_is_waited_for(start, bench, home):
    (row,) = bench("sweep", "runs: [{recipe: instant}]", "--dry-run")[1]["plan"]
    folder = Path(row["folder"])
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        assert bench("run", "instant")[0] == 2
        process = start("sweep", "runs: [{recipe: instant}]")
        log = folder / "run.log"
        until(lambda: process.poll() is not None or (log.is_file() and "waits for another process" in log.read_text()))
        assert process.poll() is None
        assert not trainings(home)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert results(home) == [folder / "result.json"]


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_sweep_ends_its_runs(start, bench, home, which):
    text = "runs: [{recipe: instant, set: [model.sleep=60.0]}]"
    process = start("sweep", text)
    (((child, threads),),) = until(lambda: [who for who in trainings(home).values() if who and len(who[0]) == 2])
    assert threads == "None"  # one run alone may use what torch likes
    process.send_signal(which)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert "the same command goes on where it stopped" in err
    assert not alive(int(child))
    assert results(home) == []
    assert "interrupted" in next((home / "runs").glob("*/*/*/run.log")).read_text()


def test_what_fails_is_named_with_its_last_lines_and_its_log(bench, home):
    text = "runs: [{recipe: needs-refuses}, {recipe: crashes}, {recipe: killed}, {recipe: instant}]"
    code, content, err = bench("sweep", text)
    assert code == 3
    rows = {row["recipe"]: row for row in content["runs"]}
    assert {name: row["state"] for name, row in rows.items()} == {
        "refuses": "failed", "needs-refuses": "not started", "crashes": "failed", "killed": "failed", "instant": "done",
    }  # fmt: skip
    assert [rows[name]["exit_code"] for name in ("refuses", "crashes", "killed")] == [3, 1, 137]
    assert rows["refuses"]["reason"].endswith("error: these pixels will not do")
    assert "RuntimeError: nobody foresaw this" in rows["crashes"]["reason"]
    assert rows["killed"]["reason"].endswith("ended by signal 9")
    assert rows["instant"]["figure"]["name"] == "AP"
    assert rows["instant"]["figure"]["value"] > 0
    assert "Traceback" in (home / "runs" / rows["crashes"]["log"]).read_text()
    assert f"refuses seed 0: exit code 3; log {rows['refuses']['log']}" in err
    assert "needs-refuses seed 0: not started, because it needs refuses seed 0" in err


def test_fail_fast_ends_with_the_code_of_the_failure(bench):
    code, content, _ = bench("sweep", "runs: [{recipe: refuses}, {recipe: instant}]", "--fail-fast")
    assert code == 3
    assert [row["state"] for row in content["runs"]] == ["failed", "not started"]


def test_a_sweep_makes_the_runs_that_run_makes(bench, home, tmp_path):
    text = "runs: [{recipe: instant-one, seeds: [3], set: ['instant:model.sleep=0.001']}]"
    assert bench("sweep", text, "--out", str(tmp_path / "there"))[0] == 0
    code, content, _ = bench(
        "run", "instant-one", "--seed", "3", "--set", "instant:model.sleep=0.001", "--out", str(tmp_path / "there")
    )
    assert code == 0
    assert [row["state"] for row in content["plan"]] == ["done", "done"]
    assert content["result"]["model"]["settings"] == ["instant:model.sleep=0.001"]
    assert not (home / "runs").exists()


def test_another_run_than_the_planned_one_is_refused(bench, home):
    code, content, _ = bench("run", "instant", "--key", "0" * 64)
    assert code == 2
    assert "not 000000000000: its recipe, or the dataset, was changed since it was planned" in content["error"]
    assert not home.exists()


def test_seeds_are_ordinary_runs_with_mean_and_sd(bench, start, home):
    code, content, _ = bench("run", "instant", "--seeds", "3", "--seed", "4")
    assert code == 0
    assert [row["seed"] for row in content["plan"]] == [4, 5, 6]
    assert [one["seed"] for one in content["results"]] == [4, 5, 6]
    assert len(results(home)) == 3
    for one in content["results"]:
        assert one["result"] == json.loads((home / one["folder"] / "result.json").read_text())
        assert one["result"]["model"]["seed"] == one["seed"]
    for name, summary in content["summary"].items():
        values = [one["result"]["metrics"]["figures"][name] for one in content["results"]]
        if None in values:
            assert summary == {"mean": None, "sd": None, "n": 3, "undefined": values.count(None), "interval": None}
        else:
            assert summary["mean"] == pytest.approx(np.mean(values))
            assert summary["sd"] == pytest.approx(np.std(values, ddof=1))
    assert content["summary"]["AP"]["sd"] > 0
    before = identities(results(home))

    printed, err = start("run", "instant", "--seeds", "3", "--seed", "4").communicate(timeout=DEADLINE_S)
    assert identities(results(home)) == before
    lines = printed.splitlines()
    ap = content["summary"]["AP"]
    assert lines[0].split()[:2] == ["AP", "AP50"]
    assert [line.split()[0] for line in lines[1:6]] == ["seed", "seed", "seed", "mean", "sd"]
    assert [line.split()[1] for line in lines[4:6]] == [f"{ap['mean']:.4f}", f"{ap['sd']:.4f}"]
    assert err == ""


def test_one_seed_is_the_plain_run(bench):
    plain = bench("run", "instant", "--seeds", "1")
    assert plain[0] == 0
    assert {"folder", "plan", "result"} == plain[1].keys()
    assert bench("run", "instant")[1]["result"] == plain[1]["result"]


def test_the_plan_of_seeds_is_shown(start, bench, home):
    _, content, _ = bench("run", "instant-one", "--seeds", "2", "--dry-run")
    assert [(row["recipe"], row["seed"]) for row in content["plan"]] == [
        ("instant", 0), ("instant-one", 0), ("instant", 1), ("instant-one", 1)
    ]  # fmt: skip
    out, _ = start("run", "instant-one", "--seeds", "2", "--dry-run").communicate(timeout=DEADLINE_S)
    assert out.splitlines()[0].split() == ["recipe", "seed", "state", "folder"]
    out, _ = start("run", "instant-one", "--dry-run").communicate(timeout=DEADLINE_S)
    assert out.splitlines()[0].split() == ["recipe", "state", "folder"]
    assert not home.exists()


def test_two_at_once_with_progress_on_stderr_and_the_table_on_stdout(start, home):
    process = start("sweep", "runs: [{recipe: instant, seeds: 2}]", "--jobs", "2")
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    header, *rows = out.splitlines()
    assert header.split() == ["recipe", "seed", "state", "seconds", "figure", "folder"]
    assert sorted(row.split()[:3] for row in rows) == [["instant", "0", "done"], ["instant", "1", "done"]]
    assert [line.split(": ")[1].split()[0] for line in err.splitlines()] == ["started;", "started;", "done", "done"]
    assert {who[0][1] for who in trainings(home).values()} == {"1"}

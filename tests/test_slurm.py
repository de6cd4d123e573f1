"""A conversion by the jobs of a real Slurm of two nodes: the same bytes, and the death of a node, a job or the head."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("submitit")

from cli_cases import only_object
from cluster_cases import Held
from generated_pairs import benchmark, snapshot
from rgbt_bench.cluster import STATE_FILE, crew
from rgbt_bench.cluster.crew import ClusterCrew
from rgbt_bench.cluster.slurm import Slurm
from rgbt_bench.converting import convert
from rgbt_bench.datasets import writer
from rgbt_bench.errors import UsageError
from slurm_cluster import slurm, slurm_daemons  # noqa: F401 - fixtures
from test_conversion_workers import is_running

PAIRS = 24
WAIT_S = 60


@pytest.fixture(autouse=True)
def nodes(slurm, monkeypatch):  # noqa: F811
    """Nodes that see what the tests define, and a head that looks often."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    for name, value in {"POLL_S": 0.1, "STATES_EVERY_S": 0.3, "GRACE_S": 1.0}.items():
        monkeypatch.setattr(crew, name, value)
    return slurm


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "align"
    benchmark("generate_pairs").generate(folder, PAIRS, (64, 48))
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "place" / "set"


@pytest.fixture
def expected(pairs, out):
    """The files of a conversion by this process alone, which is gone."""
    convert(Held(out.parent), pairs, out)
    (out.parent / "seen").unlink()
    return snapshot(out.parent)


def wait(reached):
    until = time.monotonic() + WAIT_S
    while not (found := reached()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def test_the_command_line_writes_the_same_bytes_by_jobs_also_from_within_a_job(bench, pairs, out, nodes, monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID"):
        monkeypatch.setenv(name, "77")
    # Variables of the user's own, which count over options.
    own = {"JOB_NAME": "mine", "ARRAY_INX": "0-3", "OUTPUT": "/dev/null", "WAIT": "1", "TIMELIMIT": "none"}
    for name, value in own.items():
        monkeypatch.setenv(f"SBATCH_{name}", value)
    assert bench("convert", "flir", pairs, "--out", out)[0] == 0
    expected = snapshot(out.parent)
    options = ["--cluster", "slurm", "--jobs", 2, "--slurm", "partition=main", "--slurm", "time=5", "--slurm", "nice=5"]
    code, stdout, stderr = bench("convert", "flir", pairs, "--out", out, "--force", *options, "--json")
    assert code == 0, stderr
    assert only_object(stdout)["parts"] == {"train": 20, "test": 4}
    assert re.search(r"job \d+: 1 element, logs in .*\.set\.cluster\nchecking\njob \d+: 2 elements", stderr)
    assert snapshot(out.parent) == expected
    assert not (out.parent / ".set.cluster").exists()
    assert nodes.living() == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("partion=main", r"unrecognized option '--partion=main'.* Did you mean 'partition'"),
        ("partition=nowhere", r"sbatch refused the jobs: invalid partition specified: nowhere"),
    ],
)
def test_sbatch_says_what_it_refuses(bench, pairs, out, option, words):
    code, _, stderr = bench("convert", "flir", pairs, "--out", out, "--cluster", "slurm", "--slurm", option)
    assert code == UsageError.exit_code
    assert re.search(words, stderr), stderr
    assert sorted(path.name for path in out.parent.iterdir()) == [".set.lock"]


def test_a_killed_node_costs_what_it_was_doing(pairs, out, expected, nodes, monkeypatch):
    monkeypatch.setattr(writer, "SHARD_BYTES", 12_000)
    convert(Held(out.parent), pairs, out, force=True)
    plan = sorted(path.name for path in (out / "data").iterdir())
    assert 4 <= len(plan) <= 8
    expected = {name: data for name, data in snapshot(out.parent).items() if name != "seen"}
    converter, said, killed = Held(out.parent), [], []

    def kill():
        node = wait(lambda: [node for _, node, _ in converter.seen()])[0]
        killed.extend(sample_id for sample_id, where, _ in converter.seen() if where == node)
        nodes.kill_node(node)
        (out.parent / "hold").unlink()

    killer = threading.Thread(target=kill)

    def progress(stage, done, total):
        if stage == "checking":
            (out.parent / "seen").unlink()
            (out.parent / "hold").touch()
            killer.start()

    convert(converter, pairs, out, "fail", True, progress, crew=ClusterCrew(Slurm({}, 2), 2, said.append))
    killer.join()
    lost = [line for line in said if "ended without a result" in line]
    assert len(lost) == 1
    shard = re.match(r"the shard (\S+): job \S+ ended without a result \(NODE_FAIL\); submitted again", lost[0])[1]
    assert shard in plan
    reads = Counter(sample_id for sample_id, _, _ in converter.seen())
    assert len(reads) == PAIRS
    assert {sample_id for sample_id, count in reads.items() if count > 1} == set(killed)
    (out.parent / "seen").unlink()
    assert snapshot(out.parent) == expected


def test_a_job_that_somebody_cancels_is_submitted_again(pairs, out, expected, nodes, monkeypatch):
    monkeypatch.setenv("SQUEUE_PARTITION", "nowhere")  # a user's own filter, which must hide no job from us
    converter, said = Held(out.parent), []
    (out.parent / "hold").touch()

    def cancel():
        wait(converter.seen)
        nodes.ask("scancel", *nodes.living())
        (out.parent / "hold").unlink()

    other = threading.Thread(target=cancel)
    other.start()
    convert(converter, pairs, out, "fail", True, crew=ClusterCrew(Slurm({}, 2), 2, said.append))
    other.join()
    assert re.match(r"24 samples .*: job \d+ ended without a result \(CANCELLED\); submitted again", said[1])
    (out.parent / "seen").unlink()
    assert snapshot(out.parent) == expected


@pytest.mark.parametrize("name", ["a%jb", "a\\b", "a\nb"])
def test_a_place_that_slurm_would_read_as_another_is_refused(bench, pairs, out, nodes, name):
    code, _, stderr = bench("convert", "flir", pairs, "--out", out.parent / name, "--cluster", "slurm")
    assert code == UsageError.exit_code
    assert "give --out a folder without them" in stderr
    assert [path.name for path in out.parent.iterdir()] == [f".{name}.lock"]


HEAD = """
import sys
from pathlib import Path
from cluster_cases import Held
from rgbt_bench.cluster.crew import ClusterCrew
from rgbt_bench.cluster.slurm import Slurm
from rgbt_bench.converting import convert
source, out = map(Path, sys.argv[1:])
def progress(stage, done, total):
    (out.parent / "seen").unlink()
    (out.parent / "hold").touch()
convert(Held(out.parent), source, out, "fail", True, progress, crew=ClusterCrew(Slurm({}, 2), 2))
"""


def head_that_holds(pairs, out):
    """Start a conversion in another process, and return it when its jobs are writing shards, and wait."""
    head = subprocess.Popen([sys.executable, "-c", HEAD, str(pairs), str(out)], stderr=subprocess.PIPE, text=True)
    wait(lambda: head.poll() is not None or ((out.parent / "hold").exists() and len(Held(out.parent).seen()) == 2))
    assert head.poll() is None, head.stderr.read()
    return head, [int(pid) for _, _, pid in Held(out.parent).seen()]


def test_a_head_that_is_killed_leaves_jobs_that_the_next_start_ends(pairs, out, expected, nodes):
    head, pids = head_that_holds(pairs, out)
    head.kill()
    head.communicate()
    assert len(nodes.living()) == 2
    assert (out.parent / ".set.cluster" / STATE_FILE).exists()
    with pytest.raises(UsageError, match="jobs of a conversion that was killed may still be writing"):
        convert(Held(out.parent), pairs, out, force=True)
    assert all(map(is_running, pids))
    (out.parent / "seen").unlink()
    said, running = [], []

    def progress(stage, done, total):
        running.extend(filter(is_running, pids))

    (out.parent / "hold").rename(out.parent / "held")  # the jobs do not wait any more where they are not ended
    convert(Held(out.parent), pairs, out, "fail", True, progress, crew=ClusterCrew(Slurm({}, 2), 2, said.append))
    assert said[0].endswith("of a conversion that was killed; its jobs are ended first")
    assert running == []
    (out.parent / "held").unlink()
    (out.parent / "seen").unlink()
    found = snapshot(out.parent)
    found.pop(".set.lock.owner", None)
    assert found == expected


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_head_ends_its_jobs(which, pairs, out, expected, nodes, monkeypatch):
    monkeypatch.setenv("SCANCEL_STATE", "PENDING")
    head, pids = head_that_holds(pairs, out)
    os.kill(head.pid, which)
    stderr = head.communicate(timeout=WAIT_S)[1]
    assert stderr.count("Traceback") == 1, stderr
    assert stderr.endswith("KeyboardInterrupt\n")
    assert nodes.living() == []
    assert not any(map(is_running, pids))
    assert not (out.parent / ".set.cluster").exists()
    assert not list(out.parent.rglob("data/.*"))
    assert out.is_dir()  # the set that was there

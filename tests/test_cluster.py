"""A conversion by the jobs of a cluster, where submitit's local jobs stand for them: bytes, faults, deaths and ends."""

import itertools
import re
import shutil
import sys
import tarfile
import threading
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("submitit")

from cluster_cases import Dying, Held, LocalScheduler, Unsendable
from flir_cases import NIGHT, put_voc
from generated_pairs import snapshot
from rgbt_bench import cluster
from rgbt_bench.cluster import STATE_FILE, crew
from rgbt_bench.cluster.crew import ClusterCrew, LostError, State
from rgbt_bench.cluster.slurm import Slurm, parse_options
from rgbt_bench.converting import convert
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_converters.flir import Flir


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A head that looks often."""
    for name, value in {"POLL_S": 0.05, "STATES_EVERY_S": 0.2, "GRACE_S": 0.3}.items():
        monkeypatch.setattr(crew, name, value)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return put_voc(tmp_path_factory.mktemp("pairs") / "align")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "place" / "set"


@pytest.fixture
def away():
    """Convert away from here; what was said and submitted is in `away.said` and `away.scheduler.arrays`."""

    def run(converter, root, out, **options):
        run.scheduler, run.said = LocalScheduler(), []
        workers = ClusterCrew(run.scheduler, 2, run.said.append)
        return convert(converter, root, out, crew=workers, **options)

    return run


def tarred(pairs, folder):
    with tarfile.open(folder / "align.tar.gz", "w:gz") as archive:
        archive.add(pairs, "align")
    return folder / "align.tar.gz"


@pytest.mark.parametrize("kind", ["a relative folder", "a compressed tar"])
def test_jobs_write_the_same_bytes_as_this_process(kind, pairs, out, away, tmp_path, monkeypatch):
    monkeypatch.chdir(pairs.parent)
    root = tarred(pairs, tmp_path) if kind == "a compressed tar" else Path(pairs.name)
    convert(Flir(), root, out)
    expected = snapshot(out.parent)
    modes, calls = set(), []

    def progress(*call):
        modes.add((out.parent / ".set.cluster").stat().st_mode & 0o777)
        calls.append(call)

    away(Flir(), root, out, force=True, progress=progress)
    assert snapshot(out.parent) == expected
    assert modes == {0o700}
    assert calls[0] == ("checking", 8, 8)
    assert calls[-1] == ("writing", 8, 8)
    assert [len(array) for array in away.scheduler.arrays] == [1, 3]
    assert not (out.parent / ".set.cluster").exists()


def test_an_element_that_dies_is_done_again_alone(pairs, out, away, tmp_path):
    convert(Dying(tmp_path, NIGHT, 0), pairs, out)
    expected = snapshot(out.parent)

    def progress(stage, done, total):
        if stage == "checking":
            (tmp_path / "died").unlink()

    away(Dying(tmp_path, NIGHT, 1), pairs, out, force=True, progress=progress)
    assert snapshot(out.parent) == expected
    looks = ["8 samples (FLIR_00002 to FLIR_09398)"]
    shards = [f"the shard {part}-00000-of-00001.parquet" for part in ("train", "val", "test")]
    assert away.scheduler.arrays == [looks, looks, shards, shards[2:]]
    told = [line for line in away.said if "ended without a result" in line]
    for line, what in zip(told, (looks[0], shards[2]), strict=True):
        assert re.fullmatch(rf"{re.escape(what)}: job \d+ ended without a result \(KILLED\); submitted again", line)


def test_a_task_whose_jobs_die_again_and_again_is_named_with_its_log(pairs, out, away, tmp_path):
    with pytest.raises(LostError) as caught:
        away(Dying(tmp_path, NIGHT, 99), pairs, out)
    message = str(caught.value)
    found = re.match(r"8 samples \(\S+ to \S+\): 3 jobs ended without a result, the last, \d+, as KILLED;", message)
    assert found, message
    log = Path(re.search(r"its log is (\S+):\n", message)[1])
    assert "out of luck" in log.read_text()
    assert "out of luck" in message
    assert (tmp_path / "died").read_text() == "xxx"
    assert len(away.scheduler.arrays) == 3
    assert not (log.parent / STATE_FILE).exists()
    convert(Flir(), pairs, out)  # here, and what the jobs left goes
    assert not log.parent.exists()


def test_jobs_without_a_log_point_to_the_file_system(pairs, out, away, tmp_path):
    with pytest.raises(LostError, match=r"it wrote no log: \S+\.set\.cluster must be on a file system that every node"):
        away(Dying(tmp_path, NIGHT, 99, with_log=False), pairs, out)


def test_faults_are_those_that_this_process_finds(pairs, out, away, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(pairs, broken)
    (broken / "JPEGImages" / f"{NIGHT}_RGB.jpg").write_bytes(b"no image")
    messages = []
    for way in (convert, away):
        with pytest.raises(BadInputError) as caught:
            way(Flir(), broken, out)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert f"{NIGHT}_RGB.jpg" in messages[0]
    assert sorted(path.name for path in out.parent.iterdir()) == [".set.lock"]


def test_an_error_while_writing_is_raised_as_it_is(pairs, out, away, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(pairs, changed)

    def change(stage, done, total):
        (changed / "JPEGImages" / f"{NIGHT}_RGB.jpg").write_bytes(b"other")

    with pytest.raises(BadInputError, match=rf"{NIGHT} \(rgb, {NIGHT}_RGB.jpg\): changed while the set was being"):
        away(Flir(), changed, out, progress=change)
    assert not (out.parent / ".set.cluster").exists()
    assert not list(out.parent.rglob("data/.*"))


def test_a_source_that_the_node_does_not_see_is_named(pairs, out, away, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(pairs, moved)
    with pytest.raises(MissingError, match=rf"{moved}: not there on the node .*file system that every node sees"):
        away(Flir(), moved, out, progress=lambda *_: moved.exists() and moved.rename(tmp_path / "elsewhere"))


def test_a_converter_that_cannot_be_sent_or_read_there_says_so(pairs, out, away, monkeypatch):
    here = ModuleType("only_here")
    here.Mine = type("Mine", (Flir,), {"__module__": "only_here"})
    monkeypatch.setitem(sys.modules, "only_here", here)
    with pytest.raises(UsageError, match=r"cannot be sent to a cluster \(not to be sent\); convert it here"):
        away(Unsendable(), pairs, out)
    with pytest.raises(LostError, match=r"8 samples .*: job \d+ failed:\n(.*\n)*.*No module named 'only_here'"):
        away(here.Mine(), pairs, out)


def test_arrays_are_no_longer_than_a_cluster_takes(pairs, out, away, monkeypatch):
    monkeypatch.setattr(crew, "LEAST_SIZE", 2)
    monkeypatch.setattr(crew, "ARRAY_SIZE", 3)
    away(Flir(), pairs, out)
    assert [len(array) for array in away.scheduler.arrays] == [3, 1, 3]


def test_jobs_that_may_still_write_keep_a_conversion_here_from_starting(pairs, out, away):
    folder = cluster.jobs_folder(out)
    folder.mkdir(parents=True)
    (folder / STATE_FILE).touch()
    with pytest.raises(
        UsageError, match=r"\.set\.cluster: jobs of a conversion that was killed .* give --cluster again"
    ):
        convert(Flir(), pairs, out)
    away(Flir(), pairs, out)
    assert away.said[0] == f"{folder}: of a conversion that was killed; its jobs are ended first"
    assert not folder.exists()


def test_the_size_of_a_task_gives_each_job_a_few():
    hired = crew._Jobs(ClusterCrew(LocalScheduler(), 10), Path(), "name")
    assert [hired.task_size(count) for count in (1, 20_000, 20_001, 100_000)] == [500, 500, 501, 2500]


def test_a_cluster_that_does_not_answer_hides_no_error_and_keeps_what_the_next_start_needs(
    pairs, out, away, monkeypatch
):
    monkeypatch.setattr(crew, "END_WAIT_S", 0.2)
    monkeypatch.setattr(LocalScheduler, "states", lambda *_: None)
    with pytest.raises(UsageError, match="cannot be sent to a cluster"):
        away(Unsendable(), pairs, out)
    assert re.fullmatch(r"the jobs named rgbt-bench-\w{12} could not be ended; .*squeue --name=rgbt-.*", away.said[-1])
    assert (cluster.jobs_folder(out) / STATE_FILE).exists()


def test_a_cluster_that_is_silent_for_a_while_is_told_of_and_costs_nothing(pairs, out, away, monkeypatch):
    monkeypatch.setattr(crew, "STATES_EVERY_S", 0)
    known, answers = LocalScheduler.states, iter([None, None])
    monkeypatch.setattr(LocalScheduler, "states", lambda *of: next(answers, known(*of)))
    away(Flir(), pairs, out)
    assert [line for line in away.said if "job" not in line.split()[0]] == [
        "the cluster does not answer; its jobs are waited for"
    ]
    assert [len(array) for array in away.scheduler.arrays] == [1, 3]


def test_a_job_that_was_only_not_listed_is_not_done_twice(pairs, out, away, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "STATES_EVERY_S", 0)
    monkeypatch.setattr(crew, "GRACE_S", 0.2)
    known, answers = LocalScheduler.states, itertools.cycle([True, False])
    monkeypatch.setattr(LocalScheduler, "states", lambda *of: known(*of) if next(answers) else {})
    (tmp_path / "hold").touch()
    release = threading.Timer(1.0, (tmp_path / "hold").unlink)
    release.start()
    away(Held(tmp_path), pairs, out)
    release.join()
    assert [len(array) for array in away.scheduler.arrays] == [1, 3]


def test_an_answer_of_sbatch_without_a_job_is_an_error(tmp_path, monkeypatch):
    for name in ("sbatch", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\necho queued\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(UsageError, match=r'no jobs that can be followed .*"queued'):
        Slurm({}, 1).submit(tmp_path / "jobs", "x", len, [()])


def test_what_slurm_says_of_jobs(tmp_path, monkeypatch):
    lines = ["1_0|PENDING|Resources", "1_1|PENDING|None", "2|RUNNING|None", "3_0|TIMEOUT|TimeLimit", "4|NEW_WORD|None"]
    (tmp_path / "squeue").write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert Slurm({}, 1).states("x") == {
        "1_0": State("PENDING", ended=False, waits_for="Resources"),
        "1_1": State("PENDING", ended=False),
        "2": State("RUNNING", ended=False),
        "3_0": State("TIMEOUT", ended=True, advice="give it more time: --slurm time=MINUTES"),
        "4": State("NEW_WORD", ended=False),
    }
    (tmp_path / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert Slurm({}, 1).states("x") is None


def test_the_options_of_slurm():
    texts = ["partition=main", "time=90", "mem_gb=1.5", "cpus-per-task=2", "exclusive", "gres=gpu:1", "comment=a=b c"]
    assert parse_options(texts) == {
        "partition": "main",
        "time": 90,
        "mem_gb": 1.5,
        "cpus_per_task": 2,
        "exclusive": True,
        "gres": "gpu:1",
        "comment": "a=b c",
    }


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["partition="], "not KEY=VALUE"),
        (["=main"], "not KEY=VALUE"),
        (["--partition=main"], "not KEY=VALUE"),
        (["comment=a\nrm -r x"], "not KEY=VALUE"),
        (["com\nment=a"], "not KEY=VALUE"),
        (["time=1:00"], "not a number of minutes above 0"),
        (["time"], "not a number of minutes above 0"),
        (["mem_gb=nan"], "not a number of gigabytes above 0"),
        (["mem_gb=-1"], "not a number of gigabytes above 0"),
        (["cpus_per_task=0"], "not a number of cores above 0"),
        (["array=0-7"], "--jobs says how many"),
        (["arr=0-7"], "--jobs says how many"),
        (["wait"], "needs the answer that sbatch gives without it"),
        (["job-name=x"], "the conversion sets it itself"),
        (["ntasks=2"], "a job is one process"),
        (["account=a", "account=b"], "given twice"),
    ],
)
def test_faulty_options_of_slurm_are_refused(texts, problem):
    with pytest.raises(UsageError, match=problem):
        parse_options(texts)


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (["--cluster", "slrm"], 2, "unknown --cluster 'slrm'. Did you mean 'slurm'?"),
        (["--jobs", 2], 2, "--jobs is about the jobs of a cluster; give --cluster slurm, too"),
        (["--slurm", "time=5"], 2, "--slurm is about the jobs of a cluster"),
        (["--cluster", "slurm", "--workers", 2], 2, "with --cluster, give --jobs"),
        (["--cluster", "slurm", "--slurm", "time=x"], 2, "--slurm time=x: not a number of minutes"),
        (["--cluster", "slurm"], 4, "--cluster slurm needs sbatch, squeue, scancel, srun, not found here"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, code, problem, bench, pairs, out, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = bench("convert", "flir", pairs, "--out", out, *options)
    assert found[0] == code
    assert problem in found[2]
    assert not out.parent.exists()

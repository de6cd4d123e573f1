"""A conversion shared among processes: the same bytes and faults for any number, and a clean end in every way."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from generated_pairs import benchmark, snapshot
from rgbt_bench.converting import convert
from rgbt_bench.datasets import writer
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, BenchError, UsageError
from rgbt_bench.sources import FolderSource
from rgbt_converters.flir import Flir

PAIRS, SIZE = 50, (64, 48)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "align"
    benchmark("generate_pairs").generate(folder, PAIRS, SIZE)
    return folder


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "SHARD_BYTES", 20_000)
    return tmp_path / "place" / "set"


def test_any_number_of_workers_writes_the_same_bytes(pairs, out):
    found = {}
    for workers in (1, 2, 4):
        calls = []
        convert(Flir(), pairs, out, "fail", True, lambda *call: calls.append(call), workers)  # noqa: B023
        found[workers] = snapshot(out.parent)
        for stage in ("checking", "writing"):
            counts = [done for name, done, total in calls if name == stage and total == PAIRS]
            assert counts == sorted(set(counts))
            assert counts[-1] == PAIRS
    assert len([name for name in found[1] if name.endswith(".parquet")]) > 4
    assert {"set/conversion.json", "set/dataset.json", "set/digests.json", "set/README.md"} < found[1].keys()
    assert found[1] == found[2] == found[4]


def test_faults_come_in_the_order_of_the_scan(pairs, out, tmp_path):
    broken = tmp_path / "broken"
    for path in pairs.rglob("*.*"):
        target = broken / path.relative_to(pairs)
        target.parent.mkdir(parents=True, exist_ok=True)
        number = int(path.name[5:10]) if path.name.startswith("FLIR_") else 0
        target.write_bytes(path.read_bytes()[: 300 if path.suffix == ".jpg" and number % 3 == 0 else None])
    messages = []
    for workers in (1, 2):
        with pytest.raises(BadInputError) as caught:
            convert(Flir(), broken, out, workers=workers)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert f"{PAIRS // 3} fault(s)" in messages[0]
    reports = [convert(Flir(), broken, out, "skip", True, workers=workers) for workers in (1, 2)]
    assert reports[0] == reports[1]


def test_the_number_of_workers_follows_cores_and_size(pairs, out, monkeypatch):
    from rgbt_bench import converting

    monkeypatch.setattr(converting, "usable_cores", lambda: 3)
    for per_worker, expected in ((PAIRS + 1, 0), (PAIRS // 2, 2), (1, 3)):
        monkeypatch.setattr(converting, "ITEMS_PER_WORKER", per_worker)
        seen = set()
        convert(Flir(), pairs, out, "fail", True, lambda *_: seen.add(len(active_children())), None)  # noqa: B023
        assert seen == {expected}
        assert active_children() == []


def test_a_killed_worker_is_named_and_the_next_start_ends_in_the_same_bytes(pairs, out):
    convert(Flir(), pairs, out)
    expected = snapshot(out.parent)
    for stage in ("checking", "writing"):

        def kill(now, *_):
            if now == stage:  # noqa: B023
                for process in active_children():
                    os.kill(process.pid, signal.SIGKILL)

        with pytest.raises(BenchError, match=r"worker process \d+ ended with code -9.*goes on where it stopped"):
            convert(Flir(), pairs, out, "fail", True, kill, 2)
        assert active_children() == []
        assert snapshot(out).items() == {name[4:]: data for name, data in expected.items()}.items()
        assert not list(out.parent.rglob("data/.*"))
    convert(Flir(), pairs, out, "fail", True, workers=2)
    assert snapshot(out.parent) == expected


def test_a_converter_that_cannot_be_sent_works_here_and_says_so(pairs, out, caplog):
    class Local(Flir):
        pass

    convert(Flir(), pairs, out)
    expected = snapshot(out)
    convert(Local(), pairs, out, "fail", True, lambda *_: active_children() and pytest.fail("sent"), 2)
    assert snapshot(out) == expected
    assert "working in one process, because this dataset's converter cannot be sent to others" in caplog.text


SCRIPT = """
import os, signal, sys
from multiprocessing import active_children
from pathlib import Path
from rgbt_bench import converting
from rgbt_bench.datasets import writer
from rgbt_converters.flir import Flir
class Mine(Flir):
    pass
def progress(stage, done, total):
    if stage == when:
        print(*[process.pid for process in active_children()], flush=True)
        os.killpg(0, signal.SIGINT) if what == "interrupt" else os.kill(os.getpid(), signal.SIGKILL)
source, out, when, what = sys.argv[1:]
writer.SHARD_BYTES = 20_000
converting.convert(Mine() if what == "mine" else Flir(), Path(source), Path(out), progress=progress, workers=2)
"""


def run_script(*arguments):
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True, timeout=120)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_converter_that_only_the_main_script_knows_works_too(pairs, out):
    done = run_script(pairs, out, "never", "mine")
    assert done.returncode == 0, done.stderr
    assert "working in one process" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize("when", ["checking", "writing"])
@pytest.mark.parametrize("what", ["interrupt", "kill"])
def test_workers_end_with_their_parent(when, what, pairs, out):
    done = run_script(pairs, out, when, what)
    pids = done.stdout.split()
    assert len(pids) == 2
    if what == "kill":
        assert done.returncode == -signal.SIGKILL
    else:  # one traceback, the parent's: a Ctrl-C reaches the whole group
        assert done.stderr.count("Traceback") == done.stderr.count("KeyboardInterrupt") == 1, done.stderr
        assert not list(out.parent.rglob("data/.*"))
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_running, pids))
    assert not out.exists()
    convert(Flir(), pairs, out)
    assert len(Dataset(out).labels) == PAIRS


HOLD = """
import sys
from pathlib import Path
from rgbt_bench.converting import convert
from rgbt_converters.flir import Flir
def hold(stage, done, total):
    print(stage, flush=True)
    sys.stdin.readline()
convert(Flir(), Path(sys.argv[1]), Path(sys.argv[2]), progress=hold)
"""


def test_two_conversions_into_one_folder_do_not_mix(pairs, out):
    command = [sys.executable, "-c", HOLD, str(pairs), str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout.readline() == "checking\n"
            with pytest.raises(UsageError, match=rf"process {first.pid} on .*since .* works on the set set; wait"):
                convert(Flir(), pairs, out, force=True)
            convert(Flir(), pairs, out.with_name("other"))
        finally:
            first.communicate("\n" * 1000)
    assert first.returncode == 0
    with pytest.raises(UsageError, match="exists already"):
        convert(Flir(), pairs, out)
    assert {path.name for path in out.parent.iterdir()} == {".set.lock", "set", ".other.lock", "other"}


def changed_at_writing(pairs, out, target, change):
    data = target.read_bytes()
    try:
        with pytest.raises(BadInputError) as caught:
            convert(Flir(), pairs, out, "fail", False, lambda stage, done, total: done == total and change(target))
    finally:
        target.write_bytes(data)
    assert not out.exists()
    assert not list(out.parent.rglob("data/.*"))
    return str(caught.value)


def test_an_image_that_changes_before_it_is_written_is_named(pairs, out):
    thermal = pairs / "JPEGImages" / "FLIR_00007_PreviewData.jpeg"

    def later(path):  # of the same size, and at the same time of change
        stat, data = path.stat(), bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    message = changed_at_writing(pairs, out, thermal, later)
    assert "FLIR_00007 (thermal, FLIR_00007_PreviewData.jpeg): changed while the set was being converted" in message
    assert "FLIR_00007_PreviewData.jpeg" in changed_at_writing(pairs, out, thermal, Path.unlink)
    convert(Flir(), pairs, out)
    source = FolderSource(pairs)
    assert Dataset(out).sample("FLIR_00007").thermal.data == source.read("JPEGImages/FLIR_00007_PreviewData.jpeg")


def test_kill_9_at_random_moments_ends_in_the_same_bytes(tmp_path):
    if sys.platform == "win32":
        pytest.skip("there is no kill -9")
    seen = benchmark("kill_conversions").run(3, tmp_path)
    assert sum(seen.values()) >= 3

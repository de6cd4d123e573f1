"""A disk that is full while a set is converted: the file is named, the old set stays, what is done is kept."""

import errno
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from generated_pairs import benchmark, snapshot
from rgbt_bench import files
from rgbt_bench.converting import convert
from rgbt_bench.datasets import writer
from rgbt_converters.flir import Flir

PAIRS = 50
SHARDS = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001.parquet"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "align"
    benchmark("generate_pairs").generate(folder, PAIRS, (64, 48))
    return folder


@pytest.fixture
def out(pairs, tmp_path, monkeypatch):
    """A place with an older conversion, which had other shards."""
    out = tmp_path / "place" / "set"
    convert(Flir(), pairs, out)
    train = [path for path in pairs.glob("JPEGImages/*") if int(path.name[5:10]) % 5]
    # Two shards, the first with more than one row group.
    monkeypatch.setattr(writer, "SHARD_BYTES", int(0.95 * sum(path.stat().st_size for path in train)))
    return out


def again(pairs, out, workers=1):
    convert(Flir(), pairs, out, force=True, workers=workers)


def kept(out):
    return sorted(path.name for path in out.with_name("set.partial").glob("data/*"))


def full_after(calls):
    """ParquetWriter's write, which after so many calls fails as Arrow's does on a full disk."""
    write = pq.ParquetWriter.write_table
    done = []

    def fail(self, table, *arguments, **options):
        done.extend([None] * bool(len(table)))
        if len(done) > calls:
            raise OSError(errno.ENOSPC, "Error writing bytes to file. Detail: [errno 28] No space left on device")
        return write(self, table, *arguments, **options)

    return fail


@pytest.mark.parametrize(("calls", "whole"), [(0, 0), (1, 0), (2, 1), (3, 2)])
def test_a_shard_is_not_left_half_written_and_those_before_it_are_kept(calls, whole, pairs, out, monkeypatch):
    old = snapshot(out)
    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full_after(calls))
        with pytest.raises(OSError, match="No space left on device") as caught:
            again(pairs, out)
    assert (caught.value.errno, caught.value.strerror) == (errno.ENOSPC, "No space left on device")
    assert caught.value.filename == f"{out}.partial/data/{SHARDS[whole]}"
    assert snapshot(out) == old
    assert kept(out) == SHARDS[:whole]
    before = {path.name: path.stat().st_mtime_ns for path in out.with_name("set.partial").glob("data/*")}
    again(pairs, out)
    assert {name: (out / "data" / name).stat().st_mtime_ns for name in before} == before
    assert {path.name for path in out.parent.iterdir()} == {"set", ".set.lock"}


@pytest.mark.parametrize("name", ["plan.json", "dataset.json", "README.md", "croissant.json", "conversion.json"])
def test_a_record_that_cannot_be_written_leaves_the_old_set(name, pairs, out, monkeypatch):
    old = snapshot(out)
    write = files.write_with

    def fail(path, fill):
        if path.name == name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, fill)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_with", fail)
        with pytest.raises(OSError, match=f"No space left on device.*set.partial/{name}"):
            again(pairs, out)
    assert snapshot(out) == old
    again(pairs, out)
    assert {path.name for path in out.parent.iterdir()} == {"set", ".set.lock"}


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from rgbt_bench.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files have no limit there")
@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_system_refuses_is_named_on_the_command_line(workers, pairs, out):
    old = snapshot(out)
    command = [sys.executable, "-c", LIMITED, "convert", "flir", pairs, "--out", out, "--force", "--workers", workers]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode not in (0, 1)
    assert "Traceback" not in done.stderr
    assert f"{out}.partial/data/t" in done.stderr
    assert ".parquet: File too large" in done.stderr
    assert snapshot(out) == old
    assert kept(out) == []
    again(pairs, out, workers)
    assert {path.name for path in out.parent.iterdir()} == {"set", ".set.lock"}


@pytest.mark.parametrize(("arguments", "code"), [(["list", "datasets"], 4), (["list", "datsets"], 2)])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
def test_a_stdout_without_room_ends_in_a_message_and_no_traceback(arguments, code):
    command = [sys.executable, "-m", "rgbt_bench", *arguments, "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr

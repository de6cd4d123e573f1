import json
import os
import subprocess
import sys

import pytest

from rgbt_bench.errors import UsageError
from rgbt_bench.locking import locked

HOLD = """
import sys
from pathlib import Path
from rgbt_bench.locking import locked
with locked(Path(sys.argv[1]), "this run"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_the_message_says_who_holds_it(tmp_path, holder):
    with pytest.raises(UsageError) as caught, locked(tmp_path / ".lock", "this run"):
        pass
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path}: process {holder.pid} on {os.uname().nodename} (-c {tmp_path}/.lock, since 2"
    )
    assert message.endswith(") works on this run; wait for it, or end it")
    owner = json.loads((tmp_path / ".lock.owner").read_text())
    assert owner.keys() == {"pid", "host", "since", "command"}


def test_a_killed_owner_blocks_nobody(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / ".lock.owner").exists()
    with locked(tmp_path / ".lock", "this run"):
        assert json.loads((tmp_path / ".lock.owner").read_text())["pid"] == os.getpid()
    assert ".lock.owner" not in names(tmp_path)


def test_an_owner_that_left_is_forgotten_and_the_folder_is_made(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "a/b/.lock", "this conversion"):
            assert names(tmp_path / "a/b") == {".lock", ".lock.owner"}
    assert names(tmp_path / "a/b") <= {".lock"}


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", "7", '{"pid": 1}'])
def test_without_a_readable_name_it_is_another_process(tmp_path, holder, content):
    owner = tmp_path / ".lock.owner"
    if content is None:
        owner.unlink()
    else:
        owner.write_text(content)
    with pytest.raises(UsageError, match="another process works on this run"), locked(tmp_path / ".lock", "this run"):
        pass
    with pytest.raises(UsageError), locked(tmp_path / ".lock", "this run"):
        pass
    assert owner.exists() == (content is not None)


def test_a_failure_gives_the_lock_back(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / ".lock", "this run"):
        raise KeyError
    with locked(tmp_path / ".lock", "this run"):
        pass


def test_an_owner_that_cannot_be_written_gives_the_lock_back(tmp_path):
    (tmp_path / ".lock.owner").mkdir()
    with pytest.raises(OSError, match="owner"), locked(tmp_path / ".lock", "this run"):
        pass
    (tmp_path / ".lock.owner").rmdir()
    with locked(tmp_path / ".lock", "this run"):
        pass

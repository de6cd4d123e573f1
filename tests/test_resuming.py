"""A conversion interrupted anywhere: nothing at `out` until it is whole, and the same bytes when started again."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as Pillow

from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets import writer
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import UsageError
from rgbt_bench.schema import DatasetInfo, Labels

PAIRS = 6
SHARD_BYTES = 3_000  # three pairs


class Folder(Converter):
    """One sample for each PNG of a folder."""

    info = DatasetInfo(
        name="folder",
        title="A folder",
        classes=("car",),
        tasks=("detection",),
        homepage="",
        licence="",
        citation="",
        split_policy="",
    )
    how_to_get = ""
    layouts: ClassVar[dict[str, str]] = {}
    parts = ("train",)

    def __init__(self, scene="", on_read=lambda path, times: None):
        self.scene = scene
        self.on_read = on_read
        self.times = Counter()

    def scan(self, source):
        return Scan("flat", [self.item(name) for name in source.names])

    def item(self, name):
        labels = Labels(sample_id=Path(name).stem, width=16, height=16, scene=self.scene)
        return Item("train", labels, name)

    def read(self, source, item):
        self.times[item.rgb] += 1
        self.on_read(Path(item.rgb), self.times[item.rgb])
        return super().read(source, item)


def picture(number):
    return Pillow.fromarray(np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8))


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "SHARD_BYTES", SHARD_BYTES)
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(PAIRS):
        picture(number).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "place" / "set"


def snapshot(folder):
    """Every file of a folder, hidden ones too, by its name and content; but not the lock, which stays, and is empty."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def entries(folder):
    """The names of what is in a folder, without the lock."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def whole(source, out, **options):
    """What an undisturbed conversion into `out` leaves there."""
    convert(Folder(**options), source, out)
    found = snapshot(out)
    shutil.rmtree(out)
    return found


class StoppedError(Exception):
    pass


def stop(*_, **__):
    raise StoppedError


def after_first_shard(stage, done, total):
    if stage == "writing":
        stop()


def interrupted(source, out, scene=""):
    """Start a conversion and stop it when its first shard is there; return that shard's path and time."""
    with pytest.raises(StoppedError):
        convert(Folder(scene), source, out, progress=after_first_shard)
    assert not out.exists()
    (shard,) = out.with_name("set.partial").glob("data/*.parquet")
    return shard, shard.stat().st_mtime_ns


def written_again(out, shard, before):
    return (out / "data" / shard.name).stat().st_mtime_ns != before


def test_it_goes_on_where_it_stopped_and_ends_in_the_same_bytes(source, out):
    expected = whole(source, out)
    assert set(expected) == {
        *("README.md", "conversion.json", "croissant.json", "dataset.json", "digests.json", "splits/default.json"),
        *("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"),
    }
    shard, before = interrupted(source, out)
    convert(Folder(), source, out)
    assert not written_again(out, shard, before)
    assert snapshot(out.parent) == {f"set/{name}": content for name, content in expected.items()}


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (writer.DatasetWriter, "_write_records"),
        (writer, "card_text"),
        (writer.DatasetWriter, "finish"),
        (writer.shutil, "rmtree"),
    ],
)
def test_a_stop_anywhere_else_ends_in_the_same_bytes_too(where, name, source, out, monkeypatch):
    expected = whole(source, out)
    with monkeypatch.context() as patch:
        patch.setattr(where, name, stop)
        with pytest.raises(StoppedError):
            convert(Folder(), source, out)
    if name != "rmtree":  # the last step, when the set is in place
        assert not out.exists()
    convert(Folder(), source, out, force=True)
    assert snapshot(out.parent) == {f"set/{path}": content for path, content in expected.items()}


KILLED = """
import os, runpy, signal, sys
from pathlib import Path
from rgbt_bench.converting import convert
from rgbt_bench.datasets import writer
test, moment, source, out = sys.argv[1:]
Folder = runpy.run_path(test)["Folder"]
writer.SHARD_BYTES = {shard_bytes}
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def progress(stage, done, total):
    if stage == "writing" and moment == "between shards":
        die()
def on_read(path, times):
    if moment == "inside a shard" and times == 2 and path.stem == "4":
        die()
convert(Folder(on_read=on_read), Path(source), Path(out), progress=progress)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
@pytest.mark.parametrize("moment", ["between shards", "inside a shard"])
def test_a_killed_process_leaves_nothing_at_out_and_is_resumed(moment, source, out):
    expected = whole(source, out)
    script = KILLED.format(shard_bytes=SHARD_BYTES)
    command = [sys.executable, "-c", script, __file__, moment, str(source), str(out)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not out.exists()
    left = list(out.with_name("set.partial").glob("data/*"))
    assert len(left) == (1 if moment == "between shards" else 2)  # the second one under its temporary name
    convert(Folder(), source, out)
    assert snapshot(out.parent) == {f"set/{name}": content for name, content in expected.items()}


def test_a_changed_picture_is_not_mixed_with_old_shards(source, out):
    for changed in (0, PAIRS - 1):  # in the shard that is done, in one that is not
        shard, before = interrupted(source, out)
        picture(100).save(source / f"{changed}.png")
        convert(Folder(), source, out)
        assert written_again(out, shard, before)
        assert snapshot(out) == whole(source, out.with_name("fresh") / "set") | report_of(out)
        shutil.rmtree(out)


def report_of(out):
    """The one file that says where the set was written."""
    return {"conversion.json": (out / "conversion.json").read_bytes()}


def test_the_same_picture_in_other_bytes_is_not_mixed_either(source, out):
    shard, before = interrupted(source, out)
    picture(0).save(source / "0.png", compress_level=0)
    os.utime(source / "0.png", ns=(1, 1))
    convert(Folder(), source, out)
    assert written_again(out, shard, before)
    assert Dataset(out).sample("0").rgb.data == (source / "0.png").read_bytes()


def test_labels_that_no_digest_covers_are_not_mixed_either(source, out):
    interrupted(source, out, scene="old")
    convert(Folder("new"), source, out)
    assert {labels.scene for labels in Dataset(out).labels.values()} == {"new"}


def test_another_shard_size_is_not_mixed_either(source, out, monkeypatch):
    interrupted(source, out)
    monkeypatch.setattr(writer, "SHARD_BYTES", 10**9)
    convert(Folder(), source, out)
    assert snapshot(out) == whole(source, out.with_name("fresh") / "set") | report_of(out)


def test_a_plan_that_cannot_be_read_starts_over(source, out):
    interrupted(source, out)
    out.with_name("set.partial").joinpath("plan.json").write_text("{")
    convert(Folder(), source, out)
    assert snapshot(out.parent).keys() == {f"set/{name}" for name in whole(source, out.with_name("fresh") / "set")}


def test_an_existing_set_is_replaced_only_when_told_and_only_by_a_whole_one(source, out):
    convert(Folder("first"), source, out)
    before = snapshot(out)
    with pytest.raises(UsageError, match="exists already; give --force"):
        convert(Folder("second"), source, out)
    with pytest.raises(StoppedError):
        convert(Folder("second"), source, out, force=True, progress=after_first_shard)
    assert snapshot(out) == before
    convert(Folder("second"), source, out, force=True)
    assert {labels.scene for labels in Dataset(out).labels.values()} == {"second"}
    assert entries(out.parent) == ["set"]


def test_a_stop_between_the_two_renames_is_mended(source, out, monkeypatch):
    convert(Folder("first"), source, out)
    rename = Path.rename

    def only_the_old_one(path, target):
        return stop() if path.name.endswith(".partial") else rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", only_the_old_one)
        with pytest.raises(StoppedError):
            convert(Folder("second"), source, out, force=True)
    assert not out.exists()
    convert(Folder("second"), source, out)
    shutil.copytree(out, out.with_name("set.replaced"))  # as a stop right after the renames leaves it
    convert(Folder("third"), source, out, force=True)
    assert {labels.scene for labels in Dataset(out).labels.values()} == {"third"}
    assert entries(out.parent) == ["set"]


def test_force_replaces_a_set_and_nothing_else(source, out, tmp_path):
    notes = tmp_path / "thesis"
    notes.mkdir()
    (notes / "chapter.tex").write_text("years of work")
    for wrong in (notes, source, notes / "chapter.tex"):
        before = snapshot(tmp_path)
        with pytest.raises(UsageError, match=f"{wrong.name}: holds no converted set"):
            convert(Folder(), source, wrong, force=True)
        assert snapshot(tmp_path) == before
    out.mkdir(parents=True)
    convert(Folder(), source, out, force=True)
    assert len(Dataset(out).labels) == PAIRS


def test_a_set_can_be_replaced_from_inside_and_through_a_link(source, out, tmp_path, monkeypatch):
    convert(Folder("first"), source, out)
    (tmp_path / "link").symlink_to(out, target_is_directory=True)
    convert(Folder("second"), source, tmp_path / "link", force=True)
    assert (tmp_path / "link").is_symlink()
    monkeypatch.chdir(out)
    convert(Folder("third"), source, Path(), force=True)
    assert {labels.scene for labels in Dataset(out).labels.values()} == {"third"}

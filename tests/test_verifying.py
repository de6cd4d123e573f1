"""A set is verified from its stored bytes: whatever was changed in it is named."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from rgbt_bench.datasets.store import Dataset
from rgbt_bench.datasets.verifying import verify
from rgbt_bench.errors import BenchError

SHARDS = "data"


def quiet(stage, done, total):
    pass


@pytest.fixture
def copy(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "copy")


def rewrite(folder, part, change):
    """Write the one shard of a part anew, with other rows."""
    (path,) = (folder / SHARDS).glob(f"{part}-*.parquet")
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def first_box_moved(table):
    rows = table.to_pylist()
    row = next(row for row in rows if row["objects"])
    row["objects"][0]["bbox"][0] += 1
    return table.from_pylist(rows, schema=table.schema)


def pixels_of_the_next(table):
    rows = table.to_pylist()
    rows[0]["rgb"] = rows[1]["rgb"]
    return table.from_pylist(rows, schema=table.schema)


def not_an_image(table):
    rows = table.to_pylist()
    rows[0]["thermal"]["bytes"] = b"not an image"
    return table.from_pylist(rows, schema=table.schema)


def first_twice(table):
    return table.from_pylist([*table.slice(0, 1).to_pylist(), *table.to_pylist()], schema=table.schema)


def test_a_converted_set_is_what_it_says_with_any_number_of_processes(tiny_folder):
    for count in (1, 2, None):
        verify(Dataset(tiny_folder), quiet, count)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (first_box_moved, "label"),
        (pixels_of_the_next, "rgb"),
        (not_an_image, "cannot be decoded"),
        (first_twice, "is in a shard of val, but not in its list"),
        (lambda table: table.slice(1), "is listed in val, but in none of its shards"),
    ],
)
def test_changed_shards_are_named_by_sample(copy, change, words):
    rewrite(copy, "val", change)
    with pytest.raises(BenchError, match=words):
        verify(Dataset(copy), quiet)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("digests.json", lambda found: found.pop(next(iter(found))), "do not make the set's fingerprint"),
        ("digests.json", lambda found: found.update(more=["0" * 64] * 3), "do not make the set's fingerprint"),
        ("dataset.json", lambda found: found.update(fingerprint="0" * 64), "do not make the set's fingerprint"),
        (
            "dataset.json",
            lambda found: found["splits"]["default"]["test"].update(label_digest="0" * 64),
            "test of the split default has other digests",
        ),
        ("splits/default.json", lambda found: found["test"].pop(), "the ids of test are not those"),
    ],
)
def test_changed_records_are_named(copy, file, change, words):
    edit(copy / file, change)
    with pytest.raises(BenchError, match=words):
        verify(Dataset(copy), quiet)


def test_the_message_says_what_its_caller_knows_to_help(copy):
    rewrite(copy, "test", first_box_moved)
    with pytest.raises(BenchError, match="pull it again"):
        verify(Dataset(copy), quiet, remedy="pull it again")

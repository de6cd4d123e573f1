"""A set is verified from its stored bytes: whatever was changed in it is named."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rgbt_bench.datasets.store import Dataset
from rgbt_bench.datasets.verifying import verify
from rgbt_bench.errors import BadInputError, BenchError

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


@pytest.mark.parametrize(
    "damage",
    [
        lambda copy: rewrite(copy, "test", first_box_moved),
        lambda copy: edit(copy / "digests.json", dict.clear),
        lambda copy: edit(copy / "splits" / "default.json", dict.clear),
        lambda copy: rewrite(copy, "test", lambda table: table.drop_columns(["scene"])),
    ],
)
def test_the_message_says_what_its_caller_knows_to_help(copy, damage):
    damage(copy)
    dataset = Dataset(copy)
    dataset.remedy = "pull it again"
    with pytest.raises(BenchError, match="pull it again"):
        verify(dataset, quiet)


def cell(name, value):
    """Return the change that gives the first row of a shard another value."""

    def change(table):
        rows = table.to_pylist()
        rows[0][name] = value
        return table.from_pylist(rows, schema=table.schema)

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(
            cell(name, None)
            for name in ("rgb", "width", "objects", "ignore_regions", "illumination", "scene", "source")
        ),
        *(cell("rgb", {"bytes": data, "path": path}) for data, path in ((None, "x.png"), (b"x", None), (None, None))),
        cell("illumination", "noon"),
        cell("objects", [None]),
        cell("sample_id", None),
        cell("sample_id", "a\nb"),
    ],
)
def test_cells_without_their_value_are_faults_of_their_sample(copy, change):
    rewrite(copy, "val", change)
    with pytest.raises(BadInputError, match="not what was recorded of them"):
        verify(Dataset(copy), quiet)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *((lambda table, name=name: table.drop_columns([name]), name) for name in ("rgb", "mask", "width", "scene")),
        (lambda table: table.append_column("more", pa.array(["x"] * len(table))), "more"),
        (lambda table: table.set_column(0, "sample_id", pa.array(range(len(table)))), "sample_id"),
        (lambda table: table.set_column(9, "scene", pa.array(range(len(table)))), "scene"),
    ],
)
def test_other_columns_are_named(copy, change, words):
    rewrite(copy, "val", change)
    with pytest.raises(BadInputError, match=rf"columns are not those of a set \({words}\)"):
        verify(Dataset(copy), quiet)


@pytest.mark.parametrize("file", ["digests.json", "splits/default.json"])
def test_half_a_surrogate_pair_is_no_text(copy, file):
    text = (copy / file).read_text()
    (copy / file).write_text(text.replace('[\n  "', '[\n  "\\ud800', 1))
    with pytest.raises(BadInputError, match="an id or digest is no text"):
        verify(Dataset(copy), quiet)

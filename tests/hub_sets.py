"""A converted set, its original, and what is pushed of it; and how an owner changes a file of a repository."""

import io
import json

import pyarrow.parquet as pq
import pytest

from cli_cases import only_object
from flir_cases import put_coco


@pytest.fixture
def original(tmp_path):
    folder = tmp_path / "original"
    put_coco(folder)
    return folder


@pytest.fixture
def flir(home, bench, original):
    code, _, err = bench("convert", "flir", original)
    assert code == 0, err
    return home / "datasets" / "flir"


@pytest.fixture
def pushed(hub, flir, bench):
    code, out, err = bench("push", "flir", "--hub", "ann/flir", "--json")
    assert code == 0, err
    return only_object(out)


@pytest.fixture
def manifest(hub, flir, bench):
    code, out, err = bench("push", "flir", "--hub", "ann/flir-ids", "--manifest-only", "--json")
    assert code == 0, err
    return only_object(out)


def tamper(hub, name, path, change):
    """Let the owner of a repository commit another content of a file."""
    repo = hub.repo(name)
    repo.commit({**repo.files, path: change(repo.files[path])})


def edited(change):
    def edit(data):
        content = json.loads(data)
        change(content)
        return json.dumps(content).encode()

    return edit


def another_box(data):
    table = pq.read_table(io.BytesIO(data))
    rows = table.to_pylist()
    row = next(row for row in rows if row["objects"])
    row["objects"][0]["bbox"][2] += 1
    sink = io.BytesIO()
    pq.write_table(table.from_pylist(rows, schema=table.schema), sink)
    return sink.getvalue()


TEST = "data/test-00000-of-00001.parquet"

"""The schema in Arrow and the rows as tables, against `datasets` and pyarrow, which they are made without."""

import json
import subprocess
import sys

import pyarrow as pa
import pytest
from datasets import Features
from hypothesis import given, settings
from hypothesis import strategies as st

from rgbt_bench.datasets.arrow import arrow_schema, card_features, to_table

CLASSES = ("person", 'b"ike é')
RECT = st.lists(st.floats(), min_size=4, max_size=4)
SMALL = st.none() | st.integers(-128, 127)
IMAGE = st.none() | st.fixed_dictionaries({"bytes": st.binary(), "path": st.none() | st.text()})
BOX = {"bbox": RECT, "category": st.integers(0, 1), "area": st.floats(), "iscrowd": st.booleans()}
BOX |= {"ignore": st.booleans(), "truncation": SMALL, "occlusion": SMALL}
TEXTS = dict.fromkeys(("sample_id", "illumination", "scene", "source"), st.text())
SIZES = dict.fromkeys(("width", "height"), st.integers(-(2**31), 2**31 - 1))
LISTS = {"objects": st.lists(st.fixed_dictionaries(BOX)), "ignore_regions": st.lists(RECT)}
ROW = st.fixed_dictionaries({**TEXTS, **SIZES, **LISTS, **dict.fromkeys(("rgb", "thermal", "mask"), IMAGE)})


@pytest.mark.parametrize("classes", [CLASSES, ()], ids=["classes", "a set without boxes"])
def test_datasets_reads_the_schema_and_writes_the_same_one(classes):
    schema = arrow_schema(classes)
    known = Features.from_arrow_schema(schema)
    assert known["objects"].feature["category"].names == list(classes)
    assert known.arrow_schema.equals(schema, check_metadata=True)
    assert known.arrow_schema.metadata == schema.metadata
    assert known._to_yaml_list() == card_features(classes)
    assert Features._from_yaml_list(card_features(classes)) == known
    json.dumps(card_features(classes))


@settings(deadline=None)
@given(st.lists(ROW, max_size=12))
def test_rows_become_the_table_that_pyarrow_makes_of_them(rows):
    schema = arrow_schema(CLASSES)
    table = to_table(rows, schema)
    table.validate(full=True)
    expected = pa.Table.from_pylist(rows, schema=schema)
    assert table.schema.equals(expected.schema, check_metadata=True)
    assert str(table.to_pylist()) == str(expected.to_pylist())  # as texts, where NaN equals itself


def test_converting_loads_neither_datasets_nor_pandas(tmp_path):
    code = """
import sys
from pathlib import Path
from rgbt_bench.converting import convert
from conftest import TinySample
convert(TinySample(), None, Path(sys.argv[1]))
print(*{"datasets", "pandas", "torch"} & set(sys.modules))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "set")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=__file__.rpartition("/")[0])
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr

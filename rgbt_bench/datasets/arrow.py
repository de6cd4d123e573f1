"""The schema as Arrow and Hugging Face `datasets` know it, and rows as tables, made without loading either's helpers.

Importing `datasets`, and pandas, which `pa.array` loads, takes longer than converting a thousand pairs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
import pyarrow as pa

# A column is a dtype, "image", the names of classes, a struct of columns, or a list of a column, of any or one length.
Kind = str | tuple[str, ...] | dict[str, Any] | list[Any]
_RECT: Kind = ["float64", 4]
_BOX: dict[str, Kind] = {
    "bbox": _RECT,
    "category": "",
    "area": "float64",
    "iscrowd": "bool",
    "ignore": "bool",
    "truncation": "int8",
    "occlusion": "int8",
}


def columns_of(classes: tuple[str, ...]) -> dict[str, Kind]:
    """Return every column of a shard and what it holds."""
    return {
        "sample_id": "string",
        "rgb": "image",
        "thermal": "image",
        "width": "int32",
        "height": "int32",
        "objects": [{**_BOX, "category": classes}],
        "ignore_regions": [_RECT],
        "mask": "image",
        "illumination": "string",
        "scene": "string",
        "source": "string",
    }


def arrow_schema(classes: tuple[str, ...]) -> pa.Schema:
    """Return the schema of a shard; its metadata lets `load_dataset` decode images and name classes."""
    columns = columns_of(classes)
    hub = json.dumps({"info": {"features": {name: _hub_feature(kind) for name, kind in columns.items()}}})
    return pa.schema({name: _arrow_type(kind) for name, kind in columns.items()}, metadata={"huggingface": hub})


def card_features(classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the features as the front matter of a dataset card has them."""
    return [{"name": name, **_card_feature(kind)} for name, kind in columns_of(classes).items()]


def _arrow_type(kind: Kind) -> pa.DataType:
    match kind:
        case "image":
            return pa.struct({"bytes": pa.binary(), "path": pa.string()})
        case str():
            return pa.type_for_alias(kind)
        case tuple():
            return pa.int64()
        case dict():
            return pa.struct({name: _arrow_type(inner) for name, inner in kind.items()})
        case [inner, *length]:
            return pa.list_(_arrow_type(inner), *length)
    raise AssertionError(kind)


def _hub_feature(kind: Kind) -> dict[str, Any]:
    match kind:
        case "image":
            return {"_type": "Image"}
        case str():
            return {"dtype": kind, "_type": "Value"}
        case tuple():
            return {"names": list(kind), "_type": "ClassLabel"}
        case dict():
            return {name: _hub_feature(inner) for name, inner in kind.items()}
        case [inner, *length]:
            return {"feature": _hub_feature(inner), **({"length": length[0]} if length else {}), "_type": "List"}
    raise AssertionError(kind)


def _card_feature(kind: Kind) -> dict[str, Any]:
    match kind:
        case str():
            return {"dtype": kind}
        case tuple():
            return {"dtype": {"class_label": {"names": {str(number): name for number, name in enumerate(kind)}}}}
        case dict():
            return {"list": [{"name": name, **_card_feature(inner)} for name, inner in kind.items()]}
        case [inner, *length]:
            listed = _card_feature(inner)
            if isinstance(inner, dict):
                return listed
            return {"list": listed.get("dtype", listed), **({"length": length[0]} if length else {})}
    raise AssertionError(kind)


def to_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as a table, as `pa.Table.from_pylist` does."""
    arrays = [_to_array(field.type, [row[field.name] for row in rows]) for field in schema]
    return pa.Table.from_batches([pa.RecordBatch.from_arrays(arrays, schema=schema)])


def _to_array(kind: pa.DataType, values: list[Any]) -> pa.Array:
    """Return values, None among them, as an Arrow array."""
    there = np.array([value is not None for value in values], bool)
    valid = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    if pa.types.is_struct(kind):
        children = [
            _to_array(field.type, [None if value is None else value[field.name] for value in values]) for field in kind
        ]
        return pa.Array.from_buffers(kind, len(values), [valid], children=children)
    if pa.types.is_fixed_size_list(kind):
        child = _to_array(kind.value_type, list(chain.from_iterable(values)))
        return pa.Array.from_buffers(kind, len(values), [valid], children=[child])
    if pa.types.is_list(kind):
        child = _to_array(kind.value_type, list(chain.from_iterable(values)))
        return pa.Array.from_buffers(kind, len(values), [valid, _offsets(values)], children=[child])
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        texts = [b"" if value is None else value.encode() if isinstance(value, str) else value for value in values]
        return pa.Array.from_buffers(kind, len(values), [valid, _offsets(texts), pa.py_buffer(b"".join(texts))])
    numbers = np.array([0 if value is None else value for value in values], kind.to_pandas_dtype())
    content = np.packbits(numbers, bitorder="little") if pa.types.is_boolean(kind) else numbers
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(content)])


def _offsets(parts: Sequence[Any]) -> pa.Buffer:
    return pa.py_buffer(np.fromiter(accumulate(map(len, parts), initial=0), np.int32, len(parts) + 1))

"""Croissant metadata of a converted set: what ML tools read of its files and columns without our code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgbt_bench.datasets.arrow import Kind, columns_of
from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.datasets.store import DatasetRecord
from rgbt_bench.files import sha256_file
from rgbt_bench.schema import SCHEMA_VERSION, VOID

CROISSANT_FILE = "croissant.json"
KEYWORDS = ("rgb-thermal", "multispectral", "thermal", "infrared", "rgbt-bench")
_PARQUET = "application/x-parquet"
_TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "int8": "cr:Int8",
    "int32": "cr:Int32",
    "int64": "cr:Int64",
    "float64": "cr:Float64",
}
_DESCRIPTIONS = {
    "sample_id": "The pair's name, the same in every layout of the dataset.",
    "rgb": "The visible image, the bytes as they came.",
    "thermal": "The thermal image, the bytes as they came; may be missing.",
    "width": "In pixels.",
    "height": "In pixels.",
    "objects": "The labelled boxes.",
    "bbox": "x, y, width, height in pixels.",
    "category": "The number of a class, from 0.",
    "area": "In square pixels; the size classes are read from it.",
    "iscrowd": "COCO's crowd flag.",
    "ignore": "Counts neither as a hit nor as a miss.",
    "truncation": "0 none, 1 partial; may be missing.",
    "occlusion": "0 none, 1 partial, 2 heavy; may be missing.",
    "ignore_regions": "x, y, width, height in pixels.",
    "mask": f"A label map, {VOID} is void; may be missing.",
    "illumination": "day, night, overcast, challenge or unknown.",
    "scene": "What consecutive frames share; may be empty.",
    "source": "The relative path in the original.",
    "label_digest": "SHA-256 of the sample's canonical labels.",
    "rgb_digest": "SHA-256 that names the visible picture.",
    "thermal_digest": "SHA-256 that names the thermal picture; may be missing.",
}
_SPLITS, _CLASSES, _MASK_CLASSES = "part_names", "class_names", "mask_class_names"
# As the specification prints it, with what 1.1 adds.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a set: its path in the folder, its size in bytes and its SHA-256."""

    path: str
    size: int
    sha256: str


def shard_files(root: Path, record: DatasetRecord) -> dict[str, list[StoredFile]]:
    """Return the shards of a converted set by part; each is read whole for its hash."""
    names = {part: [f"data/{shard}" for shard in shards] for part, shards in record.shards.items()}
    every = [name for found in names.values() for name in found]
    with ThreadPoolExecutor() as pool:  # hashing leaves the interpreter to the other threads
        hashes = dict(zip(every, pool.map(sha256_file, [root / name for name in every]), strict=True))
    return {
        part: [StoredFile(name, (root / name).stat().st_size, hashes[name]) for name in found]
        for part, found in names.items()
    }


def dataset_croissant(
    record: DatasetRecord,
    files: Mapping[str, Sequence[StoredFile]],
    base: str = "",
    url: str = "",
    published: str = "",
) -> dict[str, Any]:
    """Return the metadata of a converted set as `croissant` does, `files` being its shards by part."""
    description = (
        f"Registered RGB-thermal image pairs of {record.info.title} with their labels, converted into the rgbt-bench"
        f" schema. Split policy: {record.info.split_policy}"
    )
    return croissant(record, columns_of(record.info.classes), files, description, base, url, published)


def croissant(
    record: DatasetRecord,
    columns: Mapping[str, Kind],
    files: Mapping[str, Sequence[StoredFile]],
    description: str,
    base: str = "",
    url: str = "",
    published: str = "",
) -> dict[str, Any]:
    """Return Croissant 1.1 metadata of a set as JSON-LD.

    `files` are those of each part of the default split, Parquet files with these `columns`; they are read as one record
    set a part. `base` comes before their paths: empty for files beside the metadata, or an address that ends in `/`.
    `url` is the page of the set, by default the dataset's homepage; `published` is a date as YYYY-MM-DD. Nobody's clock
    is asked, so the same set has the same metadata wherever it is made.
    """
    info = record.info
    homepage = info.homepage if info.homepage.startswith(("https://", "http://")) else ""
    facts = {
        "description": description,
        "license": info.licence,
        "citeAs": info.citation,
        "url": url or homepage,
        "sameAs": homepage if url else "",
        "datePublished": published,
    }
    distribution: list[dict[str, Any]] = []
    for part, found in files.items():
        distribution += [_file_object(file, base) for file in found]
        if len(found) > 1:
            distribution.append(_file_set(part, found))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": info.title or info.name,
        **{key: value for key, value in facts.items() if value},
        "version": f"{SCHEMA_VERSION}.0.0+{record.fingerprint[:16]}",
        "keywords": list(KEYWORDS),
        "isLiveDataset": False,
        "distribution": distribution,
        "recordSet": [*_enumerations(record, columns), *(_rows(part, files[part], columns) for part in files)],
    }


def _file_object(file: StoredFile, base: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path.rpartition("/")[2],
        "contentUrl": base + file.path,
        "contentSize": f"{file.size} B",
        "encodingFormat": _PARQUET,
        "sha256": file.sha256,
    }


def _file_set(part: str, files: Sequence[StoredFile]) -> dict[str, Any]:
    """Return several files as one; not contained in anything, they lie beside the metadata."""
    return {
        "@type": "cr:FileSet",
        "@id": f"{part}-files",
        "name": f"{part}-files",
        "encodingFormat": _PARQUET,
        "includes": [file.path for file in files],
    }


def _enumerations(record: DatasetRecord, columns: Mapping[str, Kind]) -> list[dict[str, Any]]:
    """Return the names of the parts and, where there are labels, of the classes as small tables."""
    parts = [{f"{_SPLITS}/name": part} for part in record.splits[DEFAULT_SPLIT]]
    tables = [_table(_SPLITS, "cr:Split", "The parts of the default split.", "name", {"name": "sc:Text"}, parts)]
    info = record.info
    named = {
        _CLASSES: (info.classes, "The classes of boxes, as `category` counts them.", "objects"),
        _MASK_CLASSES: (info.mask_classes, f"The values of `mask`; {VOID} is void.", "mask"),
    }
    fields = {"number": "sc:Integer", "name": "sc:Text"}
    for table, (names, description, column) in named.items():
        if names and column in columns:
            rows = [{f"{table}/number": number, f"{table}/name": name} for number, name in enumerate(names)]
            tables.append(_table(table, "sc:Enumeration", description, "number", fields, rows))
    return tables


def _table(
    name: str, kind: str, description: str, key: str, fields: Mapping[str, str], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "dataType": kind,
        "key": {"@id": f"{name}/{key}"},
        "field": [
            {"@type": "cr:Field", "@id": f"{name}/{field}", "name": field, "dataType": of}
            for field, of in fields.items()
        ],
        "data": rows,
    }


def _rows(part: str, files: Sequence[StoredFile], columns: Mapping[str, Kind]) -> dict[str, Any]:
    place = {"fileSet": {"@id": f"{part}-files"}} if len(files) > 1 else {"fileObject": {"@id": files[0].path}}
    split = {
        "@type": "cr:Field",
        "@id": f"{part}/split",
        "name": "split",
        "description": "The part, the same in every row.",
        "dataType": "sc:Text",
        "value": part,
        "references": {"field": {"@id": f"{_SPLITS}/name"}},
    }
    fields = [_field(f"{part}/{name}", kind, {**place, "extract": {"column": name}}) for name, kind in columns.items()]
    return {
        "@type": "cr:RecordSet",
        "@id": part,
        "name": part,
        "description": f"The pairs of {part}, one a row.",
        "key": {"@id": f"{part}/sample_id"},
        "field": [split, *fields],
    }


def _field(path: str, kind: Kind, source: dict[str, Any], inner: str = "") -> dict[str, Any]:
    """Return a column, or what a struct of one has at `inner`."""
    name = path.rpartition("/")[2]
    field = {"@type": "cr:Field", "@id": path, "name": name, "description": _DESCRIPTIONS[name]}
    read = {"source": {**source, **({"transform": {"jsonPath": inner}} if inner else {})}}
    match kind:
        case "image":
            leaves = ("bytes", "sc:ImageObject"), ("path", "sc:Text")
            inside = [_leaf(f"{path}/{key}", of, {**source, "transform": {"jsonPath": key}}) for key, of in leaves]
            return {**field, "subField": inside}
        case str():
            return {**field, "dataType": _TYPES[kind], **read}
        case tuple():
            named = {"references": {"field": {"@id": f"{_CLASSES}/number"}}} if kind else {}
            return {**field, "dataType": _TYPES["int64"], **named, **read}
        case list() if isinstance(kind[0], dict):
            inside = [_field(f"{path}/{key}", of, source, key) for key, of in kind[0].items()]
            return {**field, "isArray": True, "arrayShape": "-1", "subField": inside}
        case list():
            shape, of = _shape(kind)
            return {**field, "dataType": _TYPES[of], "isArray": True, "arrayShape": shape, **read}
    raise AssertionError(kind)


def _leaf(path: str, of: str, source: dict[str, Any]) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": path, "name": path.rpartition("/")[2], "dataType": of, "source": source}


def _shape(kind: list[Any]) -> tuple[str, str]:
    """Return the shape of a list of lists, -1 for any length, and the dtype of what is in it."""
    inner, *length = kind
    first = str(length[0]) if length else "-1"
    if isinstance(inner, list):
        others, of = _shape(inner)
        return f"{first},{others}", of
    return first, inner

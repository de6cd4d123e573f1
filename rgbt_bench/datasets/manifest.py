"""The manifest of a converted set: what names its samples and proves them, without a pixel or a label."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq

from rgbt_bench.datasets.arrow import to_table
from rgbt_bench.datasets.card import CARD_FILE, PartSize, manifest_card_text
from rgbt_bench.datasets.croissant import CROISSANT_FILE, StoredFile, croissant
from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.datasets.store import DIGESTS_FILE, SPLITS_FOLDER, Dataset
from rgbt_bench.files import json_bytes, read_json
from rgbt_bench.paths import RECORD_FILE

MANIFEST_FOLDER = "manifest"
MANIFEST_COLUMNS = ("sample_id", "source", "label_digest", "rgb_digest", "thermal_digest")


def manifest_files(
    dataset: Dataset, place: str, base: str = "", url: str = "", published: str = ""
) -> dict[str, bytes]:
    """Return the files of a set's manifest by their paths; what is in no list here is not in it.

    `place` is the repo that it goes to, `owner/name`; `base`, `url` and `published` are as `croissant` has them.

    Raises:
        MissingError: a shard, from which the samples' places in the original are read, is missing.
        BadInputError: the set is damaged.
    """
    whole = dataset.under(DEFAULT_SPLIT)
    record = whole.record
    tables = {part: _rows(whole, part) for part in whole.parts}
    parquet = {part: _parquet(table) for part, table in tables.items()}
    stored = {part: [_stored(part, content)] for part, content in parquet.items()}
    description = (
        f"The manifest of {record.info.title} as rgbt-bench converts it: ids, places in the original, and digests of"
        " labels and images, without any pixel or label. It rebuilds and proves the set from a copy of the original."
    )
    columns = dict.fromkeys(MANIFEST_COLUMNS, "string")
    sizes = {part: PartSize(tables[part].nbytes, len(content)) for part, content in parquet.items()}
    return {
        CARD_FILE: manifest_card_text(record, sizes, MANIFEST_COLUMNS, place).encode(),
        CROISSANT_FILE: json_bytes(croissant(record, columns, stored, description, base, url, published)),
        RECORD_FILE: json_bytes(record.model_dump(mode="json")),
        DIGESTS_FILE: json_bytes(_digests(whole)),
        **{f"{SPLITS_FOLDER}/{name}.json": json_bytes(_split(whole, name)) for name in record.splits},
        **{stored[part][0].path: content for part, content in parquet.items()},
    }


def _rows(whole: Dataset, part: str) -> pa.Table:
    rows = []
    for labels in whole.part(part).labels:
        digests = whole.look_up(whole.digests, labels.sample_id)
        values = (labels.sample_id, labels.source, digests.label, digests.rgb, digests.thermal)
        rows.append(dict(zip(MANIFEST_COLUMNS, values, strict=True)))
    hub = {"info": {"features": {name: {"dtype": "string", "_type": "Value"} for name in MANIFEST_COLUMNS}}}
    schema = pa.schema(dict.fromkeys(MANIFEST_COLUMNS, pa.string()), metadata={"huggingface": json.dumps(hub)})
    return to_table(rows, schema)


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="ZSTD", write_page_checksum=True)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _stored(part: str, content: bytes) -> StoredFile:
    return StoredFile(f"{MANIFEST_FOLDER}/{part}.parquet", len(content), hashlib.sha256(content).hexdigest())


def _digests(whole: Dataset) -> dict[str, list[str | None]]:
    return {key: [one.label, one.rgb, one.thermal] for key, one in sorted(whole.digests.items())}


def _split(whole: Dataset, name: str) -> dict[str, list[str]]:
    """Return the id lists of a named split as its file has them; a part without samples is in no record."""
    split = whole.under(name)
    listed = read_json(whole.root / SPLITS_FOLDER / f"{name}.json")
    return {part: list(split.part(part).ids) if part in split.parts else [] for part in listed}

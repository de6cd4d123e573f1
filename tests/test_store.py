"""Converted sets on disk: readable by anybody, the same bytes every time, and no damage that goes unnoticed."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets import store, writer
from rgbt_bench.datasets.splits import split_hash
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.opening import open_dataset
from rgbt_bench.schema import Box, DatasetInfo, Image, Labels, SplitList

WIDTH, HEIGHT = 24, 16
PARTS = {"train": 7, "val": 2, "test": 3}
IDS = {part: [f"{part}-{number}" for number in range(count)] for part, count in PARTS.items()}
EVERY = [sample_id for ids in IDS.values() for sample_id in ids]


def pixels(seed, mode):
    shape = (HEIGHT, WIDTH, 3) if mode == "RGB" else (HEIGHT, WIDTH)
    high, kind = (65_535, np.uint16) if mode == "I;16" else (255, np.uint8)
    return np.random.default_rng(seed).integers(0, high, shape, dtype=kind)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(array).save(path, **options)


def put_source(folder):
    """An original on disk: JPEG pairs with 16-bit thermal images and masks; one pair has no thermal, most no mask."""
    for seed, sample_id in enumerate(EVERY):
        save(folder / f"{sample_id}.jpg", pixels(seed, "RGB"))
        if sample_id != "train-1":
            save(folder / f"{sample_id}-t.png", pixels(seed, "I;16"))
        if seed % 5 == 0:
            save(folder / f"{sample_id}-m.png", pixels(seed, "L") // 128)
    return folder


class MadeUp(Converter):
    info = DatasetInfo(
        name="made-up",
        title='Made "up": <b>x</b>',
        classes=("person", "bike", "car"),
        tasks=("detection", "segmentation"),
        homepage="https://example.org",
        licence="none & nothing",
        citation="Nobody",
        split_policy="by name",
        thermal_range=(0, 65_535),
        mask_classes=("background", "thing"),
    )
    how_to_get = ""
    layouts: ClassVar[dict[str, str]] = {}
    expected = PARTS

    def scan(self, source):
        items = [self.item(source, part, sample_id) for part, ids in IDS.items() for sample_id in ids]
        parts = {"train": ("train-5", "train-3", "no such id"), "test": ("train-1",), "val": ()}
        named = SplitList("odd", parts, "an odd paper")
        return Scan("flat", items[::-1], named_splits=[named])

    def item(self, source, part, sample_id):
        labels = Labels(
            sample_id=sample_id,
            width=WIDTH,
            height=HEIGHT,
            objects=boxes_of(sample_id),
            ignore_regions=((0.0, 0.0, 2.5, 2.0),) if part == "val" else (),
            illumination="night",
            scene="yard",
            source=f"dir/{sample_id}.jpg",
        )
        others = [name if name in source else None for name in (f"{sample_id}-t.png", f"{sample_id}-m.png")]
        return Item(part, labels, f"{sample_id}.jpg", *others)


def boxes_of(sample_id):
    number = int(sample_id[-1])
    return tuple(Box((index - 1.0, 0.5, 4.0, 3.25), index % 3, 13.0, truncation=1) for index in range(number))


def snapshot(folder):
    """Every file of a folder by its name and content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return put_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "set"
    convert(MadeUp(), source, out)
    return out


@pytest.fixture
def copy(made, tmp_path):
    """A converted set that a test may damage."""
    return shutil.copytree(made, tmp_path / "copy")


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(writer, "SHARD_BYTES", 5_000)
    monkeypatch.setattr(writer, "ROW_GROUP", 2)


READER = """
import hashlib, json, sys
sys.modules["rgbt_bench"] = sys.modules["rgbt_converters"] = None
from datasets import Image, load_dataset
loaded = load_dataset(sys.argv[1], cache_dir=sys.argv[2])
print(json.dumps({
    part: {
        "classes": rows.features["objects"].feature["category"].names,
        "rows": [
            {
                **{key: value for key, value in row.items() if key not in ("rgb", "thermal", "mask")},
                "pictures": [
                    row[key] and [type(row[key]).__mro__[-2].__name__, row[key].mode, row[key].size]
                    for key in ("rgb", "thermal", "mask")
                ],
                "bytes": [
                    raw[key] and [raw[key]["path"], hashlib.sha256(raw[key]["bytes"]).hexdigest()]
                    for key in ("rgb", "thermal", "mask")
                ],
            }
            for row, raw in zip(rows, rows.cast_column("rgb", Image(decode=False))
                .cast_column("thermal", Image(decode=False)).cast_column("mask", Image(decode=False)))
        ],
    }
    for part, rows in loaded.items()
}))
"""


def test_load_dataset_reads_it_without_this_package(made, source, tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", READER, str(made), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "Ignoring" not in done.stderr  # part of the card, where `datasets` misses something there
    loaded = json.loads(done.stdout)
    assert list(loaded) == list(PARTS)
    for part, content in loaded.items():
        assert content["classes"] == ["person", "bike", "car"]
        assert [row["sample_id"] for row in content["rows"]] == IDS[part]
        for row in content["rows"]:
            files = [source / f"{row['sample_id']}{end}" for end in (".jpg", "-t.png", "-m.png")]
            size = [WIDTH, HEIGHT]
            wanted = [["Image", mode, size] for mode in ("RGB", "I;16", "L")]
            present = [path.exists() for path in files]
            assert row["pictures"] == [want if there else None for want, there in zip(wanted, present, strict=True)]
            assert row["bytes"] == [
                [path.name, hashlib.sha256(path.read_bytes()).hexdigest()] if path.exists() else None for path in files
            ]
            boxes = boxes_of(row["sample_id"])
            assert [(box["bbox"], box["category"]) for box in row["objects"]] == [
                (list(box.bbox), box.category) for box in boxes
            ]
            assert (row["illumination"], row["scene"]) == ("night", "yard")


def test_samples_come_back_as_they_went_in(made, source):
    dataset = Dataset(made)
    assert dataset.parts == tuple(PARTS)
    for part, ids in IDS.items():
        samples = dataset.part(part)
        assert samples.ids == tuple(ids)
        assert [sample.sample_id for sample in samples] == ids
        assert samples[-1] == samples[len(ids) - 1] == samples[0:][-1]
        for sample, labels in zip(samples, samples.labels, strict=True):
            path = source / f"{sample.sample_id}.jpg"
            assert sample.rgb == Image(path.read_bytes(), path.name)
            assert sample.objects == labels.objects == boxes_of(sample.sample_id)
            assert sample.ignore_regions == (((0.0, 0.0, 2.5, 2.0),) if part == "val" else ())
    assert dataset.sample("train-1").thermal is None
    with pytest.raises(IndexError):
        dataset.part("val")[2]


def test_row_groups_are_kept_as_far_as_their_bytes_allow(made, monkeypatch):
    dataset = Dataset(made)
    expected = {sample_id: dataset.sample(sample_id) for sample_id in EVERY}
    sizes = [table.nbytes for table in dataset._groups.values()]
    assert len(sizes) == len(PARTS)
    for limit, most in ((sum(sizes), 3), (sum(sizes) - 1, 2), (0, 1)):
        monkeypatch.setattr(store, "KEPT_BYTES", limit)
        again, kept = Dataset(made), []
        for sample_id in sorted(EVERY, key=lambda one: one[::-1]):  # the parts mixed
            assert again.sample(sample_id) == expected[sample_id]
            kept.append(len(again._groups))
        assert max(kept) == most


def test_a_named_split_is_an_id_list_with_its_hash(made):
    dataset = open_dataset(f"{made}@odd")
    assert (dataset.name, dataset.parts) == ("made-up@odd", ("train", "test"))
    assert dataset.part("train").ids == ("train-3", "train-5")
    assert dataset.part("train").record.samples == 2
    assert dataset.part("train").record.ids_sha256 == split_hash(["train-5", "train-3"])
    # Membership is in no digest: the same ids under another name have the same label digest.
    assert dataset.part("test").record.label_digest != Dataset(made).part("test").record.label_digest
    assert [sample.sample_id for sample in dataset.part("test")] == ["train-1"]
    assert dataset.part("test").record.thermal_digest is None


def test_unknown_names_are_answered_with_near_ones(made, home):
    with pytest.raises(UsageError, match=r"unknown split of made-up 'od'\. Did you mean 'odd'"):
        open_dataset(f"{made}@od")
    with pytest.raises(UsageError, match=r"unknown part of made-up 'tset'\. Did you mean 'test'"):
        Dataset(made).part("tset")
    with pytest.raises(MissingError, match="Nothing is converted there yet"):
        open_dataset("flir")
    with pytest.raises(UsageError, match="unknown dataset 'made-up'"):
        open_dataset("made-up")
    shutil.copytree(made, home / "datasets" / "made-up")
    shutil.copytree(made, home / "datasets" / "made-upp.partial")
    with pytest.raises(MissingError, match="Converted there: made-up"):
        open_dataset("flir")
    with pytest.raises(UsageError, match=r"unknown dataset 'made-upp'\. Did you mean 'made-up'\?$"):
        open_dataset("made-upp")
    for wrong in ("@odd", "made-up@", "@", ""):
        with pytest.raises(UsageError, match="write NAME or NAME@SPLIT"):
            open_dataset(wrong)


def test_a_set_is_found_by_name_and_by_folder(made, home, tmp_path, monkeypatch):
    shutil.copytree(made, home / "datasets" / "made-up")
    shutil.copytree(made, tmp_path / "a@b" / "set")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made-up").mkdir()  # the unconverted original, as it often lies beside
    assert open_dataset("made-up@odd").root == home / "datasets" / "made-up"
    for name in ("./a@b/set", "a@b/set/", f"{tmp_path}/a@b/set"):
        assert open_dataset(name).split == "default"
        assert open_dataset(f"{name}@odd").split == "odd"
    with pytest.raises(MissingError, match=r"\./made-up: no converted set here"):
        open_dataset("./made-up")


def test_a_dataset_and_a_part_go_to_another_process(made):
    part = Dataset(made, "odd").part("train")
    first = part[0]  # locks and caches are in use
    again = pickle.loads(pickle.dumps(part))
    assert (again.dataset.split, again.ids, again[0]) == ("odd", part.ids, first)


def test_the_card_says_what_the_set_holds(made):
    card = (made / "README.md").read_text()
    record = Dataset(made).record
    assert f"Fingerprint: `{record.fingerprint}`" in card
    for part, ids in IDS.items():
        counts = [sum(box.category == number for one in ids for box in boxes_of(one)) for number in range(3)]
        assert f"| {part} | {len(ids)} | {counts[0]} | {counts[1]} | {counts[2]} |" in card
        assert f"`{record.splits['default'][part].label_digest[:16]}`" in card
    assert "| part | pairs | person | bike | car |\n|---|---|---|---|---|\n| train |" in card
    assert "load_dataset(" in card
    assert "Split policy: by name" in card
    assert "- `odd`: an odd paper\n" in card
    assert "Values of `mask`: 0 background, 1 thing, 255 void." in card
    assert "<b>" not in card.split("---", 2)[2]
    assert "Unofficial" not in card


def test_a_second_conversion_makes_the_same_bytes(made, source, tmp_path):
    convert(MadeUp(), source, tmp_path / "again")
    again, first = snapshot(tmp_path / "again"), snapshot(made)
    for report in (again, first):  # the one file that says where it was written
        content = json.loads(report.pop("conversion.json"))
        assert content["fingerprint"] == Dataset(made).record.fingerprint
    assert again == first


def test_many_small_shards_hold_the_same_set(made, source, tmp_path, small_shards):
    convert(MadeUp(), source, tmp_path / "small")
    small, one = Dataset(tmp_path / "small"), Dataset(made)
    assert len(small.record.shards["train"]) > 1
    assert [len(shards) for shards in one.record.shards.values()] == [1, 1, 1]
    assert sorted(path.name for path in (small.root / "data").iterdir()) == sorted(
        shard for shards in small.record.shards.values() for shard in shards
    )
    assert small.record.fingerprint == one.record.fingerprint
    assert small.record.splits == one.record.splits
    assert [list(small.part(part)) for part in PARTS] == [list(one.part(part)) for part in PARTS]


def test_skipped_samples_make_the_set_unofficial(tmp_path):
    folder = put_source(tmp_path / "source")
    (folder / "test-2.jpg").write_bytes(b"")
    report = convert(MadeUp(), folder, tmp_path / "out", on_error="skip")
    assert (report.skipped, report.parts["test"]) == (1, 2)
    assert Dataset(tmp_path / "out").record.skipped == 1
    assert "**Unofficial: 1 sample(s) were left out" in (tmp_path / "out/README.md").read_text()
    assert json.loads((tmp_path / "out/conversion.json").read_text())["faults"] == list(report.faults)


def only_shard(folder, part="train"):
    (path,) = (folder / "data").glob(f"{part}-*.parquet")
    return path


def read_all(folder):
    dataset = Dataset(folder)
    for part in dataset.parts:
        assert len(dataset.part(part).labels) == len(list(dataset.part(part)))
    assert dataset.digests


def flip_a_picture(path):
    """Change one byte in the middle of the largest image column, where no Parquet structure would notice."""
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0)
    places = {column.column(i).path_in_schema: column.column(i) for i in range(column.num_columns)}
    pages = places["thermal.bytes"]
    content[pages.data_page_offset + pages.total_compressed_size // 2] ^= 1
    path.write_bytes(content)


def write_table(path, table):
    pq.write_table(table, path)


DAMAGE = {
    "no shard": (lambda path: path.unlink(), MissingError),
    "an empty shard": (lambda path: path.write_bytes(b""), BadInputError),
    "half a shard": (lambda path: path.write_bytes(path.read_bytes()[:5000]), BadInputError),
    "no footer": (lambda path: path.write_bytes(path.read_bytes()[:-8]), BadInputError),
    "another file": (lambda path: path.write_bytes(b"PK" + bytes(5000)), BadInputError),
    "one flipped bit": (flip_a_picture, BadInputError),
    "other columns": (lambda path: write_table(path, pa.table({"x": [1]})), BadInputError),
    "null labels": (
        lambda path: write_table(
            path, pq.read_table(path).drop_columns("objects").append_column("objects", [[None] * 7])
        ),
        BadInputError,
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_named(damage, copy):
    harm, error = DAMAGE[damage]
    read_all(copy)
    harm(only_shard(copy))
    with pytest.raises(error, match=r"train-00000-of-00001\.parquet: .*convert the set again"):
        read_all(copy)


def test_samples_that_no_shard_holds_are_named(copy):
    table = pq.read_table(only_shard(copy))
    write_table(only_shard(copy), table.slice(1))
    for read in (lambda part: part.labels, list):
        with pytest.raises(BadInputError, match="no shard holds the sample 'train-0'"):
            read(Dataset(copy).part("train"))


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        ("dataset.json", lambda path: path.write_text("{"), "not valid JSON"),
        ("dataset.json", lambda path: path.write_text("[]"), "not a dataset record"),
        ("dataset.json", lambda path: path.write_bytes(b"\xff\xfe"), "not UTF-8"),
        ("dataset.json", lambda path: edit(path, lambda c: c.pop("fingerprint")), "not a dataset record.*fingerprint"),
        ("dataset.json", lambda path: edit(path, lambda c: c.update(extra=1)), "not a dataset record.*extra"),
        (
            "dataset.json",
            lambda path: edit(path, lambda c: c.update(schema_version=2, new=1)),
            "schema version 2.*reads 1",
        ),
        ("splits/default.json", lambda path: edit(path, lambda c: c["test"].append("train-0")), "ids of test are not"),
        ("splits/default.json", lambda path: edit(path, lambda c: c.pop("test")), "ids of test are not"),
        ("splits/default.json", lambda path: path.write_text("7"), "ids of train are not"),
        ("digests.json", lambda path: path.write_text('{"a": 1}'), "not the digests"),
        ("digests.json", lambda path: path.write_text("[]"), "not the digests"),
    ],
)
def test_a_damaged_record_is_named(file, harm, message, copy):
    harm(copy / file)
    with pytest.raises(BadInputError, match=rf"(?s){file}: .*{message}"):
        read_all(copy)


@pytest.mark.parametrize("file", ["dataset.json", "splits/default.json", "digests.json"])
def test_a_missing_record_is_named(file, copy):
    (copy / file).unlink()
    with pytest.raises(MissingError, match=f"{file}: no such file"):
        read_all(copy)

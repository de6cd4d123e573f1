"""The manifest of a set: exactly its files, what each says, and no pixel or label in any of them."""

import io
import json

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from PIL import Image as Pillow

from rgbt_bench.converting import convert
from rgbt_bench.datasets.manifest import MANIFEST_COLUMNS, manifest_files
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import write_bytes
from test_croissant import NO_DATE, issues, plain
from test_store import EVERY, IDS, PARTS, MadeUp, put_source

REPO = "owner/made-up"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    base = tmp_path_factory.mktemp("made")
    convert(MadeUp(), put_source(base / "source"), base / "set")
    return Dataset(base / "set")


@pytest.fixture(scope="module")
def files(made):
    return manifest_files(made, REPO)


@pytest.fixture(scope="module")
def folder(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("manifest")
    for name, content in files.items():
        write_bytes(folder / name, content)
    return folder


def test_it_has_exactly_its_files(files):
    assert set(files) == {
        *("README.md", "croissant.json", "dataset.json", "digests.json", "splits/default.json", "splits/odd.json"),
        *("manifest/train.parquet", "manifest/val.parquet", "manifest/test.parquet"),
    }


def test_records_and_lists_are_those_of_the_set(made, files):
    for name in ("dataset.json", "digests.json", "splits/default.json", "splits/odd.json"):
        assert files[name] == (made.root / name).read_bytes(), name


def test_its_rows_name_every_sample_and_its_digests(made, files):
    for part, ids in IDS.items():
        rows = pq.read_table(io.BytesIO(files[f"manifest/{part}.parquet"])).to_pylist()
        assert [list(row) for row in rows] == [list(MANIFEST_COLUMNS)] * len(ids)
        for row, sample_id in zip(rows, ids, strict=True):
            digests = made.digests[sample_id]
            assert row == {
                "sample_id": sample_id,
                "source": f"dir/{sample_id}.jpg",
                "label_digest": digests.label,
                "rgb_digest": digests.rgb,
                "thermal_digest": digests.thermal,
            }
    assert made.digests["train-1"].thermal is None


def forbidden(made):
    """Byte strings that a pixel or a label would leave: stretches of images, raw pixels, and texts of boxes."""
    for sample_id in EVERY:
        sample = made.sample(sample_id)
        for image in (sample.rgb, sample.thermal, sample.mask):
            if image:
                half = len(image.data) // 2
                yield from (image.data[:24], image.data[half : half + 16], image.data[-16:])
                yield Pillow.open(io.BytesIO(image.data)).tobytes()[:16]
        for box in sample.objects:
            yield json.dumps(list(box.bbox)).encode()
            yield json.dumps(list(box.bbox), separators=(",", ":")).encode()
    yield from (b"JFIF", b"\x89PNG", b"IDAT", b"bbox", b"objects", b"ignore_regions", b"truncation", b"conversion.json")
    yield from (b"yard", b"night")  # scene and illumination


def test_no_pixel_and_no_label_is_in_any_file(made, files):
    everything = {name: [content] for name, content in files.items()}
    for name in list(everything):
        if name.endswith(".parquet"):  # packed columns, too
            everything[name].append(repr(pq.read_table(io.BytesIO(files[name])).to_pydict()).encode())
    marks = set(forbidden(made))
    assert len(marks) > 80
    for name, contents in everything.items():
        for content in contents:
            assert [mark for mark in marks if mark in content] == [], name


def test_the_search_finds_what_it_looks_for_in_the_set_itself(made):
    shards = b"".join(path.read_bytes() for path in (made.root / "data").iterdir())
    assert sum(mark in shards for mark in forbidden(made)) > 50


def test_datasets_reads_its_rows(folder, tmp_path):
    from datasets import load_dataset

    loaded = load_dataset(str(folder), cache_dir=str(tmp_path))
    assert {part: rows["sample_id"][:] for part, rows in loaded.items()} == IDS
    assert {value.dtype for value in loaded["train"].features.values()} == {"string"}


def test_mlcroissant_reads_its_rows(folder, files):
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    assert issues(dataset) == ([], [NO_DATE])
    assert [one.id for one in dataset.metadata.record_sets] == ["part_names", *PARTS]
    for part, ids in IDS.items():
        records = [plain(record, part) for record in dataset.records(part)]
        assert [record["sample_id"] for record in records] == ids
        assert records == [
            {"split": part, **row} for row in pq.read_table(io.BytesIO(files[f"manifest/{part}.parquet"])).to_pylist()
        ]


def test_its_card_says_what_it_is_and_how_to_rebuild(made, files):
    text = files["README.md"].decode()
    data = DatasetCard(text).data.to_dict()
    assert data["pretty_name"].endswith("(manifest)")
    assert data["license_link"] == f"https://huggingface.co/datasets/{REPO}#licence"
    assert {one["name"]: one["num_examples"] for one in data["dataset_info"]["splits"]} == PARTS
    assert [one["name"] for one in data["dataset_info"]["features"]] == list(MANIFEST_COLUMNS)
    assert data["dataset_info"]["download_size"] == sum(len(files[f"manifest/{part}.parquet"]) for part in PARTS)
    for words in (
        "No pixel and no label is here.",
        f"rgbt-bench pull {REPO}@COMMIT --originals PATH",
        "none &amp; nothing",
        made.record.fingerprint,
        "Nobody",
    ):
        assert words in text


def test_the_same_set_has_the_same_manifest_under_any_split(made, files):
    assert manifest_files(Dataset(made.root, "odd"), REPO) == files


def test_a_sample_without_digests_is_refused(tmp_path):
    convert(MadeUp(), put_source(tmp_path / "source"), tmp_path / "set")
    path = tmp_path / "set/digests.json"
    content = json.loads(path.read_text())
    del content["val-0"]
    path.write_text(json.dumps(content))
    with pytest.raises(BadInputError, match="val-0"):
        manifest_files(Dataset(tmp_path / "set"), REPO)

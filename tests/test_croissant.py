"""Croissant metadata of a converted set: mlcroissant finds nothing wrong with it, and reads the rows through it."""

import hashlib
import json
import re
import shutil

import pytest

from rgbt_bench.converting import convert
from rgbt_bench.datasets import writer
from rgbt_bench.datasets.croissant import croissant, dataset_croissant, shard_files
from rgbt_bench.datasets.store import Dataset
from test_store import MadeUp, put_source

# The one thing that mlcroissant misses where nobody has published the set.
NO_DATE = 'Property "https://schema.org/datePublished" is recommended, but does not exist.'


@pytest.fixture(scope="module")
def mlcroissant():
    import mlcroissant  # takes seconds

    return mlcroissant


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return put_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module", params=["one shard a part", "many shards"])
def made(request, source, tmp_path_factory):
    """A set of both kinds: how its rows are found depends on the number of shards."""
    out = tmp_path_factory.mktemp("made") / "set"
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "many shards":
            patch.setattr(writer, "SHARD_BYTES", 5_000)
            patch.setattr(writer, "ROW_GROUP", 2)
        convert(MadeUp(), source, out)
    return out


def issues(dataset):
    found = dataset.metadata.ctx.issues
    return sorted(found.errors), sorted(re.sub(r"^\[.*?\)\] ", "", warning) for warning in found.warnings)


def test_mlcroissant_finds_nothing_wrong(made, mlcroissant):
    dataset = mlcroissant.Dataset(jsonld=made / "croissant.json")
    assert issues(dataset) == ([], [NO_DATE])
    metadata = dataset.metadata
    assert (metadata.name, metadata.license, metadata.cite_as) == (MadeUp.info.title, [MadeUp.info.licence], "Nobody")
    assert metadata.url == "https://example.org"
    record = Dataset(made).record
    assert metadata.version == f"1.0.0+{record.fingerprint[:16]}"
    assert metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"


def test_every_shard_is_listed_with_its_size_and_hash(made):
    listed = json.loads((made / "croissant.json").read_text())["distribution"]
    files = [one for one in listed if one["@type"] == "cr:FileObject"]
    shards = sorted((made / "data").iterdir())
    assert sorted(one["contentUrl"] for one in files) == [f"data/{path.name}" for path in shards]
    for one in files:
        content = (made / one["contentUrl"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        assert one["contentSize"] == f"{len(content)} B"


def plain(value, part):
    """A record as mlcroissant gives it, by the plain names of its fields and without NumPy's types."""
    if isinstance(value, dict):
        return {key.rpartition("/")[2]: plain(inner, part) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner, part) for inner in value]
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if hasattr(value, "item") else value


def picture(record, column):
    """The bytes and the name that a record has of an image."""
    found = record[column]
    return (found["bytes"].fp.getvalue(), found["path"]) if found["bytes"] else None


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_mlcroissant_reads_every_row_with_its_images(part, made, mlcroissant):
    dataset = mlcroissant.Dataset(jsonld=made / "croissant.json")
    records = [plain(record, part) for record in dataset.records(part)]
    samples = list(Dataset(made).part(part))
    assert [record["sample_id"] for record in records] == [sample.sample_id for sample in samples]
    for record, sample in zip(records, samples, strict=True):
        assert record["split"] == part
        for column in ("rgb", "thermal", "mask"):
            image = getattr(sample, column)
            assert picture(record, column) == ((image.data, image.name) if image else None)
        assert record["rgb"]["bytes"].size == (record["width"], record["height"]) == (sample.width, sample.height)
        wanted = [(list(box.bbox), box.category, box.iscrowd, box.truncation, box.occlusion) for box in sample.objects]
        keys = ("bbox", "category", "iscrowd", "truncation", "occlusion")
        assert [tuple(box[key] for key in keys) for box in record["objects"]] == wanted
        assert record["ignore_regions"] == [list(region) for region in sample.ignore_regions]
        told = [record[key] for key in ("illumination", "scene", "source")]
        assert told == [sample.illumination, sample.scene, sample.source]


def test_parts_and_classes_are_named(made, mlcroissant):
    dataset = mlcroissant.Dataset(jsonld=made / "croissant.json")
    names = {
        table: [plain(one, table)["name"] for one in dataset.records(table)]
        for table in ("part_names", "class_names", "mask_class_names")
    }
    assert names == {
        "part_names": ["train", "val", "test"],
        "class_names": ["person", "bike", "car"],
        "mask_class_names": ["background", "thing"],
    }


def test_a_changed_shard_is_noticed_by_its_hash(source, mlcroissant, tmp_path):
    convert(MadeUp(), source, tmp_path / "set")
    (shard,) = (tmp_path / "set/data").glob("val-*")
    shard.write_bytes(shard.read_bytes() + b"\0")
    with pytest.raises(mlcroissant.GenerationError) as caught:
        list(mlcroissant.Dataset(jsonld=tmp_path / "set/croissant.json").records("val"))
    assert "is not identical with the" in str(caught.value.__cause__)


def test_a_published_set_has_addresses_a_page_and_a_date_and_no_warning_is_left(made, mlcroissant):
    record = Dataset(made).record
    base = "https://huggingface.co/datasets/owner/name/resolve/0123456789abcdef/"
    page = "https://huggingface.co/datasets/owner/name"
    content = dataset_croissant(record, shard_files(made, record), base, page, "2025-01-31")
    dataset = mlcroissant.Dataset(jsonld=json.loads(json.dumps(content)))
    assert issues(dataset) == ([], [])
    assert {one.content_url for one in dataset.metadata.file_objects} == {
        f"{base}data/{path.name}" for path in (made / "data").iterdir()
    }
    assert (dataset.metadata.url, dataset.metadata.same_as) == (page, ["https://example.org"])
    assert dataset.metadata.date_published.isoformat()[:10] == "2025-01-31"


def test_the_metadata_is_the_same_wherever_the_set_lies(made, source, tmp_path):
    elsewhere = shutil.copytree(made, tmp_path / "elsewhere")
    record = Dataset(elsewhere).record
    again = dataset_croissant(record, shard_files(elsewhere, record))
    assert json.loads((made / "croissant.json").read_text()) == json.loads(json.dumps(again))
    assert str(source) not in (made / "croissant.json").read_text()


def test_a_set_without_classes_masks_and_a_homepage_is_described_too(made, mlcroissant):
    record = Dataset(made).record
    change = {"classes": (), "mask_classes": (), "homepage": "none", "title": ""}
    bare = record.model_copy(update={"info": record.info.model_copy(update=change)})
    content = dataset_croissant(bare, shard_files(made, record))
    assert issues(mlcroissant.Dataset(jsonld=content)) == ([], [NO_DATE])
    assert "url" not in content
    assert content["name"] == "made-up"
    assert [one["@id"] for one in content["recordSet"]] == ["part_names", "train", "val", "test"]


def test_every_column_of_a_shard_is_described(made):
    import pyarrow.parquet as pq

    (shard, *_) = (made / "data").iterdir()
    content = json.loads((made / "croissant.json").read_text())
    for records in content["recordSet"][-3:]:
        names = [field["name"] for field in records["field"]]
        assert names == ["split", *pq.read_schema(shard).names]
        assert all(field["description"] for field in records["field"])


def test_a_column_of_an_unknown_type_is_refused_and_not_left_out(made):
    record = Dataset(made).record
    with pytest.raises(KeyError):
        croissant(record, {"sample_id": "float16"}, shard_files(made, record), "")

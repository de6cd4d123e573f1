"""Named splits: whose they are, their hashes here and as published, and how the choice moves the same predictions."""

import json

import pytest
from PIL import Image as Pillow

from cli_cases import only_object, run_in_process
from export_cases import Made, made_images
from flir_cases import PAIRS, put_voc
from rgbt_bench.converters import Images, Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.sample import scene
from rgbt_bench.datasets.sample_converter import SampleConverter, to_item
from rgbt_bench.datasets.splits import split_hash
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.schema import Labels, SplitList
from rgbt_bench.splitting import describe_splits, split_effect, write_lists
from rgbt_converters.flir import Flir


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RGBT_BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def flir(home, tmp_path):
    """A made-up FLIR-aligned, converted at home."""
    convert(Flir(), put_voc(tmp_path / "original"), home / "datasets" / "flir")
    return Dataset(home / "datasets" / "flir")


def test_published_splits_are_known_without_the_set(home):
    content = describe_splits("flir")
    parts = content["splits"]["rgbxfusion"]["parts"]
    assert content["folder"] is None
    assert {name: part["published_samples"] for name, part in parts.items()} == {
        "train": 3302, "val": 826, "test": 1013,
    }  # fmt: skip
    ids = next(split for split in Flir().published_splits() if split.name == "rgbxfusion").parts["test"]
    assert parts["test"]["published_ids_sha256"] == split_hash(ids)
    assert [parts["test"][key] for key in ("samples", "ids_sha256", "as_published")] == [None] * 3
    assert "RGBXFusion" in content["splits"]["rgbxfusion"]["origin"]


def test_a_converted_set_is_held_against_what_is_published(flir):
    splits = describe_splits("flir")["splits"]
    assert list(splits) == ["default", "rgbxfusion", "official"]
    assert splits["official"]["parts"]["train"]["ids_sha256"] == split_hash(PAIRS["train"])
    assert splits["official"]["parts"]["train"]["as_published"] is None
    incomplete = splits["rgbxfusion"]["parts"]["test"]
    assert (incomplete["samples"], incomplete["published_samples"], incomplete["as_published"]) == (2, 1013, False)
    assert "the lists of the archive" in splits["official"]["origin"]
    assert splits["default"]["origin"] == Flir.info.split_policy


class Listed(SampleConverter):
    """Four scenes, in a default split whose ids are published, and in another one."""

    def published_splits(self):
        ids = [scene("train", place).sample_id for place in range(4)]
        return (
            SplitList("default", {"train": tuple(ids[:2]), "test": tuple(ids[2:])}, "ours"),
            SplitList("theirs", {"train": tuple(ids[2:]), "test": (ids[0],)}, "a paper"),
        )

    def scan(self, source):
        items = [to_item("train" if place < 2 else "test", scene("train", place)) for place in range(4)]
        return Scan("memory", items)


@pytest.fixture
def listed(home, monkeypatch):
    """The converted set, registered under its name, with detections on what it holds."""
    monkeypatch.setattr("rgbt_bench.splitting.load_converter", lambda name: Listed)
    convert(Listed(), None, home / "datasets" / "sample")
    return Dataset(home / "datasets" / "sample")


def detections(dataset, ids, path):
    """Perfect predictions on some samples."""
    rows = [
        {"image_id": one, "category_id": box.category + 1, "bbox": list(box.bbox), "score": 0.9}
        for one in ids
        for box in dataset.labels[one].objects
    ]
    path.write_text(json.dumps(rows))
    return path


def test_a_published_default_split_is_no_split_of_its_own(listed):
    assert list(listed.record.splits) == ["default", "theirs"]
    parts = describe_splits("sample")["splits"]["default"]["parts"]
    assert {name: part["as_published"] for name, part in parts.items()} == {"train": True, "test": True}


def test_the_same_predictions_are_scored_on_every_part(listed, tmp_path):
    ids = listed.part("test").ids
    found = split_effect("sample", detections(listed, ids, tmp_path / "p.json"))
    rows = {(row["split"], row["part"]): row for row in found["parts"]}
    assert list(rows) == [("default", "train"), ("default", "test"), ("theirs", "train"), ("theirs", "test")]
    assert [row["predicted"] for row in rows.values()] == [0, 2, 2, 0]
    assert [row["AP"] for row in rows.values()] == [None, 1.0, 1.0, None]
    assert [row["in_training"] for row in rows.values()] == [2, 0, 0, 1]
    assert [row["difference"] for row in rows.values()] == [None] * 4


def test_what_the_named_split_trained_on_is_counted(listed, tmp_path):
    path = detections(listed, listed.labels, tmp_path / "p.json")
    found = split_effect("sample@theirs", path)
    rows = {(row["split"], row["part"]): row["in_training"] for row in found["parts"]}
    assert found["trained_on"] == "theirs"
    assert {row["split"]: row["difference"] for row in found["parts"] if row["part"] == "test"} == {
        "theirs": None, "default": 0.0,
    }  # fmt: skip
    assert rows[("default", "test")] == 2
    assert rows[("theirs", "test")] == 0


def test_the_figures_are_those_of_evaluate(listed, tmp_path):
    from rgbt_bench.scoring import score_file

    ids = listed.part("test").ids
    path = detections(listed, ids, tmp_path / "p.json")
    rows = json.loads(path.read_text())
    for place, row in enumerate(rows):
        row["bbox"][0] += place % 5
    rows.append({**rows[0], "score": 0.95, "category_id": rows[0]["category_id"] % 3 + 1})
    path.write_text(json.dumps(rows))
    expected = score_file(path, listed.part("test"), "detection-rgbt").metrics.figures
    row = next(row for row in split_effect("sample", path)["parts"] if row["part"] == "test")
    assert (row["AP"], row["AP50"]) == (expected["AP"], expected["AP50"])
    assert 0 < row["AP"] < 1


def test_predictions_on_nothing_of_the_set_are_refused(listed, tmp_path):
    path = tmp_path / "p.json"
    path.write_text("[]")
    with pytest.raises(BadInputError, match=r"p\.json: predicts no sample"):
        split_effect("sample", path)


def test_an_unknown_dataset_split_or_file_is_answered(flir, tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'flir'"):
        describe_splits("flri")
    with pytest.raises(UsageError, match="Did you mean 'official'"):
        describe_splits("flir@oficial")
    with pytest.raises(MissingError, match="no converted set here"):
        describe_splits("./nowhere")
    with pytest.raises(MissingError, match="no such file"):
        split_effect("flir", tmp_path / "none.json")


def test_the_effect_on_a_set_without_boxes_is_refused(home, tmp_path):
    samples = [("test", Labels(sample_id="a", width=20, height=16), made_images(0, (20, 16), False, True, False))]
    convert(Made(samples, ("test",)), None, home / "datasets" / "made")
    with pytest.raises(BadInputError, match=r"^made: has no boxes to score against$"):
        split_effect("made", tmp_path / "p.json")


def test_a_sheet_that_is_a_folder_is_refused_before_anything_is_hashed(listed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rgbt_bench.datasets.leaks.leak_report", lambda *_: pytest.fail("hashed"))
    code, _, err = run_in_process(monkeypatch, capsys, ["splits", "sample", "--leaks", "--sheet", tmp_path])
    assert (code, f"{tmp_path}: is a folder; name a PNG file" in err) == (2, True)


def test_a_set_without_published_splits_must_be_converted(home):
    with pytest.raises(MissingError, match="is not converted yet"):
        describe_splits("sample")


def test_lists_are_written_as_text(flir, tmp_path, monkeypatch, capsys):
    written = write_lists("flir@official", tmp_path / "lists")
    assert written == ["official_train.txt", "official_test.txt"]
    assert (tmp_path / "lists" / "official_train.txt").read_text().split() == sorted(PAIRS["train"])
    arguments = ["splits", "flir", "--write", tmp_path / "all", "--json"]
    code, out, _ = run_in_process(monkeypatch, capsys, arguments)
    assert code == 0
    assert len(only_object(out)["written"]) == len(list((tmp_path / "all").iterdir())) == 3 + 3 + 2
    # What is published is written as published, although two pairs of it are here.
    assert len((tmp_path / "all" / "rgbxfusion_test.txt").read_text().split()) == 1013


def test_the_effect_is_printed(listed, tmp_path, monkeypatch, capsys):
    path = detections(listed, listed.labels, tmp_path / "p.json")
    code, out, _ = run_in_process(monkeypatch, capsys, ["splits", "sample", "--effect", path])
    assert code == 0
    assert "+0.0000" in out
    assert "the model has seen them" in out


class Copied(Listed):
    """The same scenes, with the picture of a training one in a test one."""

    def read(self, source, item):
        place = int(item.labels.source.rpartition("/")[2])
        one = scene("train", 0 if place == 3 else place)
        return Images(one.rgb, one.thermal, one.mask)


def test_look_alikes_are_printed_and_drawn(home, tmp_path, monkeypatch, capsys):
    convert(Copied(), None, home / "datasets" / "sample")
    picture = tmp_path / "leaks.png"
    arguments = ["splits", "sample", "--leaks", "--sheet", picture, "--sheet-pairs", "2"]
    code, out, _ = run_in_process(monkeypatch, capsys, arguments)
    assert code == 0
    copied, original = scene("train", 3).sample_id, scene("train", 0).sample_id
    assert f"test {copied} is like train {original}: 0 bits" in out
    with Pillow.open(picture) as drawn:
        assert drawn.height > 2 * 320
    code, out, _ = run_in_process(monkeypatch, capsys, [*arguments[:3], "--json"])
    (one,) = only_object(out)["leaks"]["comparisons"]
    assert (one["part"], one["other"], one["samples"], one["in_both"]) == ("test", "train", 2, 0)
    assert one["worst"][0]["sample_id"] == copied
    assert only_object(out)["leaks"]["sheet"] is None


def test_a_sheet_without_leaks_is_refused(home, monkeypatch, capsys):
    code, _, err = run_in_process(monkeypatch, capsys, ["splits", "flir", "--sheet", "x.png"])
    assert (code, "give --leaks, too" in err) == (2, True)


def test_the_printed_hash_is_that_of_the_published_ids(flir, monkeypatch, capsys):
    published = describe_splits("flir")["splits"]["rgbxfusion"]["parts"]["test"]["published_ids_sha256"]
    out = run_in_process(monkeypatch, capsys, ["splits", "flir"])[1]
    row = next(line for line in out.splitlines() if line.startswith("test") and "1013" in line)
    assert "incomplete" in row
    assert published[:16] in row

"""Converted sets on the Hub: pushed whole or as a manifest, read without our code, pulled, rebuilt and verified."""

# ruff: noqa: F401, F811 - fixtures

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlcroissant
import pyarrow.parquet as pq
import pytest

from cli_cases import only_object
from flir_cases import PAIRS, jpegs
from generated_pairs import snapshot
from hub_fixtures import TOKEN
from hub_sets import TEST, another_box, edited, flir, manifest, original, pushed, tamper
from rgbt_bench.datasets.digests import SampleDigests, fingerprint
from rgbt_bench.datasets.store import Dataset, part_record
from rgbt_bench.hub.names import HubName
from rgbt_bench.hub.sets import read_hub_record

CHANGED = {"README.md", "conversion.json"}  # what a pushed set has otherwise than its folder


def elsewhere(code):
    """Run Python without our code on its path of modules, as somebody with `datasets` alone; return what it prints."""
    code = f"import sys; sys.modules['rgbt_bench'] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_pushed_set_is_private_and_whole(hub, pushed, flir):
    repo = hub.repo("ann/flir")
    assert repo.private
    assert pushed["private"]
    assert pushed["revision"] == repo.head
    there = {path: data for path, data in repo.files.items() if path not in CHANGED | {".gitattributes"}}
    here = {path: data for path, data in snapshot(flir).items() if path not in CHANGED | {"hub.json"}}
    assert there == here
    assert read_hub_record(flir) == HubName("ann/flir", repo.head)


def test_nothing_of_this_machine_is_pushed(hub, pushed, manifest, tmp_path):
    for name in ("ann/flir", "ann/flir-ids"):
        for path, data in hub.repo(name).files.items():
            for secret in (str(tmp_path), str(Path.home()), TOKEN, os.uname().nodename):
                assert secret.encode() not in data, (path, secret)


@pytest.mark.parametrize("streaming", [False, True])
def test_load_dataset_reads_a_pushed_set_without_our_code(pushed, streaming):
    printed = elsewhere(f"""
from datasets import load_dataset
found = load_dataset("ann/flir", revision={pushed["revision"]!r}, streaming={streaming})
for part in found:
    for row in found[part]:
        print(part, row["sample_id"], row["rgb"].size, row["thermal"].mode, len(row["objects"]))
print(found["train"].features["objects"].feature["category"].names)
""").splitlines()
    ids = {part: list(pairs) for part, pairs in PAIRS.items()}
    assert {line.split()[1] for line in printed[:-1]} == {one for listed in ids.values() for one in listed}
    assert all("(64, 48) L" in line for line in printed[:-1])
    assert "person" in printed[-1]


def test_load_dataset_reads_a_manifest(manifest):
    printed = elsewhere(f"""
from datasets import load_dataset
found = load_dataset("ann/flir-ids", revision={manifest["revision"]!r})
print(*sorted(found), *found["test"].column_names)
print(found["test"][0])
""")
    assert "test train val sample_id source label_digest rgb_digest thermal_digest" in printed


@pytest.mark.parametrize("name", ["ann/flir", "ann/flir-ids"])
def test_the_pushed_croissant_is_valid(hub, pushed, manifest, name, tmp_path):
    path = tmp_path / "croissant.json"
    path.write_bytes(hub.repo(name).files["croissant.json"])
    found = mlcroissant.Dataset(jsonld=path)
    assert not found.metadata.ctx.issues.errors
    files = [one for one in json.loads(path.read_text())["distribution"] if one["@type"] == "cr:FileObject"]
    assert files
    for one in files:
        assert len(hub.repo(name).files[one["contentUrl"]]) == int(one["contentSize"].removesuffix(" B"))


def test_a_card_that_the_hubs_own_reader_takes(hub, pushed, manifest):
    from huggingface_hub import DatasetCard

    card = DatasetCard(hub.repo("ann/flir").files["README.md"].decode())
    assert card.data.license == "other"
    assert "rgb-thermal" in card.data.tags
    assert 'load_dataset("ann/flir"' in card.text
    card = DatasetCard(hub.repo("ann/flir-ids").files["README.md"].decode())
    assert "rgbt-bench pull ann/flir-ids@COMMIT --originals" in card.text


def test_a_manifest_holds_no_pixel_and_no_label(hub, manifest):
    files = hub.repo("ann/flir-ids").files
    assert not any(path.startswith("data/") for path in files)
    for part in PAIRS.values():
        for sample_id in part:
            for image in jpegs(sample_id):
                assert all(image[200:260] not in data for data in files.values())
    for path, data in files.items():
        if path.startswith("manifest/"):
            names = pq.read_schema(io.BytesIO(data)).names
            assert names == ["sample_id", "source", "label_digest", "rgb_digest", "thermal_digest"]


def test_a_pull_gives_the_same_set(pushed, flir, bench, tmp_path):
    out = tmp_path / "pulled"
    code, printed, err = bench("pull", f"ann/flir@{pushed['revision']}", "--out", out, "--json")
    assert code == 0, err
    report = only_object(printed)
    assert report["fingerprint"] == Dataset(flir).record.fingerprint
    assert (report["rebuilt"], report["samples"]) == (False, 8)
    same = {path: data for path, data in snapshot(flir).items() if path not in CHANGED}
    assert {path: data for path, data in snapshot(out).items() if path not in CHANGED} == same
    assert sorted(path.name for path in tmp_path.iterdir() if "pulled" in path.name) == [".pulled.lock", "pulled"]


def test_a_pull_goes_by_the_sets_name_where_nothing_is_said(pushed, flir, bench, home):
    shutil.rmtree(flir)
    assert bench("pull", "hub:ann/flir")[0] == 0
    assert bench("inspect", "flir")[0] == 0
    code, _, err = bench("pull", "ann/flir")
    assert (code, "--force" in err) == (2, True)
    assert bench("pull", "ann/flir", "--force")[0] == 0


def test_a_pull_that_was_cut_goes_on_where_it_stopped(hub, pushed, bench, tmp_path):
    hub.fail("GET", r"data/test|storage|cdn", status=403, times=99, after=1)
    code, _, err = bench("pull", "ann/flir", "--out", tmp_path / "out")
    assert code == 7, err
    assert not (tmp_path / "out").exists()
    hub.reset()
    assert bench("pull", "ann/flir", "--out", tmp_path / "out")[0] == 0


def test_a_manifest_and_the_originals_make_the_set_again(manifest, flir, original, bench, tmp_path):
    out = tmp_path / "rebuilt"
    code, printed, err = bench("pull", "ann/flir-ids", "--originals", original, "--out", out, "--json")
    assert code == 0, err
    report = only_object(printed)
    assert report["rebuilt"]
    assert report["other_splits"] == []
    skipped = {"conversion.json", "hub.json"}
    same = {path: data for path, data in snapshot(flir).items() if path not in skipped}
    assert {path: data for path, data in snapshot(out).items() if path not in skipped} == same
    assert read_hub_record(out).revision == manifest["revision"]


def test_a_manifest_without_originals_says_how_to_get_them(manifest, bench, tmp_path):
    code, _, err = bench("pull", "ann/flir-ids", "--out", tmp_path / "out")
    assert code == 4
    assert "--originals PATH" in err
    assert "accept its terms" in err


def other_pixels(original):
    (path,) = original.rglob("FLIR_00699_PreviewData.jpg")
    path.write_bytes(jpegs("FLIR_00001")[1])


def other_label(original):
    path = next(path for path in original.rglob("*train*.json"))
    path.write_text(path.read_text().replace('"bbox": [20, 10, 30, 20]', '"bbox": [20, 10, 30, 21]', 1))


def one_less(original):
    for path in original.rglob("*FLIR_00700*"):
        path.unlink()
    for path in original.rglob("*.json"):
        content = json.loads(path.read_text())
        gone = {one["id"] for one in content["images"] if "FLIR_00700" in one["file_name"]}
        content["images"] = [one for one in content["images"] if one["id"] not in gone]
        content["annotations"] = [one for one in content["annotations"] if one["image_id"] not in gone]
        path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_pixels, "FLIR_00699: another thermal"),
        (other_label, "FLIR_00699: another label"),
        (one_less, "FLIR_00700: not in these originals"),
    ],
)
def test_other_originals_are_named_by_sample_and_nothing_is_written(manifest, original, bench, tmp_path, change, words):
    change(original)
    code, _, err = bench("pull", "ann/flir-ids", "--originals", original, "--out", tmp_path / "out")
    assert (code, words in err) == (3, True), err
    assert "not the manifest's in 1 of 8 samples; nothing was written" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "change", "code", "words"),
    [
        (TEST, another_box, 3, "label"),
        (TEST, lambda data: data[:-100], 3, "not a readable shard"),
        (
            "dataset.json",
            edited(lambda one: one.update(fingerprint="0" * 64)),
            3,
            "do not make the set's fingerprint; it is so at hub:ann/flir@",
        ),
        ("dataset.json", edited(lambda one: one["shards"].update(test=["../../evil.parquet"])), 3, "which no set has"),
        ("dataset.json", edited(lambda one: one["splits"].update({"../x": {}})), 3, "which no set has"),
        (
            "dataset.json",
            edited(lambda one: one["shards"].update(test=["test-00000-of-00002.parquet"])),
            3,
            "not there",
        ),
        ("dataset.json", edited(lambda one: one.update(schema_version=99)), 3, "reads 1; it is so at hub:ann/flir@"),
        ("dataset.json", lambda data: b"[]", 3, "not a dataset record"),
        ("digests.json", lambda data: b"{}", 3, "do not make the set's fingerprint"),
        ("splits/default.json", lambda data: b"{}", 3, "are not those that dataset.json has the hash of"),
    ],
)
def test_a_damaged_repository_is_refused_and_leaves_nothing(hub, pushed, bench, tmp_path, path, change, code, words):
    tamper(hub, "ann/flir", path, change)
    found, _, err = bench("pull", "ann/flir", "--out", tmp_path / "out")
    assert (found, words in err) == (code, True), err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "evil.parquet").exists()
    assert bench("pull", f"ann/flir@{pushed['revision']}", "--out", tmp_path / "out")[0] == 0


def test_what_is_no_set_of_ours_is_said(hub, bench, tmp_path):
    hub.create_repo("bob/other", private=False, files={"train.csv": b"a,b\n"})
    code, _, err = bench("pull", "bob/other")
    assert (code, "no set of rgbt-bench is there" in err) == (2, True), err


def test_originals_are_for_a_manifest(pushed, original, bench, tmp_path):
    code, _, err = bench("pull", "ann/flir", "--originals", original, "--out", tmp_path / "out")
    assert (code, "leave --originals out" in err) == (2, True), err


def test_a_part_of_any_name_that_a_description_may_give_is_pulled(hub, tmp_path, bench, flir):
    out = tmp_path / "export"
    assert bench("export", "flir", "--format", "coco", "--out", out)[0] == 0
    (description,) = out.glob("*.y*ml")
    text = description.read_text().partition("splits:")[0].replace("- test", "- 2_Test")
    description.write_text(text)
    for name in ("visible", "infrared", "annotations"):
        for path in (out / name).glob("test*"):
            path.rename(path.with_name(f"2_Test{path.suffix}"))
    code, _, err = bench("convert", "custom", out, "--push", "ann/mine")
    assert code == 0, err
    code, _, err = bench("pull", "ann/mine", "--out", tmp_path / "again")
    assert code == 0, err
    assert "2_Test" in Dataset(tmp_path / "again").parts


def test_a_users_own_set_is_rebuilt_by_its_description(hub, tmp_path, bench, flir):
    out = tmp_path / "export"
    assert bench("export", "flir", "--format", "coco", "--out", out)[0] == 0
    (description,) = out.glob("*.y*ml")
    description.write_text(description.read_text().replace("name: flir", "name: mine"))
    code, _, err = bench("convert", "custom", out, "--push", "ann/mine", "--manifest-only")
    assert code == 0, err
    code, printed, err = bench("pull", "ann/mine", "--originals", out, "--out", tmp_path / "again")
    assert code == 0, err
    assert "rebuilt from your originals" in printed
    written = description.read_text()
    for change, words in (
        (("name: mine", "name: yours"), "the manifest has the name 'mine-export', and"),
        (("- car", "- car\n- more"), "the classes ('person', 'bike', 'car'), and"),
        (("- 255.0", "- 200.0"), "the thermal_range (0.0, 255.0), and"),
    ):
        description.write_text(written.replace(*change))
        code, _, err = bench("pull", "ann/mine", "--originals", out, "--out", tmp_path / "other")
        assert (code, words in err) == (3, True), err
        assert not (tmp_path / "other").exists()


def test_a_manifest_of_other_classes_is_not_rebuilt(hub, manifest, original, bench, tmp_path):
    def another_class(record):
        record["info"]["classes"].append("dog")
        classes = tuple(record["info"]["classes"])
        record["fingerprint"] = fingerprint(digests, classes)
        for split, parts in record["splits"].items():
            lists = json.loads(repo.files[f"splits/{split}.json"])
            for part, told in parts.items():
                parts[part] = part_record(digests, lists[part], told["ids_sha256"], classes).model_dump()

    repo = hub.repo("ann/flir-ids")
    digests = {one: SampleDigests(*entry) for one, entry in json.loads(repo.files["digests.json"]).items()}
    tamper(hub, "ann/flir-ids", "dataset.json", edited(another_class))
    code, _, err = bench("pull", "ann/flir-ids", "--originals", original, "--out", tmp_path / "out")
    assert (code, "has classes ('person', 'bike', 'car', 'dog') there, and" in err) == (3, True), err
    assert not (tmp_path / "out").exists()

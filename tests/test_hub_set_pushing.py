"""Who may see a pushed set, what it may replace, and pushing right after a conversion."""

# ruff: noqa: F401, F811 - fixtures

import json
import signal
import subprocess
import sys
import time

import pytest

from cli_cases import only_object
from hub_sets import flir, manifest, original, pushed
from hub_store import Entry
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.hub.names import HubName
from rgbt_bench.hub.sets import set_files


def test_public_needs_the_terms_by_their_own_name(hub, flir, bench):
    code, _, err = bench("push", "flir", "--hub", "ann/flir", "--public")
    assert code == 2
    assert Dataset(flir).info.licence.split(".")[0] in err
    assert "add --accept-terms flir" in err
    code, _, err = bench("push", "flir", "--hub", "ann/flir", "--public", "--accept-terms", "m3fd")
    assert (code, "the set is flir" in err) == (2, True)
    assert not hub.requests
    assert bench("push", "flir", "--hub", "ann/flir", "--public", "--accept-terms", "flir")[0] == 0
    assert not hub.repo("ann/flir").private


def test_a_manifest_may_be_public_without_the_terms(hub, flir, bench):
    assert bench("push", "flir", "--hub", "ann/ids", "--public", "--manifest-only")[0] == 0
    assert not hub.repo("ann/ids").private


def test_a_history_with_pixels_is_not_made_public_by_a_manifest(hub, pushed, flir, bench):
    code, _, err = bench("push", "flir", "--hub", "ann/flir", "--manifest-only")
    assert (code, "holds a whole set, and this is a manifest" in err) == (2, True), err
    repo = hub.repo("ann/flir")
    repo.commit(dict.fromkeys(path for path in repo.files if path.startswith("data/")))
    code, _, err = bench("push", "flir", "--hub", "ann/flir", "--manifest-only", "--public")
    assert (code, "holds data/test-00000-of-00001.parquet, which is of no manifest" in err) == (2, True), err
    assert hub.repo("ann/flir").private


@pytest.mark.parametrize("path", ["data/train-00000-of-00001.parquet", "images.zip"])
@pytest.mark.parametrize("branch", ["main", "old"])
def test_nothing_but_manifests_becomes_public_with_a_manifest(hub, manifest, flir, bench, path, branch):
    repo = hub.repo("ann/flir-ids")
    repo.branches[branch] = repo.head
    for content in (Entry(b"pixels"), None):
        repo.write([(path, content)], "Mine", "ann", branch=branch)
    code, _, err = bench("push", "flir", "--hub", "ann/flir-ids", "--manifest-only", "--public")
    assert (code, f"of {branch} holds {path}" in err) == (2, True), err
    assert repo.private
    repo.branches = {"main": manifest["revision"]}
    assert bench("push", "flir", "--hub", "ann/flir-ids", "--manifest-only", "--public")[0] == 0
    assert not repo.private


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"model.safetensors": b"x"}, "holds something else (model.safetensors)"),
        ({"dataset.json": b'{"info": {"name": "m3fd"}}'}, "holds the dataset 'm3fd', not 'flir'"),
        ({"dataset.json": b"[]"}, "is none of ours"),
    ],
)
def test_a_repository_of_something_else_is_not_overwritten(hub, flir, bench, files, words):
    hub.create_repo("ann/flir", files=files)
    code, _, err = bench("push", "flir", "--hub", "ann/flir")
    assert (code, words in err) == (2, True), err
    assert hub.repo("ann/flir").files.keys() - {".gitattributes"} == files.keys()


def test_an_empty_repository_made_in_a_browser_is_taken(hub, flir, bench):
    hub.create_repo("ann/flir", files={"README.md": b"---\nlicense: other\n---\n"})
    assert bench("push", "flir", "--hub", "ann/flir")[0] == 0


def test_a_set_whose_records_do_not_fit_is_not_pushed(hub, flir, bench):
    (flir / "digests.json").write_text("{}")
    code, _, err = bench("push", "flir", "--hub", "ann/flir")
    assert (code, "digests.json" in err) == (3, True), err
    assert not hub.requests


def test_convert_pushes_what_it_made(hub, original, home, bench):
    code, out, err = bench("convert", "flir", original, "--push", "ann/flir", "--json")
    assert code == 0, err
    assert only_object(out)["push"]["revision"] == hub.repo("ann/flir").head
    code, _, err = bench("convert", "flir", original, "--push", "ann/flir")
    assert (code, "rgbt-bench push" in err) == (2, True), err


def test_convert_asks_about_the_push_before_it_begins(hub, original, home, bench):
    for options, words in (
        (["--push", "bob/flir"], "neither you"),
        (["--push", "ann/flir", "--public"], "--accept-terms flir"),
        (["--public"], "give --push"),
        (["--manifest-only"], "give --push"),
        (["--push", "flir"], "OWNER/NAME"),
    ):
        code, _, err = bench("convert", "flir", original, *options)
        assert (code, words in err) == (2, True), err
    assert not (home / "datasets" / "flir").exists()


def test_a_push_that_fails_after_the_conversion_says_how_to_go_on(hub, original, home, bench):
    hub.fail("POST", "/commit/", status=403, times=9)
    code, _, err = bench("convert", "flir", original, "--push", "ann/flir")
    assert code == 7
    assert f"rgbt-bench push {home / 'datasets' / 'flir'} --hub ann/flir" in err
    hub.reset()
    assert bench("push", "flir", "--hub", "ann/flir")[0] == 0


def test_a_dry_run_lists_the_files_and_asks_nobody(hub, flir, bench):
    code, out, err = bench("push", "flir", "--hub", "ann/flir", "--dry-run", "--json")
    assert code == 0, err
    content = only_object(out)
    assert content["files"].keys() == set_files(Dataset(flir), HubName("ann/flir")).keys()
    assert not hub.requests


@pytest.mark.parametrize("options", [[], ["--manifest-only"], ["--dry-run"]])
def test_what_is_on_the_hub_is_pulled_before_it_is_pushed(hub, pushed, bench, options):
    code, _, err = bench("push", "hub:ann/flir", "--hub", "ann/copy", *options)
    assert (code, "`rgbt-bench pull hub:ann/flir` gets it" in err) == (2, True), err


def test_a_set_that_cannot_be_written_to_is_pushed_all_the_same(hub, flir, bench, caplog):
    (flir / "hub.json").mkdir()
    code, out, err = bench("push", "flir", "--hub", "ann/flir")
    assert code == 0, err
    assert hub.repo("ann/flir").head in out
    assert "cannot be noted beside the set" in caplog.text


def test_a_dry_run_refuses_what_the_push_would(hub, flir, bench):
    for options, words in (
        (["--public"], "add --accept-terms flir"),
        (["--accept-terms", "flir"], "is for --public"),
    ):
        code, _, err = bench("push", "flir", "--hub", "ann/flir", "--dry-run", *options)
        assert (code, words in err) == (2, True), err


def test_the_terms_are_those_that_are_known_here_whatever_the_set_says(hub, flir, bench):
    path = flir / "dataset.json"
    content = json.loads(path.read_text())
    content["info"]["licence"] = "Do what you like."
    path.write_text(json.dumps(content))
    code, _, err = bench("push", "flir", "--hub", "ann/flir", "--public")
    assert (code, "Do what you like" in err, "a right to redistribute is not established" in err) == (2, False, True)


def test_ctrl_c_does_not_wait_for_an_upload(hub, flir, tmp_path):
    code = "import sys; from rgbt_bench.cli import main; sys.argv[0] = 'rgbt-bench'; main()"
    command = [sys.executable, "-c", code, "push", str(flir), "--hub", "ann/flir"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    interrupted = []

    def interrupt(server):
        if not interrupted:
            interrupted.append(time.monotonic())
            process.send_signal(signal.SIGINT)
        process.wait(20)  # the upload hangs for as long

    hub.fail("PUT", ".", times=99, do=interrupt)
    assert process.wait(30) == 130
    assert time.monotonic() - interrupted[0] < 10
    assert set(hub.repo("ann/flir").files) == {".gitattributes"}

"""Pushing files: one commit on the head that was seen, nothing half-seen, whatever the Hub or the way there does."""

import hashlib
import io
import logging
import os
import subprocess
import sys

import pytest

from hub_fixtures import BOBS_TOKEN, TOKEN, Waits
from rgbt_bench.errors import BenchError, HubError, MissingError, UsageError
from rgbt_bench.hub import client
from rgbt_bench.hub.names import HubName
from rgbt_bench.hub.pushing import find_place, push_files
from rgbt_bench.hub.remote import open_remote

SET = HubName("ann/set")
BIG = os.urandom(300_000)
FILES = {"README.md": b"---\nlicense: other\n---\nHello.\n", "dataset.json": b"{}", "data/train.parquet": BIG}


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """What our own tries wait, in seconds; the waits themselves are short."""
    noted = []
    monkeypatch.setattr(client, "time", Waits(noted))
    return noted


def is_ours(path):
    return path.startswith("data/") or path == "dataset.json"


def push(name=SET, files=FILES, public=False, kind="dataset", message="Set of sample", require=lambda remote: None):
    return push_files(find_place(name, kind, public, require), files, message, is_ours)


def content(repo):
    return {path: data for path, data in repo.files.items() if path != ".gitattributes"}


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_a_push_is_one_commit_to_a_private_repository(hub, kind, tmp_path):
    large = tmp_path / "large.bin"
    large.write_bytes(BIG)
    pushed = push(files={**FILES, "data/train.parquet": large}, kind=kind)
    repo = hub.repo("ann/set", kind)
    assert repo.private
    assert content(repo) == FILES
    assert (pushed.revision, pushed.private, pushed.is_new) == (repo.head, True, True)
    assert pushed.bytes == sum(map(len, FILES.values()))
    assert pushed.url == f"{hub.url}/{'datasets/' if kind == 'dataset' else ''}ann/set"
    made = [commit.message for commit in repo.commits]
    assert made.count("Set of sample") == 1
    assert len(made) <= 2  # with the Hub's own first one


def test_the_same_push_again_makes_no_commit_and_sends_no_content(hub):
    first = push()
    hub.reset()
    second = push()
    assert (second.revision, second.is_new) == (first.revision, False)
    assert sum(request.received for request in hub.requests) < 1000


def test_a_push_replaces_what_is_ours_and_keeps_what_is_not(hub):
    push()
    repo = hub.repo("ann/set")
    repo.commit({**repo.files, "notes.txt": b"of the owner"})
    files = {**FILES, "data/test.parquet": b"other"}
    del files["data/train.parquet"]
    push(files=files)
    assert content(hub.repo("ann/set")) == {**files, "notes.txt": b"of the owner"}


def test_an_organisation_of_the_user_can_be_pushed_to(hub):
    push(HubName("lab/set"))
    assert hub.repo("lab/set").private


def test_public_is_only_after_the_commit(hub):
    seen = []
    hub.fail("POST", "/commit/", do=lambda server: seen.append(server.repo("ann/set").private))
    assert not push(public=True).private
    assert seen == [True]
    assert not hub.repo("ann/set").private


def test_a_failed_commit_leaves_a_private_repository_without_anything_of_ours(hub):
    hub.fail("POST", "/commit/", status=400, times=9)
    with pytest.raises(BenchError, match="does not take that"):
        push(public=True)
    repo = hub.repo("ann/set")
    assert repo.private
    assert content(repo) == {}


def test_a_card_that_the_hub_does_not_take_is_named(hub):
    with pytest.raises(BenchError, match=r"does not take the card, README.md: .*license"):
        push(files={**FILES, "README.md": b"---\nlicense: as I like\n---\n"})
    assert content(hub.repo("ann/set")) == {}


def test_a_public_repository_is_not_pushed_to_in_silence(hub):
    hub.create_repo("ann/set", private=False)
    with pytest.raises(UsageError, match="the repository is public"):
        push()
    assert content(hub.repo("ann/set")) == {}
    assert not push(public=True).private


@pytest.mark.parametrize("moment", ["/preupload/", "/objects/batch", "PUT"])
def test_a_repository_that_becomes_public_during_the_upload_is_not_committed_to(hub, moment):
    def publish(server):
        server.repo("ann/set").private = False

    method, path = ("PUT", ".") if moment == "PUT" else ("POST", moment)
    hub.fail(method, path, do=publish)
    with pytest.raises(UsageError, match="the repository is public"):
        push()
    assert content(hub.repo("ann/set")) == {}


def test_a_repository_that_appears_meanwhile_is_looked_at_as_any_other(hub):
    theirs = {"dataset.json": b"of another", "data/other.parquet": b"y"}

    def require(remote):
        if theirs.keys() & remote.files.keys():
            raise UsageError("holds another set")

    hub.fail("POST", "/api/repos/create", do=lambda server: server.create_repo("ann/set", files=theirs))
    with pytest.raises(UsageError, match="holds another set"):
        push(require=require)
    assert content(hub.repo("ann/set")) == theirs
    hub.fail("POST", "/api/repos/create", do=lambda server: server.create_repo("ann/two", private=False))
    with pytest.raises(UsageError, match="the repository is public"):
        push(HubName("ann/two"))
    assert content(hub.repo("ann/two")) == {}


def test_what_is_there_can_refuse(hub):
    hub.create_repo("ann/set", files={"model.bin": b"x"})

    def require(remote):
        raise UsageError(f"holds {sorted(remote.files)[-1]}")

    with pytest.raises(UsageError, match=r"holds model.bin"):
        push(require=require)


@pytest.mark.parametrize(
    ("owner", "words"),
    [("bob", "neither you nor an organisation"), ("an", "Did you mean 'ann'"), ("lap", "Did you mean 'lab'")],
)
def test_somebody_elses_name_is_refused_before_anything_is_sent(hub, owner, words):
    with pytest.raises(UsageError, match=words):
        push(HubName(f"{owner}/set"))
    assert {request.method for request in hub.requests} == {"GET"}


def test_who_is_not_logged_in_is_told_how(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(MissingError, match="hf auth login"):
        push()


def test_a_wrong_token_is_told_and_not_shown(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    with pytest.raises(MissingError, match="wrong or expired") as caught:
        push()
    assert "hf_wrong" not in str(caught.value)


def test_a_token_that_may_only_read_is_refused_at_once(hub, monkeypatch):
    hub.add_user("eve", "hf_" + "e" * 34, role="read")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "e" * 34)
    with pytest.raises(HubError, match="may only read"):
        push(HubName("eve/set"))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/whoami-v2"),
        ("GET", "/api/datasets/ann/set$"),
        ("POST", "/api/repos/create"),
        ("POST", "/preupload/"),
        ("POST", "/objects/batch"),
        ("PUT", "."),
        ("POST", "/commit/"),
    ],
)
def test_a_busy_hub_is_asked_again(hub, method, path, status):
    hub.fail(method, path, status=status, times=2)
    push()
    assert content(hub.repo("ann/set")) == FILES


def test_the_wait_that_the_hub_asks_for_is_kept(hub, waits):
    hub.fail("POST", "/commit/", status=429, headers={"Retry-After": "7"})
    push()
    assert waits == [7.0]


@pytest.mark.parametrize("after", [0, 1, 60_000])
def test_a_connection_cut_in_the_middle_of_a_file_is_made_again(hub, after):
    hub.fail("PUT", ".", cut_after=after)
    push()
    assert content(hub.repo("ann/set")) == FILES


def test_a_hub_that_stays_busy_is_one_error_and_an_unchanged_head(hub):
    push()
    head = hub.repo("ann/set").head
    hub.fail("POST", "/commit/", status=503, times=99)
    with pytest.raises(HubError, match=r"busy.*goes on where it stopped"):
        push(files={**FILES, "dataset.json": b"{1}"})
    assert hub.repo("ann/set").head == head


def test_what_was_uploaded_before_an_interruption_is_not_sent_again(hub):
    files = {**FILES, "data/a.parquet": os.urandom(200_000), "data/b.parquet": os.urandom(250_000)}
    hub.fail("POST", "/commit/", status=403, times=9)
    with pytest.raises(HubError, match="does not allow"):
        push(files=files)
    assert content(hub.repo("ann/set")) == {}
    hub.reset()
    push(files=files)
    assert content(hub.repo("ann/set")) == files
    assert sum(request.received for request in hub.requests) < 20_000


def test_a_lost_answer_to_the_commit_is_no_second_commit(hub):
    push()
    before = len(hub.repo("ann/set").commits)
    hub.fail("POST", "/commit/", lose_answer=True)
    files = {**FILES, "dataset.json": b"{2}"}
    pushed = push(files=files)
    assert pushed.revision == hub.repo("ann/set").head
    assert content(hub.repo("ann/set")) == files
    assert len(hub.repo("ann/set").commits) == before + 1


def test_a_head_that_moved_is_not_overwritten(hub):
    push()

    def moved(server):
        repo = server.repo("ann/set")
        repo.commit({**repo.files, "data/train.parquet": b"theirs"}, "Theirs")

    hub.fail("POST", "/commit/", do=moved)
    with pytest.raises(HubError, match=r"its head moved from .*Theirs.*run the same command again"):
        push(files={**FILES, "dataset.json": b"{3}"})
    assert hub.repo("ann/set").files["data/train.parquet"] == b"theirs"
    push(files={**FILES, "dataset.json": b"{3}"})
    assert content(hub.repo("ann/set")) == {**FILES, "dataset.json": b"{3}"}


def test_a_hub_out_of_reach_is_one_sentence(hub, monkeypatch):
    hub.fail("GET", ".", cut_after=0, times=999)
    with pytest.raises(HubError, match="cannot be reached"):
        push()


def test_offline_is_said_as_it_is(monkeypatch):
    with pytest.raises(MissingError, match="HF_HUB_OFFLINE is set"):
        open_remote(SET, "dataset")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (HubName("ann/none"), "no such dataset repository"),
        (HubName("bob/private"), "no such dataset repository"),
        (HubName("ann/set", "nothing"), "no revision 'nothing'"),
        (HubName("ann/set", "0" * 40), "no revision '0000"),
    ],
)
def test_what_is_not_there_is_named(hub, name, words):
    hub.create_repo("ann/set")
    hub.create_repo("bob/private")
    with pytest.raises(MissingError, match=words):
        open_remote(name, "dataset")


def test_a_branch_called_like_a_commit_is_not_taken_for_it(hub):
    repo = hub.create_repo("ann/set", files=FILES)
    repo.branches[repo.commits[0].sha] = repo.head
    with pytest.raises(HubError, match=f"has the commit {repo.head} for it"):
        open_remote(SET.at(repo.commits[0].sha), "dataset")


def test_a_fetched_file_is_checked_against_its_commit(hub):
    push()
    remote = open_remote(SET, "dataset")
    assert remote.fetch("data/train.parquet").read_bytes() == BIG
    assert remote.fetch("dataset.json").read_bytes() == b"{}"
    with pytest.raises(MissingError, match=r"has no file data/none"):
        remote.fetch("data/none")


@pytest.mark.parametrize("path", ["dataset.json", "data/train.parquet"])
def test_other_bytes_of_the_same_size_are_refused_and_fetched_anew(hub, path):
    push()
    remote = open_remote(SET, "dataset")
    found = remote.fetch(path)
    true = found.read_bytes()
    found.resolve().write_bytes(bytes([true[0] ^ 1]) + true[1:])
    with pytest.raises(HubError, match="other bytes than its commit names"):
        remote.fetch(path)
    assert remote.fetch(path).read_bytes() == true


def test_a_download_that_is_cut_goes_on(hub):
    push()
    hub.reset()
    hub.fail("GET", "train.parquet|cdn|lfs|objects", cut_after=100_000)
    assert open_remote(SET, "dataset").fetch("data/train.parquet").read_bytes() == BIG


def test_neither_token_nor_signature_is_shown_whatever_goes_wrong(hub, caplog, monkeypatch):
    logger = logging.getLogger("huggingface_hub")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    try:
        hub.fail("PUT", ".", status=503, times=2)
        hub.fail("POST", "/preupload/", cut_after=0)
        push()
        hub.fail("GET", "train.parquet", status=503, times=2)
        open_remote(SET, "dataset").fetch("data/train.parquet")
        for method in ("GET", "POST", "PUT"):
            hub.fail(method, ".", status=500, times=999)
        with pytest.raises(HubError) as caught:
            push()
    finally:
        logger.removeHandler(handler)
    said = stream.getvalue() + str(caught.value)
    assert "503" in said
    for secret in (TOKEN, BOBS_TOKEN, "Signature=", "X-Amz"):
        assert secret not in said


def test_a_call_within_a_call_shows_no_secret_either():
    logger, stream = logging.getLogger("huggingface_hub"), io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        with client.speaking(SET):
            with client.speaking(SET):
                pass
            logger.warning("GET %s with %s", "https://cdn/x?Signature=abc", TOKEN)
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue() == "GET https://cdn/x with ***\n"


def test_a_process_killed_while_uploading_leaves_the_head_and_the_next_one_goes_on(hub, tmp_path):
    names = [f"data/{number}.parquet" for number in range(6)]
    files = {name: hashlib.sha256(name.encode()).digest() * 8000 for name in names}
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    code = f"""
from pathlib import Path
from rgbt_bench.hub.names import HubName
from rgbt_bench.hub.pushing import find_place, push_files
root = Path({str(tmp_path)!r})
files = {{name: root / name for name in {names!r}}}
push_files(find_place(HubName("ann/set"), "dataset", False, lambda remote: None), files, "Set", lambda path: True)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    hub.fail("PUT", ".", after=16, times=99, do=lambda server: process.kill())
    assert process.wait(60) == -9
    repo = hub.repo("ann/set")
    assert content(repo) == {}
    hub.reset()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert content(hub.repo("ann/set")) == files
    sent = sum(request.received for request in hub.requests if request.method == "PUT")
    assert 0 < sent < sum(map(len, files.values()))

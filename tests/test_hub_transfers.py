"""The Hub of the tests, seen by huggingface_hub and datasets: uploads, downloads and their faults."""

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("huggingface_hub")

from huggingface_hub import (
    CommitOperationAdd,
    HfApi,
    HfFileSystem,
    constants,
    hf_api,
    hf_file_system,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session

from hub_fixtures import TOKEN, turned_to
from hub_server import HubServer

BIG = bytes(range(256)) * 1600
SHA = hashlib.sha256(BIG).hexdigest()
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def repo(hub):
    return hub.create_repo("ann/set", files={"data/x.parquet": BIG, "t.txt": b"text"})


def download(name, **more):
    return Path(hf_hub_download("ann/set", name, repo_type="dataset", **more)).read_bytes()


def upload(path, data, **more):
    operations = [CommitOperationAdd(path, data)]
    return HfApi().create_commit("ann/set", operations, commit_message="Add", repo_type="dataset", **more)


def test_small_and_large_files_are_downloaded(hub, repo):
    assert download("t.txt") == b"text"
    assert download("data/x.parquet") == BIG
    assert hub.bytes_sent(r"x\.parquet") == len(BIG)
    assert download("data/x.parquet", revision=repo.head) == BIG
    assert hub.bytes_sent(r"x\.parquet") == len(BIG)


def test_a_download_that_was_cut_goes_on_where_it_was(hub, repo, monkeypatch):
    # The client keeps what it has read in whole pieces of this size.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.fail("GET", "/storage/", cut_after=250_000)
    assert download("data/x.parquet") == BIG
    sent = [each.sent for each in hub.requests if each.path.startswith("/storage/")]
    assert sent == [250_000, len(BIG) - 250_000]
    assert hub.waits == [1]


def test_a_part_of_a_file_is_read_alone(hub, repo):
    fs = HfFileSystem()
    with fs.open("datasets/ann/set/data/x.parquet", block_size=1000) as file:
        file.seek(300_000)
        assert file.read(10) == BIG[300_000:300_010]
    assert hub.bytes_sent("/storage/") < 3000
    assert fs.cat_file("datasets/ann/set/t.txt", start=1, end=3) == b"ex"
    assert hf_file_system.hffs.exists("datasets/ann/set/data/x.parquet")


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-0", 206, BIG[:1]),
        ("bytes=5-", 206, BIG[5:]),
        ("bytes=-7", 206, BIG[-7:]),
        (f"bytes=9-{10**9}", 206, BIG[9:]),
        (f"bytes={len(BIG)}-", 416, b""),
        ("bytes=-", 200, BIG),
        ("lines=1-2", 200, BIG),
    ],
)
def test_ranges_are_those_of_http(hub, repo, asked, status, part):
    url = f"{hub.url}/datasets/ann/set/resolve/main/data/x.parquet"
    response = get_session().get(url, headers={**AUTHORIZED, "Range": asked})
    assert (response.status_code, response.content) == (status, part)


def test_a_snapshot_is_taken_at_a_revision(hub, repo):
    first = repo.head
    repo.commit({"t.txt": b"changed", "new.txt": b"new"})
    old = Path(snapshot_download("ann/set", repo_type="dataset", revision=first))
    new = Path(snapshot_download("ann/set", repo_type="dataset"))
    assert (old.name, new.name) == (first, repo.head)
    assert ((old / "t.txt").read_bytes(), (new / "t.txt").read_bytes()) == (b"text", b"changed")
    assert not (old / "new.txt").exists()
    assert hub.bytes_sent(r"x\.parquet") == len(BIG)


def test_what_is_absent_is_told_apart(hub, repo):
    with pytest.raises(EntryNotFoundError):
        download("absent")
    with pytest.raises(RevisionNotFoundError):
        download("t.txt", revision="absent")
    assert not HfApi().file_exists("ann/set", "absent", repo_type="dataset")
    with pytest.raises(FileNotFoundError):
        HfFileSystem().ls("datasets/ann/absent")


def test_waits_are_those_that_the_hub_asks_for(hub, repo):
    hub.fail("GET", "/tree/", status=429, headers={"Retry-After": "3"})
    hub.fail("GET", "/tree/", status=503, times=2)
    assert len(list(HfApi().list_repo_tree("ann/set", repo_type="dataset"))) == 3
    # One second more than asked for; then its own, twice as long with every try.
    assert hub.waits == [4, 2, 4]
    assert [each.status for each in hub.requests] == [429, 503, 503, 200]


def test_a_hub_that_stays_down_is_given_up(hub, repo):
    hub.fail("HEAD", "/resolve/", status=503, times=100)
    with pytest.raises(LocalEntryNotFoundError):
        download("t.txt")
    hub.reset()
    assert hub.requests == []
    assert download("t.txt") == b"text"


@pytest.mark.parametrize("data", [BIG[:50_000], BIG], ids=["whole", "in parts"])
def test_an_upload_that_was_cut_is_sent_again(hub, repo, data):
    data = b"new" + data
    hub.fail("PUT", "/storage/", cut_after=20_000)
    upload("y.bin", data)
    assert repo.files["y.bin"] == data
    received = [each.received for each in hub.requests if each.method == "PUT"]
    assert received[0] == 20_000
    assert sum(received) == len(data) + 20_000


def test_after_a_failed_commit_nothing_is_sent_again(hub, repo):
    before = repo.head
    hub.fail("POST", "/commit/", status=500)
    with pytest.raises(HfHubHTTPError):
        upload("y.bin", b"new" + BIG)
    assert repo.head == before
    hub.reset()
    upload("y.bin", b"new" + BIG)
    assert not [each for each in hub.requests if each.method == "PUT"]
    assert repo.files["y.bin"] == b"new" + BIG


def test_a_commit_may_be_made_though_its_answer_is_lost(hub, repo):
    hub.fail("POST", "/commit/", lose_answer=True)
    with pytest.raises(Exception, match="disconnected"):
        upload("y.txt", b"1")
    assert repo.files["y.txt"] == b"1"
    assert hub.requests[-1].status is None


def batch(hub, oid, size, transfers=("basic",)):
    url = f"{hub.url}/datasets/ann/set.git/info/lfs/objects/batch"
    asked = {"operation": "upload", "transfers": list(transfers), "objects": [{"oid": oid, "size": size}]}
    return get_session().post(url, json=asked, headers=AUTHORIZED).json()["objects"][0].get("actions")


def test_an_object_whose_bytes_are_others_is_refused(hub):
    repo = hub.create_repo("ann/set")
    actions = batch(hub, SHA, len(BIG))
    client, href, asked = get_session(), actions["upload"]["href"], {"oid": SHA, "size": len(BIG)}
    for data in (BIG[:-1], BIG[:-1] + b"!", b""):
        assert client.put(href, content=data).status_code == 400
        assert client.post(actions["verify"]["href"], json=asked, headers=AUTHORIZED).status_code == 404
    assert repo.lfs == {}
    assert client.put(href, content=BIG).status_code == 200
    assert client.post(actions["verify"]["href"], json=asked, headers=AUTHORIZED).status_code == 200
    assert batch(hub, SHA, len(BIG)) is None


def test_parts_must_be_all_there_and_right(hub):
    repo, client = hub.create_repo("ann/set"), get_session()
    upload = batch(hub, SHA, len(BIG), ["basic", "multipart"])["upload"]
    size, urls = int(upload["header"].pop("chunk_size")), upload["header"]
    etags = {}
    for number, url in urls.items():
        start = (int(number) - 1) * size
        etags[number] = client.put(url, content=BIG[start : start + size]).headers["ETag"]

    def complete(etags):
        parts = [{"partNumber": int(number), "etag": etag} for number, etag in etags.items()]
        return client.post(upload["href"], json={"oid": SHA, "parts": parts}).status_code

    assert complete({number: etag for number, etag in etags.items() if number != "2"}) == 400
    assert complete({**etags, "2": etags["1"][::-1]}) == 400
    wrong = client.put(urls["2"], content=b"!" * size).headers["ETag"]
    assert complete({**etags, "2": wrong}) == 400
    assert repo.lfs == {}
    client.put(urls["2"], content=BIG[size : 2 * size])
    assert complete(etags) == 200
    assert repo.lfs == {SHA: BIG}


def test_signed_urls_need_their_signature_and_no_token(hub, repo):
    url = f"{hub.url}/datasets/ann/set/resolve/main/data/x.parquet"
    redirect = get_session().get(url, headers=AUTHORIZED, follow_redirects=False)
    assert (redirect.status_code, redirect.headers["X-Linked-Size"]) == (302, str(len(BIG)))
    signed = redirect.headers["Location"]
    assert get_session().get(signed).content == BIG
    assert get_session().get(signed, headers=AUTHORIZED).status_code == 400
    assert get_session().get(signed[:-1] + ("0" if signed[-1] != "0" else "1")).status_code == 403
    assert get_session().get(signed.partition("?")[0]).status_code == 403
    assert get_session().get(hub.url + "/storage/" + signed.partition("/storage/")[2]).status_code == 404


def test_faults_pass_over_and_end(hub, repo):
    hub.fail("GET", "/resolve/", after=1, times=1, status=404)
    url = f"{hub.url}/datasets/ann/set/resolve/main/t.txt"
    answers = [get_session().get(url, headers=AUTHORIZED).status_code for _ in range(3)]
    assert answers == [200, 404, 200]
    hub.fail("GET", "/resolve/", cut_after=10**6)
    assert get_session().get(url, headers=AUTHORIZED).status_code == 200
    assert "no body of more than 1000000 bytes to cut" in str(hub.errors.pop())


def test_after_its_test_a_hub_is_gone(tmp_path):
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch, HubServer() as server, turned_to(server, tmp_path, patch):
        server.add_user("ann", TOKEN)
        assert HfApi().whoami()["name"] == "ann"
        # A change of the test itself, too.
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
        held, url = get_session(), server.url
    assert dict(os.environ) == before
    home = before.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    assert {constants.ENDPOINT, hf_file_system.hffs.endpoint, hf_api.api.endpoint, HfApi().endpoint} == {home}
    assert constants.is_offline_mode() == constants._is_true(before["HF_HUB_OFFLINE"])
    assert str(tmp_path) not in f"{constants.HF_HUB_CACHE} {constants.HF_TOKEN_PATH}"
    assert held.is_closed
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))


LOAD = """
import json
from datasets import load_dataset
whole = load_dataset("ann/table", revision="REVISION")
streamed = load_dataset("ann/table", split="train", streaming=True)
print(json.dumps([whole["train"]["x"][:3], whole["train"].num_rows, [row["x"] for row in streamed.take(2)]]))
"""


def test_datasets_loads_and_streams_a_repo(hub, monkeypatch):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": list(range(1000))}), buffer)
    card = b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n"
    repo = hub.create_repo("ann/table", files={"README.md": card, "data/train-0.parquet": buffer.getvalue()})
    monkeypatch.setenv("USE_TORCH", "0")
    script = LOAD.replace("REVISION", repo.head)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[0, 1, 2], 1000, [0, 1]]
    assert {each.status for each in hub.requests} <= {200, 206, 302, 404}
    assert TOKEN not in done.stdout + done.stderr

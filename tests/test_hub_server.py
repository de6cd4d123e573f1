"""The Hub of the tests, seen by huggingface_hub: repos, commits, listings, rights."""

import base64
import json
import os
import shutil
import subprocess

import pytest

pytest.importorskip("huggingface_hub")

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session

from hub_fixtures import BOBS_TOKEN, TOKEN
from hub_store import Entry, git_trees

BIG = bytes(range(256)) * 800


def commit(api, files, message="Add files", repo_id="ann/set", **more):
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return api.create_commit(repo_id, operations, commit_message=message, repo_type="dataset", **more)


def status_of(error):
    return error.value.response.status_code


@pytest.fixture
def api(hub):
    hub.create_repo("ann/set")
    return HfApi()


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_a_repo_is_made_private_opened_and_deleted(hub, kind):
    url = huggingface_hub.create_repo("set", repo_type=kind, private=True)
    assert url == f"{hub.url}/{'datasets/' if kind == 'dataset' else ''}ann/set"
    assert hub.repo("ann/set", kind).private
    assert list(hub.repo("ann/set", kind).files) == [".gitattributes"]
    huggingface_hub.update_repo_settings("ann/set", repo_type=kind, visibility="public")
    assert not hub.repo("ann/set", kind).private
    assert HfApi(token=False).repo_info("ann/set", repo_type=kind).private is False
    huggingface_hub.delete_repo("ann/set", repo_type=kind)
    with pytest.raises(KeyError):
        hub.repo("ann/set", kind)


@pytest.mark.parametrize(
    ("repo_id", "token", "status"),
    [
        ("ann/set", TOKEN, 409),
        ("bob/set", TOKEN, 403),
        ("ann/set", BOBS_TOKEN, 403),
        ("ann/new", "hf_read", 403),
        ("ann/new", "hf_unknown", 401),
        ("ann/new", False, 401),
    ],
)
def test_no_repo_is_made_where_there_is_one_or_without_the_right(hub, api, repo_id, token, status):
    hub.add_user("ann", "hf_read", role="read")
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo(repo_id, repo_type="dataset", token=token)
    assert status_of(error) == status
    assert len(hub.store.repos) == 1


def test_a_repo_may_be_there_already_and_belong_to_an_organisation(hub, api):
    assert api.create_repo("ann/set", repo_type="dataset", exist_ok=True).repo_id == "ann/set"
    assert api.create_repo("lab/set", repo_type="dataset").repo_id == "lab/set"
    assert api.whoami()["orgs"][0]["name"] == "lab"


def test_a_commit_takes_small_large_and_very_large_files(hub, api):
    files = {"a/b.txt": b"hello\n", "one.parquet": b"PAR1", "data/many.parquet": BIG, "empty.parquet": b""}
    before = hub.repo("ann/set").head
    info = commit(api, files, "Add four", commit_description="And say why")
    repo = hub.repo("ann/set")
    assert repo.head == info.oid
    assert repo.files == {".gitattributes": repo.files[".gitattributes"], **files}
    last = repo.commits[-1]
    assert (last.parent, last.message, last.description, last.author) == (before, "Add four", "And say why", "ann")
    puts = [each for each in hub.requests if each.method == "PUT"]
    assert sorted(each.received for each in puts) == [4, *sorted([64 * 1024] * 3 + [len(BIG) - 3 * 64 * 1024])]
    assert [entry.sha256 is not None for _, entry in sorted(last.entries.items())] == [False, False, True, False, True]


def test_the_ids_are_those_of_git(hub, api, tmp_path):
    if not shutil.which("git"):
        pytest.skip("git is not here")
    commit(api, {"a/b.txt": b"hello\n", "a-c": b"1", "a.d/e/f": b"2", "x.bin": BIG})
    made = hub.repo("ann/set").commits[-1]
    for path, entry in made.entries.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(entry.pointer or entry.data)
    plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words):
        command = ["git", *words]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **plain}, check=True, capture_output=True)
        return done.stdout.decode().split()

    git("init", "-q", ".")
    git("add", *made.entries)
    assert git("write-tree") == [made.trees[""]]
    listed = {each.path: each for each in api.list_repo_tree("ann/set", recursive=True, repo_type="dataset")}
    assert git("hash-object", "a-c") == [listed["a-c"].blob_id]
    assert git("rev-parse", f"{made.trees['']}:a.d") == [listed["a.d"].tree_id]
    assert listed["x.bin"].lfs.pointer_size == len(made.entries["x.bin"].pointer)


def test_trees_have_the_known_ids():
    assert git_trees({})[""] == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    assert Entry(b"").oid == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_what_is_stored_is_not_sent_again_and_what_has_not_changed_makes_no_commit(hub, api):
    first = commit(api, {"x.bin": BIG, "t.txt": b"text"})
    hub.reset()
    assert commit(api, {"x.bin": BIG, "t.txt": b"text"}).oid == first.oid
    commit(api, {"copy.bin": BIG})
    assert not [each for each in hub.requests if each.method == "PUT"]
    assert len([each for each in hub.requests if "/commit/" in each.path]) == 1
    assert hub.repo("ann/set").files["copy.bin"] == BIG


def test_files_and_folders_are_deleted(hub, api):
    commit(api, {"a/1": b"1", "a/b/2": b"2", "c": b"3"})
    operations = [CommitOperationDelete("a/", is_folder=True), CommitOperationAdd("d", b"4")]
    api.create_commit("ann/set", operations, commit_message="Delete", repo_type="dataset")
    assert set(hub.repo("ann/set").files) == {".gitattributes", "c", "d"}
    with pytest.raises(EntryNotFoundError, match="doesn't exist"):
        api.delete_file("gone", "ann/set", repo_type="dataset")


def test_a_commit_whose_parent_is_no_longer_the_head_is_refused(hub, api):
    head = hub.repo("ann/set").head
    hub.fail("POST", "/commit/", do=lambda server: server.repo("ann/set").commit({"theirs": b"1"}))
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as error:
        commit(api, {"mine": b"2"}, parent_commit=head)
    assert status_of(error) == 412
    assert set(hub.repo("ann/set").files) == {".gitattributes", "theirs"}
    assert commit(api, {"mine": b"2"}, parent_commit=hub.repo("ann/set").head[:7]).oid == hub.repo("ann/set").head


def lines_of(*operations):
    header = {"key": "header", "value": {"summary": "Raw", "description": ""}}
    return b"".join(json.dumps(each).encode() + b"\n" for each in (header, *operations))


def file_line(path, data=b"x"):
    return {"key": "file", "value": {"path": path, "content": base64.b64encode(data).decode(), "encoding": "base64"}}


ABSENT = {"key": "lfsFile", "value": {"path": "x.bin", "algo": "sha256", "oid": "0" * 64, "size": 3}}


@pytest.mark.parametrize(
    "body",
    [
        lines_of(file_line("good"), ABSENT),
        lines_of(file_line("good"), file_line("../up")),
        lines_of(file_line("good"), file_line("/root")),
        lines_of(file_line("good"), file_line(".git/config")),
        lines_of(file_line("good"), file_line("a//b")),
        lines_of(file_line("good"), file_line("good/under")),
        lines_of(file_line("good"), {"key": "rename", "value": {"path": "a"}}),
        lines_of(file_line("good"), {"key": "file", "value": {}}),
        lines_of(file_line("good"), file_line("README.md", b"---\nlicense: [\n---\n")),
        b"no json\n",
        b"[]\n",
        b"",
    ],
)
def test_a_commit_with_one_bad_operation_changes_nothing(hub, api, body):
    before = hub.repo("ann/set").head
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson"}
    response = get_session().post(f"{hub.url}/api/datasets/ann/set/commit/main", content=body, headers=headers)
    assert response.status_code == 400
    assert hub.repo("ann/set").head == before


@pytest.mark.parametrize("asked", [{"revision": "absent"}, {"revision": "0" * 40}])
def test_unknown_revisions_are_told_apart(hub, api, asked):
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info("ann/set", **asked)
    with pytest.raises(RevisionNotFoundError):
        list(api.list_repo_tree("ann/set", repo_type="dataset", **asked))
    with pytest.raises(RevisionNotFoundError):
        commit(api, {"a": b"1"}, **asked)


@pytest.mark.parametrize(
    ("token", "repo_id", "status"),
    [(TOKEN, "bob/private", 404), (TOKEN, "bob/absent", 404), (False, "bob/private", 401), (TOKEN, "single", 404)],
)
def test_a_repo_of_another_that_is_private_looks_as_if_it_were_not_there(hub, token, repo_id, status):
    hub.create_repo("bob/private", files={"a": b"1"})
    calls = [
        lambda api: api.dataset_info(repo_id),
        lambda api: api.hf_hub_download(repo_id, "a", repo_type="dataset"),
        lambda api: commit(api, {"a": b"2"}, repo_id=repo_id),
        lambda api: api.delete_repo(repo_id, repo_type="dataset") if "/" in repo_id else api.dataset_info(repo_id),
    ]
    for call in calls:
        with pytest.raises(RepositoryNotFoundError) as error:
            call(HfApi(token=token))
        assert status_of(error) == status


def test_a_public_repo_of_another_is_read_but_not_written(hub):
    repo = hub.create_repo("bob/open", private=False, files={"a.bin": BIG})
    assert HfFileSystem(token=False).cat_file("datasets/bob/open/a.bin") == BIG
    for token, status in [(TOKEN, 403), ("hf_read", 403), (BOBS_TOKEN, 200)]:
        hub.add_user("bob", "hf_read", role="read")
        before = repo.head
        if status == 200:
            commit(HfApi(token=token), {"b": b"1"}, repo_id="bob/open")
        else:
            with pytest.raises(HfHubHTTPError) as error:
                commit(HfApi(token=token), {"b": b"1"}, repo_id="bob/open")
            assert status_of(error) == status
        assert (repo.head != before) == (status == 200)


def test_a_wrong_token_is_named_as_such(hub, api, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    for call in (api.whoami, lambda: api.dataset_info("ann/set"), lambda: commit(api, {"a": b"1"})):
        with pytest.raises(HfHubHTTPError) as error:
            call()
        assert status_of(error) == 401
        assert not isinstance(error.value, RepositoryNotFoundError)


def test_the_files_of_a_gated_repo_are_for_its_owners(hub):
    hub.create_repo("bob/gated", private=False, files={"a": b"1"}).gated = "auto"
    with pytest.raises(GatedRepoError):
        HfApi().hf_hub_download("bob/gated", "a", repo_type="dataset")
    assert HfApi().dataset_info("bob/gated").gated == "auto"
    assert HfApi(token=BOBS_TOKEN).hf_hub_download("bob/gated", "a", repo_type="dataset")


def test_listings_come_in_pages(hub, api):
    files = {f"d{i % 3}/f{i:02}.txt": b"%d" % i for i in range(20)}
    first = hub.repo("ann/set").commit(files, "first")
    hub.repo("ann/set").commit({"d1/f01.txt": b"new"}, "second")
    hub.interface.page_size = 4
    hub.reset()
    listed = list(api.list_repo_tree("ann/set", recursive=True, repo_type="dataset", expand=True))
    assert {each.path for each in listed} == {*files, "d0", "d1", "d2", ".gitattributes"}
    assert len(hub.requests) == 6
    titles = {each.path: each.last_commit.title for each in listed}
    assert (titles["d1/f01.txt"], titles["d1"], titles["d1/f04.txt"]) == ("second", "second", "first")
    assert set(HfFileSystem().find("datasets/ann/set")) == {f"datasets/ann/set/{p}" for p in (".gitattributes", *files)}
    assert [each.title for each in api.list_repo_commits("ann/set", repo_type="dataset")][:2] == ["second", "first"]
    found = api.get_paths_info("ann/set", ["d0", "d1/f01.txt", "no"], repo_type="dataset", revision=first)
    assert [(type(each).__name__, each.path) for each in found] == [("RepoFolder", "d0"), ("RepoFile", "d1/f01.txt")]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree("ann/set", "no", repo_type="dataset"))


def test_branches_and_tags_name_commits(hub, api):
    first = hub.repo("ann/set").commit({"a": b"1"})
    api.create_branch("ann/set", branch="work/1", repo_type="dataset")
    api.create_tag("ann/set", tag="v1", repo_type="dataset")
    made = commit(api, {"a": b"2"}, revision="work/1")
    refs = api.list_repo_refs("ann/set", repo_type="dataset")
    assert {each.name: each.target_commit for each in refs.branches} == {"main": first, "work/1": made.oid}
    assert {each.name: each.target_commit for each in refs.tags} == {"v1": first}
    assert HfFileSystem().cat_file("datasets/ann/set@work%2F1/a") == b"2"
    with pytest.raises(HfHubHTTPError):
        api.create_tag("ann/set", tag="v1", repo_type="dataset")
    api.delete_tag("ann/set", tag="v1", repo_type="dataset")
    api.delete_branch("ann/set", branch="work/1", repo_type="dataset")
    assert hub.repo("ann/set").tags == {}


def test_info_has_the_card_and_the_files(hub, api):
    commit(api, {"README.md": b"---\nlicense: mit\n---\n# Set\n", "x.bin": BIG})
    info = api.dataset_info("ann/set", files_metadata=True)
    assert info.card_data.license == "mit"
    assert {each.rfilename: each.size for each in info.siblings}["x.bin"] == len(BIG)
    assert info.sha == hub.repo("ann/set").head
    assert api.dataset_info("ann/set", expand=["sha"]).siblings is None
    assert [each.filename for each in api.list_lfs_files("ann/set", repo_type="dataset")] == ["x.bin"]


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (b"---\na: [\n---\n", "YAML"),
        (b"---\nlicense: CC-BY\n---\n", '"license" must be one of'),
        (b"---\n- a\n---\n", "mapping"),
        (b"---\ntags: a\n---\n", '"tags" must be an array'),
    ],
)
def test_a_card_that_the_hub_cannot_read_is_refused_before_anything_is_sent(hub, api, card, message):
    with pytest.raises(ValueError, match=message):
        commit(api, {"README.md": card, "x.bin": BIG})
    assert [each.path for each in hub.requests] == ["/api/validate-yaml"]


def test_what_is_not_there_is_not_served(hub, api):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for path, status in [("/api/datasets/ann/set/parquet", 404), ("/api/nothing", 404), ("/", 404)]:
        response = get_session().get(hub.url + path, headers=headers)
        assert response.status_code == status
    for asked in (b"{", b"[]", b'{"name": "..", "organization": "ann"}'):
        response = get_session().post(f"{hub.url}/api/repos/create", content=asked, headers=headers)
        assert response.status_code == 400

from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download


def test_first(hub):
    api = HfApi()
    api.create_repo("ann/set", repo_type="dataset", private=True)
    big = bytes(range(256)) * 1024
    small = b"s" * 1000
    files = {"a/README.txt": b"hello\n", "data/x.parquet": big, "y.bin": small}
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    info = api.create_commit("ann/set", operations, commit_message="first", repo_type="dataset")
    repo = hub.repo("ann/set")
    assert repo.head == info.oid
    assert repo.files["data/x.parquet"] == big
    assert repo.private
    path = hf_hub_download("ann/set", "data/x.parquet", repo_type="dataset")
    assert Path(path).read_bytes() == big
    hub.fail("GET", "storage", cut_after=100)
    path = hf_hub_download("ann/set", "y.bin", repo_type="dataset")
    assert Path(path).read_bytes() == small

"""Packed predictions that lie in a dataset repository of the Hugging Face Hub, pinned to a commit."""

from pathlib import Path

from rgbt_bench.errors import BadInputError
from rgbt_bench.hub.names import HubName, parse_hub_name
from rgbt_bench.leaderboard.rows import MAX_HUB_BYTES


def split_place(place: str) -> tuple[HubName, str]:
    """Return the pinned repository and the path in it that `hub:OWNER/NAME@COMMIT/FILE` names."""
    name, at, rest = place.partition("@")
    commit, _, path = rest.partition("/")
    return parse_hub_name(f"{name}{at}{commit}"), path


def fetch_packed(place: str) -> bytes:
    """Return the bytes of a file on the Hub.

    Raises:
        MissingError: there is no such file for this user.
        BadInputError: it is larger than such a file is.
        HubError: the Hub cannot be reached.
    """
    from rgbt_bench.hub.remote import open_remote

    name, path = split_place(place)
    remote = open_remote(name, "dataset")
    if path in remote.files and remote.files[path].size > MAX_HUB_BYTES:
        raise BadInputError(f"{place}: {remote.files[path].size:,} bytes, and at most {MAX_HUB_BYTES:,} are fetched")
    return remote.fetch(path).read_bytes()


def push_packed(target: str, files: dict[str, Path]) -> dict[str, str]:
    """Push packed predictions to `OWNER/NAME`, private where it is new, and return each file's pinned place.

    Raises:
        UsageError: not the name of a repository.
        HubError: the Hub refused, or cannot be reached.
    """
    from rgbt_bench.hub.client import client, patiently, speaking
    from rgbt_bench.hub.names import parse_target

    name = parse_target(target)
    with speaking(name):
        from huggingface_hub import CommitOperationAdd

        hub = client()
        patiently(hub.create_repo, name.repo_id, repo_type="dataset", private=True, exist_ok=True)
        commit = patiently(
            hub.create_commit,
            name.repo_id,
            [CommitOperationAdd(path_in_repo=path, path_or_fileobj=str(file)) for path, file in files.items()],
            commit_message=f"Predictions of {len(files)} run(s) for the leaderboard",
            repo_type="dataset",
        )
    return {path: f"{name.at(commit.oid)}/{path}" for path in files}

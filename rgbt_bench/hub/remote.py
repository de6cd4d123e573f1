"""A repository at one commit: what is in it, and its files, each checked against the hash that the commit has of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rgbt_bench.errors import HubError, MissingError
from rgbt_bench.files import NO_ROOM, sha256_file

from .client import client, patiently, speaking
from .names import HubName, Kind


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit: its size in bytes, and its hash, SHA-256 of a large file or git's own of a small one."""

    size: int
    sha256: str | None
    blob_id: str

    def is_content(self, content: bytes | Path) -> bool:
        """Tell whether a file, or its bytes, are these."""
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        if size != self.size:
            return False
        if self.sha256 is not None:
            return self.sha256 == (
                sha256_file(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()
            )
        data = content.read_bytes() if isinstance(content, Path) else content
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == self.blob_id


@dataclass(frozen=True)
class Remote:
    """A repository at a commit, which `name` pins, with its files by path."""

    name: HubName
    kind: Kind
    private: bool
    files: Mapping[str, RemoteFile]

    @property
    def revision(self) -> str:
        """The commit's sha."""
        assert self.name.revision is not None
        return self.name.revision

    def fetch(self, path: str, folder: Path | None = None) -> Path:
        """Return where a file of the commit lies in `folder`, or else in the user's cache, downloaded if it has to be.

        Raises:
            MissingError: the commit has no such file.
            HubError: the Hub cannot be reached, or sends other bytes than the commit names.
            OSError: there is no room for it; `filename` is its place.
        """
        if path not in self.files:
            raise MissingError(f"{self.name}: has no file {path}")
        with speaking(self.name, self.kind):
            from huggingface_hub import hf_hub_download

            download = partial(hf_hub_download, local_dir=folder, library_name="rgbt-bench")
            try:
                found = Path(patiently(download, self.name.repo_id, path, repo_type=self.kind, revision=self.revision))
            except OSError as error:
                if error.errno in NO_ROOM:  # it names no file
                    raise OSError(error.errno, error.strerror, str(folder / path if folder else path)) from None
                raise
        if not self.files[path].is_content(found):
            found.resolve().unlink(missing_ok=True)
            found.unlink(missing_ok=True)
            raise HubError(f"{self.name}: {path} came with other bytes than its commit names; fetch it again")
        return found


def open_remote(name: HubName, kind: Kind) -> Remote:
    """Return a repository at the commit that its revision, or else its head, is now.

    Raises:
        MissingError: there is no such repository or revision for this user.
        HubError: the Hub cannot be reached, or answers a commit with another.
    """
    with speaking(name, kind):
        from huggingface_hub.hf_api import RepoFile

        api = client()
        info = patiently(api.repo_info, name.repo_id, repo_type=kind, revision=name.revision)
        sha = info.sha
        assert sha is not None
        if name.is_pinned and sha != name.revision:  # a branch or tag can be called like a commit
            raise HubError(f"{name}: the Hub has the commit {sha} for it; ask the repository's owner")
        listed = patiently(lambda: list(api.list_repo_tree(name.repo_id, recursive=True, revision=sha, repo_type=kind)))
    files = {
        one.path: RemoteFile(one.size, one.lfs.sha256 if one.lfs else None, one.blob_id)
        for one in listed
        if isinstance(one, RepoFile)
    }
    return Remote(name.at(sha), kind, bool(info.private), files)

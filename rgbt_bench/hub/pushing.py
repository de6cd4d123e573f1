"""Making files the head of a repository in one commit, so that a half-pushed one is never seen."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from rgbt_bench.errors import BadInputError, HubError, UsageError, did_you_mean

from .client import client, is_passing, patiently, pause, speaking
from .names import HubName, Kind
from .remote import Remote, open_remote

Progress = Callable[[str, int, int], None]
_THREADS = 4
_TRIES = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pushed:
    """What a push made: the commit that is the head now, and whether it is a new one."""

    repo_id: str
    kind: Kind
    revision: str
    url: str
    private: bool
    files: int
    bytes: int
    is_new: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True)
class Place:
    """Where something is to be pushed: a repository that the user may write to, at its head if it is there already."""

    name: HubName
    kind: Kind
    public: bool
    require: Callable[[Remote], None]
    remote: Remote | None


def find_place(name: HubName, kind: Kind, public: bool, require: Callable[[Remote], None]) -> Place:
    """Return where to push, once everything that would refuse it was asked; nothing is made or changed.

    `require` looks at a repository that is there already, and raises a UsageError if it is not for replacing.

    Raises:
        MissingError: nobody is logged in.
        UsageError: the owner is not the user or an organisation of theirs, the repository is public and `public` is
            off, or `require` refuses it.
        HubError: the Hub cannot be reached, or the token may only read.
    """
    with speaking(name, kind):
        api = client()
        who = patiently(api.whoami)
        _require_owner(name, who)
        there = patiently(api.repo_exists, name.repo_id, repo_type=kind)
    return Place(name, kind, public, require, _open(name, kind, public, require) if there else None)


def _open(name: HubName, kind: Kind, public: bool, require: Callable[[Remote], None]) -> Remote:
    """Return a repository at its head, once it was asked whether it is for replacing."""
    remote = open_remote(name, kind)
    _require_visibility(name, remote.private, public)
    require(remote)
    return remote


def _require_visibility(name: HubName, private: bool, public: bool) -> None:
    if not private and not public:
        raise UsageError(
            f"{name}: the repository is public, and what is pushed is private unless you say --public; make it"
            " private in its settings, or push elsewhere"
        )


def _require_owner(name: HubName, who: Mapping[str, Any]) -> None:
    owners = [str(who.get("name")), *(str(one.get("name")) for one in who.get("orgs", ()))]
    if name.owner not in owners:
        raise UsageError(
            f"{name}: {name.owner!r} is neither you nor an organisation of yours. {did_you_mean(name.owner, owners)}"
        )
    if who.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HubError(f"{name}: the token in use may only read; log in with one that may write")


def push_files(
    place: Place,
    files: Mapping[str, bytes | Path],
    message: str,
    is_ours: Callable[[str], bool],
    progress: Progress = lambda stage, done, total: None,
) -> Pushed:
    """Make `files` the content of a repository by one commit on the head that `place` was found with.

    Files of the head that `is_ours` and are not among `files` are removed. Content that the Hub has already is not
    uploaded again, so an interrupted push goes on when it is started again. A repository is made private, and becomes
    public after its commit at the earliest.

    Raises:
        UsageError: meanwhile the repository was made by another process, or became public; the head is as it was.
        HubError: the head moved meanwhile, the Hub refused, or cannot be reached; the head is as it was.
    """
    name, kind = place.name, place.kind
    with speaking(name, kind):
        api = client()
        if place.remote is None:
            patiently(api.create_repo, name.repo_id, repo_type=kind, private=True, exist_ok=True)
    remote = place.remote or _open(name, kind, place.public, place.require)
    changed = {path: content for path, content in files.items() if not _is_there(remote, path, content)}
    stale = [path for path in remote.files if is_ours(path) and path not in files]
    with speaking(name, kind):
        revision = remote.revision
        if changed or stale:
            operations = _upload(remote, changed, progress)
            seen = patiently(api.repo_info, name.repo_id, repo_type=kind)  # once more: an upload takes hours
            _require_visibility(name, bool(seen.private), place.public)
            revision = _commit(remote, operations, stale, files, message)
        is_public = not remote.private
        if place.public and not is_public:
            patiently(api.update_repo_settings, name.repo_id, private=False, repo_type=kind)
            is_public = True
    sizes = (len(content) if isinstance(content, bytes) else content.stat().st_size for content in files.values())
    return Pushed(
        repo_id=name.repo_id,
        kind=kind,
        revision=revision,
        url=f"{api.endpoint}/{'datasets/' if kind == 'dataset' else ''}{name.repo_id}",
        private=not is_public,
        files=len(files),
        bytes=sum(sizes),
        is_new=bool(changed or stale),
    )


def _is_there(remote: Remote, path: str, content: bytes | Path) -> bool:
    return path in remote.files and remote.files[path].is_content(content)


def _upload(remote: Remote, files: Mapping[str, bytes | Path], progress: Progress) -> list[Any]:
    """Upload what the Hub stores beside its commits, which nobody sees yet, and return the additions to commit."""
    from huggingface_hub import CommitOperationAdd

    api = client()
    operations = [
        CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
        for path, content in sorted(files.items())
    ]
    total = sum(operation.upload_info.size for operation in operations)
    done = 0
    progress("uploading, in kB", done // 1000, total // 1000)
    upload = partial(api.preupload_lfs_files, remote.name.repo_id, repo_type=remote.kind, free_memory=False)
    for number, error in _as_done([partial(upload, [one]) for one in operations]):
        _raise_cause(error)
        done += operations[number].upload_info.size
        progress("uploading, in kB", done // 1000, total // 1000)
    return operations


def _as_done(calls: Sequence[Callable[[], Any]]) -> Iterator[tuple[int, BaseException | None]]:
    """Make calls, some at once, and yield each one's number and what it raised, as they end.

    Where the caller stops, calls under way are left to themselves: Ctrl-C must not wait for an upload of minutes.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    finished: SimpleQueue[tuple[int, BaseException | None]] = SimpleQueue()
    for number in range(len(calls)):
        waiting.put(number)

    def work() -> None:
        with suppress(Empty):
            while True:
                number = waiting.get_nowait()
                try:
                    calls[number]()
                except BaseException as error:  # the caller raises it
                    finished.put((number, error))
                else:
                    finished.put((number, None))

    for _ in range(min(_THREADS, len(calls))):
        Thread(target=work, name="upload", daemon=True).start()
    try:
        for _ in calls:
            yield finished.get()
    finally:
        with suppress(Empty):
            while True:
                waiting.get_nowait()


def _raise_cause(error: BaseException | None) -> None:
    """Raise what an upload failed of; the Hub's client wraps it in an error of no kind."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        raise error.__cause__
    if isinstance(error, ValueError):
        raise HubError(f"the Hub's file store refused an upload: {error}") from None
    if error is not None:
        raise error


def _commit(
    remote: Remote,
    additions: list[Any],
    stale: list[str],
    files: Mapping[str, bytes | Path],
    message: str,
) -> str:
    """Make the one commit, on no other head than `remote`, and return its sha.

    The answer to a commit may be lost on its way, so that a second try finds the head moved, by ourselves.
    """
    from huggingface_hub import CommitOperationDelete
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    operations = [*additions, *(CommitOperationDelete(path, is_folder=False) for path in stale)]
    for wait in (*(float(2**count) for count in range(_TRIES)), None):
        try:
            done = client().create_commit(
                remote.name.repo_id, operations, commit_message=message, repo_type=remote.kind,
                parent_commit=remote.revision,
            )  # fmt: skip
        except HTTPError as error:  # among them one that is a ValueError
            now = open_remote(HubName(remote.name.repo_id), remote.kind)
            if now.revision != remote.revision:
                if all(_is_there(now, path, content) for path, content in files.items()):
                    return now.revision
                raise _moved(remote, now) from None
            if wait is None or not is_passing(error):
                raise
            pause(error, wait)
        except ValueError as error:
            told = " ".join(str(error).split())[:300]
            raise BadInputError(f"{remote.name}: the Hub does not take the card, README.md: {told}") from None
        else:
            return str(done.oid)
    raise AssertionError


def _moved(before: Remote, now: Remote) -> HubError:
    """Return the error for a head that somebody else has moved, with who did it where the Hub tells."""
    latest = client().list_repo_commits(before.name.repo_id, repo_type=before.kind, revision=now.revision)[0]
    told = f" by {', '.join(latest.authors)} ({latest.title})" if latest.authors else f" ({latest.title})"
    return HubError(
        f"{HubName(before.name.repo_id)}: its head moved from {before.revision[:12]} to {now.revision[:12]} while this"
        f" was being uploaded{told}; nothing of yours is seen there. Look at it, then run the same command again: what"
        " was uploaded is kept"
    )

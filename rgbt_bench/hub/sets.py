"""Pushing a converted set: whole, or as a manifest without a pixel or label, from which its holders rebuild it."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgbt_bench.datasets.card import CARD_FILE, dataset_card
from rgbt_bench.datasets.croissant import CROISSANT_FILE, dataset_croissant, shard_files
from rgbt_bench.datasets.manifest import manifest_files
from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.datasets.store import DIGESTS_FILE, SPLITS_FOLDER, Dataset
from rgbt_bench.datasets.verifying import require_own_digests
from rgbt_bench.datasets.writer import REPORT_FILE
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.files import json_bytes, read_json, write_json
from rgbt_bench.paths import HUB_FILE, RECORD_FILE
from rgbt_bench.registry import converters, load_converter
from rgbt_bench.schema import DatasetInfo

from .client import client, patiently, speaking
from .names import HubName
from .pushing import Place, Progress, Pushed, find_place, push_files
from .remote import Remote, open_remote

_log = logging.getLogger(__name__)
_SHARD = re.compile(r"data/[^/]+\.parquet")
_OURS = re.compile(
    r"README\.md|dataset\.json|digests\.json|croissant\.json|conversion\.json|splits/[^/]+\.json"
    r"|(data|manifest)/[^/]+\.parquet"
)
_REPORTED = frozenset({"dataset", "layout", "parts", "expected", "quirks", "skipped", "fingerprint"})
_OF_THE_HUB = frozenset({".gitattributes", "README.md"})  # of a repository that was made in a browser


@dataclass(frozen=True)
class PushOptions:
    """How a set is to be pushed.

    `accepted` is the dataset whose terms the user accepts, by its name; `manifest_only` leaves out every pixel and
    label.
    """

    public: bool = False
    accepted: str | None = None
    manifest_only: bool = False


def find_set_place(info: DatasetInfo, target: HubName, options: PushOptions) -> Place:
    """Return where a set of a dataset is to be pushed, once everything that would refuse it was asked.

    Raises:
        UsageError: its terms are not accepted and have to be, or the repository holds something else.
        BenchError: as `find_place`.
    """
    require_terms(info, options)
    return find_place(target, "dataset", options.public, lambda remote: _require_same(remote, info, options))


def push_set(
    dataset: Dataset, target: HubName, options: PushOptions, progress: Progress = lambda stage, done, total: None
) -> Pushed:
    """Push a converted set, and write beside it where it went.

    Raises:
        BadInputError: the set's records do not fit together.
        BenchError: as `find_set_place` and `push_files`.
    """
    require_own_digests(dataset)
    place = find_set_place(dataset.info, target, options)
    files = set_files(dataset, target, options.manifest_only)
    what = "Manifest" if options.manifest_only else "Set"
    message = f"{what} of {dataset.info.name}, fingerprint {dataset.record.fingerprint[:16]}"
    pushed = push_files(place, files, message, lambda path: bool(_OURS.fullmatch(path)), progress)
    try:
        write_hub_record(dataset.root, target.at(pushed.revision), options.manifest_only)
    except OSError as error:  # of a set that others share, say
        _log.warning("it is pushed, but %s cannot be noted beside the set (%s)", target.at(pushed.revision), error)
    return pushed


def set_files(dataset: Dataset, target: HubName, manifest_only: bool = False) -> dict[str, bytes | Path]:
    """Return the files that a set is pushed as, by path: those of its folder, without what is of this machine."""
    if manifest_only:
        return {**manifest_files(dataset, target.repo_id)}
    whole = dataset.under(DEFAULT_SPLIT)
    record, root = whole.record, whole.root
    shards = shard_files(root, record)
    kept = [RECORD_FILE, DIGESTS_FILE, *(f"{SPLITS_FOLDER}/{split}.json" for split in record.splits)]
    return {
        CARD_FILE: dataset_card(whole, target.repo_id, "COMMIT").encode(),
        CROISSANT_FILE: json_bytes(dataset_croissant(record, shards)),
        REPORT_FILE: json_bytes(_public_report(root / REPORT_FILE)),
        **{path: root / path for path in [*kept, *(file.path for files in shards.values() for file in files)]},
    }


def _public_report(path: Path) -> dict[str, Any]:
    """Return a conversion's report without the paths that it has of this machine: where it wrote, and every fault's."""
    report = read_json(path) if path.is_file() else {}
    return {key: value for key, value in report.items() if key in _REPORTED}


def write_hub_record(folder: Path, name: HubName, is_manifest: bool) -> None:
    """Write into a set's folder which commit of the Hub holds it, or its manifest."""
    content = {"repo_id": name.repo_id, "revision": name.revision, "content": "manifest" if is_manifest else "set"}
    write_json(folder / HUB_FILE, content)


def read_hub_record(folder: Path) -> HubName | None:
    """Return which commit of the Hub holds the set in a folder, or None where that is not known."""
    path = folder / HUB_FILE
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        return HubName(str(content["repo_id"]), str(content["revision"]))
    except (KeyError, TypeError):
        raise BadInputError(f"{path}: not a record of a push; delete it, and push or pull again") from None


def require_terms(info: DatasetInfo, options: PushOptions) -> None:
    """Refuse to publish a set for everybody unless its terms were accepted by its name.

    Raises:
        UsageError: they were not; the message has them.
    """
    if options.accepted is not None and options.accepted != info.name:
        raise UsageError(f"--accept-terms {options.accepted}: the set is {info.name}; accept its terms by its own name")
    if options.accepted is not None and not options.public:
        raise UsageError("--accept-terms is for --public; leave it out for a private push, or give --public, too")
    if options.manifest_only or not options.public or options.accepted is not None:
        return
    if info.name in converters():  # a set that came from elsewhere could say anything of its terms
        info = load_converter(info.name).info
    raise UsageError(
        f"--public gives {info.title} to everybody. Its terms:\n\n{info.licence}\n\n(source: {info.homepage})\n\n"
        f"If they, or their owner, allow you to: add --accept-terms {info.name}. If not: leave --public out, or"
        " publish --manifest-only, which has no pixel and no label."
    )


def _require_same(remote: Remote, info: DatasetInfo, options: PushOptions) -> None:
    """Refuse a repository that does not hold the same thing of the same dataset already, or nothing."""
    others = sorted(remote.files.keys() - _OF_THE_HUB)
    if RECORD_FILE not in remote.files:
        if others:
            raise UsageError(
                f"{remote.name}: holds something else ({', '.join(others[:3])}); push to a repository of its own"
            )
        return
    found = _name_in(remote)
    if found != info.name:
        raise UsageError(f"{remote.name}: holds the dataset {found!r}, not {info.name!r}; push to another repository")
    if is_manifest(remote.files) != options.manifest_only:
        held, given = ("a manifest", "a whole set") if is_manifest(remote.files) else ("a whole set", "a manifest")
        raise UsageError(f"{remote.name}: holds {held}, and this is {given}; push to a repository of its own")
    if options.manifest_only and options.public and remote.private:
        _require_no_pixels_before(remote)


def _name_in(remote: Remote) -> str:
    try:
        content = read_json(remote.fetch(RECORD_FILE))
        return str(content["info"]["name"])
    except (BadInputError, KeyError, TypeError):
        raise UsageError(f"{remote.name}: its {RECORD_FILE} is none of ours; push to a repository of its own") from None


def is_manifest(files: Mapping[str, Any]) -> bool:
    """Tell whether a repository of a set holds no shard."""
    return not any(map(_SHARD.fullmatch, files))


def _require_no_pixels_before(remote: Remote) -> None:
    """Refuse to make a repository public of which a branch, tag or pull request has, or had, more than a manifest."""
    repo_id, seen = remote.name.repo_id, set()
    with speaking(remote.name):
        api = client()
        found = patiently(api.list_repo_refs, repo_id, repo_type="dataset", include_pull_requests=True)
        for ref in [*found.branches, *found.tags, *(found.pull_requests or ())]:
            for commit in patiently(api.list_repo_commits, repo_id, repo_type="dataset", revision=ref.ref):
                if commit.commit_id in seen:
                    continue
                seen.add(commit.commit_id)
                files = open_remote(remote.name.at(commit.commit_id), "dataset").files
                other = next((path for path in sorted(files) if not _is_of_manifest(path)), None)
                if other is not None:
                    raise UsageError(
                        f"{remote.name}: the commit {commit.commit_id[:12]} of {ref.name} holds {other}, which is of no"
                        " manifest and which --public would give to everybody; push the manifest to a new repository"
                    )


def _is_of_manifest(path: str) -> bool:
    return path in _OF_THE_HUB or bool(_OURS.fullmatch(path) and not _SHARD.fullmatch(path))

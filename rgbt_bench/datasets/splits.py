"""Named splits: id lists applied when a set is read, each with a hash."""

from collections.abc import Iterable

from rgbt_bench.errors import UsageError, unknown_name
from rgbt_bench.files import sha256_text

DEFAULT_SPLIT = "default"


def split_hash(ids: Iterable[str]) -> str:
    """Return the SHA-256 of an id list: its sorted ids, one a line."""
    return sha256_text("\n".join(sorted(ids)))


def parse_dataset_name(text: str) -> tuple[str, str]:
    """Return the dataset and the split that a text such as `flir` or `flir@official` names.

    Only the last `@` with no folder after it begins a split: folders may have one in their names.
    """
    name, at, split = text.rpartition("@")
    if not at or "/" in split or "\\" in split:
        name, split = text, DEFAULT_SPLIT
    if not name or not split:
        raise UsageError(f"{text!r} is not a dataset name: write NAME or NAME@SPLIT")
    return name, split


def require_part(parts: Iterable[str], part: str, where: str) -> None:
    """Raise a UsageError unless `part` is one of a split's parts."""
    known = list(parts)
    if part not in known:
        raise unknown_name(f"part of {where}", part, known)


def dataset_name(name: str, split: str) -> str:
    """Return a dataset's name, with `@SPLIT` where the split is not the default one."""
    return name if split == DEFAULT_SPLIT else f"{name}@{split}"

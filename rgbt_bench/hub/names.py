"""How a repository of the Hugging Face Hub is named: `owner/name`, or `hub:owner/name@revision`."""

import re
from dataclasses import dataclass
from typing import Literal

from rgbt_bench.errors import UsageError

Kind = Literal["dataset", "model"]
PREFIX = "hub:"
# As the Hub has them: no leading or trailing dot or hyphen, none of them doubled.
_PART = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LONGEST = 96


@dataclass(frozen=True)
class HubName:
    """A repository and the revision of it that is meant: a commit, a branch, a tag, or None for the present head."""

    repo_id: str
    revision: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a whole commit sha, which always names the same content."""
        return self.revision is not None and bool(_COMMIT.fullmatch(self.revision))

    @property
    def owner(self) -> str:
        """The user or organisation whose repository it is."""
        return self.repo_id.partition("/")[0]

    def at(self, revision: str) -> "HubName":
        """Return the same repository at another revision."""
        return HubName(self.repo_id, revision)

    def __str__(self) -> str:
        return PREFIX + self.repo_id + (f"@{self.revision}" if self.revision else "")


def is_hub_name(text: str) -> bool:
    """Tell whether a text names something on the Hub where a name or a path could stand, too."""
    return text.startswith(PREFIX)


def parse_hub_name(text: str) -> HubName:
    """Return the repository that `owner/name`, `owner/name@revision`, or either after `hub:`, names.

    Raises:
        UsageError: not such a name.
    """
    repo_id, at, revision = text.removeprefix(PREFIX).partition("@")
    parts = repo_id.split("/")
    if len(parts) != 2 or not all(map(_PART.fullmatch, parts)) or len(repo_id) > _LONGEST or repo_id.endswith(".git"):
        raise UsageError(
            f"{text!r} names no repository of the Hugging Face Hub: write OWNER/NAME or OWNER/NAME@REVISION, in"
            " letters, digits, and - _ . between them"
        )
    if at and not (_REVISION.fullmatch(revision) and ".." not in revision):
        raise UsageError(f"{text!r}: {revision!r} is no revision; give a commit, a branch or a tag after the @")
    return HubName(repo_id, revision or None)


def parse_target(text: str) -> HubName:
    """Return the repository that something is pushed to, whose new head is made from its present one.

    Raises:
        UsageError: not such a name, or with a revision.
    """
    name = parse_hub_name(text)
    if name.revision is not None:
        raise UsageError(f"{text!r}: what is pushed becomes the head of the repository; leave @{name.revision} out")
    return name

"""Errors a user can act on, each with its stable exit code."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

# The one list of exit codes; the page of the command line is made from it.
EXIT_CODES = {
    0: "done",
    1: "a defect of ours",
    2: "a mistyped name, option or recipe key",
    3: "a file or dataset whose content cannot be used",
    4: "something that has to be made, fetched or installed first",
    5: "a training diverged",
    6: "`diff --exit-code`: the sets differ",
    7: "the Hugging Face Hub refused, or could not be reached",
    130: "interrupted; the same command goes on where it stopped, or begins anew",
}
DIFFERENT = 6
INTERRUPTED = 130


class BenchError(Exception):
    """A failure the user can mend: the message names the file, row or option and says what to do next."""

    exit_code = 1


class UsageError(BenchError):
    """A mistyped name, option or recipe key."""

    exit_code = 2


class BadInputError(BenchError):
    """A file or dataset whose content cannot be used."""

    exit_code = 3


class MissingError(BenchError):
    """Something that has to be made, fetched or installed first."""

    exit_code = 4


class HubError(BenchError):
    """The Hugging Face Hub refused, or could not be reached."""

    exit_code = 7


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that offers the nearest known names, or lists them all."""
    options = sorted(known)
    folded = {option.casefold(): option for option in options}
    near = get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    if near:
        return "Did you mean " + " or ".join(repr(folded[option]) for option in near) + "?"
    return "Known: " + (", ".join(options) or "none") + "."


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not among the known ones."""
    return UsageError(f"unknown {kind} {name!r}. {did_you_mean(name, known)}")


def enumerate_faults(title: str, faults: Sequence[str], limit: int = 20) -> str:
    """Return a message that lists faults, the first `limit` in full and the rest as a count."""
    lines = [title, *(f"  - {fault}" for fault in faults[:limit])]
    if len(faults) > limit:
        lines.append(f"  ... and {len(faults) - limit} more")
    return "\n".join(lines)

"""What a check found: the rows that are new, and every fault with its reason and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from rgbt_bench.errors import BadInputError

UNVERIFIED: Final = "its numbers are not verified by this"
LONGEST_PATH: Final = 300
_LONGEST: Final = 80
_LONGEST_ERROR: Final = 600


class Rule(NamedTuple):
    """Why something is refused, and what to do."""

    why: str
    do: str


_ANEW = "make the row with `rgbt-bench submit` and change nothing in it"
_NAMES = "a reader takes a row for what it looks like"

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "other-files": Rule(
            "a program checks an entry, which brings rows and predictions alone; people review all else",
            "bring it in a pull request of its own",
        ),
        "path": Rule(
            "files of a board have one form of name, which cannot lead elsewhere or look like another",
            "name rows rows/ROW.json and predictions predictions/ROW.sSEED.json.gz or .zip, as `submit` does",
        ),
        "version": Rule("versions never mix, and new rows belong to the newest", "make the row for the newest version"),
        "existing": Rule(
            "a row stays what it was when it was checked and verified",
            "bring a new result as a new row; ask a maintainer to remove the old one",
        ),
        "taken": Rule("a row is never written over another", "choose another id; a new result is a new row"),
        "mode": Rule(
            "links, submodules and programs are nothing that a board holds", "add a regular file, mode 100644"
        ),
        "history": Rule("what a merge would change has to be what was checked", "rebase onto the base branch"),
        "limits": Rule("one pull request has to stay small enough to be checked", "split it into several"),
        "size": Rule(
            "the repository holds every byte for ever", "keep large predictions on the Hub, as `submit` offers"
        ),
        "row-form": Rule("what two readers could take differently cannot be compared", _ANEW),
        "row-name": Rule("a row is found by its id, on the board that it was made for", _ANEW),
        "time": Rule("rows are ordered by when they were made", "write the time as `submit` does, in UTC"),
        "characters": Rule(
            "what cannot be seen, or is shown as something else, deceives the reader",
            "write it in composed, visible characters (NFC)",
        ),
        "scripts": Rule(
            "letters of several alphabets in one word make it look like another word", "write a word in one alphabet"
        ),
        "spaces": Rule("names that differ in spaces alone look alike", "write single spaces, none at the ends"),
        "name": Rule(
            _NAMES,
            "write the name in Latin letters, digits, single spaces and - + . , : ( ) / & ' _; a letter or digit first",
        ),
        "look-alike": Rule(_NAMES, "choose a name that is told apart from it at a glance, such as with a year"),
        "text": Rule("texts of a row are shown as they are", "write a short text without markup"),
        "bibtex": Rule("people paste it into their papers", "give one @entry and nothing beside it, or leave it empty"),
        "paper": Rule(
            "a row stands beside the figures of the paper that it names",
            "give the key of a file in leaderboards/papers, or leave it out and write `paper`",
        ),
        "url": Rule(
            "people follow it", "give an https address with a public host name in ASCII, no user, port or punycode"
        ),
        "local-path": Rule("it would publish a folder of somebody's machine", "write a name in place of the path"),
        "track": Rule("only the frozen tracks have rows", "score on a track of `rgbt-bench list tracks`"),
        "protocol": Rule("numbers of two protocols cannot be compared", "score again with this version of rgbt-bench"),
        "data": Rule(
            "numbers on other samples or labels cannot be compared",
            "convert the whole set with `rgbt-bench convert`, and score on its official part",
        ),
        "trained-on-test": Rule(
            "what was trained or chosen on the test part is not measured by it", "train without it"
        ),
        "standing": Rule("whether a row may rank follows from the frozen definitions alone", _ANEW),
        "figures": Rule("the figures of a protocol have fixed names and ranges", _ANEW),
        "classes": Rule("figures over other classes cannot be compared", _ANEW),
        "counts": Rule("counts are of things that are there", _ANEW),
        "intervals": Rule("an interval comes from the resamples beside it", _ANEW),
        "resampling": Rule("rows are paired by drawing alike", _ANEW),
        "resamples": Rule("ranks are computed from them", _ANEW),
        "confusion": Rule("figures of label maps follow from the confusion matrix", _ANEW),
        "seeds": Rule("seeds of a row are runs of one recipe that differ in the seed alone", "bring a run a seed"),
        "copied": Rule("one result has one row", "leave the row out, or bring the predictions of your own model"),
        "model": Rule("a row says by which recipe and weights it was made", _ANEW),
        "recipe": Rule("a name of a registered recipe stands for that recipe", "give your recipe a name of its own"),
        "preset": Rule("the quick preset is for trying and never ranks", "run the recipe with the preset paper"),
        "network": Rule("sizes are counted, not estimated", "count them with `rgbt-bench count`"),
        "latency": Rule("timings are compared within a device class only as they were taken", "time it again"),
        "hardware": Rule("a machine is described by short texts and numbers", _ANEW),
        "predictions-missing": Rule(
            "a row can be verified from its predictions alone", "add the file that the row names"
        ),
        "predictions-left-over": Rule("predictions belong to a row", "add its row, or take the file away"),
        "predictions-name": Rule("predictions are called as their row and seed", _ANEW),
        "predictions-digest": Rule(
            "the row has to be of these very predictions", "pack the predictions that were scored"
        ),
        "predictions-packed": Rule(
            "packed predictions are opened without surprises", "pack them with `rgbt-bench submit`"
        ),
        "predictions-content": Rule("predictions that cannot be scored prove nothing", "correct them and score again"),
    }
)


class Problem(NamedTuple):
    """One breach of a rule of `RULES`, in words that name the place."""

    rule: str
    what: str


@dataclass(frozen=True)
class Fault:
    """A breach of a rule in a file of the change, or in the whole of it where `file` is empty."""

    file: str
    rule: str
    what: str

    def to_dict(self) -> dict[str, str]:
        """Return it with why it is refused and what to do."""
        rule = RULES[self.rule]
        return {"file": self.file, "rule": self.rule, "what": self.what, "why": rule.why, "do": rule.do}


@dataclass(frozen=True)
class NewRow:
    """A row that was read; `bytes` are those of its file and of its predictions in the change."""

    id: str
    track: str
    seeds: int
    standing: str
    bytes: int

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        size = f"{self.bytes / 1e6:.1f} MB" if self.bytes >= 1e5 else f"{self.bytes / 1e3:.1f} kB"
        return f"1 new row on {self.track}, {seeds}, {size}; {UNVERIFIED}"


@dataclass(frozen=True)
class Report:
    """What was found of a change; `is_entry` is false where it touches no row and no predictions."""

    board: str
    is_entry: bool
    rows: tuple[NewRow, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is refused."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "board": self.board,
            "entry": self.is_entry,
            "passed": self.passed,
            "rows": [asdict(row) | {"found": row.sentence} for row in self.rows],
            "faults": [fault.to_dict() for fault in self.faults],
        }


def told(error: BadInputError, where: str) -> str:
    """Return what an error says of a file, in one line of visible ASCII: it may quote what the file holds."""
    lines = [" ".join(line.split()) for line in str(error).removeprefix(f"{where}: ").splitlines()]
    text = "; ".join(line.removeprefix("- ") for line in lines if line).replace(":; ", ": ")
    short = text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}..."
    return "".join(one if one.isascii() and one.isprintable() else ascii(one)[1:-1] for one in short)


def shown(value: object) -> str:
    """Return a value of somebody else's as a short text of visible ASCII, in one line."""
    if isinstance(value, str):
        text = value[: _LONGEST + 1]
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        text = ", ".join(shown(one) for one in value[:6]) + (", ..." if len(value) > 6 else "")
        return text if len(text) <= 4 * _LONGEST else f"{text[: 4 * _LONGEST]}..."
    else:
        text = str(value)
    return _visible(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def shown_path(path: str) -> str:
    """Return a path as it is, or as a text of visible ASCII; only one that no file of a board has is cut short."""
    return _visible(path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}...")


def _visible(short: str) -> str:
    return short if short.isascii() and short.isprintable() and short.strip() == short != "" else ascii(short)

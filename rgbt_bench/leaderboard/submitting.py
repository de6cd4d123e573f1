"""Making a row of runs or predictions, and writing it into a board only once it has passed what CI will ask."""

import hashlib
import re
import shlex
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from rgbt_bench.errors import BadInputError, BenchError, UsageError, enumerate_faults
from rgbt_bench.files import write_bytes
from rgbt_bench.hub.names import parse_target
from rgbt_bench.leaderboard.board import PREDICTIONS_FOLDER, ROWS_FOLDER, Board
from rgbt_bench.leaderboard.checking import Base, Change, check_changes
from rgbt_bench.leaderboard.checking.changes import HOME, REGULAR
from rgbt_bench.leaderboard.labels_here import LabelsHere
from rgbt_bench.leaderboard.latencies import latency_reports
from rgbt_bench.leaderboard.packing import pack
from rgbt_bench.leaderboard.papers import papers
from rgbt_bench.leaderboard.predictions_on_hub import push_packed
from rgbt_bench.leaderboard.ranking import Place, why_unranked
from rgbt_bench.leaderboard.rescoring import rescore
from rgbt_bench.leaderboard.rows import (
    LONGEST_ID,
    MAX_PACKED_BYTES,
    ROW_ID,
    Entry,
    Packed,
    Row,
    ScoredRun,
    Size,
    encode_resamples,
    row_bytes,
)
from rgbt_bench.leaderboard.summaries import summary
from rgbt_bench.leaderboard.verifying import differences
from rgbt_bench.opening import open_dataset
from rgbt_bench.plain_yaml import read_mapping
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.recipes import explain
from rgbt_bench.results import RESULT_FILE, ModelProvenance, Result, now
from rgbt_bench.runs import TEST_PART, settled_recipe
from rgbt_bench.scoring import score_file
from rgbt_bench.sides import Scored, find_side

_ANY: Final = "0" * 40  # in place of a commit that is not made yet
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")


class EntryFile(Entry):
    """What a YAML file may say of an entry: who brings it, and what it is of.

    `predictions` are files or folders by seed, seen from the file's folder; `parameters`, `macs` and `image_size` are
    stated, not measured.
    """

    dataset: str | None = None
    part: str = TEST_PART
    task: str | None = None
    id: str | None = Field(default=None, pattern=ROW_ID, max_length=LONGEST_ID)
    predictions: dict[str, str] = Field(default_factory=dict)
    parameters: int | None = Field(default=None, ge=0)
    macs: int | None = Field(default=None, ge=0)
    image_size: tuple[int, int] | None = None

    @property
    def entry(self) -> Entry:
        """Who brings it."""
        return Entry(**{name: getattr(self, name) for name in Entry.model_fields})


@dataclass(frozen=True)
class Made:
    """A row, its packed predictions by file name, and what its maker should know."""

    row: Row
    packed: Mapping[str, bytes]
    notes: tuple[str, ...] = ()
    hub: str | None = None


def read_entry(path: Path | None, given: Mapping[str, Any]) -> EntryFile:
    """Return what is said of an entry: by a YAML file, and over it what is given here.

    Raises:
        MissingError: there is no such file.
        BadInputError: it is not such a file; the message names the key.
        UsageError: what is given will not do.
    """
    content = read_mapping(path, "an entry") if path is not None else {}
    said = {key: value for key, value in given.items() if value is not None}
    if (key := said.get("paper")) in papers():
        said |= {"paper": papers()[key].title, "paper_key": key}
    where = str(path) if path is not None else "the entry"
    try:
        entry = EntryFile.model_validate(content | said)
        base = path.parent if path is not None else Path()
        named = {seed: str(base / Path(one).expanduser()) for seed, one in entry.predictions.items()}
        return entry.model_copy(update={"predictions": named})
    except ValidationError as error:
        kind = UsageError if path is None else BadInputError
        raise kind(explain(error, where, EntryFile)) from None


def make_row(
    board: Board,
    targets: Sequence[str],
    entry: EntryFile,
    preset: str = "paper",
    hub: str | None = None,
    progress: Progress = no_progress,
) -> Made:
    """Return a row of runs, of all seeds of a recipe, or of anybody's predictions.

    Every figure is computed here; with `hub`, OWNER/NAME, packed predictions are to be pushed there, by `push_made`,
    instead of kept beside the row.

    Raises:
        UsageError: options that do not go together, or no name of a repository.
        MissingError: something is not here.
        BadInputError: predictions that cannot be scored, or a result that is not of them.
    """
    if hub is not None:
        parse_target(hub)
    sides = _scored(targets, entry, preset)
    row_id = ""
    labels, runs, packed = LabelsHere(), [], {}
    for place, one in enumerate(sides):
        result, drawn = _measured(one, entry, labels)
        row_id = row_id or entry.id or _slug(f"{result.track} {entry.name}")
        suffix, data = pack(one.predictions)
        name = f"{row_id}.s{'x' if one.seed is None else one.seed}{suffix}"
        packed[name] = data
        runs.append(ScoredRun(seed=one.seed, result=result, predictions=_packed(name, data), resamples=drawn))
        progress("scoring", place + 1, len(sides))
    model = runs[0].result.model
    size, note = _size(model, entry)
    row = _row(
        id=row_id,
        board=board.number,
        entry=entry.entry,
        runs=tuple(runs),
        size=size,
        latency=latency_reports(model.recipe, model.preset) if model else (),
        created=now(),
    )
    return Made(row, packed, note, hub)


def submit_row(
    board: Board,
    targets: Sequence[str],
    entry: EntryFile,
    preset: str = "paper",
    hub: str | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Make a row, check it as CI will, write it unless `dry_run`, and return what was done as JSON-ready data.

    Raises:
        UsageError: what `make_row` refuses, predictions too large to be kept, or a board that nothing is written into.
        BadInputError: what CI would refuse; nothing was written.
    """
    if not dry_run:
        _require_checkout(board)
    made = make_row(board, targets, entry, preset, hub, progress)
    _require_small(made)
    if not dry_run:
        _clear_leftovers(board, made.row.id)
    require_accepted(board, made)
    made = made if dry_run else push_made(made)
    written = [] if dry_run else write_row(board, made)
    place = Place(None, reason=why_unranked(board, made.row) or "ranks once it is among the rows")
    return {
        "row": summary(board, made.row, place),
        "written": [str(path) for path in written],
        "bytes": sum(map(len, made.packed.values())) + len(row_bytes(made.row)),
        "standing_reason": made.row.first.standing_reason,
        "notes": list(made.notes),
        "steps": [] if dry_run else _steps(board, made.row, written),
    }


def write_row(board: Board, made: Made) -> list[Path]:
    """Write a row's predictions and then the row, whole, and return their places; a row that is there stays.

    Raises:
        UsageError: the board has such a row.
    """
    place = board.row_file(made.row.id)
    if place.exists():
        raise UsageError(f"{place}: the row is there already; a new result is a new row, give it another --id")
    written = []
    for name, data in made.packed.items():
        write_bytes(board.predictions_file(name), data)
        written.append(board.predictions_file(name))
    write_bytes(place, row_bytes(made.row))
    return [*written, place]


def _scored(targets: Sequence[str], entry: EntryFile, preset: str) -> list[Scored]:
    """Return what is to be scored, one a seed."""
    if targets and entry.predictions:
        raise UsageError("predictions are named here and in the entry's file; leave one of the two out")
    if entry.predictions:
        found = []
        for seed, path in entry.predictions.items():
            if not (seed.isascii() and seed.isdecimal()):
                raise UsageError(f"predictions.{seed}: name each file by its seed, a number")
            (one,) = find_side(path).scored
            found.append(_OfSeed(one.predictions, None, int(seed)))
        return list(found)
    if not targets:
        raise UsageError("name a run, a recipe or predictions, or `predictions` by seed in the entry's file")
    scored = [one for text in targets for one in find_side(text, preset, entry.dataset).scored]
    seeds = [one.seed for one in scored]
    if len(scored) > 1 and (None in seeds or len(set(seeds)) < len(seeds)):
        raise UsageError(
            "the runs of one row are of different seeds, each known: name one run, or each file by its seed under"
            " `predictions` in the entry's file"
        )
    return scored


@dataclass(frozen=True)
class _OfSeed(Scored):
    """Predictions brought from outside whose seed somebody says."""

    stated: int | None = None

    @property
    def seed(self) -> int | None:
        return self.stated


def _measured(one: Scored, entry: EntryFile, labels: LabelsHere) -> tuple[Result, str]:
    """Return the result of predictions as it is computed here and now, and the resamples of its main figure."""
    if one.result is None:
        result = _score(one.predictions, entry)
    else:
        one.require_unchanged()
        result = one.result
    part = labels.part(result)
    again = rescore(result, part, one.predictions)
    if apart := differences(result.metrics.model_dump(mode="json"), again.metrics.model_dump(mode="json"), "metrics"):
        raise BadInputError(
            enumerate_faults(
                f"{one.predictions}: {RESULT_FILE} beside it is not what this rgbt-bench computes on the set here;"
                " delete it and run it again",
                apart,
            )
        )
    return result, encode_resamples(again.drawn)


def _score(path: Path, entry: EntryFile) -> Result:
    if entry.dataset is None or entry.task is None:
        raise UsageError(
            f"{path}: say what these predictions are of: --dataset, and --task such as detection-rgbt, or `dataset` and"
            " `task` in the entry's file"
        )
    return score_file(path, open_dataset(entry.dataset).part(entry.part), entry.task)


def _packed(name: str, data: bytes) -> Packed:
    return Packed(file=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def push_made(made: Made) -> Made:
    """Push packed predictions to the Hub where they are to lie there, and return the row with their pinned places.

    Raises:
        HubError: the Hub refused, or cannot be reached.
    """
    if made.hub is None:
        return made
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for name, data in made.packed.items():
            files[name] = Path(folder) / name
            files[name].write_bytes(data)
        places = push_packed(made.hub, files)
    return _at_places(made, places)


def _at_places(made: Made, places: Mapping[str, str]) -> Made:
    """Return a row whose predictions lie on the Hub."""
    runs = tuple(
        run.model_copy(
            update={
                "predictions": run.predictions.model_copy(
                    update={"file": None, "hub": places[str(run.predictions.file)]}
                )
            }
        )
        for run in made.row.runs
    )
    return replace(made, row=made.row.model_copy(update={"runs": runs}), packed={}, hub=None)


def _size(model: ModelProvenance | None, entry: EntryFile) -> tuple[Size | None, tuple[str, ...]]:
    """Return what was counted of our own network, or what is stated of another."""
    if entry.parameters is not None or entry.macs is not None:
        stated = Size(parameters=entry.parameters, macs=entry.macs, image_size=entry.image_size, by="stated")
        return stated, ()
    if model is None:
        return None, ("no parameters and MACs: state them in the entry's file, if you like",)
    try:
        from rgbt_bench.counting import count_network

        found = count_network(settled_recipe(model.recipe, model.preset, model.settings))
    except (BenchError, ModuleNotFoundError) as error:
        return None, (f"no parameters and MACs: {error}",)
    return Size(parameters=found.parameters, macs=found.macs, image_size=found.image_size), ()


def _require_small(made: Made) -> None:
    for name, data in made.packed.items():
        if made.hub is None and len(data) > MAX_PACKED_BYTES:
            raise UsageError(
                f"{name}: {len(data):,} bytes packed, and at most {MAX_PACKED_BYTES:,} are kept beside a row;"
                " --hub OWNER/NAME puts predictions into a repository of the Hub"
            )


def _clear_leftovers(board: Board, row: str) -> None:
    """Take away predictions that a killed `submit` left without their row."""
    if not board.row_file(row).exists():
        for path in (board.folder / PREDICTIONS_FOLDER).glob(f"{row}.s*"):
            path.unlink()


def _require_checkout(board: Board) -> None:
    """Refuse to write into an installed copy, which no pull request comes from."""
    if "site-packages" in board.root.resolve().parts:
        raise UsageError(
            f"{board.root}: is an installed copy; clone the repository, and name its folder leaderboards with --board"
        )


def require_accepted(board: Board, made: Made) -> None:
    """Ask of a row what CI will ask of the pull request.

    Raises:
        BadInputError: CI would refuse it; every fault is named.
    """
    if faults := refusals(board, made):
        raise BadInputError(enumerate_faults("CI would refuse this row, so nothing was written:", faults))


def refusals(board: Board, made: Made) -> list[str]:
    """Return every reason for which CI would refuse a row, as if its predictions were on the Hub already."""
    if made.hub is not None:
        made = _at_places(made, {name: f"hub:{parse_target(made.hub).repo_id}@{_ANY}/{name}" for name in made.packed})
    contents = {f"{PREDICTIONS_FOLDER}/{name}": data for name, data in made.packed.items()}
    contents[f"{ROWS_FOLDER}/{made.row.id}.json"] = row_bytes(made.row)
    report = check_changes(Base(board.root), [_change(board, place, data) for place, data in contents.items()])
    return [f"{one.file}: {one.what} ({one.rule})" for one in report.faults]


def _change(board: Board, place: str, data: bytes) -> Change:
    path = f"{HOME}/{board.version}/{place}"
    return Change(path, "added", REGULAR, len(data), lambda limit: data[:limit])


def _steps(board: Board, row: Row, written: Sequence[Path]) -> list[str]:
    """Return the commands that open the pull request, to be run in the checkout."""
    checkout = board.root.resolve().parent
    files = [shlex.quote(path.resolve().relative_to(checkout).as_posix()) for path in written]
    return [
        f"cd {shlex.quote(str(checkout))}",
        f"git switch --create entry-{row.id}",
        f"git add {' '.join(files)}",
        f"git commit --message {shlex.quote(f'Enter {row.id}')}",
        f"git push --set-upstream YOUR-FORK entry-{row.id}",
        "open a pull request against main; CI checks it, and once it is merged it is scored again",
    ]


def _row(**fields: Any) -> Row:
    try:
        return Row(**fields)
    except ValidationError as error:
        raise UsageError(explain(error, "this row", Row)) from None


def _slug(text: str) -> str:
    """Return a row's id from its track and name: lower case letters and digits with hyphens between."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    found = _NO_WORD.sub("-", plain)[:LONGEST_ID].strip("-")
    if not found:
        raise UsageError(f"{text!r} has no letters for a row's id; give --id")
    return found

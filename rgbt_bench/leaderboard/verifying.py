"""Proving rows: every number of a row computed again from its predictions and somebody's copy of the labels."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np

from rgbt_bench import __version__
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError, BenchError, HubError, MissingError, UsageError
from rgbt_bench.files import write_json
from rgbt_bench.leaderboard.board import Board, Proof
from rgbt_bench.leaderboard.labels_here import LabelsHere
from rgbt_bench.leaderboard.predictions_on_hub import fetch_packed
from rgbt_bench.leaderboard.rescoring import rescore_packed
from rgbt_bench.leaderboard.rows import Packed, Row, ScoredRun
from rgbt_bench.leaderboard.standings import standing_of
from rgbt_bench.leaderboard.tracks import PROTOCOLS, protocol_digest
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.results import Result, library_versions, now
from rgbt_bench.workers import usable_cores, workers

TOLERANCE: Final = 1e-12  # relative, of floats; counts and texts are equal
SHOWN_DIFFERENCES: Final = 5
NOT_RECOMPUTED: Final = (
    "parameters, MACs, latency and the model's own provenance need the model, and were not recomputed"
)
_NOT_IN_FIGURES: Final = ("torch", "torchvision", "timm", "effdet", "accelerate")
State = Literal["proven", "failed", "not here"]


@dataclass(frozen=True)
class Finding:
    """What the verification of a row found; `missing` says what was not here to verify it with."""

    row: str
    track: str
    faults: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """Whether every number came out again; a fault counts more than what is not here."""
        return "failed" if self.faults else "not here" if self.missing else "proven"


@dataclass
class _Told:
    faults: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Task:
    """One run of a row."""

    row: Row
    place: int

    def run(self, board: Board, labels: LabelsHere) -> _Told:
        told = _Told()
        scored = self.row.runs[self.place]
        seed = "" if scored.seed is None else f"seed {scored.seed}: "
        try:
            faults = _run_faults(board, labels, scored)
        except (MissingError, HubError) as error:
            told.missing.append(f"{seed}{error}")
        except BenchError as error:
            told.faults.append(f"{seed}{error}")
        else:
            told.faults += [f"{seed}{fault}" for fault in faults]
        return told


def verify_rows(
    board: Board, rows: Sequence[Row], progress: Progress = no_progress, count: int | None = None
) -> list[Finding]:
    """Compute every number of rows again, without torch, and return what was found of each, in order.

    Counts come out exactly, floats to 1e-12 relative. The labels are those of the converted sets here, whose digests
    are computed again first. `count` processes share the work, by default as many as there are cores.

    Raises:
        BenchError: a worker process was killed.
    """
    tasks = [_Task(row, place) for row in rows for place in range(len(row.runs))]
    # rows of one set follow each other, so that each process opens few
    tasks.sort(key=lambda one: (one.row.track, one.row.id, one.place))
    told: dict[str, _Told] = {row.id: _Told() for row in rows}
    done = 0
    with workers(min(count or usable_cores(), len(tasks)), board, LabelsHere()) as crew:
        for number, found in crew.run(tasks):
            told[tasks[number].row.id].faults.extend(found.faults)
            told[tasks[number].row.id].missing.extend(found.missing)
            done += 1
            progress("verifying", done, len(tasks))
    return [Finding(row.id, row.track, tuple(told[row.id].faults), tuple(told[row.id].missing)) for row in rows]


def choose_rows(board: Board, names: Sequence[str], every: bool) -> list[Row]:
    """Return the rows of these names, or every row.

    Raises:
        UsageError: both or neither are asked for, or no such row.
    """
    if every == bool(names):
        raise UsageError("name rows, or say --all; `leaderboard show TRACK` lists them")
    return list(board.rows.values()) if every else [board.row(name) for name in dict.fromkeys(names)]


def report_of(board: Board, findings: Sequence[Finding], skip_missing: bool = False) -> dict[str, Any]:
    """Return what was found as JSON-ready data; `exit_code` is 0 where all is proven, or what is missing is skipped."""
    states = [one.state for one in findings]
    code = BadInputError.exit_code if "failed" in states else 0
    if not code and "not here" in states and not skip_missing:
        code = MissingError.exit_code
    return {
        "version": board.version,
        "proven": states.count("proven"),
        "failed": states.count("failed"),
        "not_here": states.count("not here"),
        "rows": [asdict(one) | {"state": one.state} for one in findings],
        "note": NOT_RECOMPUTED,
        "exit_code": code,
    }


def write_proofs(board: Board, rows: Iterable[Row], findings: Iterable[Finding]) -> None:
    """Write a proof for each row that was proven, and take away that of a row that failed."""
    for row, finding in zip(rows, findings, strict=True):
        path = board.proof_file(row.id)
        if finding.state == "failed":
            path.unlink(missing_ok=True)
        elif finding.state == "proven" and not _is_proven(board, row):
            proof = Proof(
                row=row.id,
                row_digest=row.digest,
                kind="rescored",
                rgbt_bench=__version__,
                created=now(),
                libraries=proof_libraries(),
            )
            write_json(path, proof.model_dump(mode="json"))


def proof_libraries() -> dict[str, str]:
    """Return the versions of what took part in a proof."""
    return {name: told for name, told in library_versions().items() if name not in _NOT_IN_FIGURES}


def _is_proven(board: Board, row: Row) -> bool:
    try:
        return board.proof(row) is not None
    except BadInputError:  # a damaged one is written anew
        return False


def _run_faults(board: Board, labels: LabelsHere, run: ScoredRun) -> list[str]:
    result = run.result
    faults = definition_faults(board, result)
    data = packed_bytes(board, run.predictions)
    part = labels.part(result)
    told = _data_told(result)
    faults += differences(told, _data_of(part, result, set(told)), "data")
    if faults:
        return faults
    again = rescore_packed(result, part, run.predictions, data)
    faults += differences(result.metrics.model_dump(mode="json"), again.metrics.model_dump(mode="json"), "metrics")
    theirs = run.drawn()
    if theirs.shape != again.drawn.shape or not np.allclose(theirs, again.drawn, TOLERANCE, 0, equal_nan=True):
        faults.append("resamples: not those of the predictions")
    verdict, reason = standing_of(board.definitions, result)
    return faults + differences([result.standing, result.standing_reason], [verdict, reason], "standing")


def definition_faults(board: Board, result: Result) -> list[str]:
    """Return where a result is not of the definitions that the board has frozen and this rgbt-bench computes."""
    frozen = board.definitions.tracks.get(result.track)
    if frozen is None:
        return [f"track: {board.version} has no track {result.track}"]
    name = frozen.protocol
    faults = []
    if protocol_digest(name) != board.definitions.protocols[name]:
        faults.append(
            f"protocol {name}: this rgbt-bench defines it as {protocol_digest(name)[:12]}, and {board.version} froze"
            f" {board.definitions.protocols[name][:12]}; take the version of rgbt-bench that made the row"
        )
    if result.protocol != PROTOCOLS[name] or result.protocol_digest != board.definitions.protocols[name]:
        faults.append(f"protocol: the row's is not {name} as {board.version} froze it")
    return faults


def packed_bytes(board: Board, packed: Packed) -> bytes:
    """Return the bytes of packed predictions, once they have shown to be those that the row names.

    Raises:
        BadInputError: they are not there, or others.
        HubError: they lie on the Hub, which cannot be reached.
    """
    if packed.hub is not None:
        data, where = fetch_packed(packed.hub), packed.hub
    else:
        path = board.predictions_file(str(packed.file))
        if not path.is_file():
            raise BadInputError(f"{path}: missing; the row's predictions belong there")
        data, where = path.read_bytes(), str(path)
    if hashlib.sha256(data).hexdigest() != packed.sha256:
        raise BadInputError(f"{where}: changed since the row was made (sha256)")
    return data


def differences(theirs: Any, ours: Any, at: str) -> list[str]:
    """Return where JSON-ready data differ: numbers beyond 1e-12 relative, counts and all else at all."""
    found = list(_differences(theirs, ours, at))
    rest = [f"{at}: and {len(found) - SHOWN_DIFFERENCES} more differences"] if len(found) > SHOWN_DIFFERENCES else []
    return found[:SHOWN_DIFFERENCES] + rest


def _differences(theirs: Any, ours: Any, at: str) -> Iterable[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            if key in theirs and key in ours:
                yield from _differences(theirs[key], ours[key], f"{at}.{key}")
            else:
                yield f"{at}.{key}: {'only the row has it' if key in theirs else 'the row has it not'}"
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for place, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from _differences(one, other, f"{at}.{place}")
    elif not _are_equal(theirs, ours):
        yield f"{at}: the row has {theirs!r}, computed again it is {ours!r}"


def _are_equal(theirs: Any, ours: Any) -> bool:
    if type(theirs) is float and type(ours) is float:
        return abs(theirs - ours) <= TOLERANCE * max(abs(theirs), abs(ours))
    return type(theirs) is type(ours) and theirs == ours


def _data_told(result: Result) -> dict[str, Any]:
    told = result.data.model_dump(mode="json")
    # what a model was trained on, and how its set was made, cannot be seen from the labels it is scored against
    names = ["dataset", "split", "part", "samples", "skipped", "label_digest", "ids_sha256"]
    if result.metrics.kind == "fusion":
        names += ["rgb_digest", "thermal_digest"]
    return {name: told[name] for name in names}


def _data_of(part: Part, result: Result, names: set[str]) -> dict[str, Any]:
    ours = part.record.model_dump(mode="json") | {
        "dataset": part.dataset.info.name,
        "split": part.split,
        "part": part.name,
        "skipped": part.dataset.record.skipped,
    }
    return {name: ours[name] for name in names}

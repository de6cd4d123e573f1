"""Sweeps: the runs of one file, or of one table of a paper, each done once and what it requires before it."""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, BenchError, UsageError
from rgbt_bench.harness import check
from rgbt_bench.launching import Job, Launcher, ended_as_interrupted
from rgbt_bench.leaderboard.papers import BY_RUNS, find_table
from rgbt_bench.opening import open_dataset
from rgbt_bench.plain_yaml import read_mapping
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.recipes import explain, load_recipe
from rgbt_bench.results import RESULT_FILE, read_result
from rgbt_bench.runs import MAX_SEED, Run, plan_run, plan_seeds

LOG_FILE = "run.log"
_POLL_S = 0.1
_LAST_LINES = 10
_DONE = ("done", "was done")
_WHICH = {"failed": "failed", "not started": "was not started"}
Ending = Literal["done", "was done", "failed", "not started"]


class _Choices(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dataset: str | None = None
    preset: str | None = None
    seeds: int | list[int] | None = None
    set: list[str] | None = None

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds_are_a_count_or_a_list(cls, given: Any) -> Any:
        counts = isinstance(given, int) and not isinstance(given, bool) and given >= 1
        if given is None or counts:
            return given
        each = given if isinstance(given, list) else []
        proper = all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= MAX_SEED for one in each)
        if not each or not proper or len(set(each)) < len(each):
            raise ValueError(f"write how many, such as 3, or a list of different seeds, such as [0, 7]; not {given!r}")
        return given


class SweepItem(_Choices):
    """One recipe of a sweep; `seeds` is how many in a row from the recipe's own, or a list of them."""

    recipe: str


class SweepFile(BaseModel):
    """A sweep file: its runs, and under `defaults` what holds for those that do not say otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    defaults: _Choices = Field(default_factory=_Choices)
    runs: list[SweepItem] = Field(min_length=1)


@dataclass(frozen=True)
class Step:
    """One run of a sweep, and the dataset as it was asked for."""

    run: Run
    dataset: str

    @property
    def label(self) -> str:
        """What the run is called: its recipe, seed and the name of its folder."""
        return f"{self.run.recipe.name} seed {self.run.seed} ({self.run.folder.name})"

    @property
    def log(self) -> Path:
        """The file that holds what the run printed."""
        return self.run.folder / LOG_FILE

    def arguments(self, device: str) -> list[str]:
        """Return the arguments of `rgbt-bench` that make exactly this run, and refuse another."""
        run = self.run
        return [
            *("run", "--dataset", self.dataset, "--preset", run.recipe.preset, "--seed", str(run.seed)),
            *(f"--set={setting}" for setting in run.settings),
            *("--out", str(run.folder.parents[2].absolute()), "--device", device),
            *("--wait", "--key", run.key, "--", run.name),
        ]


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended; `seconds` is its time in this sweep, `reason` why it has no result."""

    step: Step
    state: Ending
    seconds: float | None = None
    exit_code: int = 0
    reason: str = ""


def plan_sweep(
    target: str,
    dataset: str | None = None,
    preset: str | None = None,
    seeds: int | None = None,
    home: Path | None = None,
    device: str = "auto",
) -> list[Step]:
    """Return every run that a sweep file or a paper's table asks for, each once, what is required first.

    What only finished runs require is not among them. What is given here counts over the file.

    Raises:
        UsageError: an unknown table, recipe, dataset, preset or setting.
        BadInputError: the file is not a sweep file; the message names the key.
        BenchError: what `harness.check` refuses, before anything has started.
    """
    given = {"dataset": dataset, "preset": preset, "seeds": seeds}
    changes = {key: value for key, value in given.items() if value is not None}
    opened: dict[str, Dataset] = {}
    steps: dict[Path, Step] = {}
    for where, item in _items(target).items():
        try:
            _add_item(item.model_copy(update=changes), opened, home, device, steps)
        except BenchError as error:
            raise type(error)(f"{where}: {error}") from None
    return list(steps.values())


def run_sweep(
    steps: Sequence[Step],
    launcher: Launcher[Job],
    jobs: int = 1,
    keep_going: bool = True,
    device: str = "auto",
    report: Progress = no_progress,
) -> list[Outcome]:
    """Do what is left of the steps, up to `jobs` at once, and return how each ended, in the order of the ends.

    A run that fails ends none of the others but those that require it; without `keep_going`, none is started after it.
    Interrupted, the runs in progress are ended; they go on the next time.
    """
    schedule = _Schedule(steps, launcher, jobs, keep_going, device, report)
    with ended_as_interrupted():
        schedule.work()
    return list(schedule.outcomes.values())


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code of a sweep: that of the run that failed first, or 0."""
    return next((one.exit_code for one in outcomes if one.state == "failed"), 0)


def planned_rows(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Return a plan as JSON-ready rows."""
    return [_row(step) | {"state": step.run.state, "folder": str(step.run.folder)} for step in steps]


def ended_rows(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return how a sweep ended as JSON-ready rows, each with its run's first figure."""
    return [
        _row(one.step)
        | {"state": one.state, "seconds": one.seconds, "figure": _main_figure(one), "exit_code": one.exit_code}
        | {"reason": one.reason, "folder": str(one.step.run.folder)}
        | {"log": str(one.step.log) if one.step.log.is_file() else None}
        for one in outcomes
    ]


def _row(step: Step) -> dict[str, Any]:
    run = step.run
    chosen = {"dataset": step.dataset, "preset": run.recipe.preset, "settings": list(run.settings)}
    return {"recipe": run.recipe.name, "seed": run.seed, **chosen}


def _main_figure(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.state not in _DONE:
        return None
    name, value = next(iter(read_result(outcome.step.run.folder / RESULT_FILE).metrics.figures.items()))
    return {"name": name, "value": value}


def _items(target: str) -> dict[str, SweepItem]:
    """Return what a sweep file or a table asks for, each by where it is asked."""
    if target.endswith((".yaml", ".yml")):
        return _items_of_file(Path(target).expanduser())
    if "/" not in target:
        raise UsageError(f"{target!r}: name a sweep file, such as sweep.yaml, or PAPER/TABLE, as `list tables` does")
    _, _, table = find_table(target)
    if table.kind not in (*BY_RUNS, "reported"):
        raise UsageError(f"{target}: no run fills a table of {table.kind}; see `reproduce {target}`")
    items = {
        f"{target}: {name}": SweepItem(recipe=row.recipe, set=list(row.set) or None)
        for name, row in table.rows.items()
        if row.recipe
    }
    if not items:
        raise UsageError(f"{target}: no row of this table has a recipe yet")
    return items


def _items_of_file(path: Path) -> dict[str, SweepItem]:
    try:
        sweep = SweepFile.model_validate(read_mapping(path, "a sweep file"))
    except ValidationError as error:
        raise BadInputError(explain(error, str(path), SweepFile)) from None
    defaults = sweep.defaults.model_dump(exclude_none=True)
    items = [item.model_dump(exclude_none=True) for item in sweep.runs]
    return {f"{path}: runs.{place}": SweepItem(**defaults | item) for place, item in enumerate(items)}


def _add_item(
    item: SweepItem, opened: dict[str, Dataset], home: Path | None, device: str, steps: dict[Path, Step]
) -> None:
    """Add the runs of one item to the steps, and what is left to do of all they require."""
    preset, settings = item.preset or "paper", tuple(item.set or ())
    name = item.dataset or load_recipe(item.recipe, preset, settings).dataset
    if name not in opened:
        opened[name] = open_dataset(name)
    dataset, seeds = opened[name], item.seeds or 1
    if isinstance(seeds, int):
        runs = plan_seeds(item.recipe, dataset, preset, None, seeds, settings, home)
    else:
        runs = [plan_run(item.recipe, dataset, preset, seed, settings, home) for seed in seeds]
    left = [run for run in runs if run.state != "done"]
    if left:
        check(left[0], dataset, device)

    def add(run: Run) -> None:
        if run.folder in steps:
            return
        if run.state != "done":
            for required in run.requires.values():
                add(required)
        steps[run.folder] = Step(run, name)

    for run in runs:
        add(run)


@dataclass(frozen=True)
class _Started(Generic[Job]):
    step: Step
    job: Job
    began: float
    log_size: int


class _Schedule(Generic[Job]):
    """What is left, what runs, and what has ended, by the folders of the runs."""

    def __init__(
        self,
        steps: Sequence[Step],
        launcher: Launcher[Job],
        jobs: int,
        keep_going: bool,
        device: str,
        report: Progress,
    ) -> None:
        self.folders = {step.run.folder for step in steps}
        self.launcher, self.jobs, self.keep_going, self.device, self.report = launcher, jobs, keep_going, device, report
        self.outcomes: dict[Path, Outcome] = {}
        self.waiting: list[Step] = []
        self.running: list[_Started[Job]] = []
        for step in steps:
            if step.run.state == "done":
                self.outcomes[step.run.folder] = Outcome(step, "was done")
            else:
                self.waiting.append(step)

    def work(self) -> None:
        try:
            while self.waiting or self.running:
                for step in tuple(self.waiting):
                    self._consider(step)
                for started in tuple(self.running):
                    self._collect(started)
                if self.running:
                    time.sleep(_POLL_S)
        finally:
            if self.running:
                self.launcher.cancel([started.job for started in self.running])

    def _consider(self, step: Step) -> None:
        """Start a step where all it requires is done, or give it up where that cannot be."""
        folders = {run.folder for run in step.run.requires.values()} & self.folders
        required = [self.outcomes.get(folder) for folder in folders]
        lacking = next((one for one in required if one and one.state not in _DONE), None)
        failed = any(one.state == "failed" for one in self.outcomes.values())
        if lacking:
            self._give_up(step, f"it needs {lacking.step.label}, which {_WHICH[lacking.state]}")
        elif failed and not self.keep_going:
            self._give_up(step, "another run failed")
        elif all(required) and len(self.running) < self.jobs:
            if step.run.state == "done":  # by another process, since the sweep began
                self.waiting.remove(step)
                self._end(Outcome(step, "was done"))
            else:
                self._start(step)

    def _give_up(self, step: Step, reason: str) -> None:
        self.waiting.remove(step)
        self._end(Outcome(step, "not started", reason=reason))

    def _start(self, step: Step) -> None:
        self.waiting.remove(step)
        size = step.log.stat().st_size if step.log.is_file() else 0
        command = [sys.executable, "-m", "rgbt_bench", *step.arguments(self.device)]
        self.running.append(_Started(step, self.launcher.submit(command, step.log), time.monotonic(), size))
        self._tell(f"{step.label}: started; log {step.log}")

    def _collect(self, started: _Started[Job]) -> None:
        code = self.launcher.poll(started.job)
        if code is None:
            return
        self.running.remove(started)
        seconds = round(time.monotonic() - started.began, 1)
        step = started.step
        if code:
            outcome = Outcome(step, "failed", seconds, code, _why(step.log, started.log_size, code))
        elif step.run.state != "done":
            outcome = Outcome(step, "failed", seconds, 1, f"it ended well, but left no result in {step.run.folder}")
        else:
            outcome = Outcome(step, "done", seconds)
        self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        self.outcomes[outcome.step.run.folder] = outcome
        spent = "" if outcome.seconds is None else f" in {outcome.seconds} s"
        self._tell(f"{outcome.step.label}: {outcome.state}{spent}")

    def _tell(self, text: str) -> None:
        self.report(text, len(self.outcomes), len(self.folders))


def _why(log: Path, start: int, code: int) -> str:
    """Return the last lines that a failed run printed, from where its log began, or what is known without them."""
    with log.open("rb") as stream:
        stream.seek(start)
        lines = [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    ended = [f"ended by signal {code - 128}"] if code > 128 else []
    return "\n".join([*lines[-_LAST_LINES:], *ended]) or "it printed nothing"

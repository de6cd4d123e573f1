"""Workers that are jobs of a cluster: a task is one element of an array, and costs itself alone when it dies."""

import logging
import os
import platform
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rgbt_bench.errors import BenchError, MissingError, UsageError
from rgbt_bench.files import sha256_text
from rgbt_bench.launching import ended_as_interrupted
from rgbt_bench.sources import Source
from rgbt_bench.workers import Failure, Task, Workers, attempt

from . import STATE_FILE

_log = logging.getLogger(__name__)
ATTEMPTS = 3
ELEMENTS_PER_JOB = 4  # so that jobs at a time end together, also where some nodes are slow
LEAST_SIZE = 500  # fewer small things are done before another process has started
ARRAY_SIZE = 1000  # what Slurm takes where nobody has set MaxArraySize
POLL_S = 0.5
STATES_EVERY_S = 5.0
GRACE_S = 15.0  # for as long may a shared file system hide the result of a job that has ended
END_WAIT_S = 30.0
UNKNOWN = "unknown to the cluster"
_LOG_LINES = 5


class Job(Protocol):
    """What is needed of a job of submitit's."""

    job_id: str
    paths: Any

    def result(self) -> Any:
        """Return what its function returned."""


@dataclass(frozen=True)
class State:
    """How a job is: the cluster's word for it, whether it has ended, what it waits for, and what would help it."""

    word: str
    ended: bool
    waits_for: str = ""
    advice: str = ""


class Scheduler(Protocol):
    """What is needed of a cluster; it knows the jobs of one conversion by their name."""

    def submit(self, folder: Path, name: str, function: Callable[[Task], Any], tasks: Sequence[Task]) -> Sequence[Job]:
        """Start an array of one job a task, whose files lie in a folder.

        Raises:
            UsageError: the cluster refuses it; the message has its words.
        """

    def states(self, name: str) -> dict[str, State] | None:
        """Return the states of the jobs that are known, by their ids; None where there is no answer now."""

    def cancel(self, name: str) -> None:
        """Ask for the end of all jobs of a name."""


class LostError(BenchError):
    """A task whose jobs ended without a result."""


@dataclass(frozen=True)
class ClusterCrew:
    """The jobs of a cluster, `jobs` of them at a time; `say` is told what becomes of them."""

    scheduler: Scheduler
    jobs: int
    say: Callable[[str], None] = _log.info

    @contextmanager
    def hire(self, folder: Path, *state: Any) -> Iterator[Workers]:
        """Give workers that know `state`; in `folder` lie their files, and it must be visible on every node.

        Raises:
            UsageError: the state cannot be sent to others.
        """
        name = f"rgbt-bench-{sha256_text(str(folder.resolve()))[:12]}"
        if (folder / STATE_FILE).exists():
            self.say(f"{folder}: of a conversion that was killed; its jobs are ended first")
            self.end(name)
        shutil.rmtree(folder, ignore_errors=True)
        with ended_as_interrupted():
            # What lies there is unpickled, which runs what it says: nobody else may write there.
            folder.mkdir(mode=0o700, parents=True)
            try:
                _save_state(folder / STATE_FILE, state)
                yield _Jobs(self, folder, name)
            except BaseException as error:
                self._leave(folder, name, keep=isinstance(error, LostError))
                raise
            self._leave(folder, name)

    def _leave(self, folder: Path, name: str, keep: bool = False) -> None:
        """End all jobs and remove their files; those that a message names can be kept."""
        try:
            self.end(name)
        except BenchError as problem:  # the next start ends them
            self.say(str(problem))
            return
        (folder / STATE_FILE).unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)

    def end(self, name: str) -> None:
        """End all jobs of a name, and return when they have ended: they write where others will.

        Raises:
            BenchError: they do not end, or the cluster does not answer.
        """
        self.scheduler.cancel(name)
        until = time.monotonic() + END_WAIT_S
        while time.monotonic() < until:
            states = self.scheduler.states(name)
            if states is not None and all(state.ended for state in states.values()):
                return
            time.sleep(POLL_S)
        raise BenchError(f"the jobs named {name} could not be ended; see what they do: squeue --name={name}")


@dataclass
class _Element:
    """A task and the job that does it now."""

    number: int
    task: Task
    job: Job
    attempts: int = 1
    missed_at: float | None = None  # when it was first seen to have ended without a result


@dataclass
class _Jobs(Workers):
    """Does tasks in jobs."""

    crew: ClusterCrew
    folder: Path
    name: str
    _running: dict[str, _Element] = field(default_factory=dict)  # by the name of the file of its result
    _asked_at: float = 0.0
    _told: str = ""

    def task_size(self, count: int) -> int:
        """Return how many of `count` small things a task should hold, for a few elements a job."""
        return max(LEAST_SIZE, -(-count // (self.crew.jobs * ELEMENTS_PER_JOB)))

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Any]]:
        """Yield each task's number and what it returned, as they finish; the first error ends it.

        Raises:
            LostError: several jobs in a row ended without the result of one task.
        """
        try:
            yield from self._run(list(enumerate(tasks)))
        except BaseException:  # at once: what they have not finished is removed next
            with suppress(BenchError):
                self.crew.end(self.name)
            raise

    def _run(self, waiting: list[tuple[int, Task]]) -> Iterator[tuple[int, Any]]:
        while waiting or self._running:
            if not self._running:
                self._submit([(number, task, 1) for number, task in waiting[:ARRAY_SIZE]])
                del waiting[:ARRAY_SIZE]
            arrived = self._arrived()
            for file in arrived:
                element = self._running.pop(file)
                yield element.number, self._result(element)
            if time.monotonic() - self._asked_at > STATES_EVERY_S:
                self._replace_dead()
            if not arrived:
                time.sleep(POLL_S)

    def _submit(self, wanted: Sequence[tuple[int, Task, int]]) -> None:
        function = _Call(self.folder / STATE_FILE, Path.cwd())
        jobs = self.crew.scheduler.submit(self.folder, self.name, function, [task for _, task, _ in wanted])
        for (number, task, attempts), job in zip(wanted, jobs, strict=True):
            self._running[job.paths.result_pickle.name] = _Element(number, task, job, attempts)
        self._asked_at = time.monotonic()
        kind = "element" if len(jobs) == 1 else "elements"
        self.crew.say(f"job {jobs[0].job_id.partition('_')[0]}: {len(jobs)} {kind}, logs in {self.folder}")

    def _arrived(self) -> list[str]:
        self.folder.chmod(0o700)  # so that NFS looks there again
        return [name for name in os.listdir(self.folder) if name in self._running]  # noqa: PTH208

    def _result(self, element: _Element) -> Any:
        from submitit.core.utils import UncompletedJobError

        try:
            result = element.job.result()
        except UncompletedJobError as error:  # before the task was reached: it could not even be read there
            raise LostError(f"{element.task}: job {element.job.job_id} failed:\n{_tail(str(error))}") from None
        if isinstance(result, Failure):
            raise result.error
        return result

    def _replace_dead(self) -> None:
        """Submit again what ended without a result; a result may still be on its way for a moment."""
        states = self.crew.scheduler.states(self.name)
        self._asked_at = now = time.monotonic()
        self._tell(
            "the cluster does not answer; its jobs are waited for" if states is None else self._wait_of_all(states)
        )
        if states is None:
            return
        dead: list[tuple[int, Task, int]] = []
        for file, element in list(self._running.items()):
            state = states.get(element.job.job_id, State(UNKNOWN, ended=True))
            if not state.ended:
                element.missed_at = None
                continue
            if element.missed_at is None:
                element.missed_at = now
            elif now - element.missed_at > GRACE_S:
                del self._running[file]
                dead.append((element.number, element.task, self._next_attempt(element, state)))
        if dead:
            self._submit(dead)

    def _next_attempt(self, element: _Element, state: State) -> int:
        job = element.job
        if element.attempts < ATTEMPTS:
            self.crew.say(f"{element.task}: job {job.job_id} ended without a result ({state.word}); submitted again")
            return element.attempts + 1
        log = job.paths.stderr
        if log.exists():
            rest = f"its log is {log}:\n{_tail(log.read_text(errors='replace'))}"
        else:
            rest = f"it wrote no log: {self.folder} must be on a file system that every node sees"
        times = f"{ATTEMPTS} jobs ended without a result, the last, {job.job_id}, as {state.word}"
        if state.advice:
            times += f" ({state.advice})"
        raise LostError(f"{element.task}: {times}; {rest}")

    def _wait_of_all(self, states: dict[str, State]) -> str:
        """Return what every job waits for, or an empty text."""
        mine = [states[one.job.job_id] for one in self._running.values() if one.job.job_id in states]
        causes = {state.waits_for for state in mine}
        return f"every job waits: {', '.join(sorted(causes))}" if causes and all(causes) else ""

    def _tell(self, text: str) -> None:
        if text and text != self._told:
            self.crew.say(text)
        self._told = text


@dataclass(frozen=True)
class _Call:
    """Does a task on a node, with the state that was written once for all."""

    state_file: Path
    here: Path

    def __call__(self, task: Task) -> Any:
        _end_as_asked()
        with suppress(OSError):  # names relative to it will be missed below
            os.chdir(self.here)
        state = _load_state(self.state_file)
        for source in state:
            if isinstance(source, Source) and not source.root.exists():
                node = platform.node()
                problem = f"{source.root.absolute()}: not there on the node {node}"
                return Failure(MissingError(f"{problem}; put the source on a file system that every node sees"))
        return attempt(task, state)


def _end_as_asked() -> None:
    """Undo submitit's handlers: one outlives the end of its job, one raises amid a task whose time is nearly over."""
    from submitit.core.job_environment import JobEnvironment

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(getattr(signal, f"SIG{JobEnvironment.USR_SIG}"), signal.SIG_IGN)


def _save_state(path: Path, state: tuple[Any, ...]) -> None:
    from submitit.core.utils import cloudpickle_dump

    try:
        cloudpickle_dump(state, path)
    except OSError:
        raise
    except Exception as error:  # whatever a third party's object does when it is to be sent
        raise UsageError(f"this dataset's converter cannot be sent to a cluster ({error}); convert it here") from None


def _load_state(path: Path) -> tuple[Any, ...]:
    from submitit.core.utils import pickle_load

    state: tuple[Any, ...] = pickle_load(path)
    return state


def _tail(text: str) -> str:
    return "\n".join([line for line in text.splitlines() if line.strip(" -")][-_LOG_LINES:])

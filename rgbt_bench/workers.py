"""Doing many tasks in this process, in local processes of our own that end when this one does, or elsewhere."""

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from rgbt_bench.errors import BenchError

_log = logging.getLogger(__name__)
_SMALL_TASK = 16


class Task(Protocol):
    """A piece of work that can be sent to another process; what it returns can be sent back.

    As a text it is what a message calls it.
    """

    def run(self, *state: Any) -> Any:
        """Do it with what every process was given once."""


class _UnsendableError(Exception):
    """The state does not reach another process."""


@dataclass(frozen=True)
class Failure:
    """What a task raised in another process."""

    error: Exception


class Workers:
    """Does tasks in this process."""

    def __init__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    def task_size(self, count: int) -> int:
        """Return how many of `count` small things a task should hold."""
        return _SMALL_TASK

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Any]]:
        """Yield each task's number and what it returned, as they finish; the first error ends it.

        Raises:
            BenchError: a process was killed.
        """
        for number, task in enumerate(tasks):
            yield number, task.run(*self._state)


class _Processes(Workers):
    """Does tasks in processes, one at a time in each."""

    def __init__(self, count: int, state: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of what we imported
        self._members: dict[Connection, BaseProcess] = {}
        with _without_interrupts():
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs,), daemon=True)
                process.start()
                theirs.close()  # so that the end of the process ends our reading
                self._members[ours] = process
        try:
            self._send_state(state)
        except BaseException:
            self.end()
            raise

    def _send_state(self, state: tuple[Any, ...]) -> None:
        for connection in self._members:
            try:
                connection.send(state)
            except OSError:
                raise self._lost(connection) from None
            except Exception as error:  # whatever a third party's object does when it is to be sent
                raise _UnsendableError(str(error)) from None
        for connection in self._members:
            failure = self._answer(connection)
            if failure:
                raise _UnsendableError(str(failure.error))

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Any]]:
        waiting = enumerate(tasks)
        idle = list(self._members)
        busy: dict[Connection, int] = {}
        while True:
            while idle and (following := next(waiting, None)):
                connection = idle.pop()
                busy[connection] = following[0]
                try:
                    connection.send(following[1])
                except OSError:
                    raise self._lost(connection) from None
            if not busy:
                return
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                answer = self._answer(ready)
                if isinstance(answer, Failure):
                    raise answer.error
                idle.append(ready)
                yield busy.pop(ready), answer

    def _answer(self, connection: Connection) -> Any:
        try:
            return connection.recv()
        except (EOFError, OSError):
            raise self._lost(connection) from None

    def _lost(self, connection: Connection) -> BenchError:
        process = self._members[connection]
        process.join()
        return BenchError(
            f"worker process {process.pid} ended with code {process.exitcode} (-9: killed, often for want of memory);"
            " the same command goes on where it stopped, with fewer --workers if memory was short"
        )

    def end(self) -> None:
        """End the processes at once, whatever they are doing."""
        for process in self._members.values():
            process.kill()
        for connection, process in self._members.items():
            process.join()
            connection.close()


class Crew(Protocol):
    """Where a conversion's work can be done other than on this machine."""

    def hire(self, folder: Path, *state: Any) -> AbstractContextManager[Workers]:
        """Give workers that know `state`; in `folder` they keep what they need, and it is gone when all went well."""


@contextmanager
def workers(count: int, *state: Any) -> Iterator[Workers]:
    """Give workers that know `state`: this process for a count of 1, or where the state cannot be sent to others."""
    if count > 1:
        try:
            processes = _Processes(count, state)
        except _UnsendableError as error:
            _log.warning("working in one process, because this dataset's converter cannot be sent to others: %s", error)
        else:
            try:
                yield processes
            finally:
                processes.end()
            return
    yield Workers(state)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, not even while they are starting: we end them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # or the first start would run it, which unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        try:
            state = connection.recv()
        except EOFError:
            return
        except Exception as error:  # a class that only the parent can import
            connection.send(Failure(RuntimeError(f"{type(error).__name__}: {error}")))
            return
        connection.send(None)
        while True:
            connection.send(attempt(connection.recv(), state))
    except (EOFError, OSError):  # the parent needs us no longer
        return


def attempt(task: Task, state: tuple[Any, ...]) -> Any:
    """Return what a task returned, or the failure that it raised, to be sent back."""
    try:
        return task.run(*state)
    except (BenchError, OSError) as error:
        return Failure(error)
    except Exception:
        return Failure(RuntimeError(f"in a worker process:\n{traceback.format_exc()}"))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # at once: a process of a new start may be writing the same files soon

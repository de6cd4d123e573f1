"""Where the runs of a sweep are started: here, in processes of their own."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar

_GRACE_S = 10.0
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

Job = TypeVar("Job")


class Launcher(Protocol[Job]):
    """What a sweep needs of the place where its runs are started."""

    def submit(self, command: Sequence[str], log: Path) -> Job:
        """Start a command whose output is added to a log file."""

    def poll(self, job: Job) -> int | None:
        """Return a job's exit code, or None while it runs; 128 + N where the signal N ended it."""

    def cancel(self, jobs: Sequence[Job]) -> None:
        """End jobs, and return when they have ended."""


class LocalLauncher:
    """Processes on this machine, each in a session of its own: Ctrl-C reaches them through `cancel` alone.

    `threads` is how many torch may use in each where OMP_NUM_THREADS is not set; None leaves it to torch.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._environment = dict(os.environ)
        if threads is not None:
            self._environment.setdefault("OMP_NUM_THREADS", str(threads))

    def submit(self, command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
        """Start a command whose output is added to a log file."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            return subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def poll(self, job: "subprocess.Popen[bytes]") -> int | None:
        """Return a job's exit code, or None while it runs; 128 + N where the signal N ended it."""
        code = job.poll()
        return 128 - code if code is not None and code < 0 else code

    def cancel(self, jobs: Sequence["subprocess.Popen[bytes]"]) -> None:
        """Interrupt jobs, so that they leave no half-written file, and kill what has not ended after ten seconds."""
        for job in jobs:
            _signal(job, signal.SIGINT)
        until = time.monotonic() + _GRACE_S
        try:
            for job in jobs:
                with suppress(subprocess.TimeoutExpired):
                    job.wait(max(0.0, until - time.monotonic()))
        finally:  # also where the user interrupts the waiting
            for job in jobs:
                _signal(job, signal.SIGKILL)
                job.wait()


def _signal(job: "subprocess.Popen[bytes]", which: signal.Signals) -> None:
    """Send a signal to a job and to the processes it has started."""
    with suppress(ProcessLookupError):
        os.killpg(job.pid, which)


@contextmanager
def ended_as_interrupted() -> Iterator[None]:
    """Turn the signals that would end this process at once into a KeyboardInterrupt, so that it can end its jobs.

    A signal that is ignored stays so: under nohup, a sweep outlives its terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> Any:
        raise KeyboardInterrupt

    before = {which: signal.getsignal(which) for which in _ENDING}
    for which, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(which, interrupt)
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)

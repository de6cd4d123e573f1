"""Slurm, through its own commands and submitit, and the options that a user gives its jobs."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from rgbt_bench.errors import MissingError, UsageError, did_you_mean
from rgbt_bench.workers import Task

from .crew import Job, State

COMMANDS = ("sbatch", "squeue", "scancel", "srun")
TIME_MIN = 60
# The states that a job does not leave by itself; in all others, and in those of later versions, it is waited for.
_ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("REVOKED", "TIMEOUT"),
}
_ADVICE = {
    "TIMEOUT": "give it more time: --slurm time=MINUTES",
    "OUT_OF_MEMORY": "give it more memory: --slurm mem_gb=GB",
}
_OURS = {
    **dict.fromkeys(("array", "array_parallelism"), "--jobs says how many run at once"),
    **dict.fromkeys(("nodes", "ntasks", "ntasks_per_node", "tasks_per_node"), "a job is one process"),
    **dict.fromkeys(("output", "error", "chdir", "open_mode", "job_name", "wrap"), "the conversion sets it itself"),
    **dict.fromkeys(("requeue", "no_requeue"), "what died is submitted again by the conversion, which counts"),
    **dict.fromkeys(("wait", "test_only", "parsable"), "the conversion needs the answer that sbatch gives without it"),
    **dict.fromkeys(("clusters", "cluster"), "one cluster, the one that sbatch here sends to, does the work"),
}
# How options are called as variables of the environment, which count over options, where the names differ.
_VARIABLES = {"array": "array_inx", "time": "timelimit", "mem": "mem_per_node", "mem_gb": "mem_per_node"}
_KEY = re.compile(r"[a-z][a-z0-9_]*")


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Return the options for sbatch that texts such as `partition=main` or the bare name of a flag say.

    `time` is in minutes, `mem_gb` in gigabytes.

    Raises:
        UsageError: one has no such form or value, comes twice, or is not for users to set.
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        key = name.replace("-", "_").lower()
        if not _KEY.fullmatch(key) or not value.isprintable() or bool(equals) != bool(value):
            raise UsageError(f"--slurm {text!r}: not KEY=VALUE, such as partition=main, or the name of a flag")
        if ours := next((one for one in _OURS if one.startswith(key)), None):  # sbatch takes shortened names
            raise UsageError(f"--slurm {name}: {_OURS[ours]}; leave it out")
        if key in options:
            raise UsageError(f"--slurm {name}: given twice; keep one")
        options[key] = _number(key, value) if key in _NUMBERS else value or True
    return options


_NUMBERS: Mapping[str, Callable[[str], float]] = {"time": int, "cpus_per_task": int, "mem_gb": float}


def _number(key: str, text: str) -> float:
    try:
        number = _NUMBERS[key](text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        unit = {"time": "minutes", "mem_gb": "gigabytes"}.get(key, "cores")
        raise UsageError(f"--slurm {key}={text}: not a number of {unit} above 0")
    return number


def require_slurm() -> None:
    """Make sure that jobs can be sent from here.

    Raises:
        MissingError: submitit or a command of Slurm's is not installed.
    """
    if find_spec("submitit") is None:
        raise MissingError("--cluster slurm needs submitit, which is not installed: pip install 'rgbt-bench[cluster]'")
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        raise MissingError(
            f"--cluster slurm needs {', '.join(missing)}, not found here: start this where Slurm's commands are, such"
            " as a login node"
        )


@dataclass(frozen=True)
class Slurm:
    """The Slurm cluster that the commands here speak to; `options` as `parse_options` returns them."""

    options: Mapping[str, Any]
    jobs: int

    def submit(self, folder: Path, name: str, function: Callable[[Task], Any], tasks: Sequence[Task]) -> Sequence[Job]:
        """Start an array of one job a task, each one process on one node.

        Raises:
            UsageError: sbatch refuses it, and the message has its words, or could not take the folder's name.
        """
        import submitit

        if not str(folder).isprintable() or re.search(r"[%\\]", str(folder)):
            raise UsageError(
                f"{str(folder)!r}: Slurm reads %, \\ and control characters in the name of a log as something else;"
                " give --out a folder without them"
            )
        options = dict(self.options)
        memory = options.pop("mem_gb", None)
        executor = submitit.SlurmExecutor(folder)
        executor.update_parameters(
            job_name=name,
            time=options.pop("time", TIME_MIN),
            cpus_per_task=options.pop("cpus_per_task", 1),
            mem=None if memory is None else f"{round(memory * 1024)}M",
            array_parallelism=self.jobs,
            wckey=None,
            use_srun=False,  # one process needs no step of its own
            additional_parameters={"no_requeue": True, **options},
        )
        try:
            with _uninfluenced(self.options), redirect_stderr(StringIO()):  # it prints the words that its error has
                jobs: Sequence[Any] = executor.map_array(function, tasks)
        except submitit.core.utils.FailedJobError as error:
            raise UsageError(f"sbatch refused the jobs: {_refusal(str(error))}") from None
        except submitit.core.utils.FailedSubmissionError as error:
            told = str(error).partition("\n")[0]
            raise UsageError(
                f"sbatch started no jobs that can be followed ({told}); see what --slurm asks of it"
            ) from None
        return jobs

    def states(self, name: str) -> dict[str, State] | None:
        """Return the states of the jobs that Slurm remembers, by their ids; None where it does not answer."""
        wanted = [f"--user={os.getuid()}", f"--name={name}", "--states=all", "--array", "--noheader"]
        done = _ask("squeue", *wanted, "--format=%i|%T|%r")
        if done.returncode:
            return None
        found = {}
        for line in done.stdout.splitlines():
            job_id, word, reason = line.split("|", 2)
            waits_for = reason if word == "PENDING" and reason != "None" else ""
            found[job_id] = State(word, word in _ENDED, waits_for, _ADVICE.get(word, ""))
        return found

    def cancel(self, name: str) -> None:
        """Ask Slurm to end all jobs of a name."""
        _ask("scancel", f"--user={os.getuid()}", f"--name={name}")


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    filters = ("SQUEUE_", "SCANCEL_", "SLURM_CLUSTERS")  # they would hide jobs of ours
    environment = {key: value for key, value in os.environ.items() if not key.startswith(filters)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603


@contextmanager
def _uninfluenced(options: Iterable[str]) -> Iterator[None]:
    """Hide variables that count over our options, and what a job of Slurm's, which we may be in, knows of itself."""
    over_ours = {"SBATCH_" + _VARIABLES.get(key, key).upper() for key in (*_OURS, *options)} | {"SLURM_CLUSTERS"}
    in_job = "SLURM_JOB_ID" in os.environ  # or our jobs would take it for theirs
    hidden = {
        key: os.environ.pop(key) for key in list(os.environ) if key in over_ours or (in_job and _is_of_a_job(key))
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def _is_of_a_job(key: str) -> bool:
    return key.startswith(("SLURM_", "SUBMITIT_")) and key != "SLURM_CONF"


def _refusal(text: str) -> str:
    """Return sbatch's own words, and what a mistyped option may have meant."""
    lines = [line.partition("sbatch: ")[2].removeprefix("error: ") for line in text.splitlines() if "sbatch: " in line]
    words = "; ".join(lines) or text.strip()
    option = re.search(r"unrecognized option '--([a-z0-9-]+)", words)
    if option:
        known = re.findall(r"--([a-z][a-z0-9-]+)", _ask("sbatch", "--help").stdout)
        words += f". {did_you_mean(option[1], set(known))}"
    return words

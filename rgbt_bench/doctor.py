"""What is installed, reachable and left over here, each with what to do; nothing that is broken ends the checks."""

import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from rgbt_bench import __version__, paths
from rgbt_bench.errors import BenchError
from rgbt_bench.requirements import Requirement, requirements
from rgbt_bench.workers import usable_cores

Status = Literal["ok", "missing", "note", "problem"]
GIB = 2**30
LEAST_SPACE = 1 * GIB
SMALL_SPACE = 10 * GIB
PROBE_SECONDS = 180
_PROJECT = "rgbt-bench"


@dataclass(frozen=True)
class Check:
    """One finding: `missing` is an optional part, `note` is worth knowing; a problem that `stops` stops the main job.

    The main job is to convert a set, train and score on it; `todo` says what to do, empty where there is nothing.
    """

    name: str
    status: Status
    detail: str
    todo: str = ""
    stops: bool = False


def examine() -> list[Check]:
    """Return every finding, in the order of the checks."""
    checks: tuple[Callable[[], Iterator[Check]], ...] = (
        _versions,
        _extras,
        _torch,
        _libgl,
        _threads,
        _places,
        _converters,
        _submissions,
        _sets,
        _leftovers,
    )
    found: list[Check] = []
    for check in checks:
        try:
            found += check()
        except Exception as error:  # the doctor has to outlive what it looks at
            name = check.__name__.strip("_")
            found.append(Check(name, "problem", f"cannot be checked: {type(error).__name__}: {error}", stops=True))
    return found


def to_dict(checks: list[Check]) -> dict[str, Any]:
    """Return findings as JSON-ready data; `ready` says that nothing stops the main job."""
    return {"ready": not any(check.stops for check in checks), "checks": [asdict(check) for check in checks]}


def _versions() -> Iterator[Check]:
    yield Check("python", "ok", f"{platform.python_version()} ({sys.executable})")
    try:
        needed = requirements(_PROJECT)
    except PackageNotFoundError:
        yield Check(_PROJECT, "problem", "is not installed, only its sources are here", "pip install -e .", stops=True)
        return
    yield Check(_PROJECT, "ok", f"{__version__} ({Path(__file__).parent})")
    fine = []
    for one in needed.get("", ()):
        found = _installed(one.name)
        if one.is_met_by(found):
            fine.append(f"{one.name} {found}")
        else:
            detail = f"{found or 'not installed'}, {one.wanted} is needed"
            yield Check(one.name, "problem", detail, f"pip install '{one}'", stops=True)
    yield Check("dependencies", "ok", ", ".join(fine))


def _extras() -> Iterator[Check]:
    for extra, needed in requirements(_PROJECT).items():
        if not extra or not needed:  # an extra that only gathers others
            continue
        name, todo = f"extra {extra}", f"pip install '{_PROJECT}[{extra}]'"
        missing = [str(one) for one in needed if not _installed(one.name)]
        unfit = [f"{one.name} {_installed(one.name)} ({one.wanted} is needed)" for one in _unfit(needed)]
        there = ", ".join(f"{one.name} {_installed(one.name)}" for one in needed if _installed(one.name))
        if unfit:
            yield Check(name, "problem", ", ".join(unfit), todo)
        elif missing:
            yield Check(name, "missing", f"not installed: {', '.join(missing)}", todo)
        else:
            yield Check(name, "ok", there)


def _unfit(needed: list[Requirement]) -> list[Requirement]:
    return [one for one in needed if _installed(one.name) and not one.is_met_by(_installed(one.name))]


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _torch() -> Iterator[Check]:
    found, fault = _probe("torch")
    if fault:
        yield Check("torch", "problem", fault, f"pip install --force-reinstall '{_PROJECT}[train]'", stops=True)
    elif not found["installed"]:
        todo = f"pip install '{_PROJECT}[train]'"
        yield Check("torch", "missing", "not installed: converting and scoring work, training does not", todo)
    else:
        yield Check("torch", "ok", f"{found['version']}, {found['threads']} thread(s)")
        gpus = ", ".join(f"{gpu['name']} ({gpu['memory_gib']} GiB)" for gpu in found["gpus"])
        if gpus:
            yield Check("GPU", "ok", f"{gpus}, CUDA {found['cuda']}")
        else:
            why = f"torch is built for CUDA {found['cuda']}" if found["cuda"] else "this torch is built for CPUs only"
            yield Check("GPU", "missing", f"torch sees none ({why}); runs use the CPU")


def _probe(what: str) -> tuple[dict[str, Any], str]:
    """Return what a probe in another process found, and why it failed where it did."""
    command = [sys.executable, "-m", "rgbt_bench.probing", what]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return {}, f"no answer within {PROBE_SECONDS} s"
    if done.returncode == 0:
        return json.loads(done.stdout), ""
    last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
    return {}, f"crashed (signal {-done.returncode}): {last}" if done.returncode < 0 else last


def _libgl() -> Iterator[Check]:
    if sys.platform != "linux":
        return
    needed = bool(_installed("opencv-python"))
    try:
        ctypes.CDLL("libGL.so.1")
        yield Check("libGL", "ok", "libGL.so.1")
    except OSError:
        todo = "install it: apt-get install libgl1, or your system's package of that library"
        if needed:
            yield Check(
                "libGL", "problem", "opencv-python is installed and cannot be imported without libGL.so.1", todo
            )
        else:
            yield Check("libGL", "missing", "not here; only opencv-python needs it, which the extra yolo brings")


def _threads() -> Iterator[Check]:
    cores = usable_cores()
    given = os.environ.get("OMP_NUM_THREADS")
    if given:
        yield Check("threads", "ok", f"OMP_NUM_THREADS={given}, {cores} core(s)")
    else:
        detail = f"OMP_NUM_THREADS is not set: libraries take a thread for each of {cores} core(s)"
        todo = "where others use these cores, set it: two threads on a shared core can be many times slower than one"
        yield Check("threads", "note", detail, todo)


def _places() -> Iterator[Check]:
    home = paths.home()
    named = "RGBT_BENCH_HOME" if os.environ.get("RGBT_BENCH_HOME") else "home (RGBT_BENCH_HOME is not set)"
    yield _place(named, home, "set RGBT_BENCH_HOME to a folder that can be written", stops=True)
    yield _place("temporary folder", Path(tempfile.gettempdir()), "set TMPDIR to a folder that can be written")


def _place(name: str, folder: Path, todo: str, stops: bool = False) -> Check:
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        return Check(name, "problem", f"{folder}: {there} is a file", todo, stops)
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Check(name, "problem", f"{folder}: cannot be written: {error.strerror}", todo, stops)
    detail = f"{folder}: {free / GIB:.1f} GiB free" + ("" if there == folder else ", will be made")
    if free < LEAST_SPACE:
        return Check(name, "problem", detail, "free some space: `rgbt-bench runs clean` deletes checkpoints", stops)
    if free < SMALL_SPACE:
        return Check(name, "note", detail, "a converted set takes about as much as its images")
    return Check(name, "ok", detail)


def _converters() -> Iterator[Check]:
    from rgbt_bench.registry import converters, load_converter

    try:
        names = sorted(converters())
    except BenchError as error:
        yield Check("datasets", "problem", str(error), "uninstall or mend that plug-in", stops=True)
        return
    fine = []
    for name in names:
        try:
            load_converter(name)
            fine.append(name)
        except Exception as error:  # a third party's module may fail in any way
            todo = "uninstall or mend that plug-in; `list datasets` fails until then"
            yield Check(f"dataset {name}", "problem", _words(error), todo)
    yield Check("datasets", "ok", ", ".join(fine))


def _submissions() -> Iterator[Check]:
    from rgbt_bench.registry import recipe_files

    try:
        recipes = recipe_files()
    except BenchError as error:
        yield Check("submissions", "problem", str(error), "uninstall or mend that plug-in", stops=True)
        return
    found, fault = _probe("submissions")
    if fault:
        yield Check("submissions", "problem", fault, "uninstall or mend what that names", stops=True)
        return
    for name, one in found.items():
        if one["missing"]:
            yield Check(f"submission {name}", "missing", one["fault"])
        elif one["fault"]:
            yield Check(f"submission {name}", "problem", one["fault"], "uninstall or mend that plug-in")
    fine = [name for name, one in found.items() if not one["fault"]]
    yield Check("submissions", "ok", f"{', '.join(fine) or 'none'} ({len(recipes)} recipes are registered)")


def _sets() -> Iterator[Check]:
    from rgbt_bench.datasets.store import Dataset

    home = paths.datasets_home()
    folders = paths.converted_sets()
    if not folders:
        yield Check("converted sets", "missing", f"none under {home}", "`rgbt-bench convert sample` makes the first")
    for folder in folders:
        try:
            record = Dataset(folder).record
        except BenchError as error:
            yield Check(f"set {folder.name}", "problem", str(error), "convert it again, with --force")
            continue
        gone = [name for names in record.shards.values() for name in names if not (folder / "data" / name).is_file()]
        count = sum(part.samples for part in record.splits["default"].values())
        detail = f"{count} pairs, schema {record.schema_version}, fingerprint {record.fingerprint[:16]}"
        if gone:
            yield Check(
                f"set {folder.name}", "problem", f"missing: {', '.join(gone)}", "convert it again, with --force"
            )
        else:
            yield Check(f"set {folder.name}", "ok", detail)


def _leftovers() -> Iterator[Check]:
    from rgbt_bench.finding import DELETED

    sets, runs = paths.datasets_home(), paths.runs_home()
    found = [path for pattern in (f"*{paths.PARTIAL}", f"*{paths.REPLACED}", ".*.spool") for path in sets.glob(pattern)]
    found += runs.glob(f"{DELETED}/*")
    if not found:
        yield Check("leftovers", "ok", "none")
    for path in sorted(found):
        todo = "the same command goes on there; delete the folder if nobody wants that"
        yield Check("leftover", "note", str(path), todo)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"

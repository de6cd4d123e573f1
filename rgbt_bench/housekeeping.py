"""What runs there are and what they weigh, and deleting what is named of them."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rgbt_bench import paths
from rgbt_bench.errors import UsageError, enumerate_faults, unknown_name
from rgbt_bench.finding import DELETED, RunFolder, find_run, runs_under
from rgbt_bench.runs import CHECKPOINT_FOLDER, FUSED_FOLDER, LOCK_FILE, OUTPUTS_FOLDER

STATES = ("done", "to evaluate", "to resume", "to train", "running")
KEY = 12
DAY = 86_400.0
_MADE_AGAIN = {
    CHECKPOINT_FOLDER: "checkpoint of a finished run",
    OUTPUTS_FOLDER: "outputs of a finished run, kept for its students",
    FUSED_FOLDER: "fused images that a finished run was trained on",
}


@dataclass(frozen=True)
class Deletion:
    """Something to delete: its path, why, its bytes, and the run it belongs to (None: left by an earlier clean)."""

    path: Path
    why: str
    size: int
    run: RunFolder | None


@dataclass(frozen=True)
class CleaningPlan:
    """What would be deleted under a runs home, and which chosen runs are kept, each with its reason."""

    home: Path
    deletions: tuple[Deletion, ...]
    kept: tuple[str, ...]

    def to_dict(self, deleted: bool) -> dict[str, Any]:
        """Return the plan as JSON-ready data; sizes are in bytes."""
        rows = [
            {"run": one.run.label if one.run else None, "path": str(one.path), "why": one.why, "bytes": one.size}
            for one in self.deletions
        ]
        total = sum(one.size for one in self.deletions)
        return {"home": str(self.home), "deleted": deleted, "bytes": total, "what": rows, "kept": list(self.kept)}


@dataclass(frozen=True)
class Selection:
    """What to delete: runs by name, unfinished runs, checkpoints of finished runs, runs of an age.

    `older_than` is in days since the last change of any file; with another choice it narrows that one, but never runs
    given by name. `force` deletes what other runs require, too.
    """

    names: Sequence[str] = ()
    unfinished: bool = False
    checkpoints: bool = False
    older_than: float | None = None
    force: bool = False


@dataclass
class _Chosen:
    deletions: dict[Path, Deletion] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)


def run_rows(
    home: Path | None = None, dataset: str | None = None, recipe: str | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Return every run as a JSON-ready row, filtered; `bytes` on disk, `modified` in UTC, AP and mIoU in 0..1.

    Raises:
        UsageError: a state that there is none of.
    """
    if state is not None and state not in STATES:
        raise unknown_name("state", state, STATES)
    rows = [_row(run) for run in runs_under(home)]
    wanted = {"dataset": dataset, "recipe": recipe, "state": state}
    return [row for row in rows if all(value is None or row[name] == value for name, value in wanted.items())]


def _row(run: RunFolder) -> dict[str, Any]:
    size, changed = usage(run.folder)
    result = run.find_result() if run.weights.is_file() else None
    return {
        "run": run.label,
        "dataset": run.dataset,
        "recipe": run.recipe,
        "preset": run.preset,
        "key": run.key,
        "seed": run.seed,
        "state": "done" if result else "running" if is_locked(run.folder) else run.state,
        **{name: result.metrics.figures.get(name) if result else None for name in ("AP", "mIoU")},
        "bytes": size,
        "modified": datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds"),
        "folder": str(run.folder),
        "weights_from": run.weights_from,
        "fault": run.fault or None,
    }


def usage(folder: Path) -> tuple[int, float]:
    """Return a folder's bytes and when a file in it last changed, in seconds since 1970; links are not followed."""
    size, changed = 0, 0.0
    for path in _files(folder):
        stat = path.stat(follow_symlinks=False)
        size += stat.st_size
        if not path.name.startswith(LOCK_FILE):  # it and its owner are touched whenever somebody looks
            changed = max(changed, stat.st_mtime)
    return size, changed or folder.stat().st_mtime


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        yield from (Path(root, name) for name in names)
        yield from (Path(root, name) for name in folders if Path(root, name).is_symlink())


def is_locked(folder: Path) -> bool:
    """Tell whether a live process works on a run."""
    if not (folder / LOCK_FILE).is_file():
        return False
    try:
        with FileLock(folder / LOCK_FILE, timeout=0):
            return False
    except Timeout:
        return True


def plan_cleaning(selection: Selection, home: Path | None = None) -> CleaningPlan:
    """Return what a selection would delete.

    Raises:
        UsageError: nothing was chosen, or a run given by name must not be deleted; the message says why.
        MissingError: no run of a given name.
    """
    home = home or paths.runs_home()
    if not (selection.names or selection.unfinished or selection.checkpoints or selection.older_than is not None):
        raise UsageError("say what to delete: runs by name, --unfinished, --checkpoints or --older-than DAYS")
    _require_own_folder(home / DELETED)
    every = runs_under(home)
    named = [_named(text, home) for text in selection.names]
    chosen = _Chosen()
    whole = {run.folder: (run, "given by name") for run in named}
    for run in every:
        why = _why(run, selection)
        if why and run.folder not in whole:
            whole[run.folder] = (run, why)
    refusals = []
    for run, why in whole.values():
        reason = _reason_to_keep(run, home, every, whole, selection.force)
        if not reason:
            chosen.deletions[run.folder] = Deletion(run.folder, why, usage(run.folder)[0], run)
        elif run in named:
            refusals.append(f"{run.label}: {reason}")
        else:
            chosen.kept.append(f"{run.label}: {reason}")
    if refusals:
        raise UsageError(enumerate_faults("nothing was deleted, because of", refusals))
    if selection.checkpoints:
        _add_checkpoints(chosen, every, home, selection.older_than)
    for left in sorted((home / DELETED).glob("*")):
        chosen.deletions[left] = Deletion(left, "left by a clean that was killed", usage(left)[0], None)
    return CleaningPlan(home, tuple(chosen.deletions.values()), tuple(chosen.kept))


def clean(plan: CleaningPlan) -> CleaningPlan:
    """Delete what a plan says, each thing moved aside whole before it is removed, and return what was deleted.

    A run that a process has begun to work on since is kept.
    """
    aside = plan.home / DELETED
    _require_own_folder(aside)
    gone, kept = [], list(plan.kept)
    for one in plan.deletions:
        if one.run is None:
            shutil.rmtree(one.path)
            gone.append(one)
            continue
        try:
            with FileLock(one.run.folder / LOCK_FILE, timeout=0):
                aside.mkdir(exist_ok=True)
                place = aside / f"{one.run.label.replace('/', '.')}.{one.path.name}.{time.time_ns()}"
                one.path.rename(place)
        except Timeout:
            kept.append(f"{one.run.label}: a process works on it")
            continue
        shutil.rmtree(place)
        gone.append(one)
    if aside.is_dir() and not any(aside.iterdir()):
        aside.rmdir()
    return CleaningPlan(plan.home, tuple(gone), tuple(kept))


def _require_own_folder(aside: Path) -> None:
    if aside.is_symlink():
        raise UsageError(f"{aside}: is a link; links are not followed. Remove it")


def _named(text: str, home: Path) -> RunFolder:
    run = find_run(text, home, finished=False)
    if run.folder.resolve().parent.parent.parent != home.resolve():
        raise UsageError(f"{run.folder}: not under {home}; only runs there are deleted")
    # What is found by its path is known from here on by its place under the home, as the others are.
    return next((one for one in runs_under(home) if one.folder.resolve() == run.folder.resolve()), run)


def _why(run: RunFolder, selection: Selection) -> str:
    """Return why a selection means a whole run, or an empty text."""
    old = selection.older_than is not None and _age_in_days(run.folder) > selection.older_than
    if selection.unfinished:
        if run.state != "done" and (selection.older_than is None or old):
            return f"unfinished ({run.state})"
    elif not selection.checkpoints and not selection.names and old:
        return f"older than {selection.older_than:g} days"
    return ""


def _reason_to_keep(run: RunFolder, home: Path, every: Sequence[RunFolder], chosen: Iterable[Path], force: bool) -> str:
    """Return why a run must not be deleted, or an empty text."""
    if _is_linked(run.folder, home):
        return "is a link, or lies behind one; links are not followed"
    if is_locked(run.folder):
        return "a process works on it"
    leaving = set(chosen)
    needed = [
        one.label
        for one in every
        if one.folder not in leaving and any(key[:KEY] == run.key for key in one.requires.values())
    ]
    if needed and not force:
        return f"is required by {', '.join(needed)}; --force deletes it all the same"
    return ""


def _is_linked(path: Path, home: Path) -> bool:
    """Tell whether anything between the runs home and a path is a link."""
    return path.resolve() != home.resolve() / path.relative_to(home)


def _age_in_days(folder: Path) -> float:
    return (time.time() - usage(folder)[1]) / DAY


def _add_checkpoints(chosen: _Chosen, every: Sequence[RunFolder], home: Path, older_than: float | None) -> None:
    for run in every:
        if run.folder in chosen.deletions or run.state != "done":
            continue
        if older_than is not None and _age_in_days(run.folder) <= older_than:
            continue
        for name, why in _MADE_AGAIN.items():
            path = run.folder / name
            if not path.is_dir():
                continue
            if _is_linked(path, home):
                chosen.kept.append(f"{run.label}: its {name} is a link, or lies behind one; links are not followed")
            elif is_locked(run.folder):
                chosen.kept.append(f"{run.label}: a process works on it")
            else:
                chosen.deletions[path] = Deletion(path, why, usage(path)[0], run)

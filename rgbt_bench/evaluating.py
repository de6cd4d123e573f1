"""Scoring predictions that were brought from outside: what they can be, what on, and what is written of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rgbt_bench.datasets.loose import is_pairs_folder, open_pairs
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import UsageError
from rgbt_bench.metrics.fusion.conventions import find_convention
from rgbt_bench.opening import open_dataset
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols import protocol_of_task
from rgbt_bench.results import FusionMetrics, Result
from rgbt_bench.scoring import score_file

FUSION = "fusion"
_PICTURES = (".png",)


@dataclass(frozen=True)
class Evaluation:
    """What is scored on what, as whom, and where results and pictures go."""

    predictions: Sequence[Path]
    dataset: str
    part: str = "test"
    task: str | None = None
    evaluator: str | None = None
    convention: str | None = None
    out: Path | None = None
    sheet: Path | None = None
    plot: Path | None = None


def evaluate_all(asked: Evaluation, progress: Progress = no_progress) -> dict[str, Result]:
    """Score each of the predictions, write what was asked for, and return the results by short names.

    Raises:
        UsageError: options that do not go together, or places that would be lost.
        MissingError: predictions or a set that are not there.
        BadInputError: what cannot be scored.
    """
    part = _part(asked)
    task = asked.task or _task(asked, part)
    protocol_of_task(task)
    _check(asked, task)
    names = short_names(asked.predictions)
    results = {
        name: score_file(path, part, task, asked.convention or asked.evaluator, progress=progress)
        for name, path in zip(names, asked.predictions, strict=True)
    }
    if asked.out is not None:
        results[names[0]].write(asked.out)
    _draw(asked, part, results)
    return results


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the last part of each path, and as many before it as tell them apart.

    Raises:
        UsageError: a path twice.
    """
    whole = [path.expanduser().absolute() for path in paths]
    if len(set(whole)) < len(whole):
        raise UsageError("the same predictions are given twice")
    for length in range(1, max(len(one.parts) for one in whole) + 1):
        names = ["/".join(one.parts[-length:]) for one in whole]
        if len(set(names)) == len(names):
            return names
    return [str(one) for one in whole]


def _part(asked: Evaluation) -> Part:
    folder = Path(asked.dataset).expanduser()
    return open_pairs(folder).part() if is_pairs_folder(folder) else open_dataset(asked.dataset).part(asked.part)


def _task(asked: Evaluation, part: Part) -> str:
    """Return what predictions are where nobody says it."""
    if asked.convention is not None or asked.plot is not None:
        return FUSION
    if not all(path.is_dir() for path in asked.predictions):
        return "detection-rgbt"
    return "segmentation-rgbt" if part.dataset.info.mask_classes else FUSION


def _check(asked: Evaluation, task: str) -> None:
    if task != FUSION:
        given = {"--as": asked.convention, "--plot": asked.plot, "--sheet": asked.sheet}
        if wrong := [option for option, value in given.items() if value is not None]:
            raise UsageError(f"{wrong[0]} is for fused images, and the task is {task}; leave one of the two out")
    elif asked.convention is not None:
        find_convention(asked.convention)
    if asked.convention is not None and asked.evaluator is not None:
        raise UsageError("--evaluator and --as: of fused images --as says it alone")
    if asked.out is not None and len(asked.predictions) > 1:
        raise UsageError(f"--out {asked.out}: a file holds one result; evaluate one at a time, or take --json")
    for option, place in (("--out", asked.out), ("--sheet", asked.sheet), ("--plot", asked.plot)):
        if place is not None:
            _check_place(option, place, asked.predictions)
    for option, place in (("--sheet", asked.sheet), ("--plot", asked.plot)):
        if place is not None and place.suffix.lower() not in _PICTURES:
            raise UsageError(f"{option} {place}: name a .png file")


def _check_place(option: str, place: Path, predictions: Sequence[Path]) -> None:
    if place.is_dir():
        raise UsageError(f"{option} {place}: is a folder; name a file in it")
    for path in predictions:
        if place.resolve() == path.resolve():
            raise UsageError(f"{option} {place}: is the predictions file, which would be lost; name another")
        if path.is_dir() and place.resolve().is_relative_to(path.resolve()):
            raise UsageError(
                f"{option} {place}: is among the predictions, where it would be taken for one; name another place"
            )


def _draw(asked: Evaluation, part: Part, results: dict[str, Result]) -> None:
    if asked.plot is not None:
        from rgbt_bench.fusion.boxplots import draw_box_plots

        found = {name: one.metrics for name, one in results.items() if isinstance(one.metrics, FusionMetrics)}
        draw_box_plots(asked.plot, found)
    if asked.sheet is not None:
        from rgbt_bench.fusion.sheet import draw_methods

        read = protocol_of_task(FUSION).read
        methods = {name: read(path, part) for name, path in zip(results, asked.predictions, strict=True)}
        draw_methods(asked.sheet, part, methods)

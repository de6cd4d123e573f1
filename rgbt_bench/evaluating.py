"""Scoring predictions that were brought from outside: what they can be, what on, and what is written of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rgbt_bench import paths
from rgbt_bench.datasets.loose import is_pairs_folder, open_pairs
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.metrics.fusion.conventions import find_convention
from rgbt_bench.opening import open_dataset
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols import protocol_of_task
from rgbt_bench.results import FusionMetrics, Result
from rgbt_bench.runs import TEST_PART
from rgbt_bench.scoring import score_file

FUSION = "fusion"
_BOXES = "detection"
_MAPS = "segmentation"
_PICTURES = (".png",)


@dataclass(frozen=True)
class Evaluation:
    """What is scored on what, as whom, and where results and pictures go."""

    predictions: Sequence[Path]
    dataset: str
    part: str = TEST_PART
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
    results = _score(asked, part, task, progress)
    if asked.out is not None:
        next(iter(results.values())).write(asked.out)
    _draw(asked, part, results)
    return results


def _score(asked: Evaluation, part: Part, task: str, progress: Progress) -> dict[str, Result]:
    names = short_names(asked.predictions)
    try:
        return {
            name: score_file(path, part, task, asked.convention or asked.evaluator, progress=progress)
            for name, path in zip(names, asked.predictions, strict=True)
        }
    except BadInputError as error:
        if asked.task is None and task.partition("-")[0] == _MAPS:
            raise BadInputError(f"{error}\nthey were taken for label maps; of fused images say --task fusion") from None
        raise


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
    # a bare name may be that of a folder here, the original for one, and still mean the set at home
    is_at_home = folder.name == asked.dataset and (paths.datasets_home() / folder / paths.RECORD_FILE).is_file()
    if is_at_home or not is_pairs_folder(folder):
        return open_dataset(asked.dataset).part(asked.part)
    if asked.part != TEST_PART:
        raise UsageError(f"--part {asked.part}: {folder} is a folder of pairs, which has no parts; leave it out")
    return open_pairs(folder).part()


def _task(asked: Evaluation, part: Part) -> str:
    """Return what predictions are where nobody says it."""
    for path in asked.predictions:
        if not path.exists():
            raise MissingError(f"{path}: no such file or folder")
    info = part.dataset.info
    only_fusion = not (info.classes or info.mask_classes)
    if only_fusion or any(one is not None for one in (asked.convention, asked.plot, asked.sheet)):
        all_folders = all(path.is_dir() for path in asked.predictions)
        return FUSION if only_fusion or all_folders else _of_all_images(_BOXES, part)
    if not all(path.is_dir() for path in asked.predictions):
        return _of_all_images(_BOXES, part)
    return _of_all_images(_MAPS, part) if info.mask_classes else FUSION


def _of_all_images(task: str, part: Part) -> str:
    """Return a task's name with the modalities that the part has: who brings predictions need not have used all."""
    return f"{task}-{'rgb' if part.record.thermal_digest is None else 'rgbt'}"


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
    places = [place.resolve() for place in (asked.out, asked.sheet, asked.plot) if place is not None]
    if len(set(places)) < len(places):
        raise UsageError("--out, --sheet and --plot: two of them are one file; name another")
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

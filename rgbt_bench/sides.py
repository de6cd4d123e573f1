"""What a person names to be compared: a run, all finished seeds of a recipe, or a predictions file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rgbt_bench.datasets.splits import dataset_name
from rgbt_bench.errors import BadInputError, BenchError, MissingError, UsageError, unknown_name
from rgbt_bench.files import sha256_file
from rgbt_bench.recipes import load_recipe
from rgbt_bench.registry import recipe_files
from rgbt_bench.results import RESULT_FILE, Result, read_result
from rgbt_bench.runs import PREDICTIONS_FILE, finished_runs

LEAST_KEY = 4


@dataclass(frozen=True)
class Scored:
    """One predictions file; `result` is its run's, None for a file brought from outside."""

    predictions: Path
    result: Result | None = None

    @property
    def seed(self) -> int | None:
        """The seed of the run that made it."""
        return self.result.model.seed if self.result and self.result.model else None

    def require_unchanged(self) -> None:
        """Raise a BadInputError where the predictions are not those that the result was scored from."""
        if not self.predictions.is_file():
            raise MissingError(f"{self.predictions}: the predictions of this run are missing; run it again")
        if self.result is not None and sha256_file(self.predictions) != self.result.predictions_sha256:
            raise BadInputError(
                f"{self.predictions}: changed since {RESULT_FILE} beside it was scored; delete that and run it again"
            )


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its name, and what was scored, one a seed in ascending order."""

    name: str
    scored: tuple[Scored, ...]


@dataclass(frozen=True)
class _Found:
    folder: Path
    result: Result

    @property
    def on(self) -> str:
        return dataset_name(self.result.data.dataset, self.result.data.split)

    @property
    def recipe(self) -> str:
        return self.result.model.recipe if self.result.model else ""

    @property
    def side(self) -> Side:
        name = f"{self.recipe or self.folder.parent.name} {self.folder.name}"
        return Side(name, (Scored(self.folder / PREDICTIONS_FILE, self.result),))


def find_side(text: str, preset: str = "paper", dataset: str | None = None) -> Side:
    """Return what a text means: a run's folder, a predictions file, the start of a run's key, or a recipe's name.

    A recipe's name means every finished seed of it with this preset, on `dataset` (a name with `@SPLIT`) where one is
    given, as the recipe is now.

    Raises:
        UsageError: an unknown or ambiguous name.
        MissingError: no such file, or nothing of it has finished.
    """
    path = Path(text).expanduser()
    if (path / RESULT_FILE).is_file():
        return _Found(path, read_result(path / RESULT_FILE)).side
    if path.is_file():
        return Side(text, (Scored(path),))
    if "/" in text or "\\" in text or path.suffix == ".json":
        raise MissingError(f"{text}: no predictions file, and no folder of a finished run (no {RESULT_FILE} in it)")
    found = list(_finished())
    named = [one for one in found if one.recipe == text]
    if named or text in recipe_files():
        return _of_recipe(text, named, preset, dataset)
    started = [one for one in found if len(text) >= LEAST_KEY and one.folder.name.startswith(text)]
    if len(started) == 1:
        return started[0].side
    if started:
        raise UsageError(f"{text!r} begins the keys of several runs: {_keys(started)}; write more of one")
    raise unknown_name(
        "run", text, {*recipe_files(), *(one.recipe for one in found), *(one.folder.name for one in found)}
    )


def _finished() -> Iterator[_Found]:
    for folder in finished_runs():
        try:
            result = read_result(folder / RESULT_FILE)
        except BenchError:
            continue
        if result.model is not None:
            yield _Found(folder, result)


def _keys(found: list[_Found]) -> str:
    return ", ".join(f"{one.folder.name} (seed {one.result.model.seed})" for one in found if one.result.model)


def _of_recipe(name: str, found: list[_Found], preset: str, dataset: str | None) -> Side:
    fitting = [one for one in found if one.result.model and one.result.model.preset == preset]
    if dataset is not None:
        fitting = [one for one in fitting if one.on == dataset]
    if not fitting:
        where = f" on {dataset}" if dataset else ""
        others = sorted({f"{one.result.model.preset} on {one.on}" for one in found if one.result.model})
        hint = f" Finished: preset {', '.join(others)}." if others else f" `rgbt-bench run {name}` makes one."
        raise MissingError(f"{name}: no finished run with preset {preset}{where}.{hint}")
    sets = sorted({one.on for one in fitting})
    if len(sets) > 1:
        raise UsageError(f"{name} was run on {' and '.join(sets)}; say which with --dataset")
    if name in recipe_files():
        digest = load_recipe(name, preset).digest
        current = [one for one in fitting if one.result.model and one.result.model.recipe_digest == digest]
        if not current:
            raise MissingError(
                f"{name}: its finished runs are of other settings or of an earlier version of the recipe; name a run by"
                f" its key: {_keys(fitting)}"
            )
        fitting = current
    scored = sorted((one.side.scored[0] for one in fitting), key=lambda one: one.seed or 0)
    seeds = [one.seed for one in scored]
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"{name} has several finished runs of one seed; name one by its key: {_keys(fitting)}")
    return Side(name, tuple(scored))

"""What a person names to be compared: a run, all finished seeds of a recipe, or a predictions file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgbt_bench.datasets.splits import dataset_name
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.finding import RunFolder, find_run, is_run_folder, runs_under
from rgbt_bench.png_folders import holds_pngs
from rgbt_bench.protocols import find_protocol
from rgbt_bench.registry import recipe_files
from rgbt_bench.results import RESULT_FILE, ModelProvenance, Result
from rgbt_bench.runs import settled_recipe

# with a result beside them, nothing would be made again
_AGAIN = f"delete {RESULT_FILE} there and run it again"


@dataclass(frozen=True)
class Scored:
    """One predictions file or folder; `result` is its run's, None for what is brought from outside."""

    predictions: Path
    result: Result | None = None

    @property
    def seed(self) -> int | None:
        """The seed of the run that made it; None for weights that were not trained here, which pair with nothing."""
        model = self.result.model if self.result else None
        return model.seed if model and model.weights_from is None else None

    def require_unchanged(self) -> None:
        """Raise a BadInputError where the predictions are not those that the result was scored from."""
        if not self.predictions.exists():
            raise MissingError(f"{self.predictions}: missing; `rgbt-bench run` makes them again")
        if self.result is not None and self._digest(self.result) != self.result.predictions_sha256:
            raise BadInputError(f"{self.predictions}: changed since {RESULT_FILE} beside it was scored; {_AGAIN}")

    def _digest(self, result: Result) -> str:
        return find_protocol(result.protocol["name"]).digest(self.predictions)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its name, and what was scored, one a seed in ascending order."""

    name: str
    scored: tuple[Scored, ...]


def find_side(text: str, preset: str = "paper", dataset: str | None = None) -> Side:
    """Return what a text means: predictions, a recipe's name, or a run as `find_run` knows it.

    Predictions are a file, or a folder without a run that holds label maps.

    A recipe's name means every finished seed of it with this preset, on `dataset` (a name with `@SPLIT`) where one is
    given, as the recipe is now; `RECIPE:path=value` as it is with that setting, and several after further `:`, each
    perhaps of a recipe that it requires (`RECIPE:path=value:OTHER:path=value`). Runs with weights from elsewhere
    are none of its seeds.

    Raises:
        UsageError: an unknown or ambiguous name.
        MissingError: no such file, or nothing of it has finished.
    """
    path = Path(text).expanduser()
    if path.is_file() or (path.is_dir() and not is_run_folder(path) and holds_pngs(path)):
        return Side(text, (Scored(path),))
    if path.suffix == ".json":
        raise MissingError(f"{text}: no such predictions file")
    finished = list(_finished())
    name, *settings = text.split(":")
    if name in recipe_files() or (not settings and any(one.recipe == name for one in finished)):
        of_name = [one for one in finished if one.recipe == name]
        return _of_recipe(name, _rejoined(settings), of_name, preset, dataset)
    run = find_run(text)
    elsewhere = f" (weights from {run.weights_from})" if run.weights_from else ""
    return Side(f"{run.recipe} {run.key}{elsewhere}", (Scored(run.predictions, run.result()),))


@dataclass(frozen=True)
class _Finished:
    """A finished run and the model provenance of its result."""

    run: RunFolder
    result: Result
    model: ModelProvenance

    @property
    def recipe(self) -> str:
        return self.model.recipe

    @property
    def on(self) -> str:
        return dataset_name(self.result.data.dataset, self.result.data.split)

    @property
    def scored(self) -> Scored:
        return Scored(self.run.predictions, self.result)


def _finished() -> Iterator[_Finished]:
    for run in runs_under():
        result = run.find_result()
        if result is not None and result.model is not None:
            yield _Finished(run, result, result.model)


def _keys(found: Sequence[_Finished]) -> str:
    return ", ".join(f"{one.run.key} ({one.model.weights_from or f'seed {one.model.seed}'})" for one in found)


def _rejoined(parts: Sequence[str]) -> tuple[str, ...]:
    """Return settings from what stood between colons: one of a required recipe, `RECIPE:path=value`, has one itself."""
    settings: list[str] = []
    recipe = ""
    for part in parts:
        if "=" in part:
            settings.append(recipe + part)
            recipe = ""
        else:
            recipe += f"{part}:"
    return (*settings, recipe[:-1]) if recipe else tuple(settings)


def _of_recipe(
    name: str, settings: tuple[str, ...], found: Sequence[_Finished], preset: str, dataset: str | None
) -> Side:
    given = [one for one in found if one.model.weights_from is not None]
    found = [one for one in found if one.model.weights_from is None]
    fitting = [one for one in found if one.model.preset == preset]
    if dataset is not None:
        fitting = [one for one in fitting if one.on == dataset]
    if not fitting:
        where = f" on {dataset}" if dataset else ""
        others = sorted({f"{one.model.preset} on {one.on}" for one in found})
        hint = f" Finished: preset {', '.join(others)}." if others else f" `rgbt-bench run {name}` makes one."
        if given:
            hint += f" Those with weights from elsewhere are named by their keys: {_keys(given)}."
        raise MissingError(f"{name}: no finished run with preset {preset}{where}.{hint}")
    sets = sorted({one.on for one in fitting})
    if len(sets) > 1:
        raise UsageError(f"{name} was run on {' and '.join(sets)}; say which with --dataset")
    if name in recipe_files():
        digest = settled_recipe(name, preset, settings).digest
        current = [one for one in fitting if one.model.recipe_digest == digest]
        if not current:
            raise MissingError(
                f"{name}: its finished runs are of other settings or of an earlier version of the recipe; name settings"
                f" as {name}:path=value, or a run by its key: {_keys(fitting)}"
            )
        fitting = current
    scored = sorted((one.scored for one in fitting), key=lambda one: one.seed or 0)
    seeds = [one.seed for one in scored]
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"{name} has several finished runs of one seed; name one by its key: {_keys(fitting)}")
    return Side(":".join((name, *settings)), tuple(scored))

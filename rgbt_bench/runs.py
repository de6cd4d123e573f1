"""Runs: an idempotent folder for each recipe on each dataset, named by what decides its outcome."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rgbt_bench import paths
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BenchError, UsageError, unknown_name
from rgbt_bench.files import sha256_json
from rgbt_bench.recipes import Recipe, circle, load_recipe, recipe_path
from rgbt_bench.results import RESULT_FILE, Result, read_result
from rgbt_bench.submissions import WEIGHTS_FILE
from rgbt_bench.weights import GivenWeights

TEST_PART = "test"
PREDICTIONS_FILE = "predictions.json"
PREDICTIONS_FOLDER = "predictions"
RUN_FILE = "run.json"
SHEET_FILE = "predictions.png"
CHECKPOINT_FOLDER = "checkpoint"
OUTPUTS_FOLDER = "outputs"  # of a frozen teacher, kept on disk for its students
FUSED_FOLDER = "fused"  # what a detector on fused images was trained on
CHECKPOINT_FILE = "state.json"  # in that folder, written last: without it there is no checkpoint
LOCK_FILE = ".lock"
MAX_SEED = 2**32 - 1
State = Literal["done", "to evaluate", "to resume", "to train"]


@dataclass(frozen=True)
class Run:
    """One recipe on one dataset with one seed: its key, its folder, and the runs whose weights it needs.

    `name` is what the recipe was asked for by, its own name or its file. `settings` are its own, `path=value`, and
    those of all it builds on, `RECIPE:path=value`. With `given` weights nothing is trained: only `given.seed` says with
    which seed they were.
    """

    name: str
    recipe: Recipe
    dataset: str
    seed: int
    key: str
    folder: Path
    settings: tuple[str, ...]
    requires: Mapping[str, "Run"]
    given: GivenWeights | None = None

    @property
    def weights(self) -> Path:
        """The file of the trained weights."""
        return self.folder / WEIGHTS_FILE

    @property
    def sheet(self) -> Path:
        """The picture of pairs with labels and predictions."""
        return self.folder / SHEET_FILE

    @property
    def state(self) -> State:
        """What is left to do, read from what is in the folder."""
        return state_of(self.folder, self.given is not None)


def state_of(folder: Path, is_given: bool = False) -> State:
    """Return what is left to do in a run's folder, read from what is in it; given weights are never trained."""
    if (folder / WEIGHTS_FILE).is_file():
        result = result_in(folder)
        return "done" if result and predictions_in(folder, result).exists() else "to evaluate"
    if is_given:
        return "to evaluate"
    return "to resume" if (folder / CHECKPOINT_FOLDER / CHECKPOINT_FILE).is_file() else "to train"


def predictions_in(folder: Path, result: Result | None) -> Path:
    """Return where a run's predictions lie, there or not: what its result is of, or without one what is there."""
    maps = folder / PREDICTIONS_FOLDER
    are_maps = result.metrics.kind != "detection" if result else maps.is_dir()
    return maps if are_maps else folder / PREDICTIONS_FILE


def result_in(folder: Path) -> Result | None:
    """Return the result in a run's folder, or None where there is no readable one; it is cheap to make again."""
    try:
        return read_result(folder / RESULT_FILE)
    except BenchError:
        return None


def plan_run(
    name: str,
    dataset: Dataset,
    preset: str = "paper",
    seed: int | None = None,
    settings: tuple[str, ...] = (),
    home: Path | None = None,
) -> Run:
    """Return the run that a recipe name means on a dataset, with the runs it requires.

    `settings` are `path=value`, for this recipe, or `RECIPE:path=value`, for one that it requires.

    Raises:
        UsageError: an unknown recipe, preset or setting, or recipes that require each other.
    """
    own, others = _split_settings(settings)
    own += others.pop(recipe_path(name).stem, ())
    planned: dict[str, Run] = {}
    run = _plan(name, dataset, preset, seed, own, others, home or paths.runs_home(), (), planned)
    _require_used(others, {one.recipe.name for one in planned.values()})
    return run


def plan_seeds(
    name: str,
    dataset: Dataset,
    preset: str = "paper",
    seed: int | None = None,
    count: int = 1,
    settings: tuple[str, ...] = (),
    home: Path | None = None,
) -> list[Run]:
    """Return the runs of `count` seeds in a row, from `seed` or else from the recipe's own.

    What a recipe requires is trained with the same seed, unless `RECIPE:seed=N` is among the settings: then all seeds
    build on that one.

    Raises:
        UsageError: what `plan_run` refuses, or a seed beyond the largest.
    """
    first = plan_run(name, dataset, preset, seed, settings, home)
    if first.seed + count - 1 > MAX_SEED:
        raise UsageError(f"{count} seeds from {first.seed} go beyond {MAX_SEED}, the largest seed; start lower")
    rest = range(first.seed + 1, first.seed + count)
    return [first, *(plan_run(name, dataset, preset, one, settings, home) for one in rest)]


def settled_recipe(name: str, preset: str = "paper", settings: tuple[str, ...] = ()) -> Recipe:
    """Return a recipe with settings as `plan_run` takes them, whose digest covers those of all it builds on.

    Raises:
        UsageError: what `plan_run` refuses.
    """
    own, others = _split_settings(settings)
    own += others.pop(recipe_path(name).stem, ())
    known: set[str] = set()
    recipe = _settle(name, preset, own, others, (), known)
    _require_used(others, known)
    return recipe


def _settle(
    name: str,
    preset: str,
    own: tuple[str, ...],
    others: Mapping[str, tuple[str, ...]],
    above: tuple[str, ...],
    known: set[str],
) -> Recipe:
    if name in above:
        raise circle((*above, name))
    recipe = load_recipe(name, preset, own)
    known.add(recipe.name)
    below = {}
    for role, required in recipe.requires.items():
        theirs = others.get(recipe_path(required).stem, ())
        below[role] = _settle(required, preset, theirs, others, (*above, name), known).digest
    return recipe.building_on(below)


def _require_used(others: Mapping[str, tuple[str, ...]], known: set[str]) -> None:
    """Raise a UsageError where a setting is of a recipe that is not among those that are built on."""
    if unused := sorted(others.keys() - known):
        raise unknown_name("recipe in --set", unused[0], known)


def require_key(run: Run, key: str) -> None:
    """Raise a UsageError unless a run has this key: what was planned elsewhere may have changed since."""
    if run.key != key:
        raise UsageError(
            f"{run.recipe.name} is the run {run.key[:12]} now, not {key[:12]}: its recipe, or the dataset, was changed"
            " since it was planned; plan it again"
        )


def in_order(run: Run) -> list[Run]:
    """Return a run and all it requires, each once, what is required first."""
    ordered: dict[str, Run] = {}

    def visit(one: Run) -> None:
        for required in one.requires.values():
            visit(required)
        ordered.setdefault(one.key, one)

    visit(run)
    return list(ordered.values())


def finished_runs(home: Path | None = None) -> Iterator[Path]:
    """Yield the folder of every run that has a result, in the order of their paths."""
    yield from sorted(path.parent for path in (home or paths.runs_home()).glob(f"*/*/*/{RESULT_FILE}"))


def _plan(
    name: str,
    dataset: Dataset,
    preset: str,
    seed: int | None,
    own: tuple[str, ...],
    others: Mapping[str, tuple[str, ...]],
    home: Path,
    above: tuple[str, ...],
    planned: dict[str, Run],
) -> Run:
    if name in above:
        raise circle((*above, name))
    recipe = load_recipe(name, preset, own)
    has_own_seed = bool(above) and any(setting.partition("=")[0].strip() == "seed" for setting in own)
    chosen = recipe.seed if seed is None or has_own_seed else seed
    requires: dict[str, Run] = {}
    for role, required in recipe.requires.items():
        theirs = others.get(recipe_path(required).stem, ())
        requires[role] = planned.get(required) or _plan(
            required, dataset, preset, chosen, theirs, others, home, (*above, name), planned
        )
    recipe = recipe.building_on({role: run.recipe.digest for role, run in requires.items()})
    key = sha256_json(_key_content(recipe, dataset, chosen, requires))
    folder = home / dataset.name / f"{recipe.name}-{preset}" / key[:12]
    run = Run(name, recipe, dataset.name, chosen, key, folder, _all_settings(own, requires), requires)
    planned[name] = run
    return run


def _key_content(recipe: Recipe, dataset: Dataset, seed: int, requires: Mapping[str, Run]) -> dict[str, Any]:
    """Return what decides a run's outcome: recipe, data, seed, and the runs it builds on."""
    return {
        "recipe": recipe.name,
        "recipe_digest": recipe.digest,
        "seed": seed,
        "data": {name: dataset.part(name).record.model_dump(mode="json") for name in dataset.parts},
        "requires": {role: run.key for role, run in requires.items()},
    }


def _all_settings(own: tuple[str, ...], requires: Mapping[str, Run]) -> tuple[str, ...]:
    below = [
        setting if ":" in setting.partition("=")[0] else f"{run.recipe.name}:{setting}"
        for run in requires.values()
        for setting in run.settings
    ]
    return (*own, *dict.fromkeys(below))


def _split_settings(settings: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    own: list[str] = []
    others: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        path = setting.partition("=")[0]
        recipe, colon, _ = path.partition(":")
        if colon:
            others[recipe] = (*others.get(recipe, ()), setting[len(recipe) + 1 :])
        else:
            own.append(setting)
    return tuple(own), others

"""`config.json` of a pushed model: all that names it and builds it again, and nothing of the machine it was made on."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rgbt_bench.errors import BadInputError, UsageError, enumerate_faults
from rgbt_bench.files import decode_text, parse_json
from rgbt_bench.finding import RunFolder
from rgbt_bench.plain_yaml import YamlFaultError, load_plain_yaml
from rgbt_bench.recipes import Recipe
from rgbt_bench.results import RESULT_FILE, Result
from rgbt_bench.runs import MAX_SEED, RUN_FILE

CONFIG_FILE = "config.json"
SCHEMA = 1
MARK = "rgbt_bench_model"  # the key that says whose file it is
_MOST_DIFFERENCES = 12
_LONGEST = 300  # of a text of somebody else's, in characters


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Required(_Record):
    """What filled a role when the model was trained: the recipe, and the key of the run."""

    recipe: str
    run_key: str


class TrainedOn(_Record):
    """The set that the model was trained on, by name and digests."""

    dataset: str
    split: str
    train_label_digest: str | None
    val_label_digest: str | None
    fingerprint: str


class ModelConfig(_Record):
    """A pushed model: its recipe as data, what it was trained on, and the SHA-256 of its weights.

    `recipe_digest` is over the recipe as it was trained, whose local files stand in `recipe` by their names alone.
    """

    rgbt_bench_model: int = SCHEMA
    recipe: Recipe
    recipe_digest: str
    preset: str
    seed: int = Field(ge=0, le=MAX_SEED, strict=True)
    settings: tuple[str, ...]
    requires: dict[str, Required]
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    trained_on: TrainedOn
    run_key: str
    parameters: dict[str, int]
    libraries: dict[str, str]
    weights_sha256: str

    @property
    def options(self) -> str:
        """The options of `run` that the model was made with, or an empty text."""
        preset = () if self.preset == "paper" else (f"--preset {self.preset}",)
        return " ".join([*preset, *(f"--set {one}" for one in self.settings)])


def config_of(run: RunFolder, result: Result) -> ModelConfig:
    """Return the config of a finished run.

    Raises:
        BadInputError: `run.json` is missing, damaged or of another run, or the result names no model of a seed.
    """
    model, recipe = result.model, run.load_recipe()
    if model is None or model.seed is None:
        raise BadInputError(f"{run.folder}: its result does not say which model made the predictions")
    if run.content.get("key") != model.run_key:
        raise BadInputError(
            f"{run.folder}: {RUN_FILE} and {RESULT_FILE} are of two runs; run it again in a folder of its own"
        )
    data = result.data
    shared = without_paths(recipe)
    return ModelConfig(
        recipe=shared,
        recipe_digest=model.recipe_digest,
        preset=model.preset,
        seed=model.seed,
        settings=settings_without_paths(model.settings),
        requires={
            role: Required(recipe=shared.requires.get(role, ""), run_key=key) for role, key in model.requires.items()
        },
        classes=tuple(result.metrics.per_class),
        modalities=recipe.modalities,
        trained_on=TrainedOn(
            dataset=data.dataset,
            split=data.split,
            train_label_digest=data.train_label_digest,
            val_label_digest=data.val_label_digest,
            fingerprint=data.fingerprint,
        ),
        run_key=model.run_key,
        parameters=model.parameters,
        libraries=result.libraries,
        weights_sha256=model.weights_sha256,
    )


def read_config(path: Path, name: str) -> ModelConfig:
    """Return the config of a pushed model; errors begin with `name`.

    Raises:
        UsageError: a config of something else, such as another library's model.
        BadInputError: damaged, or of another version of rgbt-bench.
    """
    where = f"{name}: {CONFIG_FILE}"
    content = parse_json(decode_text(path.read_bytes(), where), where)
    if not is_ours(content):
        raise _not_ours(name)
    if content[MARK] != SCHEMA:
        raise BadInputError(f"{where} is of schema {_brief(repr(content[MARK]))}, this rgbt-bench reads {SCHEMA}")
    try:
        return ModelConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = _brief(".".join(map(str, first["loc"])))
        raise BadInputError(f"{where} cannot be used: {place}: {first['msg']}") from None


def is_ours(content: Any) -> bool:
    """Tell whether the content of a `config.json` says that rgbt-bench pushed it."""
    return isinstance(content, dict) and MARK in content


def _not_ours(name: str) -> UsageError:
    return UsageError(
        f"{name}: not a model that rgbt-bench pushed (its {CONFIG_FILE} has no {MARK}); weights of another origin are"
        " given as a local file, --weights FILE.safetensors"
    )


def require_fitting(config: ModelConfig, recipe: Recipe, classes: tuple[str, ...], name: str) -> None:
    """Raise a UsageError unless a pushed model is of this recipe, as it is now, and of a set's classes."""
    if config.classes != classes:
        raise UsageError(
            f"{name}: finds {_brief(', '.join(config.classes))}, but the set has {', '.join(classes) or 'none'}"
        )
    if config.recipe_digest == recipe.digest:
        return
    ours = without_paths(recipe)
    if config.recipe.name != ours.name:
        raise UsageError(f"{name}: is of the recipe {config.recipe.name}, not of {ours.name}")
    apart = differences(_outcome(config.recipe), _outcome(ours))
    how = f"; it was made with {_brief(config.options)}" if config.options else ""
    title = f"{name}: is of {ours.name}, but not as it is here{how}. There, and here:"
    hidden = ["something that its config does not show: what it requires, or the content of a local file"]
    raise UsageError(enumerate_faults(title, [_brief(one) for one in apart] or hidden, _MOST_DIFFERENCES))


def _brief(text: str) -> str:
    """Return a text of somebody else's as a message can have it: on one line, printable, and not too long."""
    shown = text if text.isprintable() else repr(text)[1:-1]
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _outcome(recipe: Recipe) -> dict[str, Any]:
    words = {"title", "paper", "quick", "dataset", "seed"}
    content = recipe.model_dump(mode="json", exclude=words)
    content["schedule"].pop("workers")
    return {"preset": recipe.preset, **content}


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """Return a line for every dotted path whose values differ in two JSON-like contents."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        keys = dict.fromkeys([*first, *second])
        found = (differences(first.get(key), second.get(key), f"{where}.{key}" if where else str(key)) for key in keys)
        return [line for lines in found for line in lines]
    return [] if first == second else [f"{where}: {first!r}, {second!r}"]


def without_paths(recipe: Recipe) -> Recipe:
    """Return a recipe in which every local file and folder is named by its last part alone."""
    content = _shared(recipe.model_dump(mode="json"))
    if recipe.pretrained not in ("timm", "none"):
        content["pretrained"] = _last_part(recipe.pretrained)
    content["dataset"] = _last_part(recipe.dataset)
    content["requires"] = {role: PurePath(_last_part(name)).stem for role, name in recipe.requires.items()}
    return Recipe.model_validate(content)


def settings_without_paths(settings: tuple[str, ...]) -> tuple[str, ...]:
    """Return settings in which every local file, also inside a list or a mapping, is named by its last part alone."""

    def shared(setting: str) -> str:
        path, equals, text = setting.partition("=")
        try:
            value = load_plain_yaml(text)
        except YamlFaultError:
            return f"{path}{equals}{_shared(text)}"
        field = path.strip().rpartition(":")[2]
        names_file = isinstance(value, str) and (field == "pretrained" or field.startswith("requires."))
        found = _last_part(value) if names_file else _shared(value)
        if found == value:
            return setting
        return f"{path}{equals}{found if isinstance(found, str) else json.dumps(found)}"

    return tuple(map(shared, settings))


def result_without_paths(result: Result) -> Result:
    """Return a result that names no local file by more than its last part."""
    model = result.model
    settings = settings_without_paths(model.settings) if model else ()
    changed = model and model.model_copy(update={"settings": settings})
    return Result.model_validate(_shared(result.model_copy(update={"model": changed}).model_dump(mode="json")))


def _shared(value: Any) -> Any:
    """Return a JSON-like value whose texts are no path that leads anywhere on this machine."""
    if isinstance(value, Mapping):
        return {key: _shared(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shared(one) for one in value]
    return _last_part(value) if isinstance(value, str) and _is_local(value) else value


def _is_local(text: str) -> bool:
    absolute = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    return absolute or text.startswith(("~", "./", "../", ".\\", "..\\", "file:"))


def _last_part(text: str) -> str:
    return PureWindowsPath(text).name or text

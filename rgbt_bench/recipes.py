"""Recipes: what to train and how, as data that can name only registered things."""

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    ValidationError,
    field_validator,
    model_validator,
)

from rgbt_bench.errors import BadInputError, BenchError, MissingError, UsageError, did_you_mean, unknown_name
from rgbt_bench.files import sha256_file, sha256_json
from rgbt_bench.plain_yaml import YamlFaultError, load_plain_yaml, read_mapping
from rgbt_bench.registry import recipe_files, submissions
from rgbt_bench.schema import Modality

Preset = Literal["paper", "quick"]
PRESETS: tuple[Preset, ...] = ("paper", "quick")
_NAME = r"^[a-z0-9][a-z0-9-]*$"
_QUICK_NEVER = (
    "loss",
    "submission",
    "dataset",
    "protocol",
    "modalities",
    "requires",
    "paper",
    "name",
    "quick",
    "preset",
)
_NEVER_SET = {
    "name": "copy the recipe's file under another name",
    "dataset": "use --dataset",
    "preset": "use --preset",
    "quick": "set the values themselves",
}


class _Data(BaseModel):
    # Strict: `epochs: true` and `epochs: "100"` are typing mistakes, not numbers.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PaperRow(_Data):
    """The table row a recipe stands for: the paper's key, the table's name and the row's name."""

    key: str
    table: str
    row: str


class OptimizerConfig(_Data):
    """The optimiser: learning rate, weight decay, schedule, gradient norm limit (None: no limit).

    `gamma` belongs to the exponential schedule: the learning rate is multiplied by it after each epoch. `final` belongs
    to the linear one, which falls to that share of the learning rate. `momentum` is SGD's (None: 0.9).
    """

    name: Literal["adam", "adamw", "sgd"]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    momentum: float | None = Field(default=None, ge=0, lt=1)
    schedule: Literal["constant", "one-cycle", "exponential", "linear"] = "constant"
    gamma: float | None = Field(default=None, gt=0, le=1)
    final: float | None = Field(default=None, ge=0, le=1)
    clip_norm: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fields_go_together(self) -> Self:
        if (self.gamma is not None) != (self.schedule == "exponential"):
            raise ValueError(f"schedule {self.schedule} and gamma {self.gamma}: gamma goes with exponential alone")
        if (self.final is not None) != (self.schedule == "linear"):
            raise ValueError(f"schedule {self.schedule} and final {self.final}: final goes with linear alone")
        if self.momentum is not None and self.name != "sgd":
            raise ValueError(f"name {self.name} and momentum {self.momentum}: momentum goes with sgd alone")
        return self


class ScheduleConfig(_Data):
    """How long and on what: epochs, batch size, accumulation, early stopping, and which weights are kept.

    `patience` is in epochs without a lower validation loss (None: no early stopping); `keep` names the epoch whose
    weights are kept: the one of the lowest validation loss, or the last. `precision` is that of the forward pass in
    training; weights are float32 always, and float16 needs a GPU. `teacher_cache` says in which precision a frozen
    teacher's outputs are kept on disk and read again (None: they are computed at every step); it needs training
    without random augmentation.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    accumulate: int = Field(default=1, ge=1)
    patience: int | None = Field(default=None, ge=1)
    keep: Literal["best", "last"] = "best"
    workers: int = Field(default=0, ge=0)
    max_steps: int | None = Field(default=None, ge=1)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    teacher_cache: Literal["float32", "float16"] | None = None


class Training(NamedTuple):
    """How a recipe trains."""

    optimizer: OptimizerConfig
    schedule: ScheduleConfig


class Recipe(_Data):
    """One registered way to make one model.

    `requires` maps a role (say, `teacher`) to the recipe whose weights fill it; `pretrained` is `timm` (the weights
    that the backbone's name pins), `none`, or a local file; `model`, `augment` and `loss` are the submission's own
    fields, checked by its own schema, and so is `trainer`, of one that trains with another library's trainer; `quick`
    maps dotted paths to the quick preset's values. A recipe without `optimizer` and `schedule` trains nothing: its
    weights are what `pretrained` names, or it has none.
    """

    name: str = Field(pattern=_NAME)
    title: str
    submission: str
    paper: PaperRow | None = None
    dataset: str
    protocol: str
    modalities: Annotated[tuple[Modality, ...], Strict(False), Field(min_length=1)]
    requires: dict[str, str] = Field(default_factory=dict)
    pretrained: str = "none"
    model: dict[str, Any]
    augment: dict[str, Any] = Field(default_factory=dict)
    loss: dict[str, Any] = Field(default_factory=dict)
    optimizer: OptimizerConfig | None = None
    schedule: ScheduleConfig | None = None
    trainer: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0, lt=2**32)
    quick: dict[str, Any] = Field(default_factory=dict)
    preset: Preset = "paper"
    _required: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("modalities")
    @classmethod
    def _each_modality_once(cls, modalities: tuple[Modality, ...]) -> tuple[Modality, ...]:
        if len(set(modalities)) < len(modalities):
            raise ValueError("a modality is named twice")
        return modalities

    @model_validator(mode="after")
    def _trains_or_not(self) -> Self:
        if (self.optimizer is None) != (self.schedule is None):
            raise ValueError("optimizer and schedule go together; a recipe that trains nothing has neither")
        return self

    @property
    def training(self) -> Training | None:
        """How it is trained, or None where it trains nothing."""
        return Training(self.optimizer, self.schedule) if self.optimizer and self.schedule else None

    @property
    def task(self) -> str:
        """The task part of the track, such as `detection-rgbt` or `fusion`."""
        from rgbt_bench.leaderboard.tracks import PROTOCOLS

        protocol = PROTOCOLS[self.protocol]
        modality = "rgbt" if len(self.modalities) > 1 else self.modalities[0]
        return str(protocol["task"]) if "modalities" in protocol else f"{protocol['task']}-{modality}"

    def digest_content(self) -> dict[str, Any]:
        """Return what decides the outcome, the seed apart: not the words, the quick overrides or the workers.

        What a recipe requires is in it by digest, so that a student of a changed teacher is another student.
        """
        words = {"name", "title", "paper", "quick", "requires", "dataset", "seed"}
        content = self.model_dump(mode="json", exclude=words if self.trainer else words | {"trainer"})
        if self.training:
            content["schedule"].pop("workers")
            for section, newer in (
                ("optimizer", {"gamma": None, "momentum": None, "final": None}),
                ("schedule", {"precision": "float32", "teacher_cache": None}),
            ):
                for name, default in newer.items():  # so that recipes older than the field keep their digest
                    if content[section][name] == default:
                        content[section].pop(name)
        if self.pretrained not in ("timm", "none"):
            content["pretrained"] = f"sha256:{sha256_file(pretrained_file(self.pretrained))}"
        if self.requires:
            content["requires"] = self._required or _required_digests(self, (self.name,))
        return content

    def building_on(self, required: Mapping[str, str]) -> "Recipe":
        """Return this recipe with the digests of what in fact fills its roles: required recipes may be changed, too."""
        changed = self.model_copy()
        changed._required = dict(required)
        return changed

    @property
    def digest(self) -> str:
        """The recipe digest: SHA-256 over the canonical content."""
        return sha256_json(self.digest_content())


_CORE_FIELDS: dict[str, frozenset[str]] = {
    "": frozenset(Recipe.model_fields),
    "optimizer": frozenset(OptimizerConfig.model_fields),
    "schedule": frozenset(ScheduleConfig.model_fields),
}


def pretrained_file(text: str) -> Path:
    """Return the local file of pretrained weights that a recipe's `pretrained` names.

    Raises:
        MissingError: there is no such file.
    """
    path = Path(text).expanduser()
    if not path.is_file():
        raise MissingError(f"pretrained: {text!r} is no file; write `timm`, `none`, or the path of a weights file")
    return path


def recipe_path(name: str) -> Path:
    """Return the file of a registered recipe, or of a recipe file given by path.

    Raises:
        UsageError: no recipe has this name, or there is no such file.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"{name}: no such recipe file")
        return path
    registered = recipe_files()
    if name not in registered:
        raise unknown_name("recipe", name, registered)
    return registered[name]


def load_recipe(name: str, preset: str = "paper", settings: tuple[str, ...] = ()) -> Recipe:
    """Return a recipe under a preset, with `path=value` settings applied over it.

    Raises:
        UsageError: an unknown recipe or preset, or a setting that does not fit.
        BadInputError: the file is not a valid recipe; the message names the key.
    """
    path = recipe_path(name)
    require_preset(preset)
    content = read_mapping(path, "a recipe")
    if content.get("name") != path.stem:
        raise BadInputError(f"{path}: name is {content.get('name')!r}, but the file's name says {path.stem!r}")
    if "preset" in content:
        raise BadInputError(f"{path}: preset is chosen with --preset, not in the recipe")
    _require_inside(content.get("pretrained"), path)
    content["preset"] = preset
    recipe = _checked(content, str(path), BadInputError)
    if preset == "quick":
        recipe = _quick(content, recipe, path)
    if settings:
        _apply(content, settings)
        recipe = _checked(content, f"{recipe.name} with --set {' '.join(settings)}", UsageError)
    return recipe


def _require_inside(pretrained: Any, path: Path) -> None:
    """Raise unless a recipe file, which may be anybody's, names weights below the working folder."""
    named = PurePath(pretrained) if isinstance(pretrained, str) else PurePath()
    if named.is_absolute() or ".." in named.parts or str(named).startswith("~"):
        raise BadInputError(
            f"{path}: pretrained: {pretrained!r} leads out of the working folder; write `timm`, `none` or a file"
            " below it, and name any other file with --set pretrained=FILE"
        )


def require_preset(preset: str) -> None:
    """Raise a UsageError unless there is such a preset."""
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)


def explain(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """Return a pydantic error as sentences that name the key and, for an unknown key, the nearest known one."""
    lines = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"])  # empty where the fault is of the whole
        if fault["type"] == "extra_forbidden":
            lines.append(f"unknown key {key!r}. {did_you_mean(str(fault['loc'][-1]), _keys_at(model, fault['loc']))}")
        else:
            told = str(fault["msg"]).removeprefix("Value error, ")
            lines.append(f"{key}: {told}" if key else told)
    return f"{where}: " + "; ".join(lines)


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the model that the last part of a pydantic location lies in."""
    for part in location[:-1]:
        if str(part) in model.model_fields:  # else it is a key of a mapping or a place in a list
            model = _model_in(model.model_fields[str(part)].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a field's type: itself, or what an optional, a mapping or a list holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _checked(content: dict[str, Any], where: str, kind: type[BenchError]) -> Recipe:
    from rgbt_bench.leaderboard.tracks import PROTOCOLS

    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise kind(explain(error, where, Recipe)) from None
    if recipe.submission not in submissions():
        raise kind(f"{where}: {unknown_name('submission', recipe.submission, submissions())}")
    if recipe.protocol not in PROTOCOLS:
        raise kind(f"{where}: {unknown_name('protocol', recipe.protocol, PROTOCOLS)}")
    return recipe


def _quick(content: dict[str, Any], paper: Recipe, path: Path) -> Recipe:
    """Apply a recipe's quick section to its content, and return the recipe that it makes."""
    for dotted, value in paper.quick.items():
        if dotted.split(".")[0] in _QUICK_NEVER:
            raise BadInputError(f"{path}: quick: {dotted}: the quick preset never changes {', '.join(_QUICK_NEVER)}")
        _set(content, dotted, value, f"{path}: quick", BadInputError)
    recipe = _checked(content, f"{path}: quick", BadInputError)
    if recipe.pretrained != "none":
        raise BadInputError(f"{path}: quick: the quick preset looks for no pretrained weights; add `pretrained: none`")
    return recipe


def _apply(content: dict[str, Any], settings: tuple[str, ...]) -> None:
    for setting in settings:
        dotted, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: write PATH=VALUE, such as --set schedule.epochs=3")
        root = dotted.strip().split(".")[0]
        if root in _NEVER_SET:
            raise UsageError(f"--set {setting}: {root} is not set like this: {_NEVER_SET[root]}")
        try:
            value = load_plain_yaml(text)
        except YamlFaultError as error:
            raise UsageError(f"--set {setting}: {error}") from None
        _set(content, dotted.strip(), value, "--set", UsageError)


def _required_digests(recipe: Recipe, above: tuple[str, ...]) -> dict[str, str]:
    """Return the digests of the recipes that fill a recipe's roles, as they are registered."""
    found = {}
    for role, name in recipe.requires.items():
        if name in above:
            raise circle((*above, name))
        required = load_recipe(name, recipe.preset)
        found[role] = required.building_on(_required_digests(required, (*above, name))).digest
    return found


def circle(names: tuple[str, ...]) -> UsageError:
    """Return the error for recipes that require each other."""
    return UsageError(f"recipes require each other in a circle: {' -> '.join(names)}")


def _set(content: dict[str, Any], dotted: str, value: Any, where: str, kind: type[BenchError]) -> None:
    """Replace the value at a dotted path; the path must exist, so that a typing mistake cannot pass unseen."""
    *parents, last = dotted.split(".")
    node: Any = content
    for depth, key in enumerate(parents):
        if not isinstance(node, dict) or key not in node:
            near = did_you_mean(key, node if isinstance(node, dict) else ())
            raise kind(f"{where}: unknown path {'.'.join(parents[: depth + 1])!r}. {near}")
        node = node[key]
    if not isinstance(node, dict):
        raise kind(f"{where}: {'.'.join(parents)!r} has no keys below it")
    known = {*node, *_CORE_FIELDS.get(".".join(parents), ())}
    if last not in known:
        raise kind(f"{where}: unknown path {dotted!r}. {did_you_mean(last, known)}")
    # 1 and 1.0 are one figure, and so are their digests
    node[last] = float(value) if type(value) is int and isinstance(node.get(last), float) else value

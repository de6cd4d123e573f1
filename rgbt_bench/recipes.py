"""Recipes: what to train and how, as data that can name only registered things."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from rgbt_bench.errors import BadInputError, MissingError, UsageError, did_you_mean, unknown_name
from rgbt_bench.files import sha256_file, sha256_json
from rgbt_bench.registry import recipe_files, submissions
from rgbt_bench.schema import Modality

Preset = Literal["paper", "quick"]
PRESETS: tuple[Preset, ...] = ("paper", "quick")
_NAME = r"^[a-z0-9][a-z0-9-]*$"
_QUICK_NEVER = ("loss", "submission", "dataset", "protocol", "modalities", "requires", "paper")
_MAX_BYTES = 1_000_000


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PaperRow(_Data):
    """The table row a recipe stands for: the paper's key, the table's name and the row's name."""

    key: str
    table: str
    row: str


class OptimizerConfig(_Data):
    """The optimiser: learning rate, weight decay, schedule, gradient norm limit (None: no limit)."""

    name: Literal["adam", "adamw", "sgd"]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    schedule: Literal["constant", "one-cycle"] = "constant"
    clip_norm: float | None = Field(default=None, gt=0)


class ScheduleConfig(_Data):
    """How long and on what: epochs, batch size, accumulation, early stopping, and which weights are kept.

    `patience` is in epochs without a lower validation loss (None: no early stopping); `keep` names the epoch whose
    weights are kept: the one of the lowest validation loss, or the last.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    accumulate: int = Field(default=1, ge=1)
    patience: int | None = Field(default=None, ge=1)
    keep: Literal["best", "last"] = "best"
    workers: int = Field(default=0, ge=0)
    max_steps: int | None = Field(default=None, ge=1)


class Recipe(_Data):
    """One registered way to make one model.

    `requires` maps a role (say, `teacher`) to the recipe whose weights fill it; `pretrained` is `timm` (the weights
    that the backbone's name pins), `none`, or a local file; `model`, `augment` and `loss` are the submission's own
    fields, checked by its own schema; `quick` maps dotted paths to the quick preset's values.
    """

    name: str = Field(pattern=_NAME)
    title: str
    submission: str
    paper: PaperRow | None = None
    dataset: str
    protocol: str
    modalities: tuple[Modality, ...]
    requires: dict[str, str] = Field(default_factory=dict)
    pretrained: str = "none"
    model: dict[str, Any]
    augment: dict[str, Any] = Field(default_factory=dict)
    loss: dict[str, Any]
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    seed: int = 0
    quick: dict[str, Any] = Field(default_factory=dict)
    preset: Preset = "paper"

    @property
    def task(self) -> str:
        """The task part of the track, such as `detection-rgbt`."""
        modality = "rgbt" if len(self.modalities) > 1 else self.modalities[0]
        return f"detection-{modality}"

    def digest_content(self) -> dict[str, Any]:
        """Return what decides the outcome, the seed apart: not the words, the quick overrides or the workers."""
        words = {"name", "title", "paper", "quick", "requires", "dataset", "seed"}
        content = self.model_dump(mode="json", exclude=words)
        content["schedule"].pop("workers")
        if self.pretrained not in ("timm", "none"):
            content["pretrained"] = f"sha256:{sha256_file(pretrained_file(self.pretrained))}"
        return content

    @property
    def digest(self) -> str:
        """The recipe digest: SHA-256 over the canonical content; the required recipes' digests are not part of it."""
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
        UsageError: an unknown recipe, preset or settings path.
        BadInputError: the file is not a valid recipe; the message names the key.
    """
    path = recipe_path(name)
    content = read_recipe_yaml(path)
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    if content.get("name") != path.stem:
        raise BadInputError(f"{path}: name is {content.get('name')!r}, but the file's name says {path.stem!r}")
    quick = content.get("quick") or {}
    if preset == "quick":
        for dotted, value in quick.items():
            if str(dotted).split(".")[0] in _QUICK_NEVER:
                raise BadInputError(f"{path}: quick: {dotted!r}: the quick preset never changes {_QUICK_NEVER}")
            _set(content, dotted, value, f"{path}: quick")
    content["preset"] = preset
    for setting in settings:
        dotted, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: write PATH=VALUE, such as --set schedule.epochs=3")
        _set(content, dotted.strip(), _parse_value(text, setting), "--set")
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise BadInputError(explain(error, str(path), Recipe)) from None
    if recipe.submission not in submissions():
        raise BadInputError(f"{path}: {unknown_name('submission', recipe.submission, submissions())}")
    return recipe


def read_recipe_yaml(path: Path) -> Any:
    """Return a recipe file's content as plain data: `1e-5` is a number, no tags, no anchors.

    Raises:
        BadInputError: not YAML, not a mapping, too large, or with tags or anchors.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise BadInputError(f"{path}: larger than {_MAX_BYTES} bytes, which no recipe is")
    text = path.read_text(encoding="utf-8")
    yaml = YAML(typ="safe", pure=True)
    try:
        for event in yaml.parse(text):
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                line = event.start_mark.line + 1
                raise BadInputError(f"{path}: line {line}: YAML tags, anchors and aliases are refused in a recipe")
        content = yaml.load(text)
    except (YAMLError, RecursionError) as error:
        raise BadInputError(f"{path}: not valid YAML: {str(error) or 'nested too deeply'}") from None
    if not isinstance(content, dict):
        raise BadInputError(f"{path}: a recipe is a mapping of keys")
    return content


def origins(path: Path) -> dict[str, str]:
    """Return where each figure of a recipe file comes from: the comment at the end of its line, by dotted path.

    A number without a comment maps to an empty text.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    found: dict[str, str] = {}

    def walk(node: Any, prefix: str, line: int) -> None:
        if isinstance(node, CommentedMap):
            for key, value in node.items():
                walk(value, f"{prefix}.{key}" if prefix else str(key), node.lc.value(key)[0])
        elif isinstance(node, CommentedSeq):
            for index, value in enumerate(node):
                walk(value, f"{prefix}.{index}", node.lc.item(index)[0])
        elif isinstance(node, int | float) and not isinstance(node, bool):
            found[prefix] = lines[line].partition("#")[2].strip()

    walk(YAML(typ="rt").load("\n".join(lines)), "", 0)
    return found


def explain(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """Return a pydantic error as sentences that name the key and, for an unknown key, the nearest known one."""
    lines = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"unknown key {key!r}. {did_you_mean(str(fault['loc'][-1]), _keys_at(model, fault['loc']))}")
        else:
            lines.append(f"{key}: {fault['msg']}")
    return f"{where}: " + "; ".join(lines)


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location[:-1]:
        inner = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)


def _parse_value(text: str, setting: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        raise UsageError(f"--set {setting}: the value is not valid YAML") from None


def _set(content: dict[str, Any], dotted: str, value: Any, where: str) -> None:
    """Replace the value at a dotted path; the path must exist, so that a typing mistake cannot pass unseen."""
    *parents, last = str(dotted).split(".")
    node: Any = content
    for depth, key in enumerate(parents):
        if not isinstance(node, dict) or key not in node:
            near = did_you_mean(key, node if isinstance(node, dict) else ())
            raise UsageError(f"{where}: unknown path {'.'.join(parents[: depth + 1])!r}. {near}")
        node = node[key]
    if not isinstance(node, dict):
        raise UsageError(f"{where}: {'.'.join(parents)!r} has no keys below it")
    known = {*node, *_CORE_FIELDS.get(".".join(parents), ())}
    if last not in known:
        raise UsageError(f"{where}: unknown path {dotted!r}. {did_you_mean(last, known)}")
    node[last] = value

"""What a pushed model says of itself: its card with the results, and the same figures as the Hub reads them."""

import shlex
from collections.abc import Iterable
from typing import Any

from huggingface_hub import (
    EvalResult,
    EvalResultEntry,
    ModelCard,
    ModelCardData,
    eval_result_entries_to_yaml,
)
from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]
from jinja2 import Environment, PackageLoader, StrictUndefined

from rgbt_bench.datasets.splits import dataset_name
from rgbt_bench.errors import BenchError
from rgbt_bench.leaderboard.papers import papers
from rgbt_bench.protocols import find_protocol
from rgbt_bench.recipes import load_recipe
from rgbt_bench.registry import recipe_files
from rgbt_bench.results import Figure, Interval, Result
from rgbt_bench.schema import DatasetInfo

from .markdown import code, code_line, plain
from .model_config import ModelConfig
from .names import HubName

_TASKS = {  # as the Hub names them
    "detection": "object-detection",
    "segmentation": "image-segmentation",
    "fusion": "image-to-image",
}
_UNRANKED = "-unranked"
_TEMPLATE = "model_card.md.jinja"


def label_of(config: ModelConfig, result: Result) -> str:
    """Return in a few words what a model's figures are, so that none looks more official than it is."""
    parts: list[str] = ["official labels" if result.standing == "official" else result.standing]
    parts += [] if config.preset == "paper" else [f"preset {config.preset}"]
    parts += ["changed recipe"] if config.settings or _has_anothers_name(config) else []
    return ", ".join(parts)


def _is_registered(config: ModelConfig) -> bool:
    """Tell whether a model's recipe is the registered one of its name, as it is now, with the settings."""
    if config.recipe.name not in recipe_files():
        return False
    try:
        return load_recipe(config.recipe.name, config.preset, config.settings).digest == config.recipe_digest
    except BenchError:  # settings of what it requires, or of a local file
        return True


def _has_anothers_name(config: ModelConfig) -> bool:
    return config.recipe.name in recipe_files() and not _is_registered(config)


def eval_results(config: ModelConfig, result: Result, title: str, on_hub: HubName | None) -> list[EvalResult]:
    """Return the figures of a result for the `model-index` of a card, in 0..1; undefined ones are left out.

    `on_hub` is the commit that holds the set, where that is known; else the dataset is named as rgbt-bench knows it.
    """
    data, label = result.data, label_of(config, result)
    return [
        EvalResult(
            task_type=_TASKS[result.metrics.kind],
            task_name=result.track.partition("/")[2],
            dataset_type=on_hub.repo_id if on_hub else data.dataset,
            dataset_name=title,
            dataset_config=data.split,
            dataset_split=data.part,
            dataset_revision=on_hub.revision if on_hub else None,
            dataset_args={"label_digest": data.label_digest, "fingerprint": data.fingerprint},
            metric_type=name,
            metric_name=f"{name} ({label})",
            metric_value=value,
            metric_args={"protocol_digest": result.protocol_digest},
        )
        for name, value in result.metrics.figures.items()
        if value is not None
    ]


def eval_results_file(config: ModelConfig, result: Result, on_hub: HubName) -> bytes | None:
    """Return `.eval_results/*.yaml`: the track's first figure on the set's repository, or None where it is undefined.

    A leaderboard of the Hub ranks the values of one task id. So what must not rank has another, and its notes say why.
    """
    value = result.metrics.figures[result.metrics.main]
    if value is None:
        return None
    unit = find_protocol(result.protocol["name"]).unit
    ranks = result.standing == "official" and config.preset == "paper"
    entry = EvalResultEntry(
        dataset_id=on_hub.repo_id,
        dataset_revision=on_hub.revision,
        task_id=result.track.partition("/")[2] + ("" if ranks else _UNRANKED),
        value=value,
        date=result.created,
        notes=(
            f"{label_of(config, result)}: {result.standing_reason}. {unit}; split {result.data.split}, part"
            f" {result.data.part}, label digest {result.data.label_digest[:16]}, recipe digest"
            f" {config.recipe_digest[:16]}, seed {config.seed}."
        ),
    )
    return yaml_dump(eval_result_entries_to_yaml([entry])).encode()


def model_card(
    config: ModelConfig,
    result: Result,
    info: DatasetInfo | None,
    target: HubName,
    on_hub: HubName | None,
    files: Iterable[tuple[str, str]],
) -> str:
    """Return a model's card; `info` is that of its set where it is at hand, `files` what is pushed, by path."""
    title = info.title if info else result.data.dataset
    both = ("rgb-thermal",) if len(config.modalities) > 1 else ()
    data = ModelCardData(
        license="other",
        library_name="rgbt-bench",
        pipeline_tag=_TASKS[result.metrics.kind],
        datasets=[on_hub.repo_id] if on_hub else None,
        tags=["rgbt-bench", *both, *config.modalities, config.recipe.submission],
        model_name=target.repo_id.partition("/")[2],
        eval_results=eval_results(config, result, title, on_hub) or None,
    )
    environment = Environment(
        loader=PackageLoader("rgbt_bench", "hub/templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"md": plain, "code": code, "codeblock": code_line}
    metrics, recipe = result.metrics, config.recipe
    intervals, main = metrics.intervals, metrics.main
    body = environment.get_template(_TEMPLATE).render(
        config=config,
        recipe=recipe,
        result=result,
        info=info,
        title=title,
        label=label_of(config, result).capitalize(),
        figures=[(name, _figure(value), _range(intervals.figures[name])) for name, value in metrics.figures.items()],
        main=main,
        class_columns=_class_columns(result),
        per_class=_per_class(result),
        subsets=[
            (
                name,
                metrics.subset_samples[name],
                _figure(one[metrics.main]),
                _range(intervals.subsets[name][metrics.main]),
            )
            for name, one in metrics.subsets.items()
        ],
        interval_note=_interval_note(result),
        is_registered=_is_registered(config),
        has_anothers_name=_has_anothers_name(config),
        command=command(config, target),
        digests=_digests(config, result),
        libraries=", ".join(f"{name} {version}" for name, version in result.libraries.items()),
        files=list(files),
        paper=papers().get(recipe.paper.key) if recipe.paper else None,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n{body}"))


def command(config: ModelConfig, target: HubName, revision: str = "REVISION") -> str:
    """Return the command that runs a pushed model."""
    recipe = config.recipe
    name = recipe.name if _is_registered(config) else f"./{recipe.name}.yaml"
    trained_on = dataset_name(config.trained_on.dataset, config.trained_on.split)
    words = ["rgbt-bench", "run", name]
    words += [] if trained_on == recipe.dataset else ["--dataset", trained_on]
    words += [] if config.preset == "paper" else ["--preset", config.preset]
    words += [word for setting in config.settings for word in ("--set", setting)]
    return shlex.join([*words, "--weights", str(target.at(revision))])


def _class_columns(result: Result) -> list[str]:
    """Return the figures of a class that the card shows, and the name of its count."""
    names = list(next(iter(result.metrics.intervals.per_class.values()), {}))[:2]
    return [*names, find_protocol(result.protocol["name"]).labels_name]


def _per_class(result: Result) -> list[list[str]]:
    """Return the rows of the card's table of classes: name, then each figure and its interval, then the count."""
    *names, _ = _class_columns(result)
    counted, intervals = find_protocol(result.protocol["name"]).labels_key, result.metrics.intervals.per_class
    return [
        [
            name,
            *(text for one in names for text in (_figure(found[one]), _range(intervals[name][one]))),
            str(found[counted]),
        ]
        for name, found in result.metrics.per_class.items()
    ]


def _figure(value: Figure) -> str:
    return "" if value is None else f"{value:.4f}"


def _range(interval: Interval) -> str:
    return "" if interval is None else f"{_figure(interval[0])} to {_figure(interval[1])}"


def _interval_note(result: Result) -> str:
    found = result.metrics.intervals.resampling["all"]
    if found.reason is not None:
        return f"There are no intervals: {found.reason}."
    return (
        f"Intervals are {found.level:.0%}, from {found.resamples:,} resamples of {found.blocks} {found.unit} of this"
        " test set, with one seed."
    )


def _digests(config: ModelConfig, result: Result) -> list[tuple[str, Any]]:
    data = result.data
    rows = [
        ("recipe digest", config.recipe_digest),
        ("preset", config.preset),
        ("seed", config.seed),
        *((f"required as {role}", f"{one.recipe} {one.run_key}") for role, one in config.requires.items()),
        ("run key", config.run_key),
        ("weights, SHA-256", config.weights_sha256),
        ("predictions, SHA-256", result.predictions_sha256),
        ("protocol digest", result.protocol_digest),
        (f"label digest of {data.part}", data.label_digest),
        ("label digest of train", data.train_label_digest),
        ("label digest of val", data.val_label_digest),
        (f"rgb digest of {data.part}", data.rgb_digest),
        (f"thermal digest of {data.part}", data.thermal_digest),
        ("fingerprint of the set", data.fingerprint),
        ("left out at its conversion", data.skipped or None),
        ("scored at", result.created),
    ]
    return [(name, value) for name, value in rows if value is not None]

"""The commands that a page prints: quoted for a shell, and none that a hostile row could turn into another."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from rgbt_bench.datasets.splits import dataset_name
from rgbt_bench.errors import BenchError
from rgbt_bench.registry import recipe_files
from rgbt_bench.results import ModelProvenance, Result


@dataclass(frozen=True)
class Commands:
    """Command lines, or the reason why there are none; `note` is what a reader has to know of them."""

    lines: tuple[str, ...] = ()
    note: str = ""


def rerun(results: Sequence[Result]) -> Commands:
    """Return the commands that make a row's predictions again, one a seed."""
    if any(one.model is None for one in results):
        return Commands(note="The predictions were brought from outside: no recipe of this project makes them.")
    lines = []
    for one in results:
        assert one.model is not None
        words = _words(one.model, dataset_name(one.data.dataset, one.data.split))
        if not all(word.isprintable() for word in words):
            return Commands(note="Not shown: its recipe or settings have characters that do not print.")
        lines.append(shlex.join(words))
    first = results[0].model
    assert first is not None
    return Commands(tuple(dict.fromkeys(lines)), _recipe_note(first))


def verify(row: str, version: str) -> str:
    """Return the command that computes a row's numbers again from its stored predictions."""
    return shlex.join(["rgbt-bench", "verify", row, "--version", version])


def settled_digest(recipe: str, preset: str, settings: tuple[str, ...]) -> str | None:
    """Return the digest that a registered recipe has today, or None where it has none."""
    return _settled(recipe, preset, settings) if recipe in recipe_files() else None


@cache
def _settled(recipe: str, preset: str, settings: tuple[str, ...]) -> str | None:
    from rgbt_bench.runs import settled_recipe

    try:
        return settled_recipe(recipe, preset, settings).digest
    except BenchError:  # settings that today's recipe refuses
        return None


def _words(model: ModelProvenance, dataset: str) -> list[str]:
    words = ["rgbt-bench", "run", "--dataset", dataset, "--preset", model.preset]
    if model.weights_from is not None:
        words += ["--weights", model.weights_from]
    elif model.seed is not None:
        words += ["--seed", str(model.seed)]
    for setting in model.settings:
        words += [f"--set={setting}"]
    # a name that begins with a hyphen would be read as an option
    return [*words, "--", model.recipe] if model.recipe.startswith("-") else [*words[:2], model.recipe, *words[2:]]


def _recipe_note(model: ModelProvenance) -> str:
    if model.weights_from == "file":
        return "The weights were a local file: put your own copy in its place."
    if model.recipe not in recipe_files():
        return "This recipe is none of this project's: ask the row's authors for its file."
    digest = settled_digest(model.recipe, model.preset, model.settings)
    if digest is None:
        return "Today's recipe of this name does not take these settings."
    if digest != model.recipe_digest:
        return "The recipe of this name has changed since: its digest is another one today."
    return "The recipe is the registered one, unchanged: its digest is the row's."

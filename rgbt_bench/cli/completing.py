"""What a shell offers for a name; it stays fast, imports no torch, and a fault here is no more than no offer."""

from collections.abc import Callable, Iterable, Iterator
from inspect import signature
from typing import Any

import typer

Names = Callable[[], Iterable[str]]


def recipes() -> Iterable[str]:
    """Return the registered recipes."""
    from rgbt_bench.registry import recipe_files

    return recipe_files()


def datasets() -> Iterable[str]:
    """Return the registered datasets."""
    from rgbt_bench.registry import converters

    return converters()


def sets() -> Iterator[str]:
    """Yield the converted sets, and NAME@SPLIT for each of their other splits."""
    from rgbt_bench import paths

    for folder in paths.converted_sets():
        yield folder.name
        yield from (f"{folder.name}@{path.stem}" for path in folder.glob("splits/*.json") if path.stem != "default")


def tables() -> Iterable[str]:
    """Return the papers' tables."""
    from rgbt_bench.leaderboard.papers import papers

    return [f"{paper.key}/{key}" for paper in papers().values() for key in paper.tables]


def runs() -> Iterator[str]:
    """Yield the runs by recipe, by key and by DATASET/RECIPE-PRESET/KEY."""
    from rgbt_bench import paths

    home = paths.runs_home()
    for folder in home.glob("*/*/*/"):
        place = folder.relative_to(home)
        if not any(part.startswith(".") for part in place.parts):
            yield from (folder.parent.name.rpartition("-")[0], folder.name, place.as_posix())


def pushed() -> Iterator[str]:
    """Yield what can be pushed: the converted sets, and the runs."""
    yield from (name for name in sets() if "@" not in name)
    yield from runs()


def kinds() -> Iterable[str]:
    """Return what can be listed."""
    from rgbt_bench.listing import KINDS

    return KINDS


def devices() -> Iterable[str]:
    """Return the devices."""
    from rgbt_bench.devices import DEVICES

    return DEVICES


def presets() -> Iterable[str]:
    """Return the presets."""
    from rgbt_bench.recipes import PRESETS

    return PRESETS


# By the name of the parameter, which is one everywhere; by command and parameter where it means something else.
OFFERS: dict[str, Names] = {
    "name": recipes,
    "dataset": sets,
    "a": sets,
    "b": sets,
    "run": runs,
    "names": runs,
    "recipe": recipes,
    "table": tables,
    "what": kinds,
    "preset": presets,
    "device": devices,
    "convert dataset": datasets,
    "push what": pushed,
}


def complete_names(app: typer.Typer) -> None:
    """Give every parameter of the commands that names something known its completion."""
    for command in app.registered_commands:
        for parameter in signature(command.callback or (lambda: None)).parameters.values():
            offer = OFFERS.get(f"{command.name} {parameter.name}") or OFFERS.get(parameter.name)
            for declared in getattr(parameter.annotation, "__metadata__", ()):
                if offer and hasattr(declared, "autocompletion"):
                    declared.autocompletion = _quietly(offer)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            complete_names(group.typer_instance)


def _quietly(names: Names) -> Callable[[str], list[Any]]:
    """Return a completion callback that offers the names that begin with what is typed, and never raises."""

    def complete(incomplete: str) -> list[Any]:
        try:
            return sorted({name for name in names() if name.startswith(incomplete)})
        except Exception:  # a traceback would be printed into the user's command line
            return []

    return complete

"""Finding converters and submissions by name, without importing what is not asked for.

An entry point names a *package*. Its modules (converters) or its sub-folders with `recipes/*.yaml` (submissions) are
listed from the file system, so a new file or folder is found with no re-install, and a third party's package is found
in exactly the way ours are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points, requires
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_bench.errors import BadInputError, MissingError, unknown_name

if TYPE_CHECKING:
    from rgbt_bench.converters import Converter
    from rgbt_bench.submissions import Submission

CONVERTERS = "rgbt_bench.converters"
SUBMISSIONS = "rgbt_bench.submissions"


@dataclass(frozen=True)
class Entry:
    """Something registered: its name, the module that holds it, the attribute to take, and its folder."""

    name: str
    module: str
    attribute: str
    folder: Path

    def load(self) -> Any:
        """Import the module and return the registered class.

        Raises:
            MissingError: a package it needs is not installed.
            BadInputError: there is no such module, or it has no such attribute.
        """
        try:
            module = import_module(self.module)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if missing == self.module:
                raise BadInputError(f"{self.folder}: no {self.module.rpartition('.')[2]}.py here") from None
            if missing.partition(".")[0] == self.module.partition(".")[0]:
                raise
            raise MissingError(
                f"{self.name} needs the package {missing!r}, which is not installed: pip install {_installing(missing)}"
            ) from None
        if not hasattr(module, self.attribute):
            raise BadInputError(f"{self.module}: a plug-in module must set {self.attribute}")
        return getattr(module, self.attribute)


@cache
def converters() -> dict[str, Entry]:
    """Return every registered converter by name: the core's own, and each module of the packages found."""
    here = Path(__file__).parent
    ours = {
        "sample": "rgbt_bench.datasets.sample_converter",
        "sample-drone": "rgbt_bench.datasets.sample_drone_converter",
        "custom": "rgbt_bench.custom.converter",
    }
    found = {name: Entry(name, module, "CONVERTER", here) for name, module in ours.items()}
    for package, folder in _packages(CONVERTERS):
        for path in sorted(folder.glob("*.py")):
            if not path.stem.startswith("_"):
                _add(found, Entry(path.stem, f"{package}.{path.stem}", "CONVERTER", folder))
    return found


@cache
def submissions() -> dict[str, Entry]:
    """Return every registered submission by name: each folder with recipes of the packages under the entry point."""
    found: dict[str, Entry] = {}
    for package, folder in _packages(SUBMISSIONS):
        for recipes in sorted(folder.glob("*/recipes")):
            name = recipes.parent.name
            _add(found, Entry(name, f"{package}.{name}.submission", "SUBMISSION", recipes.parent))
    return found


@cache
def recipe_files() -> dict[str, Path]:
    """Return every registered recipe file by the recipe's name, which is the file's stem."""
    found: dict[str, Path] = {}
    for entry in submissions().values():
        for path in sorted((entry.folder / "recipes").glob("*.yaml")):
            if path.stem in found:
                both = f"{found[path.stem]} and {path}"
                raise BadInputError(f"two recipes are named {path.stem!r}: {both}; rename or uninstall one")
            found[path.stem] = path
    return found


def load_converter(name: str) -> "type[Converter]":
    """Return a registered converter class.

    Raises:
        UsageError: no converter has this name.
        MissingError: a package it needs is not installed.
        BadInputError: what is registered is no converter, or one of another dataset.
    """
    from rgbt_bench.converters import Converter

    entries = converters()
    if name not in entries:
        raise unknown_name("dataset", name, entries)
    loaded: type[Converter] = _require_subclass(entries[name], Converter)
    if loaded.info.name != name:
        raise BadInputError(f"{entries[name].module}: is registered as {name!r} but converts {loaded.info.name!r}")
    return loaded


def load_submission(name: str) -> "type[Submission]":
    """Return a registered submission class.

    Raises:
        UsageError: no submission has this name.
        MissingError: a package it needs is not installed.
        BadInputError: what is registered is no submission.
    """
    from rgbt_bench.submissions import Submission

    entries = submissions()
    if name not in entries:
        raise unknown_name("submission", name, entries)
    loaded: type[Submission] = _require_subclass(entries[name], Submission)
    return loaded


def _require_subclass(entry: Entry, base: type) -> Any:
    loaded = entry.load()
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise BadInputError(f"{entry.module}: {entry.attribute} is not a subclass of {base.__name__}")
    return loaded


def _installing(package: str) -> str:
    """Return what pip has to install for a missing package: our extra that brings it, or the package itself."""
    named = re.compile(rf"{re.escape(package)}\b.*extra == ['\"](\w+)['\"]")
    extras = [match[1] for line in requires("rgbt-bench") or () if (match := named.match(line))]
    return f"'rgbt-bench[{extras[0]}]'" if extras else package


def _add(found: dict[str, Entry], entry: Entry) -> None:
    if entry.name in found:
        both = f"{found[entry.name].module} and {entry.module}"
        raise BadInputError(f"two plug-ins are named {entry.name!r}: {both}; rename or uninstall one")
    found[entry.name] = entry


def _packages(group: str) -> Iterator[tuple[str, Path]]:
    # Two installed projects may name the same package, such as a fork beside the original: it is one all the same.
    points = {point.value: point for point in sorted(entry_points(group=group))}
    for package, point in points.items():
        for folder in _folders(point):
            yield package, folder


def _folders(point: EntryPoint) -> list[Path]:
    try:
        spec = find_spec(point.value)
    except (ImportError, ValueError):  # the package above it is missing, or the value is no dotted name
        spec = None
    if spec is None or spec.submodule_search_locations is None:
        owner = f" of {point.dist.name}" if point.dist else ""
        raise BadInputError(
            f"entry point {point.name!r}{owner}: {point.value!r} is not an importable package; {point.group} expects"
            " the name of one. Mend or uninstall that project"
        )
    return [Path(location) for location in spec.submodule_search_locations]

"""Finding converters and submissions by name, without importing what is not asked for.

An entry point names a *package*. Its modules (converters) or its sub-folders with `recipes/*.yaml` (submissions) are
listed from the file system, so a new file or folder is found with no re-install, and a third party's package is found
in exactly the way ours are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_bench.errors import BadInputError, MissingError, unknown_name

if TYPE_CHECKING:
    from rgbt_bench.converting import Converter
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
            BadInputError: the module has no such attribute.
        """
        try:
            module = import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name and error.name.split(".")[0] == self.module.split(".")[0]:
                raise
            raise MissingError(
                f"{self.name} needs the package {error.name!r}, which is not installed: pip install 'rgbt-bench[train]'"
            ) from None
        if not hasattr(module, self.attribute):
            raise BadInputError(f"{self.module}: a plug-in module must set {self.attribute}")
        return getattr(module, self.attribute)


@cache
def converters() -> dict[str, Entry]:
    """Return every registered converter by name: each module of the packages under `rgbt_bench.converters`."""
    found = {"sample": Entry("sample", "rgbt_bench.datasets.sample_converter", "CONVERTER", Path(__file__).parent)}
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
                raise BadInputError(f"{path}: a recipe named {path.stem!r} is registered already: {found[path.stem]}")
            found[path.stem] = path
    return found


def load_converter(name: str) -> "type[Converter]":
    """Return a registered converter class.

    Raises:
        UsageError: no converter has this name.
    """
    entries = converters()
    if name not in entries:
        raise unknown_name("dataset", name, entries)
    loaded: type[Converter] = entries[name].load()
    return loaded


def load_submission(name: str) -> "type[Submission]":
    """Return a registered submission class.

    Raises:
        UsageError: no submission has this name.
        MissingError: a package it needs is not installed.
    """
    entries = submissions()
    if name not in entries:
        raise unknown_name("submission", name, entries)
    loaded: type[Submission] = entries[name].load()
    return loaded


def _add(found: dict[str, Entry], entry: Entry) -> None:
    if entry.name in found:
        raise BadInputError(f"{entry.module}: the name {entry.name!r} is taken by {found[entry.name].module}")
    found[entry.name] = entry


def _packages(group: str) -> Iterator[tuple[str, Path]]:
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        for folder in _folders(point):
            yield point.value, folder


def _folders(point: EntryPoint) -> list[Path]:
    spec = find_spec(point.value)
    if spec is None or spec.submodule_search_locations is None:
        raise BadInputError(f"entry point {point.name!r}: {point.value!r} is not an importable package")
    return [Path(location) for location in spec.submodule_search_locations]

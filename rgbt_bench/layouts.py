"""Finding in which of its layouts a dataset lies on a user's disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import Source

DEPTH = 2  # how far below what the user named a layout is looked for


@dataclass(frozen=True)
class Layout:
    """One layout of a dataset: its tree for people, and what gives it away in words and in a source.

    `marks(source, base)` returns the names, all beginning with `base`, that are there and give the layout away.
    """

    name: str
    tree: str
    looked_for: str
    marks: Callable[[Source, str], set[str]]


AnyLayout = TypeVar("AnyLayout", bound=Layout)


def find_layout(source: Source, layouts: Sequence[AnyLayout], title: str) -> tuple[AnyLayout, str]:
    """Return the layout of a source and the prefix of its base folder, looking at most two folders deep.

    Raises:
        BadInputError: none of the layouts is there, or more than one is; `title` names the dataset.
    """
    found = find_layouts(source, layouts, title)
    if len(found) > 1:
        places = ", ".join(f"{source.where(base).rstrip('/')} ({layout.name})" for layout, base in found)
        raise BadInputError(f"{source.root}: more than one layout here: {places}; name one of them")
    return found[0]


def find_layouts(source: Source, layouts: Sequence[AnyLayout], title: str) -> list[tuple[AnyLayout, str]]:
    """Return every layout that a source has with its base folder, for datasets that come in several archives.

    Raises:
        BadInputError: none of the layouts is there; `title` names the dataset.
    """
    found: list[tuple[AnyLayout, str]] = []
    known: set[str] = set()  # a list in a folder of one layout is not another layout of that folder
    for base in sorted(source.bases(DEPTH), key=lambda base: (base.count("/"), base)):
        marked = [(layout, layout.marks(source, base)) for layout in layouts]
        new = [(layout, marks) for layout, marks in marked if marks and not marks & known]
        found += [(layout, base) for layout, _ in new]
        known.update(*(marks for _, marks in new))
    if not found:
        wanted = "; ".join(f"{layout.looked_for} ({layout.name} layout)" for layout in layouts)
        trees = "".join(f"\n{layout.name}:{layout.tree}" for layout in layouts)
        raise BadInputError(f"{source.root}: no {title} layout here: looked for {wanted}.\n{trees}")
    return found

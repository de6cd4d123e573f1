"""What the layouts of FLIR-aligned share: parts, pairs of files, and what a layout is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from rgbt_bench.converters import Scan
from rgbt_bench.layouts import Layout
from rgbt_bench.schema import Labels
from rgbt_bench.sources import Source

PARTS = ("train", "test")


class Pair(NamedTuple):
    """The names of a pair's two files in the source."""

    rgb: str
    thermal: str


Entries = Iterator[tuple[Pair, Labels, str]]  # with the name of the file of the labels, or an empty text


@dataclass(frozen=True)
class FlirLayout(Layout):
    """One layout; `entries(source, base, part, scan)` yields the pairs of `train` or `test`."""

    entries: Callable[[Source, str, str, Scan], Entries]

"""What the layouts of M3FD share: pairs of files, the lists of an archive, and what a layout is."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import is_image
from rgbt_bench.layouts import Layout
from rgbt_bench.schema import Labels
from rgbt_bench.sources import Source

from ._m3fd_labels import is_id, sample_id_of

PARTS = ("train", "val", "test")


class Entry(NamedTuple):
    """One pair: the names of its files in the source, its labels, and the name of the file that they are from."""

    rgb: str
    thermal: str
    labels: Labels
    label_file: str


@dataclass
class Found:
    """The pairs of a source, and the ids of each list or part folder that it has, by part."""

    entries: list[Entry] = field(default_factory=list)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class M3fdLayout(Layout):
    """One layout; `read(source, base, scan)` returns its pairs."""

    read: Callable[[Source, str, Scan], Found]


def first_folder(source: Source, base: str, names: tuple[str, ...]) -> str | None:
    """Return the first of the folders of a base that has files, or None."""
    return next((base + name for name in names if source.files_in(base + name)), None)


def ids_in(source: Source, folder: str, suffix: str, scan: Scan) -> dict[str, str]:
    """Return the files of a folder by sample id: images, or those with the given ending; other files are counted."""
    found: dict[str, str] = {}
    for file in source.files_in(folder):
        name, stem = f"{folder}/{file}", PurePosixPath(file).stem
        if not (file.lower().endswith(suffix) if suffix else is_image(file)) or not is_id(stem):
            if not file.endswith((".txt", ".yaml", ".cache")):
                scan.quirks["files with another name than M3FD's (left out)"] += 1
            continue
        try:
            sample_id = sample_id_of(stem, source.where(name))
        except BadInputError as error:
            scan.faults.append(str(error))
            continue
        if sample_id in found:
            scan.faults.append(f"{source.where(name)}: {sample_id} again, first {found[sample_id]}; keep one")
        found.setdefault(sample_id, name)
    return found


def below(source: Source, prefix: str) -> Iterator[str]:
    """Yield the names of a source that begin with a prefix."""
    place = bisect_left(source.names, prefix)
    while place < len(source.names) and source.names[place].startswith(prefix):
        yield source.names[place]
        place += 1


def read_lists(source: Source, base: str, scan: Scan) -> dict[str, tuple[str, ...]]:
    """Return the ids in the lists in `meta`, by part; lines that are no ids are faults."""
    found = {}
    for part in PARTS:
        name = f"{base}meta/{part}.txt"
        if name not in source:
            continue
        ids: dict[str, int] = {}
        for row, line in enumerate(source.text(name).splitlines(), start=1):
            stem = PurePosixPath(line.strip().replace("\\", "/")).stem
            if not stem:
                continue
            try:
                sample_id = sample_id_of(stem, f"{source.where(name)}: line {row}")
            except BadInputError as error:
                scan.faults.append(str(error))
                continue
            if sample_id in ids:
                scan.quirks["lines of lists that name a pair again"] += 1
            ids.setdefault(sample_id, row)
        scan.quirks[f"{part}: empty list meta/{part}.txt"] += not ids
        found[part] = tuple(ids)
    return found

"""Storing predictions that are one PNG file a sample: whole, by all processes of a run together, or not at all."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from rgbt_bench.datasets.store import Part
from rgbt_bench.datasets.writer import put_in_place
from rgbt_bench.png_folders import SUFFIX, png_files
from rgbt_bench.schema import Labels

if TYPE_CHECKING:
    from rgbt_bench.training.processes import Processes

_ASIDE = ".partial"


class _Indexed(Protocol):
    @property
    def index(self) -> int: ...


_One = TypeVar("_One", bound=_Indexed)


def store_pngs(
    path: Path,
    predicted: Iterable[_One],
    part: Part,
    team: "Processes",
    write: Callable[[Path, Labels, _One], None],
) -> None:
    """Write every process's predictions into one folder aside, and put it in place once all are there.

    `write(folder, labels, prediction)` writes one as SAMPLE_ID.png.

    Raises:
        ValueError: a prediction of no sample of the part, or a sample without one.
    """
    aside = path.with_name(path.name + _ASIDE)
    if team.is_main:
        shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed right here
        aside.mkdir(parents=True)
    team.wait()
    for one in predicted:
        if not 0 <= one.index < len(part):
            raise ValueError(f"number {one.index} of {len(part)} samples was predicted")
        write(aside, part.labels[one.index], one)
    team.wait()
    if team.is_main:
        if lacking := [name for name in part.ids if not (aside / f"{name}{SUFFIX}").exists()]:
            raise ValueError(f"{len(lacking)} of {len(part)} samples were not predicted, such as {lacking[0]}")
        put_in_place(aside, path)
    team.wait()


def stored_files(path: Path, stored: str) -> dict[str, Path]:
    """Return the files of a folder of PNGs by their place beside a result, which begins with `stored`."""
    return {f"{stored}/{one.relative_to(path).as_posix()}": one for one in png_files(path)}

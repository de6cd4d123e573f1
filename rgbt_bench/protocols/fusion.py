"""The protocol `fusion`: fused images as PNG files, each scored against its two sources; it ranks nothing."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError

from rgbt_bench import __version__, paths
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError, BenchError
from rgbt_bench.files import read_json, sha256_json, write_json
from rgbt_bench.fused_images import (
    FusedImage,
    FusedImages,
    Sources,
    read_fused_images,
    source_images,
    write_fused_image,
)
from rgbt_bench.fusion.controls import CONTROLS, DEFINITION
from rgbt_bench.fusion.sheet import draw_fused
from rgbt_bench.metrics.fusion import METRICS
from rgbt_bench.metrics.fusion import PROTOCOL as DEFINITIONS
from rgbt_bench.metrics.fusion.conventions import CONVENTIONS, Convention, find_convention
from rgbt_bench.png_folders import Bytes, png_digest
from rgbt_bench.predictions import aliases
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols.base import ScoringProtocol
from rgbt_bench.protocols.measuring import Column, Evidence, Figures, measured
from rgbt_bench.protocols.png_storing import store_pngs, stored_files
from rgbt_bench.results import Figure, FusionMetrics, Spread
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.workers import usable_cores

if TYPE_CHECKING:
    from rgbt_bench.training.processes import Processes

CONTROLS_FOLDER: Final = "controls"
_AT_ONCE: Final = 32  # pairs in memory
_KEPT: Final = TypeAdapter(dict[str, Figure], config=ConfigDict(strict=True))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FusionEvidence(Evidence):
    """The figures of each sample, float64[samples, names], NaN where one is undefined."""

    names: tuple[str, ...]
    values: Floats

    def figures(self, evaluator: str) -> Figures:
        """Return the means over the samples where each figure is defined."""
        means = self.resampled(np.ones((1, len(self.values)), dtype=np.int32))[0]
        return Figures({name: _figure(value) for name, value in zip(self.names, means, strict=True)}, [])

    def select(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the figures of some samples."""
        return type(self)(self.names, self.values[chosen])

    def resampled(self, weights: NDArray[np.int32]) -> Floats:
        """Return the weighted means over the samples where each figure is defined."""
        known = ~np.isnan(self.values)
        sums = weights @ np.where(known, self.values, 0.0)
        counts = weights @ known.astype(np.float64)
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


class Fusion(ScoringProtocol[FusedImages]):
    """Fused images against their sources."""

    name = "fusion"
    task = "fusion"
    modalities = ()
    stored = "predictions"
    what = "the fused images that were scored"
    unit = "entropy of the fused image in bits; it ranks nothing"
    ranks = False
    evaluators = tuple(one.name for one in CONVENTIONS)
    evaluators_agree = False
    labels_name = ""
    labels_key = ""

    def classes(self, info: DatasetInfo) -> tuple[str, ...]:
        """Return none: fusion has no classes."""
        return ()

    def columns(self, info: DatasetInfo) -> Sequence[Column]:
        """Return the default metrics."""
        return _columns(tuple(METRICS))

    def require_labels(self, part: Part) -> None:
        """Raise a BadInputError unless every sample has a thermal image; there are no labels to ask for."""
        if part.record.thermal_digest is None:
            raise BadInputError(f"{part.dataset.name}: the part {part.name} has no thermal images, so nothing is fused")

    def store(self, path: Path, predicted: Iterable[FusedImage], part: Part, team: "Processes") -> None:
        """Write every process's fused images into one folder aside, and put it in place once all are there."""
        store_pngs(path, predicted, part, team, write_fused_image)

    def read(self, path: Path, part: Part) -> FusedImages:
        """Return the fused images of a folder."""
        return read_fused_images(path, part.labels, aliases(part.labels))

    def digest(self, path: Path) -> str:
        """Return the SHA-256 over the folder's files."""
        return png_digest(path)

    def files(self, path: Path) -> dict[str, Path]:
        """Return the folder's files."""
        return stored_files(path, self.stored)

    def evidence(
        self, part: Part, predictions: FusedImages, evaluator: str | None = None, progress: Progress = no_progress
    ) -> FusionEvidence:
        """Return the figures of every sample."""
        convention = find_convention(evaluator or self.evaluators[0])
        told = partial(progress, "scoring")
        return pair_figures(part, convention, lambda place, sources: predictions[place].pixels, told)

    def metrics(
        self, part: Part, evidence: Evidence, evaluator: str, progress: Progress = no_progress
    ) -> FusionMetrics:
        """Return the means with their intervals, their spread, and the figures of the controls."""
        if not isinstance(evidence, FusionEvidence):
            raise TypeError(f"evidence of fusion expected, not {type(evidence).__name__}")
        undefined = np.isnan(evidence.values).sum(axis=0).tolist()
        return FusionMetrics(
            **measured(part, evidence, _columns(evidence.names), (), evaluator),
            spread=spread_of(evidence),
            undefined={name: count for name, count in zip(evidence.names, undefined, strict=True) if count},
            controls=control_figures(part, find_convention(evaluator), progress),
        )

    def draw(self, path: Path, part: Part, predictions: FusedImages) -> None:
        """Write a contact sheet of some pairs beside their fused images."""
        draw_fused(path, part, predictions)


def pair_figures(
    part: Part,
    convention: Convention,
    fused: Callable[[int, Sources], Bytes],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FusionEvidence:
    """Return a convention's figures of every sample, given `fused(place, sources)`, in threads."""

    def one(place: int, sources: Sources) -> list[float]:
        found = convention.figures(sources.rgb, sources.thermal, fused(place, sources))
        return [found[name] for name in convention.metrics]

    rows: list[list[float]] = []
    pairs = ((place, source_images(part[place], part.dataset.info)) for place in range(len(part)))
    with ThreadPoolExecutor(usable_cores()) as pool:
        while chunk := list(islice(pairs, _AT_ONCE)):
            rows += pool.map(lambda pair: one(*pair), chunk)
            progress(len(rows), len(part))
    return FusionEvidence(convention.metrics, np.array(rows, dtype=np.float64).reshape(len(part), -1))


def control_figures(
    part: Part, convention: Convention, progress: Progress = no_progress
) -> dict[str, dict[str, Figure]]:
    """Return the figures of the controls on a part; each is kept in the user's folder, by what it depends on."""
    return {name: _kept(part, convention, name, partial(progress, f"control {name}")) for name in CONTROLS}


def _kept(part: Part, convention: Convention, name: str, progress: Callable[[int, int], None]) -> dict[str, Figure]:
    depends_on = {
        "protocol": sha256_json(DEFINITIONS),
        "convention": convention.name,
        "version": __version__,  # of the conventions, which no digest covers
        "control": [DEFINITION, name],
        "ids": part.record.ids_sha256,
        "pixels": [part.record.rgb_digest, part.record.thermal_digest],
    }
    path = paths.home() / CONTROLS_FOLDER / f"{sha256_json(depends_on)}.json"
    try:
        kept = _KEPT.validate_python(read_json(path))
    except (BenchError, ValidationError):  # missing, or damaged
        kept = {}
    if tuple(kept) != convention.metrics:
        control = CONTROLS[name]
        made = pair_figures(part, convention, lambda place, sources: control(sources, part.ids[place]), progress)
        kept = made.figures("").overall
        write_json(path, kept)
    return kept


def spread_of(evidence: FusionEvidence) -> dict[str, Spread]:
    """Return the five numbers of each figure that is defined for a sample."""
    found = {}
    for name, column in zip(evidence.names, evidence.values.T, strict=True):
        known = column[~np.isnan(column)]
        if known.size:
            five = np.quantile(known, (0, 0.25, 0.5, 0.75, 1)).tolist()
            found[name] = Spread(**dict(zip(Spread.model_fields, five, strict=True)))
    return found


def _columns(names: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple((None, name) for name in names)


def _figure(value: float) -> Figure:
    return None if np.isnan(value) else float(value)


PROTOCOL = Fusion()

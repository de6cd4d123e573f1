"""The figures of a part with their intervals, from evidence that samples can be drawn from anew."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.datasets.store import Part
from rgbt_bench.results import Figure, Interval, Intervals, Resampling
from rgbt_bench.statistics import LEVEL, RESAMPLES, SEED, Blocks, blocks, draw_weights, interval

Column = tuple[int | None, str]
_SUBSETS = ("day", "overcast", "night", "challenge")


@dataclass(frozen=True)
class Figures:
    """The figures over all classes, the main one first, and of each class in order, its counts among them."""

    overall: dict[str, Figure]
    per_class: list[dict[str, int | Figure]]


class Evidence(ABC):
    """All that a part's figures depend on: labels against predictions, sample by sample."""

    @cached_property
    def _kept(self) -> dict[bytes, NDArray[np.float64]]:
        return {}

    def drawn(self, cut: Blocks) -> NDArray[np.float64]:
        """Return the figures in every resample of these blocks, as `resampled` does; they are computed once."""
        key = cut.of_sample.tobytes()
        if key not in self._kept:
            self._kept[key] = self.resampled(draw_weights(cut))
        return self._kept[key]

    @abstractmethod
    def figures(self, evaluator: str) -> Figures:
        """Return the figures over all samples."""

    @abstractmethod
    def select(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the evidence of some samples, bool[samples]."""

    @abstractmethod
    def resampled(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return figures with samples weighted, float64[resamples, columns of the protocol], NaN if undefined.

        `weights`, int32[resamples, samples], says how often a resample has each sample.
        """


def measured(
    part: Part, evidence: Evidence, columns: Sequence[Column], classes: Sequence[str], evaluator: str
) -> dict[str, Any]:
    """Return the fields of `Metrics`: over all samples, per class, and by illumination, with intervals."""
    scenes = [labels.scene for labels in part.labels]
    whole = evidence.figures(evaluator)
    figures, per_class_intervals, resampling = _resample(evidence, whole.overall, columns, scenes, classes)
    subsets, counts, subset_intervals, resamplings = {}, {}, {}, {"all": resampling}
    for name in _SUBSETS:
        chosen = np.array([labels.illumination == name for labels in part.labels], dtype=np.bool_)
        if chosen.any():
            these = evidence.select(chosen)
            subsets[name] = these.figures(evaluator).overall
            counts[name] = int(chosen.sum())
            scenes_here = [scenes[place] for place in np.flatnonzero(chosen)]
            subset_intervals[name], _, resamplings[name] = _resample(
                these, whole.overall, columns, scenes_here, classes
            )
    return {
        "figures": whole.overall,
        "per_class": dict(zip(classes, whole.per_class, strict=True)),
        "subsets": subsets,
        "subset_samples": counts,
        "intervals": Intervals(
            figures=figures, per_class=per_class_intervals, subsets=subset_intervals, resampling=resamplings
        ),
    }


def main_resamples(part: Part, evidence: Evidence) -> NDArray[np.float64]:
    """Return the main figure in every resample, float64[resamples], NaN if undefined; float64[0] of too few blocks."""
    cut = blocks([labels.scene for labels in part.labels])
    if cut.too_few is not None:
        return np.empty(0)
    return np.ascontiguousarray(evidence.drawn(cut)[:, 0])


def column_names(columns: Sequence[Column], classes: Sequence[str]) -> list[str]:
    """Return the figures' names in words, such as `AP` and `person AP`."""
    return [name if category is None else f"{classes[category]} {name}" for category, name in columns]


def describe(cut: Blocks, resamples: int = RESAMPLES, undefined: Mapping[str, int] | None = None) -> Resampling:
    """Return what is drawn of these blocks, and why nothing is where they are too few."""
    return Resampling(
        resamples=resamples,
        seed=SEED,
        unit=cut.unit,
        blocks=cut.count,
        block_size=cut.size,
        level=LEVEL,
        undefined=dict(undefined or {}),
        reason=cut.too_few,
    )


def _resample(
    evidence: Evidence,
    figures: Collection[str],
    columns: Sequence[Column],
    scenes: Sequence[str],
    classes: Sequence[str],
) -> tuple[dict[str, Interval], dict[str, dict[str, Interval]], Resampling]:
    """Return the intervals of the figures over all classes and of each class, and what was drawn for them."""
    overall: dict[str, Interval] = {}
    per_class: dict[str, dict[str, Interval]] = {name: {} for name in classes}
    undefined: dict[str, int] = {}
    cut = blocks(scenes)
    names = column_names(columns, classes)
    drawn = evidence.drawn(cut).T if cut.too_few is None else None
    for place, (category, name) in enumerate(columns):
        if category is None and name not in figures:
            continue  # of something that was not predicted
        kept = overall if category is None else per_class[classes[category]]
        kept[name] = None if drawn is None else interval(drawn[place])
        missing = 0 if drawn is None else int(np.isnan(drawn[place]).sum())
        if drawn is not None and 0 < missing < len(drawn[place]):
            undefined[names[place]] = missing
    return overall, per_class, describe(cut, undefined=undefined)

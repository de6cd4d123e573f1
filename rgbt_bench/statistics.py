"""Uncertainty of figures over samples that are not independent: block resamples, intervals, paired tests, Holm.

Neighbouring frames of a video share scene, weather and objects, so what is drawn anew is a scene or a run of frames,
never a single one. Draws depend on the seed, the number of blocks and the number of resamples alone: two runs scored
on one part get the same resamples, which is what pairs them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVEL: Final = 0.95
RESAMPLES: Final = 1000
SEED: Final = 0
BLOCK_SIZE: Final = 50
# The 95 % percentile interval of a mean of B normal block values covers P(|t| < 1.96 sqrt((B - 1) / B)) with B - 1
# degrees of freedom: 93 % for 20 blocks, 90 % for 10, 87 % for 6.
LEAST_BLOCKS: Final = 10
SIGNIFICANCE: Final = 0.05
LEAST_SEED_PAIRS: Final = 5

Floats = NDArray[np.float64]
_BLOCK_DRAWS, _SEED_DRAWS = 0, 1


@dataclass(frozen=True, eq=False)
class Blocks:
    """What is drawn as one: `of_sample`, int64[samples], is the block of each sample, `size` None for scenes."""

    of_sample: NDArray[np.int64]
    count: int
    size: int | None

    @property
    def unit(self) -> str:
        """What one block is, in the plural."""
        return "scenes" if self.size is None else f"blocks of {self.size} consecutive samples"

    @property
    def too_few(self) -> str | None:
        """Why no interval is given, or None."""
        if self.count >= LEAST_BLOCKS:
            return None
        return f"too few {self.unit}: {self.count}, an interval needs at least {LEAST_BLOCKS}"


def blocks(scenes: Sequence[str]) -> Blocks:
    """Return the blocks of samples in the order of their ids, given each one's scene.

    They are the scenes where every sample names one, else every 50 consecutive samples; a shorter rest belongs to the
    last block.
    """
    if scenes and all(scenes):
        names, of_sample = np.unique(np.array(scenes), return_inverse=True)
        return Blocks(of_sample.astype(np.int64), len(names), None)
    count = max(len(scenes) // BLOCK_SIZE, min(len(scenes), 1))
    of_sample = np.minimum(np.arange(len(scenes)) // BLOCK_SIZE, max(count - 1, 0))
    return Blocks(of_sample, count, BLOCK_SIZE)


def draw_weights(cut: Blocks, resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.int32]:
    """Return how often each resample has each sample, int32[resamples, samples]: blocks drawn with replacement."""
    return _draws(cut.count, resamples, seed, _BLOCK_DRAWS)[:, cut.of_sample]


def draw_seed_pairs(pairs: int, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Return the weight of each seed pair in each resample, float64[resamples, pairs]; those of a resample add up to 1.

    They are the shares of pairs drawn with replacement, moved away from equal shares by the factor that makes the
    percentile interval of few values as wide as Student's: without it, five pairs of seeds of equal methods would
    differ in 15 % of cases. So a weight can be below 0.
    """
    equal = 1 / pairs
    return equal + _widening(pairs) * (_draws(pairs, resamples, seed, _SEED_DRAWS) / pairs - equal)


def _widening(count: int) -> float:
    """Return how much wider Student's interval of so many values is than that of their bootstrap."""
    if count == 1:
        return 1.0
    return student_point(count - 1) / (NormalDist().inv_cdf((1 + LEVEL) / 2) * math.sqrt((count - 1) / count))


def student_point(freedom: int, level: float = LEVEL) -> float:
    """Return what |t| of Student's distribution stays below with probability `level`; `freedom` is its degrees, from 1.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4, solved by bisection.
    """
    low, high = 0.0, 1.0
    while _student_within(high, freedom) < level:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _student_within(middle, freedom) < level else (low, middle)
    return high


def _student_within(t: float, freedom: int) -> float:
    """Return the probability that |t| of Student's distribution is smaller."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for step in range(2 + odd, freedom, 2):
        term *= (step - 1) / step * math.cos(angle) ** 2
        total += term
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total


def _draws(count: int, resamples: int, seed: int, kind: int) -> NDArray[np.int32]:
    """Return how often each of `count` things is drawn when `count` of them are drawn with replacement."""
    generator = np.random.Generator(np.random.PCG64([seed, count, resamples, kind]))
    drawn = generator.integers(0, count, (resamples, count)) + count * np.arange(resamples)[:, np.newaxis]
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count).astype(np.int32)


def interval(values: Floats, level: float = LEVEL) -> tuple[float, float] | None:
    """Return the percentile interval of a figure's resamples, float64[resamples]; NaN is left out, None for nothing."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def standard_error(values: Floats) -> float | None:
    """Return the standard deviation of a figure's resamples; NaN is left out, None for fewer than two."""
    defined = values[~np.isnan(values)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else None


def p_value(differences: Floats) -> float | None:
    """Return the two-sided p-value of paired differences, float64[resamples]; NaN is left out, None for nothing.

    It is twice the smaller share of resamples on one side of 0, 0 itself counted on both, with 1 added to the count and
    to the resamples so that it is never 0: the level at which the percentile interval would just reach 0.

    Source: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 4.4 on the +1.
    """
    defined = differences[~np.isnan(differences)]
    if not len(defined):
        return None
    fewer = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return float(min(1.0, 2 * (fewer + 1) / (len(defined) + 1)))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's step-down adjusted p-values, in the order given.

    Sorted ascending, the i-th of m from 0 is multiplied by m - i, made no smaller than those before it, and at most 1.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for step, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[place]))
        adjusted[place] = largest
    return tuple(adjusted)

"""Paired comparison of runs on one part: the same resamples for all, differences, intervals, p-values, verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.datasets.splits import dataset_name
from rgbt_bench.datasets.store import Dataset, Part
from rgbt_bench.errors import BadInputError, UsageError, unknown_name
from rgbt_bench.leaderboard.tracks import protocol_digest
from rgbt_bench.metrics.fusion_catalogue import METRICS
from rgbt_bench.opening import open_dataset
from rgbt_bench.protocols import find_protocol
from rgbt_bench.protocols.base import ScoringProtocol
from rgbt_bench.protocols.measuring import column_names, describe
from rgbt_bench.results import Figure, Interval, Result
from rgbt_bench.sides import Scored, Side, find_side
from rgbt_bench.statistics import (
    LEAST_SEED_PAIRS,
    RESAMPLES,
    SIGNIFICANCE,
    Blocks,
    blocks,
    draw_seed_pairs,
    draw_weights,
    holm,
    interval,
    p_value,
)

Floats = NDArray[np.float64]
_Pair = tuple[Scored, Scored]


@dataclass(frozen=True)
class Difference:
    """The second side's figure minus the first's; `interval` and `p` are None where nothing could be resampled."""

    first_figure: Figure
    second_figure: Figure
    difference: Figure
    interval: Interval
    p: float | None


@dataclass(frozen=True)
class _Evaluated:
    """Figures of one predictions file by column: over the part, float64[F], and over resamples, float64[R, F]."""

    whole: Floats
    resampled: Floats


def compare(
    texts: Sequence[str],
    dataset: str | None = None,
    part: str = "test",
    preset: str = "paper",
    metric: str | None = None,
    all_pairs: bool = False,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compare runs pair by pair on the same resamples, the first with each other or all pairs, as JSON-ready data.

    Blocks of samples are drawn anew, and where both sides of a pair have several seeds in common, pairs of seeds too.
    P-values are Holm's over all pairs, of one metric: a figure's name such as AP50, or CLASS and name; without one, of
    the main figure, AP or mIoU.

    Raises:
        UsageError: fewer than two runs, an unknown run or metric, or no seed in common.
        MissingError: a run, its predictions or the set is not there.
        BadInputError: runs on different labels, parts or protocols, or predictions that were changed.
    """
    if len(texts) < 2:
        raise UsageError("name at least two runs to compare")
    opened = open_dataset(dataset) if dataset is not None else None
    sides = [find_side(text, preset, opened.name if opened else None) for text in texts]
    _require_comparable(sides, part)
    protocol = _protocol(sides, opened, metric)
    scored_on = _part(sides, opened, part, protocol)
    names, metric = _figures(protocol, scored_on, metric)
    cut = blocks([labels.scene for labels in scored_on.labels])
    places = list(combinations(range(len(sides)), 2)) if all_pairs else [(0, other) for other in range(1, len(sides))]
    seeds = [_common(sides[first], sides[second]) for first, second in places]
    evaluated = _evaluate(sides, scored_on, protocol, cut, resamples)
    pairs = []
    for (first, second), common in zip(places, seeds, strict=True):
        differences = dict(zip(names, _differences(common, evaluated), strict=True))
        pairs.append(
            {
                "first": sides[first].name,
                "second": sides[second].name,
                "seeds": [[one.seed, other.seed] for one, other in common],
                **asdict(differences[metric]),
                "figures": {name: asdict(one) for name, one in differences.items()},
            }
        )
    _judge(pairs, cut, protocol.ranks)
    undefined = _undefined(names, [one.resampled for one in evaluated.values()])
    return {
        "metric": metric,
        "dataset": scored_on.dataset.name,
        "part": part,
        "label_digest": scored_on.record.label_digest,
        "protocol_digest": protocol_digest(protocol.name),
        "resampling": describe(cut, resamples, undefined).model_dump(mode="json"),
        "least_seed_pairs": LEAST_SEED_PAIRS,
        "correction": f"Holm over {len(pairs)} comparison(s)",
        "pairs": pairs,
    }


def _require_comparable(sides: Sequence[Side], part: str) -> None:
    """Refuse results on other labels, another part or protocol, and predictions that were changed."""
    kept: tuple[str, Result] | None = None
    for side in sides:
        for one in side.scored:
            one.require_unchanged()
            if one.result is None:
                continue
            result = one.result
            if result.data.part != part:
                raise BadInputError(f"{side.name} was scored on the part {result.data.part}, not on {part}")
            if result.protocol_digest != protocol_digest(result.protocol["name"]):
                raise BadInputError(f"{side.name} was scored by another protocol ({result.protocol_digest[:12]})")
            name, first = kept = kept or (side.name, result)
            if result.data.label_digest != first.data.label_digest:
                raise BadInputError(
                    f"{name} and {side.name} were scored on different labels ({first.data.label_digest[:12]} of"
                    f" {_on(first)}, {result.data.label_digest[:12]} of {_on(result)}); nothing can be compared"
                )


def _figures(protocol: ScoringProtocol[Any], part: Part, metric: str | None) -> tuple[list[str], str]:
    """Return the names of all figures, and the one that is tested."""
    info = part.dataset.info
    names = column_names(protocol.columns(info), protocol.classes(info))
    if metric is not None and metric not in names:
        raise unknown_name("metric", metric, names)
    return names, metric or names[0]


def _protocol(sides: Sequence[Side], opened: Dataset | None, metric: str | None) -> ScoringProtocol[Any]:
    """Return the protocol of all sides: that of their results, and of bare predictions what their form says.

    A folder is of label maps, unless the set has none or the metric is one of fused images.
    """
    are_fused = metric in METRICS or (opened is not None and not opened.info.mask_classes)
    found: dict[str, str] = {}
    for side in sides:
        for one in side.scored:
            bare = ("fusion" if are_fused else "miou") if one.predictions.is_dir() else "coco"
            found.setdefault(one.result.protocol["name"] if one.result else bare, side.name)
    if len(found) > 1:
        (first, its), (second, theirs) = list(found.items())[:2]
        raise BadInputError(f"{its} is scored by {first} and {theirs} by {second}; nothing can be compared")
    return find_protocol(next(iter(found)))


def _on(result: Result) -> str:
    return dataset_name(result.data.dataset, result.data.split)


def _part(sides: Sequence[Side], opened: Dataset | None, name: str, protocol: ScoringProtocol[Any]) -> Part:
    """Return the part that the predictions are scored on, and make sure that its labels are those of the results."""
    results = [(side.name, one.result) for side in sides for one in side.scored if one.result is not None]
    if opened is None and not results:
        raise UsageError("say with --dataset what these predictions are of")
    part = (opened or open_dataset(_on(results[0][1]))).part(name)
    protocol.require_labels(part)
    for side, result in results[:1]:
        if result.data.label_digest != part.record.label_digest:
            raise BadInputError(
                f"{part.dataset.root}: its {name} has other labels ({part.record.label_digest[:12]}) than {side} was"
                f" scored on ({result.data.label_digest[:12]}); give the right set with --dataset"
            )
    return part


def _common(first: Side, second: Side) -> list[_Pair]:
    """Return what both sides have of a seed; two single files are a pair whatever their seeds."""
    if len(first.scored) == len(second.scored) == 1:
        return [(first.scored[0], second.scored[0])]
    theirs = {one.seed: one for one in second.scored if one.seed is not None}
    common = [(one, theirs[one.seed]) for one in first.scored if one.seed in theirs]
    if not common:
        raise UsageError(
            f"{first.name} has {_seeds(first)}, {second.name} has {_seeds(second)}: none in common to pair;"
            " name single runs by their keys"
        )
    return common


def _seeds(side: Side) -> str:
    known = [str(one.seed) for one in side.scored if one.seed is not None]
    return f"the seed(s) {', '.join(known)}" if known else "no seed"


def _evaluate(
    sides: Sequence[Side], part: Part, protocol: ScoringProtocol[Any], cut: Blocks, resamples: int
) -> dict[Path, _Evaluated]:
    """Return the figures of all predictions by their paths, on the same resamples."""
    whole = np.ones((1, len(part)), dtype=np.int32)
    drawn = draw_weights(cut, resamples) if cut.too_few is None else whole[:0]
    weights = np.concatenate([whole, drawn])

    def evaluate(path: Path) -> _Evaluated:
        figures = protocol.evidence(part, protocol.read(path, part)).resampled(weights)
        return _Evaluated(figures[0], figures[1:])

    return {path: evaluate(path) for path in {one.predictions: None for side in sides for one in side.scored}}


def _differences(common: Sequence[_Pair], evaluated: Mapping[Path, _Evaluated]) -> list[Difference]:
    """Return each figure's difference, the mean over the pairs of seeds; several are drawn anew."""
    ours = [evaluated[one.predictions] for one, _ in common]
    theirs = [evaluated[other.predictions] for _, other in common]
    first = np.mean([one.whole for one in ours], axis=0)
    second = np.mean([one.whole for one in theirs], axis=0)
    apart = np.array([b.resampled - a.resampled for a, b in zip(ours, theirs, strict=True)])
    weights = draw_seed_pairs(len(ours), apart.shape[1])
    drawn = np.einsum("rp,prf->rf", weights, apart)
    return [
        Difference(
            first_figure=_defined(first[place]),
            second_figure=_defined(second[place]),
            difference=_defined(second[place] - first[place]),
            interval=interval(drawn[:, place]),
            p=p_value(drawn[:, place]),
        )
        for place in range(len(first))
    ]


def _undefined(names: Sequence[str], resampled: Sequence[Floats]) -> dict[str, int]:
    """Return in how many resamples a figure is undefined of any predictions, where in some."""
    counts = np.any([np.isnan(one) for one in resampled], axis=0).sum(axis=0).tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if 0 < count < len(resampled[0])}


def _defined(value: float) -> Figure:
    return None if np.isnan(value) else float(value)


def _judge(pairs: list[dict[str, Any]], cut: Blocks, ranks: bool) -> None:
    """Add Holm's p-values over all pairs, and a verdict on the second of each."""
    tested = [pair for pair in pairs if pair["p"] is not None]
    for pair, adjusted in zip(tested, holm([pair["p"] for pair in tested]), strict=True):
        pair["p_holm"] = adjusted
    for pair in pairs:
        pair.setdefault("p_holm", None)
        pair["verdict"] = _verdict(pair["p_holm"], pair["difference"], len(pair["seeds"]), cut, ranks)


def _verdict(p: float | None, difference: Figure, seed_pairs: int, cut: Blocks, ranks: bool) -> str:
    if p is None or difference is None:
        return f"not tested: {cut.too_few}" if cut.too_few else "not tested: the figure is not defined"
    if p >= SIGNIFICANCE:
        return "tie"
    if seed_pairs < LEAST_SEED_PAIRS:
        return f"differs on this test set, {'one seed' if seed_pairs == 1 else f'{seed_pairs} seeds'}"
    if not ranks:
        return "higher" if difference > 0 else "lower"
    return "better" if difference > 0 else "worse"

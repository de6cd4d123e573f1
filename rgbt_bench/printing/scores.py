"""What is printed of figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import count, figure, figure_table, line, rows
from .fusion import CONTROLS_NOTE, controls_of, fusion_notes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rgbt_bench.clocks import Clocks
    from rgbt_bench.latency import LatencyReport
    from rgbt_bench.results import Interval, Resampling, Result


def result(found: "Result", where: Path | None, sheet: Path | None = None, hint: str = "") -> None:
    """Print a result's figures, their standing, where it and its contact sheet lie, and what to write next time."""
    metrics, intervals = found.metrics, found.metrics.intervals
    controls = controls_of(metrics)
    figure_table(
        ["", "all", *metrics.subsets, *(f"({name})" for name in controls)],
        [
            [
                name,
                _with_interval(value, intervals.figures[name]),
                *(
                    _with_interval(one[name], intervals.subsets[subset][name])
                    for subset, one in metrics.subsets.items()
                ),
                *(figure(one.get(name)) for one in controls.values()),
            ]
            for name, value in metrics.figures.items()
        ],
    )
    if found.metrics.kind == "fusion":
        fusion_notes(found)
    else:
        _classes(found)
    if further := getattr(metrics, "further", None):
        told = ", ".join(f"{name} {figure(value)}" for name, value in further.items())
        line(f"with more detections allowed per sample and class than the protocol's, and never ranked: {told}")
    _resampling(intervals.resampling)
    line(f"track {found.track}, {found.standing}: {found.standing_reason}")
    if found.model is not None and found.model.weights_from is not None:
        origin = found.model.weights_from
        line(f"weights from {origin}: not trained here, so they fill no table and are no seed of the recipe")
    if where is not None:
        line(f"written to {where}")
    if sheet is not None:
        line(f"contact sheet with predictions: {sheet}")
    if hint:
        line(hint)


def _classes(found: "Result") -> None:
    """Print the figures of each class."""
    from rgbt_bench.protocols import find_protocol

    metrics, intervals = found.metrics, found.metrics.intervals
    protocol = find_protocol(found.protocol["name"])
    figure_table(
        ["class", *next(iter(intervals.per_class.values()), {}), protocol.labels_name],
        [
            [
                name,
                *(_with_interval(figures[score], one) for score, one in intervals.per_class[name].items()),
                count(figures[protocol.labels_key]),
            ]
            for name, figures in metrics.per_class.items()
        ],
    )


def _with_interval(value: float | None, interval: "Interval") -> str:
    return figure(value) if interval is None else f"{figure(value)} [{figure(interval[0])}, {figure(interval[1])}]"


def _resampling(resampling: dict[str, "Resampling"]) -> None:
    """Print what the intervals are over, and why some are missing."""
    for name, one in resampling.items():
        if one.reason is not None:
            line(f"{name}: no intervals: {one.reason}")
            continue
        line(f"{name}: {one.level:.0%} intervals from {one.resamples:,} resamples of {one.blocks} {one.unit}")
        if one.undefined:
            left_out = ", ".join(f"{figure_name} {times}" for figure_name, times in one.undefined.items())
            line(f"{name}: resamples left out because a class has no labels in them: {left_out}")


def side_by_side(results: "Mapping[str, Result]") -> None:
    """Print the figures of several predictions beside each other, and of the controls where there are some."""
    first = next(iter(results.values())).metrics
    controls = controls_of(first)
    figure_table(
        ["", *results, *(f"({name})" for name in controls)],
        [
            [
                name,
                *(
                    _with_interval(one.metrics.figures[name], one.metrics.intervals.figures[name])
                    for one in results.values()
                ),
                *(figure(one.get(name)) for one in controls.values()),
            ]
            for name in first.figures
        ],
    )
    _resampling({"all": first.intervals.resampling["all"]})
    for name, one in results.items():
        line(f"{name}: track {one.track}, {one.standing}: {one.standing_reason}")
    if controls:
        line(CONTROLS_NOTE)


def comparison(content: dict[str, Any]) -> None:
    """Print a comparison: one row a pair, then what was drawn and what the verdicts mean."""
    metric, resampling = content["metric"], content["resampling"]
    rows(
        [
            {
                "run": pair["second"],
                "against": pair["first"],
                metric: f"{figure(pair['second_figure'])} / {figure(pair['first_figure'])}",
                "difference": _with_interval(pair["difference"], pair["interval"]),
                "p": _p(pair["p"]),
                "p Holm": _p(pair["p_holm"]),
                "seed pairs": len(pair["seeds"]),
                "verdict": pair["verdict"],
            }
            for pair in content["pairs"]
        ],
        metric,
    )
    line(f"{content['dataset']}, part {content['part']}: {metric} of the run minus that of the one it is held against")
    if resampling["reason"] is None:
        drawn = f"{resampling['resamples']:,} resamples of {resampling['blocks']} {resampling['unit']}"
        line(f"{resampling['level']:.0%} intervals from {drawn}, the same for all; {content['correction']}")
        if left_out := resampling["undefined"].get(metric):
            line(f"resamples left out because a class has no labels in them: {left_out}")
    fewest = min(len(pair["seeds"]) for pair in content["pairs"])
    if fewest < content["least_seed_pairs"]:
        line(f"fewer than {content['least_seed_pairs']} pairs of seeds say nothing of the methods, only of these runs")


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def latency(report: "LatencyReport", path: Path) -> None:
    """Print a latency report."""
    line(f"device: {report.device['name']} ({report.device['type']}), {report.threads} torch thread(s)")
    line(_clocks(report.clocks))
    figure_table(
        ["recipe", "batch", "size", "median s", "p90 s", "p99 s", "images/s", "GMACs", "parameters"],
        [
            [
                timing.recipe,
                timing.batch,
                "x".join(map(str, timing.image_size)),
                *(f"{value:.4f}" for value in (timing.median_s, timing.p90_s, timing.p99_s)),
                f"{timing.images_per_s:.2f}",
                f"{timing.macs / 1e9:.2f}",
                f"{timing.parameters:,}",
            ]
            for timing in report.timings
        ],
    )
    for batch, ratio in report.ratio_to_teacher.items():
        line(f"time over the teacher's, batch {batch}: {ratio:.2f}")
    if report.macs_ratio_to_teacher is not None:
        line(f"MACs over the teacher's: {report.macs_ratio_to_teacher:.2f}")
    line(f"written to {path}")


def _clocks(clocks: "Clocks | None") -> str:
    if clocks is None:
        return "clock: not told by this machine"
    seen = f"{clocks.median:,.0f} (least {clocks.least:,.0f}, greatest {clocks.greatest:,.0f}) {clocks.unit}"
    return f"clock: median {seen}, {clocks.readings} readings from {clocks.source}"


def counted(content: dict[str, Any]) -> None:
    """Print parameters and MACs side by side."""
    figure_table(
        ["recipe", "input", "size", "parameters", "of the first", "GMACs", "of the first"],
        [
            [
                row["recipe"],
                "+".join(row["modalities"]),
                "x".join(map(str, row["image_size"])),
                f"{row['parameters']:,}",
                _ratio(row["parameters_ratio"]),
                f"{row['macs'] / 1e9:.2f}",
                _ratio(row["macs_ratio"]),
            ]
            for row in content["networks"]
        ],
    )


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def table(content: dict[str, Any], text: str, style: str) -> None:
    """Print a reproduced table with its title and notes; LaTeX is printed bare."""
    if style == "latex":
        print(text)
        return
    print(f"{content['table']}: {content['title']}\n\n{text}")
    for note in content["notes"]:
        print(f"\n{note}")

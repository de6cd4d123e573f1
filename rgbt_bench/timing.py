"""Timing a recipe and its teacher in one process, and keeping the report."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rgbt_bench import paths
from rgbt_bench.clocks import ClockLog, read_clock
from rgbt_bench.devices import describe_device, resolve_device, use_full_float32
from rgbt_bench.errors import UsageError
from rgbt_bench.files import sha256_json, write_json
from rgbt_bench.latency import WARM_UP, LatencyReport, Timing, percentile, time_passes
from rgbt_bench.opening import dataset_info
from rgbt_bench.progress import Progress
from rgbt_bench.recipes import Recipe, load_recipe
from rgbt_bench.registry import load_submission
from rgbt_bench.submissions import LatencySubject

if TYPE_CHECKING:
    import torch

LATENCY_FOLDER = "latency"
RANDOM_WEIGHTS = "random (the time of these networks does not depend on their weights)"


def measure_latency(
    name: str,
    batches: tuple[int, ...],
    preset: str,
    passes: int,
    threads: int | None,
    device: str,
    progress: Progress,
) -> tuple[LatencyReport, Path]:
    """Time a recipe's network and, in turns with it, its teacher's; write the report and return it with its path.

    Raises:
        UsageError: an unknown recipe or preset, a batch below 1, or too few passes.
    """
    resolved = resolve_device(device)
    import torch

    if min(batches) < 1:
        raise UsageError(f"--batch {min(batches)}: a batch holds at least one pair")
    if threads is not None:
        torch.set_num_threads(threads)
    use_full_float32()
    folder = paths.home() / LATENCY_FOLDER
    folder.mkdir(parents=True, exist_ok=True)  # first, so that minutes of timing cannot end in a refused file
    recipe = load_recipe(name, preset)
    recipes = [recipe]
    if "teacher" in recipe.requires:
        recipes.insert(0, load_recipe(recipe.requires["teacher"], preset))
    timings: list[Timing] = []
    clock = ClockLog(partial(read_clock, resolved))
    for batch in dict.fromkeys(batches):
        subjects = {one.name: _subject(one, batch, resolved) for one in recipes}
        forwards = {key: subject.forward for key, subject in subjects.items()}
        seconds = time_passes(forwards, resolved, passes, progress, clock)
        timings += [_timing(one, batch, subjects[one.name], seconds[one.name]) for one in recipes]
    report = LatencyReport(
        device=describe_device(resolved),
        threads=torch.get_num_threads(),
        timings=tuple(timings),
        ratio_to_teacher=_ratios(recipe.name, recipes, timings),
        macs_ratio_to_teacher=timings[1].macs / timings[0].macs if len(recipes) > 1 else None,
        clocks=clock.summary(),
    )
    content = report.model_dump(mode="json")
    path = folder / f"{recipe.name}-{preset}-{sha256_json(content)[:12]}.json"
    write_json(path, content)
    return report, path


def _subject(recipe: Recipe, batch: int, device: torch.device) -> LatencySubject:
    info = dataset_info(recipe.dataset)
    return load_submission(recipe.submission)(recipe, info).latency_subject(batch, device)


def _timing(recipe: Recipe, batch: int, subject: LatencySubject, seconds: list[float]) -> Timing:
    median = statistics.median(seconds)
    return Timing(
        recipe=recipe.name,
        preset=recipe.preset,
        batch=batch,
        image_size=subject.image_size,
        precision="float32",
        compile_mode="eager",
        includes=subject.includes,
        warm_up=WARM_UP,
        passes=len(seconds),
        median_s=median,
        p90_s=percentile(seconds, 0.9),
        p99_s=percentile(seconds, 0.99),
        images_per_s=batch / median,
        macs=subject.macs,
        parameters=subject.parameters,
        weights=RANDOM_WEIGHTS,
    )


def _ratios(name: str, recipes: list[Recipe], timings: list[Timing]) -> dict[str, float]:
    """Return the median time of the recipe over its teacher's at each batch; lower is faster."""
    if len(recipes) < 2:
        return {}
    median = {(timing.recipe, timing.batch): timing.median_s for timing in timings}
    batches = dict.fromkeys(timing.batch for timing in timings)
    return {str(batch): median[name, batch] / median[recipes[0].name, batch] for batch in batches}

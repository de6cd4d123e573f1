"""What a sweep will cost: from a few forward passes of each network that is left to train."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rgbt_bench.datasets.store import Dataset
from rgbt_bench.devices import resolve_device
from rgbt_bench.latency import time_few_passes
from rgbt_bench.opening import dataset_info
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.recipes import Recipe
from rgbt_bench.registry import load_submission
from rgbt_bench.runs import TEST_PART, Run
from rgbt_bench.sweeping import Step

PASSES: Final = 3
# A backward pass is two forward passes: one for the inputs' gradients, one for the weights'.
TRAINING: Final = 3


def estimate(
    steps: Sequence[Step], dataset: Dataset, device: str = "auto", progress: Progress = no_progress
) -> dict[str, Any]:
    """Return what the runs that are left will take, as JSON-ready data.

    Seconds are those of the passes alone, at batch 1, over all epochs: loading data comes on top, larger batches and
    stopping early take away.
    """
    left = [step.run for step in steps if step.run.state != "done"]
    recipes = {run.recipe.digest: run.recipe for run in left}
    for run in left:
        recipes |= {one.recipe.digest: one.recipe for one in run.requires.values()}
    seconds = {}
    for place, (digest, recipe) in enumerate(recipes.items()):
        seconds[digest] = _forward_seconds(recipe, device)
        progress("timing a few passes", place + 1, len(recipes))
    rows = list(_rows(left, seconds, dataset))
    return {
        "device": str(resolve_device(device)),
        "runs_left": len(left),
        "runs_done": len(steps) - len(left),
        "hours": sum(row["hours"] for row in rows),
        "rows": rows,
    }


def _rows(left: Iterable[Run], seconds: dict[str, float], dataset: Dataset) -> Iterable[dict[str, Any]]:
    train = len(dataset.part("train")) if "train" in dataset.parts else 0
    test = len(dataset.part(TEST_PART))
    for run in left:
        own = seconds[run.recipe.digest]
        teachers = sum(seconds[one.recipe.digest] for one in run.requires.values())
        training = run.recipe.training
        total = test * own
        if training is not None:
            samples = training.schedule.epochs * train
            if training.schedule.max_steps is not None:
                samples = min(samples, training.schedule.max_steps * training.schedule.batch_size)
            total += samples * (TRAINING * own + teachers)
        yield {
            "recipe": run.recipe.name,
            "seed": run.seed,
            "state": run.state,
            "forward_ms": own * 1000,
            "hours": total / 3600,
        }


def _forward_seconds(recipe: Recipe, device: str) -> float:
    info = dataset_info(recipe.dataset)
    resolved = resolve_device(device)
    subject = load_submission(recipe.submission)(recipe, info).latency_subject(1, resolved)
    return statistics.median(time_few_passes(subject.forward, resolved, PASSES))

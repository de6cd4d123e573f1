"""Say where the time of a training step goes: `OMP_NUM_THREADS=1 python benchmarks/profile_training.py paper`.

FFKD's RGB student at the paper's size trains on generated pairs of FLIR-aligned's size, at the quick preset on the
sample set. A stage's time is the processor time of its thread, which other work on shared cores lengthens least.
"""

import argparse
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from generate_pairs import generate
from rgbt_baselines.ffkd import task as ffkd_task
from rgbt_baselines.ffkd.model import freeze_backbones
from rgbt_baselines.ffkd.submission import Ffkd
from rgbt_baselines.ffkd.task import FfkdTask
from rgbt_bench.converting import convert
from rgbt_bench.datasets import store, torch_views
from rgbt_bench.datasets.sample_converter import SampleConverter
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.recipes import load_recipe
from rgbt_bench.training.accelerator import accelerator
from rgbt_converters.flir import Flir

RECIPE = "ffkd-student-rgb"
PAIRS = 100  # decoded, more than the loader keeps
OPERATORS = 12


def training_part(folder, preset):
    """Convert what a preset trains on, and return its train part."""
    if preset == "quick":
        convert(SampleConverter(), None, folder / "set")
    else:
        generate(folder / "align", PAIRS)
        convert(Flir(), folder / "align", folder / "set")
    return Dataset(folder / "set").part("train")


def prepared(preset, part, *settings):
    """Return the recipe's task from random weights, ready to train on a part."""
    settings = ("model.allow_random_frozen=true", *settings)
    method = Ffkd(load_recipe(RECIPE, preset, settings), part.dataset.info)
    torch.manual_seed(0)
    network = method.build()
    if method.model.freeze_backbones:
        freeze_backbones(network)
    batches = method._batches(part, method.augment, 0)
    task = FfkdTask(network, method.head(), method.recipe.optimizer, 1000, batches, None, "train")
    task.prepare(accelerator("cpu"))
    task.set_train_mode()
    return task


def stages(task, spent):
    """Count the processor time of each stage of loading and of the step in `spent`."""

    def timed(owner, name, stage):
        original = getattr(owner, name)

        def call(*arguments, **options):
            begin = time.thread_time()
            try:
                return original(*arguments, **options)
            finally:
                spent[stage] += time.thread_time() - begin

        setattr(owner, name, call)

    timed(Dataset, "sample", "data: read the sample")
    timed(torch_views, "decode_pair", "data: decode")
    timed(task.train_batches.view, "transform", "data: augment, letterbox")
    timed(task.train_batches, "collate", "data: normalise, stack")
    timed(ffkd_task, "forward", "step: forward")
    timed(task.head, "loss", "step: loss")
    timed(accelerator("cpu"), "backward", "step: backward")
    for optimizer in task.optimizers.values():
        timed(optimizer, "step", "step: optimiser")


def steps(task, batches):
    """Take a step on each batch; return the wall time of all, and what of it was waiting for a batch."""
    begin = asked = time.perf_counter()
    waited = 0.0
    for batch in batches:
        waited += time.perf_counter() - asked
        task.train_window([batch], accelerator("cpu"))
        asked = time.perf_counter()
    return time.perf_counter() - begin, waited


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", choices=("paper", "quick"))
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--epochs-before", type=int, default=0, help="how many were read: small sets are kept decoded")
    arguments = parser.parse_args()
    if arguments.preset == "paper":
        store.KEPT_BYTES = 0  # as of a set far larger than what is kept
    with tempfile.TemporaryDirectory() as folder:
        part = training_part(Path(folder), arguments.preset)
        task = prepared(arguments.preset, part, *arguments.settings)
        held = list(islice(task.batches(0), arguments.steps))
        steps(task, held[:1])
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            steps(task, held)
        task = prepared(arguments.preset, Dataset(part.dataset.root).part("train"), *arguments.settings)
        for epoch in range(arguments.epochs_before):
            list(task.batches(epoch))
        spent = Counter()
        stages(task, spent)
        wall, waited = steps(task, islice(task.batches(arguments.epochs_before), arguments.steps))
    print(f"{arguments.steps} steps of {len(held[0])} pairs, {torch.get_num_threads()} thread(s); milliseconds a step:")
    for stage, seconds in sorted(spent.items()):
        print(f"{stage:28}{1000 * seconds / arguments.steps:9.1f}")
    print(f"{'wall':28}{1000 * wall / arguments.steps:9.1f}, of which {1000 * waited / arguments.steps:.1f} for data\n")
    averages = profiled.key_averages()
    whole = sum(one.self_cpu_time_total for one in averages)
    for one in sorted(averages, key=lambda one: -one.self_cpu_time_total)[:OPERATORS]:
        print(f"{one.key:45}{one.count // arguments.steps:7} calls{one.self_cpu_time_total / whole:8.1%}")


if __name__ == "__main__":
    main()

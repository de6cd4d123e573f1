"""Print what a training step of RDR-KD takes, by term and by part, its memory, and that no loop over boxes is in it.

`OMP_NUM_THREADS=1 python docs/measurements/rdrkd_step.py [--device cuda --size 640 --batch 16 --precision bfloat16]`
Weights are random: time and memory do not depend on them, but for `responsive`, which takes all places here and in a
trained pair those with a score alone. Each row's memory is of a fresh process.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from rgbt_baselines.rdrkd.submission import RdrKd
from rgbt_baselines.yolo.detector import GAINS, build_detector
from rgbt_bench.datasets.sample_drone import INFO
from rgbt_bench.recipes import load_recipe

TERMS = ("regenerated", "decoupled", "responsive")
ROWS: Mapping[str, Sequence[str]] = {"plain": (), **{f"{term} alone": (term,) for term in TERMS}, "all three": TERMS}
CLASSES = 10
BOXES = 60  # an image, about a drone set's mean
MANY = (10, 500)


def network(student: str, teacher: str, terms: Sequence[str], device: str) -> Any:
    """Return the student alone, or with its teacher and some of the terms, ready to be trained."""
    torch.manual_seed(0)
    settings = SimpleNamespace(**GAINS, imgsz=640, dis=1.0)
    built: Any = build_detector(student, CLASSES)
    built.args = settings
    if terms:
        from rgbt_baselines.rdrkd.distiller import Rdr

        changed = [f"loss.{one}.weight=0.0" for one in TERMS if one not in terms]
        recipe = load_recipe("rdrkd-student", "paper", (*changed, "loss.responsive.min_score=0.0"))
        loss = RdrKd(recipe, INFO).loss
        built = Rdr(build_detector(teacher, CLASSES), built, loss, "neck")
    return built.to(device).train()


def labelled(size: int, batch: int, boxes: int, device: str) -> dict[str, Tensor]:
    """Return a batch as the library's trainer has it: random images, and boxes of 8 to 50 pixels of 640 all over."""
    generator = torch.Generator().manual_seed(0)
    count = boxes * batch
    sides = 8 * (50 / 8) ** torch.rand(count, 2, generator=generator) / 640
    found = {
        "img": torch.rand(batch, 3, size, size, generator=generator),
        "bboxes": torch.cat([torch.rand(count, 2, generator=generator), sides], 1),
        "cls": torch.randint(CLASSES, (count, 1), generator=generator).float(),
        "batch_idx": torch.arange(batch).repeat_interleave(boxes).float(),
    }
    return {name: one.to(device) for name, one in found.items()}


def stepping(built: Any, batch: Mapping[str, Tensor], precision: str = "float32") -> Callable[[], None]:
    """Return a function that takes one step: forward, losses, backward, clipping, optimizer."""
    trained = [one for one in built.parameters() if one.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-5, momentum=0.9)
    device = batch["img"].device.type

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else nullcontext():
            loss, _ = built.loss(batch)
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(trained, 10.0)
        optimizer.step()

    return step


def clock(device: str) -> float:
    """Return seconds: of the process's CPU, or of the wall once a GPU has nothing left to do."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def seconds(task: Callable[[], None], device: str) -> float:
    """Return what one call of a task takes."""
    began = clock(device)
    task()
    return clock(device) - began


def medians(tasks: Mapping[str, Callable[[], None]], steps: int, device: str) -> dict[str, float]:
    """Return the median seconds of each task by name; tasks take turns, after two calls each that are not counted."""
    spent: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(steps + 2):
        for name, task in tasks.items():
            taken = seconds(task, device)
            if turn > 1:
                spent[name].append(taken)
    return {name: statistics.median(times) for name, times in spent.items()}


def parts(built: Any, batch: Mapping[str, Tensor], steps: int, device: str, precision: str) -> dict[str, float]:
    """Return the median seconds of the parts of a distilled step, each run for itself."""
    images = batch["img"]
    kept: dict[str, Any] = {}

    def cast() -> Any:
        return torch.autocast(images.device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()

    def teacher() -> None:
        with torch.inference_mode(), cast():
            built.teacher_model(images)

    def student() -> None:
        with cast():
            kept["outputs"] = built.student_model(images)
            kept["loss"] = built.student_model.loss(batch, kept["outputs"])[0].sum()

    def terms() -> None:
        with cast():
            found = built.projector(
                built._views("student"),
                built._views("teacher"),
                batch["bboxes"],
                batch["batch_idx"].long(),
                images.shape[-1],
            )
            kept["terms"] = sum(found.values())

    def back_of_student() -> None:
        kept["loss"].backward(retain_graph=True)

    def back_of_all() -> None:
        (kept["loss"] + kept["terms"]).backward()

    tasks = {
        "teacher's forward": teacher,
        "student's forward and loss": student,
        "adapters, procreate modules and terms": terms,
        "backward of the student's loss": back_of_student,
        "backward of everything": back_of_all,
    }
    return medians(tasks, steps, device)


def peak(arguments: argparse.Namespace, row: str) -> int:
    """Return the bytes that steps of a row take at most, in this process: above what importing took, or on the GPU."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = stepping(
        network(arguments.student, arguments.teacher, ROWS[row], arguments.device),
        labelled(arguments.size, arguments.batch, arguments.boxes, arguments.device),
        arguments.precision,
    )
    for _ in range(3):
        step()
    if arguments.device == "cuda":
        return torch.cuda.max_memory_allocated()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024  # Linux counts in KiB


def operators(built: Any, arguments: argparse.Namespace, boxes: int) -> dict[str, int]:
    """Return how often each operator is called in the terms of a batch with so many boxes an image."""
    batch = labelled(arguments.size, arguments.batch, boxes, arguments.device)
    with torch.inference_mode():
        built.teacher_model(batch["img"])
    built.student_model(batch["img"])
    views = built._views("student"), built._views("teacher")
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        terms = built.projector(*views, batch["bboxes"], batch["batch_idx"].long(), arguments.size)
        sum(terms.values()).backward()
    return {one.key: one.count for one in profiler.key_averages() if one.key.startswith("aten::")}


def print_table(rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as Markdown."""
    head, *body = rows
    for row in (head, ["---"] * len(head), *body):
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def main(arguments: argparse.Namespace) -> None:
    """Print the tables."""
    device = arguments.device
    memory = {}  # first, because a process is told its parent's peak as its own
    for name in ROWS:
        command = [sys.executable, __file__, *sys.argv[1:], "--peak", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        memory[name] = json.loads(done.stdout.splitlines()[-1])
    batch = labelled(arguments.size, arguments.batch, arguments.boxes, device)
    built = {name: network(arguments.student, arguments.teacher, terms, device) for name, terms in ROWS.items()}
    tasks = {name: stepping(one, batch, arguments.precision) for name, one in built.items()}
    spent = medians(tasks, arguments.steps, device)
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} thread(s)"
    print(
        f"{arguments.teacher} -> {arguments.student}, {arguments.size} px, batch {arguments.batch},"
        f" {arguments.boxes} boxes an image, {arguments.precision}, torch {torch.__version__}, {name}\n"
    )
    which = "seconds" if device == "cuda" else "CPU seconds"
    rows = [
        [row, f"{spent[row]:.3f}", f"{spent[row] / spent['plain']:.2f}", f"{memory[row] / 2**20:.0f}"] for row in ROWS
    ]
    print_table([["step", which, "ratio", "peak MiB"], *rows])
    found = parts(built["all three"], batch, arguments.steps, device, arguments.precision)
    print_table([["part of a step with all three", which], *([part, f"{one:.3f}"] for part, one in found.items())])
    counts = [operators(built["all three"], arguments, boxes) for boxes in MANY]
    totals = [sum(one.values()) for one in counts]
    most = sorted(counts[0], key=lambda key: -counts[0][key])[:8]
    print_table(
        [
            ["operator calls in the terms and their backward", *(f"{boxes} boxes an image" for boxes in MANY)],
            ["all", *totals],
            *([key.removeprefix("aten::"), *(one.get(key, 0) for one in counts)] for key in most),
        ]
    )
    changed = sorted(key for key in counts[0].keys() | counts[1].keys() if counts[0].get(key) != counts[1].get(key))
    print("operators whose number of calls differs:", ", ".join(changed) or "none")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", default="yolov8n")
    parser.add_argument("--teacher", default="yolov8s")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--boxes", type=int, default=BOXES)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--peak", choices=list(ROWS))
    given = parser.parse_args()
    if given.device == "cpu":
        torch.set_num_threads(1)
    else:  # as in training
        from rgbt_bench.devices import use_full_float32

        use_full_float32()
    if given.peak:
        print(peak(given, given.peak))
    else:
        main(given)

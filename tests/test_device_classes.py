"""Device classes: what is one device under two spellings, what is none, and which times may stand in one ranking."""

import pytest
import torch
from pydantic import ValidationError

from rgbt_bench.devices import describe_device
from rgbt_bench.latency import DEFINITION, Timing
from rgbt_bench.leaderboard.device_classes import UNNAMED, device_class, latency_key
from rgbt_bench.leaderboard.tracks import Leaderboard, leaderboard

BOARD = leaderboard()
CPU = {"type": "cpu", "name": "AMD EPYC 7B13", "machine": "x86_64", "threads": 4}
H100 = {"type": "cuda", "name": "NVIDIA H100 80GB HBM3", "memory_gib": 79.2, "cuda": "12.8", "cudnn": 9, "tf32": False}


def gpu(name, memory=23.7):
    return {"type": "cuda", "name": name, "memory_gib": memory, "cuda": "12.8", "cudnn": 9, "tf32": False}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H200", "h200"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("GeForce RTX 3090", "rtx-3090"),
        ("NVIDIA GeForce RTX 3090 Ti", "rtx-3090-ti"),
        ("A100-SXM4-40GB", "a100-sxm-40gb"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
    ],
)
def test_a_frozen_device_is_known_by_every_spelling_of_its_name(name, expected):
    assert device_class(gpu(name), BOARD) == expected


@pytest.mark.parametrize(
    "name",
    ["NVIDIA A100-SXM4-40GB MIG 1g.10gb", "NVIDIA GeForce RTX 4090 Laptop GPU", "nvidia h200", "H200", "NVIDIA H100"],
)
def test_a_name_that_is_only_like_a_frozen_one_is_a_class_of_its_own(name):
    assert device_class(gpu(name, 9.8), BOARD) == f"cuda: {name}, 10 GiB"


def test_the_name_of_a_gpu_is_not_that_of_a_cpu():
    assert device_class(CPU | {"name": "NVIDIA H200"}, BOARD) == "cpu: NVIDIA H200, 4 threads"


def test_one_name_for_several_devices_is_told_apart_by_memory():
    nano, nx = (device_class(gpu("Orin", memory), BOARD) for memory in (7.4, 15.3))
    assert (nano, nx) == ("cuda: Orin, 7 GiB", "cuda: Orin, 15 GiB")
    assert device_class(gpu("Orin", 7.37), BOARD) == nano  # drivers keep a little more or less for themselves


def test_a_cpu_is_its_name_with_its_threads():
    assert device_class(CPU, BOARD) == "cpu: AMD EPYC 7B13, 4 threads"
    assert device_class(CPU | {"threads": 1}, BOARD) == "cpu: AMD EPYC 7B13, 1 thread"
    spaced = CPU | {"name": " Intel(R)  Xeon(R)\tCPU "}
    assert device_class(spaced, BOARD) == "cpu: Intel(R) Xeon(R) CPU, 4 threads"


@pytest.mark.parametrize(
    "report",
    [
        {},
        CPU | {"name": "unknown"},
        CPU | {"name": ""},
        CPU | {"name": "x86_64"},
        CPU | {"name": None},
        CPU | {"threads": None},
        CPU | {"threads": True},
        CPU | {"threads": 0},
        {key: value for key, value in CPU.items() if key != "type"},
        gpu("", 1.0),
        gpu("NVIDIA X", None),
        gpu("NVIDIA X", float("nan")),
        gpu("NVIDIA X", "80"),
        gpu(["NVIDIA X"]),
    ],
)
def test_a_device_that_the_report_does_not_tell_compares_with_nothing(report):
    assert device_class(report, BOARD) == UNNAMED
    assert latency_key(timing(), report, BOARD, DEFINITION) is None


def test_what_this_machine_says_of_itself_has_a_class():
    described = describe_device(torch.device("cpu"))
    assert device_class(described, BOARD) in (
        f"cpu: {' '.join(described['name'].split())}, {described['threads']} threads",
        f"cpu: {' '.join(described['name'].split())}, 1 thread",
        UNNAMED,
    )


def timing(**changes):
    fields = {
        "recipe": "a", "preset": "paper", "batch": 1, "image_size": (640, 512), "precision": "float32",
        "compile_mode": "eager", "includes": "the network", "warm_up": 20, "passes": 100, "median_s": 0.1,
        "p90_s": 0.1, "p99_s": 0.1, "images_per_s": 10.0, "macs": 1, "parameters": 1, "weights": "random",
    }  # fmt: skip
    return Timing(**(fields | changes))


def key(report=H100, definition=DEFINITION, **changes):
    return latency_key(timing(**changes), report, BOARD, definition)


def test_times_that_differ_only_in_what_was_measured_stand_in_one_ranking():
    other = timing(recipe="b", median_s=9.0, passes=500, macs=7, parameters=8, weights="trained")
    newer = H100 | {"cuda": "13.2", "cudnn": 92000, "memory_gib": 79.6}
    assert latency_key(other, newer, BOARD, DEFINITION) == key()
    assert key(gpu("GeForce RTX 3090")) == key(gpu("NVIDIA GeForce RTX 3090"))


@pytest.mark.parametrize(
    "other",
    [
        key(batch=32),
        key(image_size=(512, 640)),
        key(precision="float16"),
        key(compile_mode="max-autotune"),
        key(includes="the network and NMS"),
        key(definition=DEFINITION + 1),
        key(H100 | {"tf32": True}),
        key(gpu("NVIDIA H200")),
        key(CPU),
    ],
)
def test_times_taken_in_another_way_or_on_another_device_never_join(other):
    assert other is not None
    assert other != key()


def test_a_cpu_with_other_threads_is_another_device():
    assert key(CPU) != key(CPU | {"threads": 8})


def test_no_device_is_named_in_two_classes_and_ids_are_slugs():
    content = BOARD.model_dump()
    for devices in (
        {"a": {"title": "A", "type": "cuda", "names": ["X"]}, "b": {"title": "B", "type": "cuda", "names": ["Y", "X"]}},
        {"a": {"title": "A", "type": "cuda", "names": ["X", "X"]}},
        {"cuda: X, 1 GiB": {"title": "A", "type": "cuda", "names": ["X"]}},
        {"a": {"title": "A", "type": "tpu", "names": ["X"]}},
        {"a": {"title": "A", "type": "cuda", "names": []}},
    ):
        with pytest.raises(ValidationError, match="devices"):
            Leaderboard.model_validate(content | {"devices": devices})
    assert Leaderboard.model_validate({name: value for name, value in content.items() if name != "devices"})

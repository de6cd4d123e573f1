"""FFKD through the harness, on a handful of generated scenes and networks cut down to run in seconds."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rgbt_baselines.ffkd.config import ModelSection
from rgbt_baselines.ffkd.data import Batches
from rgbt_baselines.ffkd.model import DetectionHead, FusionDetector
from rgbt_baselines.ffkd.submission import Ffkd
from rgbt_baselines.ffkd.task import FfkdTask, forward
from rgbt_bench.errors import BadInputError, BenchError, UsageError
from rgbt_bench.harness import execute
from rgbt_bench.predictions import read_predictions
from rgbt_bench.recipes import load_recipe
from rgbt_bench.results import read_result
from rgbt_bench.runs import in_order, plan_run

SMALL = (
    "model.image_size=64",
    "model.fpn_channels=16",
    "model.fpn_cells=1",
    "schedule.epochs=1",
    "schedule.batch_size=6",
)
BRANCHES = (
    "ffkd-student-rgb",
    "ffkd-student-thermal",
    "ffkd-teacher-rgb",
    "ffkd-teacher-thermal",
    "ffkd-teacher-fusion",
)
EVERYWHERE = (
    *SMALL,
    *(f"{name}:{setting}" for name in BRANCHES for setting in SMALL),
)


def plan(tiny, *settings):
    return plan_run("ffkd-student", tiny, "quick", None, (*EVERYWHERE, *settings))


def small(name, info, *settings):
    return Ffkd(load_recipe(name, "quick", (*SMALL, *settings)), info)


@pytest.mark.slow
def test_run_makes_what_is_missing_and_reuses_what_is_there(tiny):
    planned = plan(tiny)
    names = [run.recipe.name for run in in_order(planned)]
    assert names[-1] == "ffkd-student"
    assert names.index("ffkd-teacher-fusion") > names.index("ffkd-teacher-rgb")
    assert {run.state for run in in_order(planned)} == {"to train"}
    result = execute(planned, tiny, "cpu")
    assert {run.state for run in in_order(planned)} == {"done"}
    assert result.model is not None
    assert result.model.recipe == "ffkd-student"
    assert set(result.model.requires) == {"rgb", "thermal", "teacher"}
    assert result.track == "sample/detection-rgbt"
    assert result.data.train_label_digest == tiny.part("train").record.label_digest
    assert result.durations_s.keys() == {"train", "predict", "score"}
    assert (planned.folder / "predictions.png").is_file()
    assert (planned.folder / "losses.png").is_file()
    part = tiny.part("test")
    read_predictions(planned.folder / "predictions.json", part.ids, tiny.info.classes)

    stamps = {run.key: run.weights.stat().st_mtime_ns for run in in_order(planned)}
    assert result.hardware["device"]["type"] == "cpu"
    assert result.data.split == "default"
    (planned.folder / "result.json").write_text("{")
    assert planned.state == "to evaluate"
    again = execute(planned, tiny, "cpu")
    assert {run.key: run.weights.stat().st_mtime_ns for run in in_order(planned)} == stamps
    assert again.metrics == result.metrics
    assert again.predictions_sha256 == result.predictions_sha256
    branch = read_result(planned.requires["rgb"].folder / "result.json")
    assert branch.track == "sample/detection-rgb"

    control = plan(tiny, "loss.distillation.use=control")
    assert control.requires["teacher"].key == planned.requires["teacher"].key
    assert control.key != planned.key
    execute(control, tiny, "cpu")
    rows = [json.loads(line) for line in (control.folder / "losses.jsonl").read_text().splitlines()]
    assert set(rows[0]["train"]) == {"total", "detection", "class", "box"}
    assert rows[0]["train"]["total"] == pytest.approx(0.3 * rows[0]["train"]["detection"], rel=1e-6)

    home = planned.folder.parents[3]
    twice = plan_run("ffkd-student", tiny, "quick", None, EVERYWHERE, home / "again")
    repeated = execute(twice, tiny, "cpu")
    assert repeated.predictions_sha256 == result.predictions_sha256
    assert (twice.weights).read_bytes() == planned.weights.read_bytes()


def test_a_fusion_detector_starts_from_its_branches(tiny, tmp_path):
    from rgbt_bench.submissions import Requirement, TrainContext
    from rgbt_bench.training.checkpoints import save_weights

    student = small("ffkd-student-fusion", tiny.info)
    weights = {}
    for role in ("rgb", "thermal"):
        branch = small(f"ffkd-student-{role}", tiny.info)
        save_weights(tmp_path / f"{role}.safetensors", branch.build())
        weights[role] = Requirement(branch.recipe, tmp_path / f"{role}.safetensors")
    network = student.build()
    context = TrainContext(tmp_path, tiny.part("train"), None, 0, requirements=weights)
    student._initialise(network, context)
    for role, branch in (("rgb", network.rgb), ("thermal", network.thermal)):
        for name, tensor in load_file(weights[role].weights).items():
            assert torch.equal(branch.state_dict()[name], tensor), name


def distilling(tiny, use="log"):
    student = small("ffkd-student", tiny.info, f"loss.distillation.use={use}")
    teacher = small("ffkd-teacher-fusion", tiny.info).build()
    assert isinstance(teacher, FusionDetector)
    torch.manual_seed(1)
    network = student.build()
    batches = student._batches(tiny.part("train"), student.augment, 0)
    task = FfkdTask(
        network,
        student.head(),
        student.recipe.optimizer,
        10,
        batches,
        None,
        "train",
        student.loss.distillation,
        teacher,
    )
    return task, next(iter(task.batches(0)))


@pytest.mark.parametrize("use", ["log", "script", "per-anchor", "per-anchor-sigmoid", "control", "alone"])
def test_total_is_the_weighted_sum_of_its_terms(tiny, use):
    task, batch = distilling(tiny, use)
    task.set_train_mode()
    terms = task.losses(batch)
    balance = task.distillation.balance
    expected = balance.detection * terms["detection"]
    if balance.needs_teacher:
        expected = expected + balance.feature * terms["feature"] + balance.response * terms["response"]
    else:
        assert "feature" not in terms
    assert torch.allclose(terms["total"], expected)


def test_gradients_reach_the_student_and_nothing_of_the_teacher(tiny):
    task, batch = distilling(tiny)
    task.set_train_mode()
    assert not task.teacher.training
    before = {name: tensor.clone() for name, tensor in task.teacher.state_dict().items()}
    task.losses(batch)["total"].backward()
    assert all(parameter.grad is None for parameter in task.teacher.parameters())
    without = {
        name.split(".")[0] + "." + name.split(".")[1] for name, one in task.model.named_parameters() if one.grad is None
    }
    # The branches' own heads are not on the way of the fused outputs.
    assert without == {"rgb.class_net", "rgb.box_net", "thermal.class_net", "thermal.box_net"}
    assert all(torch.equal(before[name], tensor) for name, tensor in task.teacher.state_dict().items())


def test_steps_lower_the_distillation_loss(tiny):
    task, batch = distilling(tiny)
    task.set_train_mode()
    (optimizer,) = task.optimizers.values()
    first = None
    for _ in range(6):
        loss = task.losses(batch)["total"]
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert task.losses(batch)["total"].item() < 0.9 * first


def test_freezing_random_backbones_is_refused_unless_forced(tiny):
    frozen = ("model.freeze_backbones=true",)
    with pytest.raises(BadInputError, match="freeze_backbones without pretrained weights"):
        small("ffkd-teacher-rgb", tiny.info, *frozen)
    forced = small("ffkd-teacher-rgb", tiny.info, *frozen, "model.allow_random_frozen=true")
    assert forced.model.freeze_backbones


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ffkd-student", ["modalities=[rgb]"], "model.kind fusion does not go with modalities"),
        ("ffkd-student", ["loss.distillation=null"], "loss.distillation and requires.teacher go together"),
        ("ffkd-student", ["loss.distillation.use=log2"], "'log2' is none of the balances log, script"),
        ("ffkd-student", ["model.image_size=16"], "model: image_size"),
    ],
)
def test_sections_that_do_not_fit_are_refused(tiny, name, settings, message):
    with pytest.raises(BadInputError, match=message):
        small(name, tiny.info, *settings)


def test_predictions_are_in_pixels_of_the_sample(tiny):
    """A network made to fire at one anchor of a letterboxed, non-square image must land on that place."""
    student = small("ffkd-teacher-rgb", tiny.info, "model.image_size=96")
    head: DetectionHead = student.head()
    anchor = int((head.anchors.boxes[:, 2] < 60).nonzero()[-1])
    batch = next(Batches(tiny.part("test"), student.model, ("rgb",), 1).in_order())
    outputs = forward(student.build().eval(), batch)
    cls = [torch.full_like(level, -20.0) for level in outputs.cls]
    box = [torch.zeros_like(level) for level in outputs.box]
    flat = torch.cat([level.permute(0, 2, 3, 1).reshape(1, -1, 3) for level in cls], dim=1)
    flat[0, anchor, 1] = 5.0
    start = 0
    for level in cls:
        _, channels, height, width = level.shape
        cells = height * width * channels // 3
        level.copy_(flat[:, start : start + cells].reshape(1, height, width, channels).permute(0, 3, 1, 2))
        start += cells
    scale = torch.tensor([2.0])
    found = head.decode(cls, box, scale, torch.tensor([[192.0, 192.0]]))[0]
    y1, x1, y2, x2 = head.anchors.boxes[anchor].tolist()
    expected = np.clip(np.array([x1, y1, x2, y2]) * 2, 0, 192)
    assert found.labels[0] == 1
    assert np.allclose(found.boxes[0].numpy(), expected, atol=1e-3)


def test_quick_and_paper_networks_have_one_structure():
    for name in ("ffkd-teacher-fusion", "ffkd-student"):
        paper, quick = (load_recipe(name, preset) for preset in ("paper", "quick"))
        assert paper.model["kind"] == quick.model["kind"]
        assert paper.loss == quick.loss
        assert ModelSection.model_validate(quick.model).freeze_backbones is False


def test_trainable_parameters_follow_the_freeze_rule(tiny):
    for name in ("ffkd-student", "ffkd-student-rgb"):
        free = small(name, tiny.info).parameters()
        assert free["trainable"] == free["total"]
        frozen = small(name, tiny.info, "model.freeze_backbones=true", "model.allow_random_frozen=true").parameters()
        assert frozen["trainable"] == free["total"] - free["backbone"]


def test_mistakes_are_found_before_anything_is_trained(tiny, home):
    for settings, device, message in (
        (["loss.distillation.use=scrpt"], "cpu", "'scrpt' is none of the balances"),
        (["model.fpn_channels=abc"], "cpu", "fpn_channels"),
        ([], "gpu", "choose one of"),
    ):
        with pytest.raises(BenchError, match=message):
            execute(plan(tiny, *settings), tiny, device)
    assert not (home / "runs").exists()


def test_without_a_val_part_nothing_is_selected_unseen(tiny, tmp_path):
    from rgbt_bench.submissions import TrainContext

    context = TrainContext(tmp_path, tiny.part("train"), None, 0, "cpu")
    with pytest.raises(UsageError, match="no val part to select on"):
        small("ffkd-student-rgb", tiny.info, "schedule.keep=best").train("train", context)


def test_two_processes_never_work_on_one_run(tiny):
    from filelock import FileLock

    planned = plan_run("ffkd-student-rgb", tiny, "quick", None, SMALL)
    planned.folder.mkdir(parents=True)
    with FileLock(planned.folder / ".lock"), pytest.raises(UsageError, match="another process works on this run"):
        execute(planned, tiny, "cpu")


def test_the_quick_teacher_is_larger_than_its_student(tiny):
    sizes = [small(name, tiny.info).parameters()["total"] for name in ("ffkd-teacher-fusion", "ffkd-student")]
    assert sizes[0] > sizes[1]


def test_thermal_is_needed_where_the_recipe_says_so(tiny):
    student = small("ffkd-student-thermal", tiny.info)
    batches = Batches(tiny.part("train"), student.model, ("thermal",), 2)
    pairs = [batches.view[0], batches.view[1]]
    with pytest.raises(BadInputError, match="has samples without one"):
        batches.collate([pair.with_images(pair.rgb, None) for pair in pairs])

"""RDR-KD's student and its teacher: sizes, freezing, gradients, and that the teacher changes nothing but the loss."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from rgb_cases import context, killing, recipe
from rgbt_baselines.rdrkd.submission import RdrKd
from rgbt_baselines.yolo.detector import GAINS
from rgbt_bench.datasets.sample import INFO
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.recipes import load_recipe
from training_cases import KilledError

OFF = tuple(f"loss.{name}.weight=0.0" for name in ("regenerated", "decoupled", "responsive"))
ALIKE = ("model.detector=yolov8n", "schedule.epochs=1")  # a teacher of the student's size keeps the tests quick
DRONES = INFO.model_copy(update={"classes": tuple("abcdefghij")})


@pytest.fixture(scope="module")
def teacher(tiny_folder, tmp_path_factory):
    from rgbt_bench.datasets.store import Dataset

    found = context(tmp_path_factory.mktemp("teacher"), Dataset(tiny_folder))
    one = recipe("rdrkd-teacher", *ALIKE)
    RdrKd(one, INFO).train("train", found)
    return one, found.weights


def train(folder, dataset, teacher, *settings, progress=None):
    found = context(folder, dataset, 0, progress, teacher=teacher)
    RdrKd(recipe("rdrkd-student", *settings), INFO).train("train", found)
    return found.weights


def network(teacher, *settings, taps="neck"):
    """The student with its teacher as the trainer has it, and a batch."""
    from rgbt_baselines.rdrkd.distiller import Rdr

    one = RdrKd(recipe("rdrkd-student", *settings), INFO)
    torch.manual_seed(0)
    settings = type("Settings", (), {**GAINS, "imgsz": 64, "dis": 1.0})()
    built = Rdr(RdrKd(teacher[0], INFO).build(), one.build(settings), one.loss, taps)
    built.teacher_model.load_state_dict(load_file(teacher[1]))
    built.train()
    generator = torch.Generator().manual_seed(1)
    batch = {
        "img": torch.rand(2, 3, 64, 64, generator=generator),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.3], [0.2, 0.3, 0.1, 0.1], [0.7, 0.7, 0.2, 0.2]]),
        "cls": torch.tensor([[0.0], [1.0], [2.0]]),
        "batch_idx": torch.tensor([0.0, 0.0, 1.0]),
    }
    return built, batch


@pytest.mark.parametrize(
    ("name", "parameters", "gigamacs"), [("rdrkd-student", 3_012_798, 4.05), ("rdrkd-teacher", 43_637_550, 82.6)]
)
def test_the_sizes_are_those_of_yolov8_with_ten_classes(name, parameters, gigamacs):
    one = RdrKd(load_recipe(name), DRONES)
    assert one.parameters() == {"detector": parameters, "total": parameters, "trainable": parameters}
    subject = one.latency_subject(1, torch.device("cpu"))
    assert subject.parameters == parameters
    assert subject.macs / 1e9 == pytest.approx(gigamacs, rel=0.02)
    assert subject.image_size == (640, 640)


def test_the_twelfth_word_of_visdrone_has_no_output():
    from rgbt_converters.visdrone import VisDrone

    one = RdrKd(load_recipe("rdrkd-baseline"), VisDrone.info)
    assert one.classes == tuple(range(10))
    assert one.parameters()["total"] == 3_012_798


def test_the_student_that_is_kept_is_a_detector_and_nothing_else(tiny, tmp_path, teacher):
    kept = load_file(train(tmp_path, tiny, teacher, "schedule.epochs=1"))
    own = RdrKd(recipe("rdrkd-baseline"), INFO).build().state_dict()
    assert {name: one.shape for name, one in kept.items()} == {name: one.shape for name, one in own.items()}


def test_without_terms_it_is_the_baseline_to_the_bit(tiny, tmp_path, teacher):
    alone = context(tmp_path / "alone", tiny)
    RdrKd(recipe("rdrkd-baseline"), INFO).train("train", alone)
    assert train(tmp_path / "off", tiny, teacher, *OFF).read_bytes() == alone.weights.read_bytes()


def test_terms_of_next_to_no_weight_leave_start_and_data_order_as_they_were(tiny, tmp_path, teacher):
    tiny_weights = tuple(one.replace("0.0", "1e-30") for one in OFF)
    # one step, since clipping takes the adapters' gradients into its norm
    alone = context(tmp_path / "alone", tiny)
    RdrKd(recipe("rdrkd-baseline", "schedule.epochs=1"), INFO).train("train", alone)
    found = load_file(train(tmp_path / "with", tiny, teacher, "schedule.epochs=1", *tiny_weights))
    for name, one in load_file(alone.weights).items():
        torch.testing.assert_close(found[name], one, rtol=1e-4, atol=1e-5)


def test_a_killed_distillation_goes_on_to_the_same_bits(tiny, tmp_path, teacher):
    whole = train(tmp_path / "whole", tiny, teacher)
    with pytest.raises(KilledError):
        train(tmp_path / "part", tiny, teacher, progress=killing(3))
    assert train(tmp_path / "part", tiny, teacher).read_bytes() == whole.read_bytes()
    row = json.loads((tmp_path / "part" / "losses.jsonl").read_text().splitlines()[0])["train"]
    assert set(row) == {"total", "box_loss", "cls_loss", "dfl_loss", "regenerated", "decoupled", "responsive"}


def test_half_precision_teaches_as_float32_does(teacher):
    built, batch = network(teacher, "loss.responsive.min_score=0.0")
    whole = built.loss(batch)[1]
    with torch.autocast("cpu", torch.bfloat16):
        loss, half = built.loss(batch)
    loss.sum().backward()
    for name in ("regenerated", "decoupled", "responsive"):
        assert float(half[name]) == pytest.approx(float(whole[name]), rel=0.1)
    assert all(bool(one.grad.isfinite().all()) for one in built.projector.parameters())


def test_half_precision_without_a_gpu_is_refused_before_anything_is_written(tiny, tmp_path, teacher):
    with pytest.raises(UsageError, match=r"on a GPU alone; add --set schedule\.precision=float32"):
        train(tmp_path, tiny, teacher, "schedule.precision=bfloat16")
    assert list(tmp_path.iterdir()) == []


def test_gradients_reach_student_and_adapters_and_never_the_teacher(teacher):
    built, batch = network(teacher, "loss.responsive.min_score=0.0")
    before = {name: one.clone() for name, one in built.teacher_model.state_dict().items()}
    loss, _ = built.loss(batch)
    loss.sum().backward()
    assert all(one.grad is None and not one.requires_grad for one in built.teacher_model.parameters())
    assert not built.teacher_model.training
    assert all(torch.equal(one, before[name]) for name, one in built.teacher_model.state_dict().items())
    without = [name for name, one in built.student_model.named_parameters() if one.grad is None]
    assert without == ["model.22.dfl.conv.weight"]  # fixed by the library: the numbers 0 to 15
    assert all(one.grad is not None for one in built.projector.parameters())


@pytest.mark.parametrize("term", ["regenerated", "decoupled", "responsive"])
def test_each_term_alone_teaches_the_student(teacher, term):
    weights = [f"loss.{one}.weight={1.0 if one == term else 0.0}" for one in ("regenerated", "decoupled", "responsive")]
    built, batch = network(teacher, "loss.responsive.min_score=0.0", *weights)
    _, items = built.loss(batch)
    assert list(items)[3:] == [term]
    loss, _ = built.loss(batch)
    loss[3:].sum().backward()
    gradients = {name: one.grad for name, one in built.student_model.named_parameters() if one.grad is not None}
    reached = {name.split(".")[1] for name, one in gradients.items() if one.any()}
    assert "0" in reached
    assert ("22" in reached) == (term == "responsive")


def test_the_loss_is_the_librarys_and_the_terms_times_the_batch_size(teacher):
    built, batch = network(teacher, "loss.responsive.min_score=0.0")
    loss, items = built.loss(batch)
    assert torch.allclose(loss[3:], torch.stack(list(items.values())[3:]) * 2)
    regular, _ = built.student_model.loss(batch, built.student_model(batch["img"]))
    torch.testing.assert_close(loss[:3], regular)


def seen(detector, images, layers):
    """A detector's layers and scores by hooks of our own, and its boxes in pixels as its head decodes them."""
    kept, hooks = {}, []
    for layer in (*layers, 22):
        hook = lambda _, given, out, layer=layer: kept.__setitem__(layer, out)  # noqa: E731
        hooks.append(detector.model[layer].register_forward_hook(hook))
    detector(images)
    [one.remove() for one in hooks]
    raw = kept[22][1] if isinstance(kept[22], tuple) else kept[22]
    bins = raw["boxes"].unflatten(1, (4, 16)).softmax(2)
    sides = (bins * torch.arange(16.0)[:, None]).sum(2)
    places = torch.cat([torch.cartesian_prod(torch.arange(n), torch.arange(n)) for n in (8, 4, 2)]).flip(1) + 0.5
    strides = torch.cat([torch.full((n * n,), 64 / n) for n in (8, 4, 2)])
    low, high = places.T - sides[:, :2], places.T + sides[:, 2:]
    return [kept[layer] for layer in layers], raw["scores"].mT, (torch.cat([low, high], 1) * strides).mT


@pytest.mark.parametrize(("taps", "layers"), [("neck", (2, 15, 18, 21)), ("backbone", (2, 4, 6, 9))])
def test_the_terms_are_those_of_what_the_layers_gave(teacher, taps, layers):
    from rgbt_baselines.rdrkd.losses import Views

    built, batch = network(teacher, "loss.responsive.min_score=0.0", taps=taps)
    _, items = built.loss(batch)
    with torch.no_grad():
        student = Views(*seen(built.student_model, batch["img"], layers))
        other = Views(*seen(built.teacher_model, batch["img"], layers))
    expected = built.projector(student, other, batch["bboxes"], batch["batch_idx"].long(), 64)
    for name, one in expected.items():
        torch.testing.assert_close(items[name], one, rtol=1e-4, atol=0)


def test_the_layers_are_those_that_the_librarys_head_and_neck_read(teacher):
    from rgbt_baselines.rdrkd.distiller import _LAYERS

    built, _ = network(teacher)
    layers = built.student_model.model
    backbone = len(built.student_model.yaml["backbone"])
    assert _LAYERS["neck"][1:] == tuple(layers[-1].f)
    joined = {one for layer in layers[backbone:-1] if isinstance(layer.f, list) for one in layer.f if one > 0}
    assert _LAYERS["backbone"][1:] == (*sorted(joined & set(range(backbone - 1))), backbone - 1)


@pytest.mark.parametrize("taps", ["neck", "backbone"])
def test_the_levels_have_strides_four_to_thirty_two(teacher, taps):
    built, batch = network(teacher, taps=taps)
    built.teacher_model(batch["img"])
    assert [one.shape[-1] for one in built._features("teacher")] == [16, 8, 4, 2]
    built.loss(batch)
    assert not built._teacher_feats  # a step's maps are not kept for the next
    assert not built._student_feats


def test_steps_lower_the_loss(teacher):
    built, batch = network(teacher, "loss.responsive.min_score=0.0")
    trained = [one for one in built.parameters() if one.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3)
    values = []
    for _ in range(4):
        loss, _ = built.loss(batch)
        values.append(float(loss.detach().sum()))
        optimizer.zero_grad()
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(trained, 10.0)
        optimizer.step()
    assert values[-1] < values[0]


def test_images_without_objects_are_learnt_from(teacher):
    built, batch = network(teacher)
    empty = {**batch, "bboxes": torch.zeros(0, 4), "cls": torch.zeros(0, 1), "batch_idx": torch.zeros(0)}
    loss, items = built.loss(empty)
    loss.sum().backward()
    assert all(bool(one.isfinite().all()) for one in items.values())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (("requires={}",), "come from a teacher; name one"),
        (("requires={helper: rdrkd-teacher}",), "requires has another role"),
        (("model.taps=head",), "taps"),
        (("loss.decoupled.area_unit=metres",), "area_unit"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(settings, says):
    with pytest.raises(BadInputError, match=says):
        RdrKd(recipe("rdrkd-student", *settings), INFO)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (("rdrkd-teacher", "model.image_size=128"), "model.image_size is 64 here and 128"),
        (("rdrkd-teacher", "model.left_out=[car]"), "model.left_out is"),
    ],
)
def test_a_teacher_that_cannot_be_compared_is_refused_before_it_is_trained(other, says):
    with pytest.raises(BadInputError, match=says):
        RdrKd(recipe("rdrkd-student"), INFO).check_required({"teacher": recipe(*other)})


def test_a_teacher_of_another_submission_is_refused():
    with pytest.raises(BadInputError, match="it has to be one of rdrkd"):
        RdrKd(recipe("rdrkd-student"), INFO).check_required({"teacher": load_recipe("ffkd-teacher-rgb")})


def test_a_teacher_with_other_weights_is_refused(tiny, tmp_path, teacher):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(BadInputError, match="weights of another network"):
        train(tmp_path / "run", tiny, (teacher[0], tmp_path / "x.safetensors"))

"""TarDAL's steps: who learns in which, from what, and in which mode; and a resume to the same bits."""

import pytest
import torch

from rgbt_baselines.tardal.data import recoloured
from rgbt_baselines.tardal.losses import discriminator_loss, targets_of
from rgbt_bench.errors import UsageError
from rgbt_bench.training.accelerator import accelerator
from rgbt_bench.training.checkpoints import load_weights
from rgbt_bench.training.loop import fit
from tardal_cases import context, plain_accelerator, submission, task, with_tiny_detector


def state(module):
    return {name: one.clone() for name, one in module.state_dict().items()}


def changed(before, module):
    return {name for name, one in module.state_dict().items() if not torch.equal(before[name], one)}


def learnt(module):
    return {name for name, one in module.named_parameters() if one.grad is not None and one.grad.abs().max() > 0}


def names(module):
    return {name for name, _ in module.named_parameters()}


@pytest.fixture
def tiny_detector(monkeypatch):
    with_tiny_detector(monkeypatch)


def test_the_generators_step_never_touches_a_discriminator(tiny, tmp_path):
    one = task(tiny, tmp_path)
    batch, before = next(one.batches(0)), state(one.auxiliary)
    weights = state(one.model)
    one.set_train_mode()
    (losses,) = one._generator_step([batch], plain_accelerator())
    assert losses.keys() == {"total", "ssim", "pixel", "target", "detail"}
    expected = losses["ssim"] + 20 * losses["pixel"] + 0.1 * (losses["target"] + losses["detail"])
    assert losses["total"].item() == pytest.approx(expected.item())
    assert changed(before, one.auxiliary) == set()
    assert learnt(one.auxiliary) == set()
    assert all(parameter.requires_grad for parameter in one.auxiliary.parameters())
    assert names(one.model) <= changed(weights, one.model)


@pytest.mark.parametrize("name", ["target", "detail"])
def test_a_discriminators_step_never_touches_the_generator_nor_the_other_one(tiny, tmp_path, name):
    one = task(tiny, tmp_path)
    batch, generator, discriminators = next(one.batches(0)), state(one.model), state(one.auxiliary)
    one.set_train_mode()
    one._discriminator_step(name, [batch], [one._fused_in_evaluation(batch)], plain_accelerator())
    assert changed(generator, one.model) == set()  # its running statistics are as they were, too
    assert one.model.training
    assert learnt(one.model) == set()
    # what is added to every judgement cancels between real and fake
    own = {one for one in names(one.auxiliary) if one.startswith(name)} - {f"{name}.head.bias"}
    assert changed(discriminators, one.auxiliary) - {f"{name}.head.bias"} == own


def test_the_adversarial_loss_reaches_the_generator(tiny, tmp_path):
    one = task(tiny, tmp_path)
    losses = one.losses(next(one.batches(0)))
    for name in ("target", "detail"):
        gradients = torch.autograd.grad(losses[name], list(one.model.parameters()), retain_graph=True)
        assert any(found.abs().max() > 0 for found in gradients), name


def test_the_target_discriminator_is_shown_targets_of_the_thermal_and_of_the_fused_image(tiny, tmp_path):
    one = task(tiny, tmp_path)
    batch = next(one.batches(0))
    discriminator = one.auxiliary["target"]
    fake = targets_of(one.model.eval()(batch.luma, batch.thermal).detach(), batch.mask)
    one.set_train_mode()
    torch.manual_seed(7)
    mix = torch.rand(len(batch), 1, 1, 1)
    expected = discriminator_loss(discriminator, targets_of(batch.thermal, batch.mask), fake, 2.0, 6.0, mix).item()
    torch.manual_seed(7)
    (found,) = one._discriminator_step("target", [batch], [one._fused_in_evaluation(batch)], plain_accelerator())
    assert found.item() == pytest.approx(expected)


def test_without_masks_both_discriminators_see_whole_images(tiny, tmp_path):
    one = task(tiny, tmp_path, "tardal-dt", "loss.fusion.adversarial.mask=false")
    batch = next(one.batches(0))
    assert torch.equal(one._judged("target", batch.thermal, batch), batch.thermal)
    assert (one._judged("detail", batch.luma, batch) >= 1e-4 * 0.99).all()


@pytest.mark.parametrize(
    ("row", "target", "detail"), [("M1", False, False), ("M2", False, True), ("M3", True, False), ("M4", True, True)]
)
def test_the_rows_of_table_3_are_fields(tiny, tmp_path, row, target, detail):
    fields = (f"model.target_discriminator={target}".lower(), f"model.detail_discriminator={detail}".lower())
    one = task(tiny, tmp_path, "tardal-dt", *fields)
    there = {name for name, is_there in (("target", target), ("detail", detail)) if is_there}
    assert set(one.optimizers) == {"main", *there}
    assert (one.auxiliary is None) == (not there)
    one.set_train_mode()
    (losses,) = one.train_window([next(one.batches(0))], plain_accelerator())
    assert losses.keys() == {"total", "ssim", "pixel", *there, *(f"{name}_discriminator" for name in there)}


def test_without_saliency_weights_both_images_count_alike(tiny, tmp_path):
    one = task(tiny, tmp_path, "tardal-dt", "loss.fusion.saliency_weights=false", "loss.fusion.weights_on=losses")
    batch = next(one.batches(0))
    fused = one.model(batch.luma, batch.thermal)
    expected = ((fused - batch.luma).abs() + (fused - batch.thermal).abs()).mean() / 2
    assert one.losses(batch)["pixel"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.usefixtures("tiny_detector")
@pytest.mark.parametrize("name", ["tardal-tt", "tardal-ct"])
def test_the_detection_loss_reaches_every_layer_of_the_generator(tiny, tmp_path, name):
    one = task(tiny, tmp_path, name)
    batch = next(one.batches(0))
    one.set_train_mode()
    losses = one.losses(batch)
    parameters = dict(one.generator.named_parameters())
    found = torch.autograd.grad(losses["detection"], list(parameters.values()), allow_unused=True)
    assert all(gradient is not None for gradient in found)
    # a bias before a batch normalisation changes nothing
    moved = {name for name, gradient in zip(parameters, found, strict=True) if gradient.abs().max() > 1e-9}
    assert moved >= {name for name in parameters if name.endswith("weight")}


@pytest.mark.usefixtures("tiny_detector")
def test_a_detection_gradient_that_is_blocked_is_seen(tiny, tmp_path, monkeypatch):
    import rgbt_baselines.tardal.task as module

    monkeypatch.setattr(module, "recoloured", lambda fused, chroma: recoloured(fused.detach(), chroma))
    one = task(tiny, tmp_path, "tardal-ct")
    losses = one.losses(next(one.batches(0)))
    found = torch.autograd.grad(losses["detection"], list(one.generator.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in found)


@pytest.mark.usefixtures("tiny_detector")
def test_cooperative_training_adds_lambda_times_the_fusion_loss(tiny, tmp_path):
    one = task(tiny, tmp_path, "tardal-ct", "loss.fusion.weight=0.25", "loss.detection.weight=3.0")
    losses = one.losses(next(one.batches(0)))
    fusion = losses["ssim"] + 20 * losses["pixel"] + 0.1 * (losses["target"] + losses["detail"])
    assert losses["total"].item() == pytest.approx((0.25 * fusion + 3 * losses["detection"]).item(), rel=1e-5)


@pytest.mark.usefixtures("tiny_detector")
def test_task_oriented_training_moves_generator_and_detector_by_the_detection_loss_alone(tiny, tmp_path):
    one = task(tiny, tmp_path, "tardal-tt")
    before = state(one.model)
    one.set_train_mode()
    (losses,) = one.train_window([next(one.batches(0))], plain_accelerator())
    assert losses.keys() == {"total", "detection", "box"}
    assert one.auxiliary is None
    moved = changed(before, one.model)
    assert any(name.startswith("generator.") for name in moved)
    assert any(name.startswith("detector.") for name in moved)


def test_steps_lower_the_loss(tiny, tmp_path):
    one = task(tiny, tmp_path, "tardal-dt", "optimizer.learning_rate=0.01")
    batch = next(one.batches(0))
    one.set_train_mode()
    found = [one.train_window([batch], plain_accelerator())[0] for _ in range(25)]
    for name in ("total", "pixel", "ssim"):
        assert found[-1][name] < 0.8 * found[0][name], name


def test_a_window_takes_the_mean_gradient_of_its_batches(tiny, tmp_path):
    found = []
    for windows in (1, 2):
        one = task(tiny, tmp_path, "tardal-dt", "optimizer.name=sgd", "model.detail_discriminator=false")
        batch = next(one.batches(0))
        one.set_train_mode()
        torch.manual_seed(0)
        one.train_window([batch] * windows, plain_accelerator())
        found.append(one.model.stem.conv.weight.clone())
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def test_each_network_is_clipped_by_itself(tiny, tmp_path):
    one = task(tiny, tmp_path, "tardal-dt", "optimizer.clip_norm=0.001", "optimizer.name=sgd")
    learners = (one.model, one.auxiliary["target"], one.auxiliary["detail"])
    before = [state(module) for module in learners]
    rate = one.optimizers["main"].param_groups[0]["lr"]
    one.set_train_mode()
    one.train_window([next(one.batches(0))], plain_accelerator())
    for module, old in zip(learners, before, strict=True):
        moved = torch.cat([(value - old[name]).flatten() for name, value in module.named_parameters()])
        assert 0 < moved.norm().item() <= 0.001 * rate * 1.01


def test_the_discriminators_may_have_a_rate_of_their_own(tiny, tmp_path):
    one = task(tiny, tmp_path, "tardal-dt", "loss.fusion.adversarial.learning_rate=0.0001")
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in one.optimizers.items()}
    assert rates == {"main": 0.001, "target": 0.0001, "detail": 0.0001}


class KilledError(Exception):
    pass


def trained(dataset, folder, killed_in=None):
    def progress(stage, done, total):
        if stage.startswith(f"epoch {killed_in}, "):
            raise KilledError

    torch.manual_seed(3)
    given = context(dataset, folder, seed=3)
    one = submission(
        dataset.info, "tardal-dt", "schedule.epochs=3", "optimizer.schedule=exponential", "optimizer.gamma=0.5"
    )
    built = one.task(given)
    fit(built, one.training.schedule, folder, 3, accelerator("cpu"), progress)
    return built


def test_a_resumed_training_has_the_same_bits_of_all_three_networks(tiny, tmp_path):
    whole = trained(tiny, tmp_path / "whole")
    with pytest.raises(KilledError):
        trained(tiny, tmp_path / "killed", killed_in=3)
    resumed = trained(tiny, tmp_path / "killed")
    assert changed(state(whole.model), resumed.model) == set()
    assert changed(state(whole.auxiliary), resumed.auxiliary) == set()
    assert {name: one.param_groups[0]["lr"] for name, one in resumed.optimizers.items()} == dict.fromkeys(
        ("main", "target", "detail"), pytest.approx(0.001 * 0.5**3)
    )
    fresh = submission(tiny.info).build()
    load_weights(tmp_path / "killed" / "weights.safetensors", fresh)
    assert changed(state(whole.model), fresh) == set()


def test_several_processes_are_refused(tiny, tmp_path):
    pretended = type("Several", (), {"num_processes": 2})()
    with pytest.raises(UsageError, match="one process"):
        task(tiny, tmp_path).prepare(pretended)


def test_validation_has_the_generators_terms_and_changes_nothing(tiny, tmp_path):
    one = task(tiny, tmp_path)
    before, judges = state(one.model), state(one.auxiliary)
    one.model.eval()
    with torch.no_grad():
        found = [one.losses(batch) for batch in one.validation_batches()]
    assert found[0].keys() == {"total", "ssim", "pixel", "target", "detail"}
    assert changed(before, one.model) | changed(judges, one.auxiliary) == set()


@pytest.mark.parametrize("name", ["tardal-tt", "tardal-ct"])
def test_the_librarys_detector_teaches_the_generator(tiny, tmp_path, name):
    one = task(tiny, tmp_path, name, "model.detector=yolov5n", "schedule.batch_size=2")
    batch = next(one.batches(0))
    one.set_train_mode()
    losses = one.losses(batch)
    found = torch.autograd.grad(losses["detection"], list(one.generator.parameters()))
    assert all(gradient.isfinite().all() for gradient in found)
    assert sum(gradient.abs().sum() for gradient in found) > 0
    one.model.eval()
    with torch.no_grad():
        assert one.losses(batch)["detection"].isfinite()


def test_a_step_in_bfloat16_stays_near_the_one_in_float32(tiny, tmp_path):
    one = task(tiny, tmp_path)
    batch = next(one.batches(0))
    expected = one.losses(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = one.losses(batch)
    for name in ("total", "ssim", "pixel"):
        assert found[name].dtype == torch.float32
        assert found[name].item() == pytest.approx(expected[name].item(), rel=0.1)

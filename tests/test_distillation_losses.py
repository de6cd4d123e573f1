import math

import pytest
import torch
from torch.autograd import gradcheck

from rgbt_bench.distillation import binary_kl_with_temperature, feature_mse, kl_with_temperature, smooth_l1

LN3 = math.log(3)
# p = (0.75, 0.25) against q = (0.5, 0.5): 0.75 ln 1.5 + 0.25 ln 0.5
KL = 0.130812


def logits(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_kl_by_hand_and_its_reductions():
    student = logits([0, 0], [1, 2])
    # at T = 2 these logits are (ln 3, 0): p = (0.75, 0.25); the second row agrees with the student's
    teacher = logits([2 * LN3, 0], [1, 2])
    assert kl_with_temperature(student, teacher, 2.0, reduction="sum").item() == pytest.approx(4 * KL, abs=1e-6)
    assert kl_with_temperature(student, teacher, 2.0).item() == pytest.approx(2 * KL, abs=1e-6)
    # one image of two places: batchmean divides by the images, mean by the places
    assert kl_with_temperature(student[None], teacher[None], 2.0).item() == pytest.approx(4 * KL, abs=1e-6)
    assert kl_with_temperature(student[None], teacher[None], 2.0, reduction="mean").item() == pytest.approx(
        2 * KL, abs=1e-6
    )
    assert kl_with_temperature(student.T, teacher.T, 2.0, dim=0, reduction="sum").item() == pytest.approx(
        4 * KL, abs=1e-6
    )


def test_binary_kl_by_hand_and_its_reductions():
    student, teacher = logits([0, 5], [0, -5]), logits([2 * LN3, 5], [-2 * LN3, -5])
    # both moved logits are Bernoulli(0.75 or 0.25) against 0.5
    assert binary_kl_with_temperature(student, teacher, 2.0, reduction="sum").item() == pytest.approx(8 * KL, abs=1e-5)
    assert binary_kl_with_temperature(student, teacher, 2.0).item() == pytest.approx(4 * KL, abs=1e-5)
    assert binary_kl_with_temperature(student, teacher, 2.0, reduction="mean").item() == pytest.approx(2 * KL, abs=1e-5)


def test_kl_is_teacher_against_student():
    # KL((0.5, 0.5) || (0.75, 0.25)) = 0.5 ln(2/3) + 0.5 ln 2
    assert kl_with_temperature(logits([LN3, 0]), logits([0, 0]), 1.0).item() == pytest.approx(0.143841, abs=1e-6)
    assert binary_kl_with_temperature(logits([LN3]), logits([0]), 1.0).item() == pytest.approx(0.143841, abs=1e-6)


def test_feature_mse_sums_levels_of_any_size():
    student = [torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 1, 1)]
    teacher = [torch.full((1, 2, 2, 2), 2.0), torch.tensor([1.0, 3.0]).view(1, 2, 1, 1)]
    assert feature_mse(student, teacher).item() == pytest.approx(4 + (1 + 9) / 2)


def test_smooth_l1_by_hand():
    student, teacher = logits([0.5, 2.0]), logits([0.0, 0.0])
    assert smooth_l1(student, teacher).item() == pytest.approx((0.125 + 1.5) / 2)
    assert smooth_l1(student, teacher, beta=2.0).item() == pytest.approx((0.0625 + 1.0) / 2)


LOSSES = {
    "kl": lambda s, t: kl_with_temperature(s, t, 4.0),
    "binary_kl": lambda s, t: binary_kl_with_temperature(s, t, 4.0),
    "feature_mse": lambda s, t: feature_mse([s, 2 * s], [t, 2 * t]),
    "smooth_l1": smooth_l1,
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_zero_at_equality_positive_elsewhere_and_differentiable(name):
    loss = LOSSES[name]
    generator = torch.Generator().manual_seed(0)
    student = (3 * torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)).requires_grad_()
    teacher = (3 * torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)).requires_grad_()
    assert loss(student, student).item() == pytest.approx(0, abs=1e-12)
    value = loss(student, teacher)
    assert value.item() > 0
    value.backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert gradcheck(lambda s: loss(s, teacher), (student,))


@pytest.mark.parametrize("loss", [LOSSES["kl"], LOSSES["binary_kl"]])
def test_extreme_logits_stay_finite(loss):
    student = torch.tensor([[-200.0, 200.0]], requires_grad=True)
    value = loss(student, torch.tensor([[200.0, -200.0]]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()


def test_shapes_that_would_broadcast_are_refused():
    for loss in LOSSES.values():
        with pytest.raises(ValueError, match="differ in shape"):
            loss(torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="1 student levels for 2"):
        feature_mse([torch.zeros(1)], [torch.zeros(1), torch.zeros(1)])

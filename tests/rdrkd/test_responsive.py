import math

import pytest
import torch

import rdrkd_reference as reference
from rdrkd_cases import BATCH, corners, draw, responsive
from rgbt_baselines.rdrkd.responsive import eiou_distances, focal_distances, responsive_loss

PLACES, CLASSES = 7, 4


def inputs(seed=0, dtype=torch.float64):
    """Student's and teacher's logits, student's and teacher's boxes; some of the teacher's scores are low."""
    logits = [draw(seed + i, BATCH, PLACES, CLASSES, dtype=dtype).detach() * 2 - 2 for i in range(2)]
    boxes = [corners(seed + i, PLACES, dtype=dtype).detach() for i in range(2)]
    logits[1][0, :3] = -6.0
    boxes[0][1, 2] = boxes[1][1, 2] + 100  # apart
    boxes[0][1, 3] = boxes[1][1, 3]
    return [one.requires_grad_() for one in (*logits, *boxes)]


def test_the_focal_loss_of_one_score_by_hand():
    # s = 0.2 and t = 0.9
    student, teacher = (torch.tensor([math.log(p / (1 - p))], dtype=torch.float64) for p in (0.2, 0.9))
    entropy = -0.9 * math.log(0.2) - 0.1 * math.log(0.8)
    balance = 0.25 * 0.9 + 0.75 * 0.1
    assert focal_distances(student, teacher, 0.25, 2.0).item() == pytest.approx(balance * 0.7**2 * entropy, rel=1e-12)
    assert focal_distances(student, teacher, 0.5, 1.0).item() == pytest.approx(0.5 * 0.7 * entropy, rel=1e-12)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_teacher_that_is_sure_makes_it_the_focal_loss_of_a_label(label):
    """Lin et al.: -a_t (1 - p_t)^gamma log p_t."""
    logits = torch.linspace(-4, 4, 9, dtype=torch.float64)
    teacher = torch.full_like(logits, 60.0 if label else -60.0)
    p = logits.sigmoid()
    right, alpha = (p, 0.25) if label else (1 - p, 0.75)
    expected = -alpha * (1 - right) ** 2 * right.log()
    assert torch.allclose(focal_distances(logits, teacher, 0.25, 2.0), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_the_focal_loss_is_least_where_the_scores_agree_whatever_alpha(alpha, gamma):
    teacher = torch.tensor([-3.0, -0.5, 0.7, 2.0], dtype=torch.float64)
    assert focal_distances(teacher, teacher, alpha, gamma).tolist() == [0] * 4
    student = teacher.clone().requires_grad_()
    focal_distances(student, teacher, alpha, gamma).sum().backward()
    assert student.grad.tolist() == [0] * 4
    for step in (-0.1, 0.1):
        assert (focal_distances(teacher + step, teacher, alpha, gamma) > 0).all()
        further = (teacher + 2 * step).requires_grad_()
        focal_distances(further, teacher, alpha, gamma).sum().backward()
        assert (further.grad * step > 0).all()


def test_the_focal_loss_of_saturated_scores_is_finite_and_so_is_its_gradient():
    values = [-200.0, -40.0, 0.0, 40.0, 200.0]
    student = torch.tensor(values).repeat(5).requires_grad_()
    found = focal_distances(student, torch.tensor(values).repeat_interleave(5), 0.25, 2.0)
    found.sum().backward()
    assert found.isfinite().all()
    assert student.grad.isfinite().all()
    assert found[4].item() == pytest.approx(0.75 * 200)  # s = 1 and t = 0


def test_eiou_of_two_boxes_by_hand():
    # 4x2 at the origin and 2x4 at (2, 0): they share 2x2 of 12; both lie in 4x4; centres (2, 1) and (3, 2)
    student, teacher = (torch.tensor([box], dtype=torch.float64) for box in ([0.0, 0, 4, 2], [2.0, 0, 4, 4]))
    expected = 1 - 4 / 12 + (1 + 1) / (16 + 16) + 4 / 16 + 4 / 16
    assert eiou_distances(student, teacher).item() == pytest.approx(expected, rel=1e-12)
    # apart: no overlap, in 10x2, centres 8 apart, same shape
    student, teacher = (torch.tensor([box], dtype=torch.float64) for box in ([0.0, 0, 2, 2], [8.0, 0, 10, 2]))
    assert eiou_distances(student, teacher).item() == pytest.approx(1 + 64 / 104, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_eiou_of_equal_boxes_is_zero_and_it_knows_no_scale_and_no_place(dtype):
    boxes = corners(0, 50, dtype=dtype).detach()
    assert eiou_distances(boxes, boxes).abs().max() == 0
    others = corners(1, 50, dtype=dtype).detach()
    plain = eiou_distances(boxes, others)
    assert torch.allclose(eiou_distances(boxes * 9, others * 9), plain, rtol=1e-4)
    assert torch.allclose(eiou_distances(boxes + 7, others + 7), plain, rtol=1e-4)
    assert torch.allclose(eiou_distances(others, boxes), plain)
    assert plain.min() > 0
    assert plain.max() < 4


def test_eiou_of_boxes_without_an_area_is_finite_and_so_is_its_gradient():
    point, box = [5.0, 5, 5, 5], [0.0, 0, 10, 10]
    student = torch.tensor([point, point, box, [3.0, 0, 3, 9]], requires_grad=True)
    found = eiou_distances(student, torch.tensor([point, box, point, box]))
    found.sum().backward()
    assert found[:3].tolist() == pytest.approx([1, 3, 3])
    assert found.isfinite().all()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize(
    "changed", [{}, {"min_score": 0.0}, {"min_score": 0.5}, {"alpha": 0.7, "gamma": 1.0}, {"gamma": 3.5}]
)
def test_the_loss_by_loops(changed):
    """Places near the threshold would be a matter of rounding; none is."""
    tensors = inputs()
    expected = reference.responsive(*(one.tolist() for one in tensors), responsive(**changed))
    assert expected > 0
    assert responsive_loss(*tensors, responsive(**changed)).item() == pytest.approx(expected, rel=1e-9)


def test_only_places_count_whose_best_score_of_the_teacher_is_above_the_least():
    tensors = inputs()
    responsive_loss(*tensors, responsive()).backward()
    counts = tensors[1].sigmoid().amax(2) > 0.05
    assert 0 < counts.sum() < counts.numel()
    assert (~counts)[0, :3].all()
    assert torch.equal(tensors[0].grad.abs().amax(2) > 0, counts)
    assert (tensors[2].grad[~counts] == 0).all()
    assert responsive_loss(*tensors, responsive(min_score=0.999)).item() == 0


def test_a_least_score_of_0_lets_every_place_count_also_one_whose_score_is_rounded_to_0():
    logits = torch.full((1, 3, 2), -200.0)
    boxes = corners(0, 3, 1, torch.float32).detach(), corners(1, 3, 1, torch.float32).detach()
    assert (logits.sigmoid() == 0).all()
    found = responsive_loss(logits, logits, *boxes, responsive(min_score=0.0))
    assert found.item() == pytest.approx(eiou_distances(*boxes).sum().item())
    assert responsive_loss(logits, logits, *boxes, responsive()).item() == 0


def test_a_place_at_the_least_score_does_not_count():
    student, _, boxes, others = inputs()
    even = torch.zeros_like(student)  # scores of 0.5
    assert responsive_loss(student, even, boxes, others, responsive(min_score=0.5)).item() == 0
    assert responsive_loss(student, even + 1e-9, boxes, others, responsive(min_score=0.5)).item() > 0


def test_where_no_place_counts_the_loss_is_0_and_still_has_a_gradient():
    tensors = inputs()
    found = responsive_loss(tensors[0], tensors[1].detach() - 100, *tensors[2:], responsive())
    found.backward()
    assert found.item() == 0
    assert tensors[0].grad.abs().max() == tensors[2].grad.abs().max() == 0


def test_gradients_reach_the_students_logits_and_boxes_and_never_the_teachers():
    tensors = inputs()
    responsive_loss(*tensors, responsive()).backward()
    assert [one.grad is not None for one in tensors] == [True, False, True, False]
    assert tensors[0].grad.abs().max() > 0
    assert tensors[2].grad.abs().max() > 0


def test_the_gradient_is_that_of_finite_differences():
    logits, other_logits, boxes, other_boxes = (one.detach() for one in inputs(5))
    boxes = boxes + 0.1  # no two sides at one place, where the loss has a corner
    assert torch.autograd.gradcheck(
        lambda a, b: responsive_loss(a, other_logits, b, other_boxes, responsive()),
        (logits.requires_grad_(), boxes.requires_grad_()),
    )


def test_half_precision_gives_what_its_float32_gives():
    halves = inputs(dtype=torch.float16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = responsive_loss(*halves, responsive())
    assert found.dtype == torch.float32
    assert found.item() == responsive_loss(*(one.detach().float() for one in halves), responsive()).item()


def test_what_does_not_go_together_is_refused():
    student, teacher, boxes, others = inputs()
    with pytest.raises(ValueError, match=r"logits \(3, 7, 4\) and \(3, 7, 1\) do not go together"):
        responsive_loss(student, teacher[..., :1], boxes, others, responsive())
    with pytest.raises(ValueError, match=r"boxes \(3, 7, 4\) and \(3, 6, 4\) do not go with"):
        responsive_loss(student, teacher, boxes, others[:, :6], responsive())
    with pytest.raises(ValueError, match="do not go with"):
        responsive_loss(student, teacher, boxes.transpose(1, 2), others.transpose(1, 2), responsive())

"""Responsive Distillation (Eq. 9-10): the student's scores and boxes follow the teacher's, place by place."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rgbt_bench.distillation import full_precision

from .loss_config import ResponsiveSection

_LEAST = 1e-7  # an area or a squared length in pixels that nothing is divided by less than


@full_precision
def focal_distances(student_logits: Tensor, teacher_logits: Tensor, alpha: float, gamma: float) -> Tensor:
    """Return the focal loss of each student's score to the teacher's as a soft target, of the logits' shape.

    With the sigmoids s and t it is a |t - s|^gamma CE(s, t), CE the binary cross-entropy and a = alpha t + (1 - alpha)
    (1 - t), Lin et al.'s factor between its values at t = 1 and t = 0: it knows the teacher alone, so the least is at
    s = t. Range [0, inf), 0 where the scores agree. Source: Eq. 9; BCKD (arXiv:2308.14286) has |t - s| and no alpha.
    """
    target = teacher_logits.detach().sigmoid()
    entropy = F.binary_cross_entropy_with_logits(student_logits, target, reduction="none")
    balance = alpha * target + (1 - alpha) * (1 - target)
    return balance * (target - student_logits.sigmoid()).abs().pow(gamma) * entropy


@full_precision
def eiou_distances(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the EIoU loss of each pair of boxes: (..., 4) as x1, y1, x2, y2 in pixels to (...).

    1 - IoU plus the squared distance of the centres and the squared differences of width and height, over the squared
    diagonal, width and height of the box around both. Range [0, 4), 0 where boxes of an area agree. Source: Zhang et
    al., arXiv:2101.08158.
    """
    teacher = teacher.detach()
    low, high, other_low, other_high = student[..., :2], student[..., 2:], teacher[..., :2], teacher[..., 2:]
    sides, other_sides = high - low, other_high - other_low
    shared = (torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp(min=0).prod(-1)
    union = sides.prod(-1) + other_sides.prod(-1) - shared
    around = (torch.maximum(high, other_high) - torch.minimum(low, other_low)).square()
    centres = ((low - other_low + high - other_high) / 2).square().sum(-1)
    shape = ((sides - other_sides).square() / around.clamp(min=_LEAST)).sum(-1)
    apart = centres / around.sum(-1).clamp(min=_LEAST)
    return 1 - shared / union.clamp(min=_LEAST) + apart + shape


def responsive_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    student_boxes: Tensor,
    teacher_boxes: Tensor,
    settings: ResponsiveSection,
) -> Tensor:
    """Return the focal loss of the scores plus the EIoU loss of the boxes, without the section's `weight`.

    Logits are (B, P, N), boxes (B, P, 4) as x1, y1, x2, y2 in pixels. Only places count whose best score of the teacher
    is above `min_score`; all do where it is 0. It is summed over places and classes and averaged over images, in
    float32 or wider. Range [0, inf); lower is better. No gradient flows into the teacher. Source: Eq. 9-10.

    Raises:
        ValueError: logits or boxes that do not go together.
    """
    places = student_logits.shape[:2]
    if student_logits.shape != teacher_logits.shape or student_logits.dim() != 3:
        raise ValueError(f"logits {tuple(student_logits.shape)} and {tuple(teacher_logits.shape)} do not go together")
    if not student_boxes.shape == teacher_boxes.shape == (*places, 4):
        shapes = f"{tuple(student_boxes.shape)} and {tuple(teacher_boxes.shape)}"
        raise ValueError(f"boxes {shapes} do not go with logits {tuple(student_logits.shape)}")
    # in logits, so that a score of 0 lets even those pass whose sigmoid is rounded to it
    least = math.log(settings.min_score / (1 - settings.min_score)) if settings.min_score else -math.inf
    counts = teacher_logits.detach().amax(2) > least
    scores = focal_distances(student_logits[counts], teacher_logits[counts], settings.alpha, settings.gamma)
    boxes = eiou_distances(student_boxes[counts], teacher_boxes[counts])
    return (scores.sum() + boxes.sum()) / len(student_logits)

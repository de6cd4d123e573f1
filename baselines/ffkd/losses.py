"""FFKD's distillation terms (Eq. 8-18 and 26) between two detectors' outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from rgbt_bench.distillation import binary_kl_with_temperature, feature_mse, kl_with_temperature, smooth_l1

if TYPE_CHECKING:
    from .model import Outputs

ClassForm = Literal["joint27", "per-anchor", "per-anchor-sigmoid"]


def distillation_terms(
    student: Outputs,
    teacher: Outputs,
    *,
    num_classes: int,
    class_form: ClassForm = "joint27",
    temperature: float = 4.0,
    class_weight: float = 0.5,
    box_weight: float = 0.5,
    box_beta: float = 1.0,
) -> dict[str, Tensor]:
    """Return the terms that Eq. 26 weighs against the detection loss, each a scalar >= 0 and better when lower.

    `feature` is the sum over P3-P7 of the MSE between fused maps (Eq. 18), `class_kl` and `box_l1` are Eq. 10 and 12
    over all anchors, `response` is their weighted sum (Eq. 14, L_KD of Eq. 26).
    """
    class_kl = class_distillation(
        student.cls, teacher.cls, num_classes=num_classes, class_form=class_form, temperature=temperature
    )
    box_l1 = smooth_l1(_flatten(student.box, 4), _flatten(teacher.box, 4), beta=box_beta)
    return {
        "feature": feature_mse(student.fused, teacher.fused),
        "class_kl": class_kl,
        "box_l1": box_l1,
        "response": class_weight * class_kl + box_weight * box_l1,
    }


def class_distillation(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    *,
    num_classes: int,
    class_form: ClassForm = "joint27",
    temperature: float = 4.0,
) -> Tensor:
    """Return the class KL at `temperature`, times its square: summed over all levels and places, averaged over images.

    The levels are (B, A*C, H, W). "joint27" takes one soft-max over the A*C logits of a place, anchors and classes
    jointly (official code; 27 with 9 anchors and 3 classes); "per-anchor" one over the C classes of each anchor
    (Eq. 8-11); "per-anchor-sigmoid" a Bernoulli distribution for each class of each anchor.
    """
    if class_form == "joint27":
        joint = student[0].shape[1]
        return kl_with_temperature(_flatten(student, joint), _flatten(teacher, joint), temperature)
    per_anchor = _flatten(student, num_classes), _flatten(teacher, num_classes)
    if class_form == "per-anchor":
        return kl_with_temperature(*per_anchor, temperature)
    return binary_kl_with_temperature(*per_anchor, temperature)


def _flatten(levels: Sequence[Tensor], last: int) -> Tensor:
    """(B, K, H, W) a level -> (B, N, last) over all levels, with the anchors before the classes as in effdet."""
    return torch.cat([level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, last) for level in levels], dim=1)

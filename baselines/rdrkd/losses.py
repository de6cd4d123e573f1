"""RDR-KD's three losses together, with the modules that are trained for them beside the student (Eq. 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from .adapter import Adapter
from .boxes import box_map
from .decoupled import decoupled_loss
from .loss_config import LossSection
from .regenerated import Regeneration, regenerated_loss
from .responsive import responsive_loss


@dataclass(frozen=True)
class Views:
    """What the losses see of a detector: `features` (B, C, H, W) a level, `logits` (B, P, N), `boxes` (B, P, 4).

    Boxes are x1, y1, x2, y2 in pixels of the network's input.
    """

    features: Sequence[Tensor]
    logits: Tensor
    boxes: Tensor


class Distillation(nn.Module):
    """The terms of Eq. 11 that have a weight, and the modules that they need: nothing is made for one that has none.

    Args:
        student_channels: channels of the student's feature map, one a level.
        teacher_channels: those of the teacher's.
        loss: the recipe's section.
    """

    def __init__(self, student_channels: Sequence[int], teacher_channels: Sequence[int], loss: LossSection) -> None:
        super().__init__()
        if len(student_channels) != len(teacher_channels):
            raise ValueError(f"{len(student_channels)} student levels for {len(teacher_channels)} teacher levels")
        self.loss = loss
        self.adapters, self.regenerations = nn.ModuleList(), nn.ModuleList()
        if loss.needs_features:
            self.adapters.extend(map(Adapter, student_channels, teacher_channels))
        if "regenerated" in loss.weights:
            self.regenerations.extend(map(Regeneration, teacher_channels))

    def forward(
        self, student: Views, teacher: Views, boxes: Tensor, images: Tensor, image_size: int
    ) -> dict[str, Tensor]:
        """Return the terms in use by name, each with its weight, as a mean over images.

        `boxes` are the batch's labelled ones, float [M, 4], centre x, centre y, width and height as shares of the
        image, `images` int64 [M] says whose each is, `image_size` is the side of the network's input in pixels.

        Raises:
            ValueError: views that do not go together.
        """
        terms = {}
        if self.loss.needs_features:
            terms = self._feature_terms(student.features, teacher.features, boxes, images, image_size)
        if self.loss.responsive is not None and self.loss.responsive.weight > 0:
            terms["responsive"] = responsive_loss(
                student.logits, teacher.logits, student.boxes, teacher.boxes, self.loss.responsive
            )
        return {name: self.loss.weights[name] * term for name, term in terms.items()}

    def _feature_terms(
        self, students: Sequence[Tensor], teachers: Sequence[Tensor], boxes: Tensor, images: Tensor, image_size: int
    ) -> dict[str, Tensor]:
        adapted = [adapter(one) for adapter, one in zip(self.adapters, students, strict=True)]
        maps = [box_map(boxes, images, len(one), *one.shape[2:]) for one in teachers]
        terms, loss = {}, self.loss
        if loss.regenerated is not None and loss.regenerated.weight > 0:
            terms["regenerated"] = regenerated_loss(
                adapted, teachers, self.regenerations, maps, image_size, loss.regenerated
            )
        if loss.decoupled is not None and loss.decoupled.weight > 0:
            terms["decoupled"] = decoupled_loss(adapted, teachers, maps, image_size, loss.decoupled)
        return terms

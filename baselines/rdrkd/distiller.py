"""A student and its frozen teacher as one network of ultralytics' trainer. It imports the library, so imported late."""

from typing import Any

import torch
from torch import Tensor, nn

from ..yolo.offline import library
from .config import Taps
from .loss_config import LossSection
from .losses import Distillation, Views

DistillationModel: Any = library("nn.distill_model").DistillationModel
make_anchors: Any = library("utils.tal").make_anchors
_LAYERS = {"neck": (2, 15, 18, 21), "backbone": (2, 4, 6, 9)}  # layers of strides 4, 8, 16 and 32


class Rdr(DistillationModel):  # type: ignore[misc]
    """The library's distillation model with RDR-KD's losses.

    The student alone is a detector: what stands between it and the teacher is in `projector`, trained and not shipped.
    The teacher is in evaluation mode always, and no gradient is taken for it.

    Args:
        teacher: a detector with its weights, frozen here.
        student: a detector whose `args` are the trainer's settings.
        loss: the recipe's section; some teacher's term has a weight.
        taps: which layers are compared.
    """

    def __init__(self, teacher: nn.Module, student: nn.Module, loss: LossSection, taps: Taps) -> None:
        layers = _LAYERS[taps]
        for network in (teacher, student):
            network.tapped = layers  # type: ignore[assignment]  # asked for by the library, which knows no self there
        super().__init__(teacher, student)
        channels = {whose: [one.shape[1] for one in self._features(whose)] for whose in ("student", "teacher")}
        self.projector = Distillation(channels["student"], channels["teacher"], loss)
        self.clear()

    @staticmethod
    def get_distill_layers(model: nn.Module) -> list[int]:
        """Return the layers that are compared, and the head."""
        layers: tuple[int, ...] = model.tapped  # type: ignore[assignment]
        return [*layers, len(model.model) - 1]  # type: ignore[arg-type]

    def loss(self, batch: dict[str, Tensor], preds: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the student's loss with the teacher's terms behind it, times the batch size, and each for itself.

        `batch` is the library's: `img` [B, 3, S, S] in 0..1, `bboxes` [M, 4] and `batch_idx` [M].
        """
        images = batch["img"]
        with torch.inference_mode():
            self.teacher_model(images)
        preds = self.student_model(images)
        regular, items = self.student_model.loss(batch, preds)
        terms = self.projector(
            self._views("student"),
            self._views("teacher"),
            batch["bboxes"],
            batch["batch_idx"].long(),
            images.shape[-1],
        )
        self.clear()
        items = {**items, **{name: term.detach() for name, term in terms.items()}}
        return torch.cat([regular, torch.stack(list(terms.values())) * len(images)]), items

    def clear(self) -> None:
        """Let go of what the last images gave."""
        self._teacher_feats.clear()
        self._student_feats.clear()

    def _features(self, whose: str) -> list[Tensor]:
        found = self._student_feats if whose == "student" else self._teacher_feats
        return [found[level] for level in range(len(self.feats_idx) - 1)]

    def _views(self, whose: str) -> Views:
        """Return what the losses see of the student or the teacher; boxes are decoded in float32, half is coarse."""
        found = self._student_feats if whose == "student" else self._teacher_feats
        raw = found[len(self.feats_idx) - 1]
        raw = raw[1] if isinstance(raw, tuple) else raw  # decoded boxes stand before it in evaluation mode
        criterion = self.student_model.criterion
        anchors, strides = make_anchors(raw["feats"], criterion.stride, 0.5)
        boxes = criterion.bbox_decode(anchors.float(), raw["boxes"].float().transpose(1, 2).contiguous())
        return Views(self._features(whose), raw["scores"].transpose(1, 2), boxes * strides.float())

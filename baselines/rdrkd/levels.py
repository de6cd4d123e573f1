"""What the losses between feature maps share: one list of levels each, checked, and squares in full precision."""

from collections.abc import Sequence

from torch import Tensor

from rgbt_bench.distillation import full_precision

from .boxes import BoxMap


@full_precision
def squared_distances(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared distance of the two features in each cell: (B, H, W) of (B, C, H, W), float32 or wider.

    No gradient flows into the teacher.
    """
    return (student - teacher.detach()).square().sum(1)


def check_levels(students: Sequence[Tensor], teachers: Sequence[Tensor], maps: Sequence[BoxMap]) -> None:
    """Refuse levels that do not go together.

    Raises:
        ValueError: no level, other numbers of levels, or maps of other shapes; torch would broadcast some of these.
    """
    if not students or not len(students) == len(teachers) == len(maps):
        raise ValueError(f"{len(students)} student and {len(teachers)} teacher levels for {len(maps)} maps of boxes")
    for student, teacher, boxes in zip(students, teachers, maps, strict=True):
        if student.shape != teacher.shape:
            raise ValueError(f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} differ in shape")
        cells = (student.shape[0], *student.shape[2:])
        if boxes.size != cells:
            raise ValueError(f"a map of boxes on {boxes.size} does not go with cells {cells}")

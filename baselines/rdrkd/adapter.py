"""What brings a student's feature map to the teacher's width; it is trained beside the student and not part of it."""

from torch import Tensor, nn


class Adapter(nn.Module):
    """A 1x1 convolution with bias from the student's to the teacher's channels, and nothing where they are equal.

    Source: MGD (arXiv:2205.01529), which the paper refers to; its code has none between equal widths either.
    """

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.align: nn.Module = nn.Identity()
        if student_channels != teacher_channels:
            self.align = nn.Conv2d(student_channels, teacher_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, teacher channels, H, W) of a student's (B, student channels, H, W)."""
        out: Tensor = self.align(features)
        return out

"""The network of IFCNN-MAX: features of each image, the larger at every place, and an image of three channels again."""

import torch
from torch import Tensor, nn

WIDTH = 64
LUMA = (0.299, 0.587, 0.114)  # BT.601


class Unit(nn.Module):
    """A 3x3 convolution that repeats the border, batch normalisation and ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, padding_mode="replicate", bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same size."""
        return torch.relu(self.norm(self.conv(features)))


class Ifcnn(nn.Module):
    """Fuses luma and thermal, float32 [B, 1, H, W] in 0..1 as they are; each is shown as three equal channels.

    The stem has the shape of ResNet's first convolution, with stride 1. The three channels of the result are clipped
    to 0..1 and reduced to their BT.601 luma.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 7, padding=3, padding_mode="replicate", bias=False)
        self.features = Unit()
        self.refine = Unit()
        self.output = nn.Conv2d(WIDTH, 3, 1)
        self.register_buffer("weights", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    weights: Tensor

    def forward(self, luma: Tensor, thermal: Tensor) -> Tensor:
        """Return the fused image [B, 1, H, W] in 0..1."""
        fused = torch.maximum(self._see(luma), self._see(thermal))
        channels: Tensor = self.output(self.refine(fused)).clamp(0, 1)
        return (channels * self.weights).sum(dim=1, keepdim=True)

    def _see(self, image: Tensor) -> Tensor:
        features: Tensor = self.features(self.stem(image.expand(-1, 3, -1, -1)))
        return features

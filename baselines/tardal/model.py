"""TarDAL's networks: the generator that fuses, the two discriminators, and the generator with a detector behind it."""

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

STRIDE = 8  # of a discriminator


class BatchStatistics(nn.BatchNorm2d):
    """Batch normalisation by the statistics of what it is given, also in evaluation; running ones are only kept."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the images, normalised for each channel."""
        if self.training:
            return super().forward(images)
        return F.batch_norm(images, None, None, self.weight, self.bias, training=True, eps=self.eps)


class Unit(nn.Module):
    """A 3x3 convolution, batch normalisation where it has one, and an activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: nn.Module,
        norm: type[nn.BatchNorm2d] | None = None,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm = nn.Identity() if norm is None else norm(outputs)
        self.activation = activation

    def forward(self, images: Tensor) -> Tensor:
        """Return what the unit makes of [B, C, H, W]."""
        return cast(Tensor, self.activation(self.norm(self.conv(images))))


class Generator(nn.Module):
    """The fusion network: a stem, densely connected units, and four units that merge what all of them found.

    Called as `generator(luma, thermal)`, float32 [B, 1, H, W] in 0..1 of any size; returns float32 [B, 1, H, W] in
    -1..1, of which a picture keeps 0..1. Source: TarDAL Fig. 3, as the official code has it.

    Args:
        width: channels of the stem and of each dense unit.
        depth: number of dense units.
        batch_statistics: whether a picture is normalised by its own statistics, and not by those of the training, as
            the first official code does because it never leaves training mode.
    """

    def __init__(self, width: int = 32, depth: int = 3, batch_statistics: bool = False) -> None:
        super().__init__()
        norm = BatchStatistics if batch_statistics else nn.BatchNorm2d
        self.stem = Unit(2, width, nn.ReLU(), norm)
        self.dense = nn.ModuleList(Unit(width * (place + 1), width, nn.ReLU(), norm) for place in range(depth))
        self.merge = nn.Sequential(
            Unit(width * (depth + 1), width * 4, nn.ReLU()),
            Unit(width * 4, width * 2, nn.ReLU(), norm),
            Unit(width * 2, width, nn.ReLU(), norm),
            Unit(width, 1, nn.Tanh()),
        )

    def forward(self, luma: Tensor, thermal: Tensor) -> Tensor:
        """Return the fused images."""
        found = self.stem(torch.cat([thermal, luma], 1))  # the published weights take the thermal image first
        for unit in self.dense:
            found = torch.cat([found, unit(found)], 1)
        return cast(Tensor, self.merge(found))


class Discriminator(nn.Module):
    """Tells real images float32 [B, 1, H, W] from fused ones, by a number each, [B]; H and W are fixed.

    Args:
        size: height and width, multiples of 8.
        width: channels of its first unit.
        slope: of the leaky ReLU; 0 is the ReLU.
    """

    def __init__(self, size: tuple[int, int], width: int = 32, slope: float = 0.0) -> None:
        super().__init__()
        channels = (1, width, width * 2, width * 4)
        self.units = nn.Sequential(
            *(Unit(inputs, outputs, nn.LeakyReLU(slope), stride=2) for inputs, outputs in pairwise(channels))
        )
        self.head = nn.Linear(channels[-1] * (size[0] // STRIDE) * (size[1] // STRIDE), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return a number for each image."""
        return cast(Tensor, self.head(self.units(images).flatten(1)).squeeze(1))


class FusionWithDetector(nn.Module):
    """A generator and the detector that learns on what it fuses; called as the generator is."""

    def __init__(self, generator: Generator, detector: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.detector = detector

    def forward(self, luma: Tensor, thermal: Tensor) -> Tensor:
        """Return the fused images."""
        return cast(Tensor, self.generator(luma, thermal))

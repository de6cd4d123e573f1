"""The classical fusion rules as networks without parameters: luma and thermal in, the fused image out."""

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

_BINOMIAL: Final = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


class Rule(nn.Module):
    """A rule of each pixel alone."""

    def __init__(self, rule: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, luma: Tensor, thermal: Tensor) -> Tensor:
        """Return the fused image, [B, 1, H, W] as both inputs."""
        return self.rule(luma, thermal)


RULES: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "infrared": lambda luma, thermal: thermal,
    "visible": lambda luma, thermal: luma,
    "average": lambda luma, thermal: (luma + thermal) / 2,
    "max": torch.maximum,
}


class LaplacianPyramid(nn.Module):
    """The stronger coefficient at every pixel and level, the mean of the two at the coarsest.

    Source: Burt and Adelson, The Laplacian pyramid as a compact image code (1983), and Burt and Kolczynski (1993) for
    fusion by selection. `levels` is how often the image is halved.
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, luma: Tensor, thermal: Tensor) -> Tensor:
        """Return the fused image, [B, 1, H, W] as both inputs; it may leave 0..1 by a little."""
        first, second = self.split(luma), self.split(thermal)
        fused = (first[-1] + second[-1]) / 2
        for one, other in zip(first[-2::-1], second[-2::-1], strict=True):
            stronger = torch.where(one.abs() >= other.abs(), one, other)
            fused = stronger + _expand(fused, stronger)
        return fused

    def split(self, image: Tensor) -> list[Tensor]:
        """Return the details of each level, the finest first, and what is left of the image after the last."""
        found = []
        for _ in range(self.levels):
            if min(image.shape[-2:]) < len(_BINOMIAL):
                break
            smaller = _blur(image)[..., ::2, ::2]
            found.append(image - _expand(smaller, image))
            image = smaller
        return [*found, image]


def _expand(small: Tensor, like: Tensor) -> Tensor:
    """Return an image at twice its size, cut to that of another."""
    height, width = like.shape[-2:]
    doubled = small.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., :height, :width]
    return _blur(doubled) if min(height, width) >= len(_BINOMIAL) else doubled


def _blur(image: Tensor) -> Tensor:
    kernel = image.new_tensor(_BINOMIAL)
    image = F.conv2d(F.pad(image, (2, 2, 0, 0), mode="reflect"), kernel.view(1, 1, 1, -1))
    return F.conv2d(F.pad(image, (0, 0, 2, 2), mode="reflect"), kernel.view(1, 1, -1, 1))

"""TarDAL's losses (Eq. 4-10) on fused images; all are computed in float32 at least, also in autocast.

Images are float [B, 1, H, W]: `thermal` is x of the paper, `luma` is y and `fused` is u; a mask is m.
"""

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rgbt_bench.distillation import full_precision

WeightsOn = Literal["losses", "images"]
WINDOW, SIGMA = 11, 1.5
BORDER = WINDOW // 2
EPSILON = 1e-8


@full_precision
def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Return the structural similarity at every place where the window fits, [B, 1, H - 10, W - 10] in -1..1.

    The images are in 0..1 and at least 11 pixels wide and high. The window is a Gaussian of 11x11 pixels with sigma
    1.5, variances are of the population, K1 is 0.01 and K2 is 0.03. Source: Wang et al., IEEE TIP 2004.
    """
    steps = torch.arange(WINDOW, dtype=first.dtype, device=first.device) - BORDER
    line = torch.exp(-(steps**2) / (2 * SIGMA**2))
    line = line / line.sum()

    def mean(images: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(images, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))

    mean1, mean2 = mean(first), mean(second)
    variances = mean(first**2) - mean1**2 + mean(second**2) - mean2**2
    covariance = mean(first * second) - mean1 * mean2
    c1, c2 = 0.01**2, 0.03**2
    return (2 * mean1 * mean2 + c1) * (2 * covariance + c2) / ((mean1**2 + mean2**2 + c1) * (variances + c2))


@full_precision
def ssim_loss(fused: Tensor, thermal: Tensor, luma: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return (1 - SSIM(u, x)) / 2 + (1 - SSIM(u, y)) / 2, averaged over places; range [0, 2], lower is better.

    With `weight` [B, 1, H, W] the first is multiplied by it and the second by 1 minus it, place by place, as in the
    first official code. Source: TarDAL Eq. 4.
    """
    to_thermal, to_luma = (1 - ssim_map(fused, thermal)) / 2, (1 - ssim_map(fused, luma)) / 2
    if weight is None:
        return to_thermal.mean() + to_luma.mean()
    inner = weight[..., BORDER:-BORDER, BORDER:-BORDER]
    return (inner * to_thermal + (1 - inner) * to_luma).mean()


@full_precision
def pixel_loss(fused: Tensor, thermal: Tensor, luma: Tensor, weight: Tensor, weights_on: WeightsOn) -> Tensor:
    """Return the L1 distances to both images, weighed by `weight` [B, 1, H, W] and by 1 minus it, averaged over pixels.

    With "losses" the distances are multiplied, w |u - x| + (1 - w) |u - y| (official code); with "images" the images
    are, |u - w x| + |u - (1 - w) y| (the paper as printed). Range [0, inf); lower is better. Source: TarDAL Eq. 5.
    """
    if weights_on == "losses":
        return (weight * (fused - thermal).abs() + (1 - weight) * (fused - luma).abs()).mean()
    return ((fused - weight * thermal).abs() + (fused - (1 - weight) * luma).abs()).mean()


@full_precision
def gradient(images: Tensor) -> Tensor:
    """Return the length of the Sobel gradient, [B, 1, H, W] from 1e-4 on; the border is repeated beyond the image.

    Kernels are divided by 8, so that a step of 1 has a gradient of 1/2. Its derivative is finite everywhere.
    """
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=images.device) / 8
    kernels = torch.stack([across, across.T])[:, None].to(images.dtype)
    slopes = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernels)
    return (slopes.square().sum(1, keepdim=True) + EPSILON).sqrt()


def targets_of(images: Tensor, mask: Tensor) -> Tensor:
    """Return what the target discriminator judges, R(x) = x * m."""
    return images * mask


def details_of(images: Tensor, mask: Tensor) -> Tensor:
    """Return what the detail discriminator judges, the gradient outside the targets, grad(y) * (1 - m)."""
    return gradient(images) * (1 - mask)


def adversarial_loss(discriminator: nn.Module, fake: Tensor) -> Tensor:
    """Return -E[D(fake)], what the generator makes small; the real part of Eq. 6 and 7 is a constant to it."""
    judged: Tensor = discriminator(fake)
    return -judged.float().mean()


def discriminator_loss(
    discriminator: nn.Module, real: Tensor, fake: Tensor, penalty: float, power: float, mix: Tensor
) -> Tensor:
    """Return the Wasserstein divergence that a discriminator makes small: E[D(fake)] - E[D(real)] + k E[|grad D|^p].

    The gradient is taken at `mix * real + (1 - mix) * fake`, with `mix` [B, 1, 1, 1] in 0..1, and |.| is the Euclidean
    length over an image. Nothing is learnt of `real` and `fake`; `penalty` is k, and `power`, 2 or
    more, is p. Source: Wu et al., ECCV 2018; TarDAL Eq. 9 and 10.
    """
    between = (mix * real + (1 - mix) * fake).requires_grad_(True)
    (slopes,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    divergence = (slopes.square().flatten(1).sum(1) ** (power / 2)).mean()
    loss: Tensor = discriminator(fake).mean() - discriminator(real).mean() + penalty * divergence
    return loss

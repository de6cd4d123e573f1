"""The default fusion metrics of many pairs of one size at once, on the device of their tensors; needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import log, nan, pi
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from rgbt_bench.metrics.fusion import correlation, gradients, structure
from rgbt_bench.metrics.fusion._batch_features import feature_mutual_information
from rgbt_bench.metrics.fusion.figures import require_known
from rgbt_bench.metrics.fusion.triple import LEVELS, Counts
from rgbt_bench.metrics.fusion_catalogue import METRICS


def fusion_figures_batch(luma: Tensor, thermal: Tensor, fused: Tensor, names: Sequence[str] | None = None) -> Tensor:
    """Return the default fusion metrics of a batch of pairs, float64[B, metrics], on the device of the tensors.

    The images are uint8[B, H, W]; the columns are those of `names`, or of METRICS. The figures are those of
    `fusion_figures` to 1e-6 of their size, NaN where those are NaN; all is reckoned in whole numbers and float64.

    Raises:
        UsageError: a name that is none of METRICS.
        ValueError: another dtype, no three dimensions, no pixel, or two sizes or devices.
    """
    names = tuple(METRICS) if names is None else names
    require_known(names)
    batch = Batch(luma, thermal, fused)
    columns = [_FUNCTIONS[name](batch) for name in names]
    return torch.stack(columns, dim=1) if columns else batch.images.new_empty((len(luma), 0), dtype=torch.float64)


class Batch:
    """A batch of pairs and fused images, uint8[B, H, W] each, with what several metrics need, each counted once."""

    def __init__(self, luma: Tensor, thermal: Tensor, fused: Tensor) -> None:
        for name, images in (("luma", luma), ("thermal", thermal), ("fused", fused)):
            if images.dtype != torch.uint8 or images.ndim != 3 or not images.numel():
                raise ValueError(f"{name}: uint8[B, H, W] expected, not {images.dtype}{tuple(images.shape)}")
            if images.shape != luma.shape or images.device != luma.device:
                own, first = (f"{tuple(one.shape)} on {one.device}" for one in (images, luma))
                raise ValueError(f"luma is {first} and {name} {own}: one size and device expected")
        self.images = torch.stack([luma, thermal, fused])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.images.shape[-2:]
        return height, width

    @property
    def least_side(self) -> int:
        """The lesser of height and width."""
        return min(self.shape)

    def undefined(self) -> Tensor:
        """Return a column of NaN, float64[B]."""
        return torch.full((self.images.shape[1],), nan, dtype=torch.float64, device=self.images.device)

    @cached_property
    def joint_shares(self) -> Tensor:
        """The share of the pixels at which a level of each source meets one of fused: float64[2, B, 256, 256]."""
        levels = self.images.flatten(2).long()
        which = torch.arange(2 * levels.shape[1], device=levels.device).view(2, -1, 1)
        cells = (which * LEVELS + levels[:2]) * LEVELS + levels[2]
        counts = torch.bincount(cells.flatten(), minlength=which.numel() * LEVELS * LEVELS)
        return counts.view(2, -1, LEVELS, LEVELS).double() / levels.shape[-1]

    @cached_property
    def shares(self) -> Tensor:
        """The share of the pixels of each level in luma, thermal and fused: float64[3, B, 256]."""
        return torch.cat([self.joint_shares.sum(dim=3), self.joint_shares[:1].sum(dim=2)])

    @cached_property
    def products(self) -> Counts:
        """The sums of the products of two of (1, luma, thermal, fused), int64[B, 4, 4]."""
        levels = self.images.flatten(2).long()
        four = torch.cat([torch.ones_like(levels[:1]), levels])
        sums = [(one * other).sum(dim=-1) for one in four for other in four]
        products: Counts = torch.stack(sums, dim=1).view(-1, 4, 4).cpu().numpy()
        return products

    @cached_property
    def levels(self) -> Tensor:
        """The commonest level of each image, float64[3, B, 1, 1]."""
        return self.shares.argmax(dim=2).double()[..., None, None]

    @cached_property
    def centred(self) -> Tensor:
        """The images less their commonest level, float64[3, B, H, W]."""
        return self.images - self.levels

    @cached_property
    def sobel(self) -> tuple[Tensor, Tensor]:
        """Strength and angle of Sobel's gradients, float64[3, B, H - 2, W - 2], pi / 2 where a row has none."""
        images = self.images.short()
        smooth = images[..., :-2, :] + 2 * images[..., 1:-1, :] + images[..., 2:, :]
        along = (smooth[..., :-2] - smooth[..., 2:]).double()
        smooth = images[..., :-2] + 2 * images[..., 1:-1] + images[..., 2:]
        across = (smooth[..., 2:, :] - smooth[..., :-2, :]).double()
        angle = torch.where(along == 0, pi / 2, torch.atan(across / along))
        return torch.sqrt(along * along + across * across), angle


def _entropies(shares: Tensor) -> Tensor:
    """Return the entropy of the shares in the last dimension, in bits."""
    return -torch.xlogy(shares, shares).sum(dim=-1) / log(2)


def _entropy(batch: Batch) -> Tensor:
    return _entropies(batch.shares[2])


def _mutual_information(batch: Batch) -> Tensor:
    own, joint = _entropies(batch.shares), _entropies(batch.joint_shares.flatten(2))
    return (own[:2] + own[2] - joint).clamp(min=0).sum(dim=0)


def _cross_entropy(batch: Batch) -> Tensor:
    sources, fused = batch.shares[:2], batch.shares[2]
    both = (sources > 0) & (fused > 0)
    terms = sources * torch.log2(torch.where(both, sources / fused, 1.0))
    return terms.sum(dim=-1).mean(dim=0)


def _of_products(function: Callable[[Counts], float]) -> Callable[[Batch], Tensor]:
    """Return the batch form of a figure of whole sums, which are few: it is reckoned on the CPU."""

    def figures(batch: Batch) -> Tensor:
        values = [function(products) for products in batch.products]
        return torch.tensor(values, dtype=torch.float64, device=batch.images.device)

    return figures


def _average_gradient(batch: Batch) -> Tensor:
    if batch.least_side < 2:
        return batch.undefined()
    fused = batch.images[2].short()
    right, down = fused[:, :-1, 1:] - fused[:, :-1, :-1], fused[:, 1:, :-1] - fused[:, :-1, :-1]
    return torch.sqrt((right.double() ** 2 + down.double() ** 2) / 2).mean(dim=(1, 2))


def _spatial_frequency(batch: Batch) -> Tensor:
    fused = batch.images[2].long()
    rows, columns = ((fused.diff(dim=dim) ** 2).sum(dim=(1, 2)) for dim in (1, 2))
    return torch.sqrt((rows + columns).double() / fused[0].numel())


def _logistic(value: Tensor, curve: tuple[float, float, float]) -> Tensor:
    height, slope, middle = curve
    return height * torch.sigmoid(slope * (value - middle))


def _strength_ratios(strength: Tensor) -> Tensor:
    """Return the lesser over the greater of each source's strength and fused's, 0 where a source has none."""
    sources, fused = strength[:2], strength[2]
    return torch.where(sources > 0, torch.minimum(sources, fused) / torch.maximum(sources, fused), 0.0)


def _edge_preservation(batch: Batch) -> Tensor:
    if batch.least_side < gradients.SOBEL_SIZE:
        return batch.undefined()
    strength, angle = batch.sobel
    agreement = 1 - (angle[:2] - angle[2]).abs() / (pi / 2)
    kept = _logistic(_strength_ratios(strength), gradients.QABF_STRENGTH)
    kept *= _logistic(agreement, gradients.QABF_ANGLE)
    return (kept * strength[:2]).sum(dim=(0, 2, 3)) / strength[:2].sum(dim=(0, 2, 3))


def _artefacts(batch: Batch) -> Tensor:
    if batch.least_side < gradients.SOBEL_SIZE:
        return batch.undefined()
    strength, angle = batch.sobel
    agreement = ((angle[:2] - angle[2]).abs() - pi / 2).abs() / (pi / 2)
    kept = _logistic(_strength_ratios(strength), gradients.NABF_STRENGTH)
    kept = torch.sqrt(kept * _logistic(agreement, gradients.NABF_ANGLE))
    eighth = strength[:2] / 8
    weight = torch.where(eighth >= gradients.NABF_THRESHOLD, eighth * eighth.sqrt(), gradients.NABF_LEAST_WEIGHT)
    artefact = (strength[2] > strength[:2]).all(dim=0)
    return ((1 - kept) * weight * artefact).sum(dim=(0, 2, 3)) / weight.sum(dim=(0, 2, 3))


def _filtered(images: Tensor, size: int, sigma: float, step: int = 1) -> Tensor:
    """Return the Gaussian means over every step-th window that lies in the image, float64[..., h, w]."""
    for dim in (-2, -1):
        length = images.shape[dim] - size + 1
        total = torch.zeros_like(images.narrow(dim, 0, length))
        for place, weight in enumerate(structure.gaussian(size, sigma).tolist()):
            total.add_(images.narrow(dim, place, length), alpha=weight)
        images = total[..., ::step, :] if dim == -2 else total[..., ::step]
    return images


def _moments(images: Tensor, size: int, sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return windowed means and variances, float64[3, B, h, w], and covariances with fused, float64[2, B, h, w]."""
    means = _filtered(images, size, sigma)
    variances = _filtered(images * images, size, sigma) - means * means
    covariances = _filtered(images[:2] * images[2], size, sigma) - means[:2] * means[2]
    return means, variances, covariances


def _ssim_means(images: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean SSIM and its mean factor for contrast and structure, float64[2, B], of images less their levels."""
    means, variances, covariances = _moments(images, structure.SSIM_SIZE, structure.SSIM_SIGMA)
    spread = variances[:2] + variances[2] + structure.LEAST_VARIANCE
    factor = (2 * covariances + structure.LEAST_VARIANCE) / spread
    means = means + levels
    squares = means[:2] ** 2 + means[2] ** 2 + structure.LEAST_MEAN
    both = factor * (2 * means[:2] * means[2] + structure.LEAST_MEAN) / squares
    return both.mean(dim=(2, 3)), factor.mean(dim=(2, 3))


def _ssim(batch: Batch) -> Tensor:
    if batch.least_side < structure.SSIM_SIZE:
        return batch.undefined()
    return _ssim_means(batch.centred, batch.levels)[0].mean(dim=0)


def _ms_ssim(batch: Batch) -> Tensor:
    if batch.least_side < structure.MS_SSIM_LEAST_SIDE:
        return batch.undefined()
    images = batch.centred
    figures = torch.ones_like(images[:2, :, 0, 0])
    last = len(structure.MS_SSIM_WEIGHTS) - 1
    for scale, weight in enumerate(structure.MS_SSIM_WEIGHTS):
        both, factor = _ssim_means(images, batch.levels)
        figures *= (both if scale == last else factor).clamp(min=0) ** weight
        images = functional.avg_pool2d(images, 2)
    return figures.mean(dim=0)


def _vif(batch: Batch) -> Tensor:
    if batch.least_side < structure.VIF_LEAST_SIDE:
        return batch.undefined()
    images, least, noise = batch.centred, structure.VIF_LEAST, structure.VIF_NOISE
    kept = had = torch.zeros_like(images[:2, :, 0, 0])
    for scale, size in enumerate(structure.VIF_SIZES):
        if scale:
            images = _filtered(images, size, size / 5, step=2)
        _, variances, covariances = _moments(images, size, size / 5)
        sources, fused = variances[:2], variances[2]
        sources = torch.where(sources >= least, sources, 0.0)
        gain = covariances / (sources + least)
        gain = torch.where((sources > 0) & (fused >= least) & (gain > 0), gain, 0.0)
        rest = (fused - gain * covariances).clamp(min=least)
        kept = kept + torch.log1p(gain * gain * sources / (rest + noise)).sum(dim=(2, 3))
        had = had + torch.log1p(sources / noise).sum(dim=(2, 3))
    return (kept / had).sum(dim=0)


_FUNCTIONS: Final[Mapping[str, Callable[[Batch], Tensor]]] = {
    "EN": _entropy,
    "MI": _mutual_information,
    "SD": _of_products(correlation.standard_deviation),
    "VIF": _vif,
    "Qabf": _edge_preservation,
    "SSIM": _ssim,
    "SCD": _of_products(correlation.sum_of_correlations_of_differences),
    "CC": _of_products(correlation.correlation),
    "AG": _average_gradient,
    "SF": _spatial_frequency,
    "PSNR": _of_products(correlation.peak_signal_to_noise_ratio),
    "Nabf": _artefacts,
    "CE": _cross_entropy,
    "MS-SSIM": _ms_ssim,
    "FMI": lambda batch: feature_mutual_information(batch.images),
}

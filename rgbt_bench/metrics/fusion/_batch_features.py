"""FMI of a batch, on the device of its tensors: all windows of an image at once; needs torch."""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor

from rgbt_bench.metrics.fusion.features import FMI_SIZE

_PIXELS = FMI_SIZE**2


def feature_mutual_information(images: Tensor) -> Tensor:
    """Return FMI of luma, thermal and fused, uint8[3, B, H, W]: float64[B]; NaN where a side is below 3."""
    if min(images.shape[-2:]) < FMI_SIZE:
        return torch.full((images.shape[1],), nan, dtype=torch.float64, device=images.device)
    figures = [_mean_information(*_windows(images[:, i])) for i in range(images.shape[1])]
    return torch.stack(figures)


def _windows(images: Tensor) -> Tensor:
    """Return the pixels of all windows, column by column: int64[3, 9, windows] of uint8[3, H, W]."""
    windows = images.long().unfold(1, FMI_SIZE, 1).unfold(2, FMI_SIZE, 1)
    return windows.permute(0, 4, 3, 1, 2).reshape(3, _PIXELS, -1)


def _mean_information(luma: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    return (_information(luma, fused) + _information(thermal, fused)).mean() / 2


def _information(source: Tensor, fused: Tensor) -> Tensor:
    """Return the normalised mutual information of windows, int64[9, windows]: float64[windows]."""
    equal = (source == fused).all(dim=0)
    first, second = (window - window.amin(dim=0) for window in (source, fused))
    first, second = (torch.where(window.any(dim=0), window, 1) for window in (first, second))
    correlation, defined = _correlation(first, second)
    low, high = _bounds(first, second.sum(dim=0))
    other_low, other_high = _bounds(second, first.sum(dim=0))
    total = high[-1].double()
    lower = correlation < 0
    other_low, other_high = (
        torch.where(lower, high[-1] - other_high, other_low),
        torch.where(lower, high[-1] - other_low, other_high),
    )
    mixed = correlation / _bound_correlation(first, second, (low, high, other_low, other_high))
    p, q = (window.double() / window.sum(dim=0) for window in (first, second))
    entropies = _terms(p).sum(dim=0) + _terms(q).sum(dim=0)
    joint = torch.zeros_like(entropies)
    for i in range(_PIXELS):
        share = _overlap(low[i], high[i], other_low, other_high) / total
        joint += _terms(mixed * share + (1 - mixed) * (p[i] * q)).sum(dim=0)
    figure = torch.where(defined, 2 * (entropies - joint) / entropies, 0.0)
    return torch.where(equal, 1.0, figure)


def _bounds(window: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the share of each pixel begins and ends when they lie end to end, in whole numbers."""
    high = window.cumsum(dim=0) * scale
    return high - window * scale, high


def _overlap(low: Tensor, high: Tensor, other_low: Tensor, other_high: Tensor) -> Tensor:
    return (torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp(min=0)


def _correlation(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return Pearson's correlation of the pixels, and where it is not 0 and both distributions have a spread."""
    totals = first.sum(dim=0), second.sum(dim=0)
    covariance = _PIXELS * (first * second).sum(dim=0) - totals[0] * totals[1]
    variances = [_PIXELS * (window**2).sum(dim=0) - window.sum(dim=0) ** 2 for window in (first, second)]
    spread = (first.amax(dim=0) < totals[0]) & (second.amax(dim=0) < totals[1])
    return covariance / (variances[0].double().sqrt() * variances[1].double().sqrt()), spread & (covariance != 0)


def _bound_correlation(first: Tensor, second: Tensor, bounds: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Return the correlation of the places of the two pixels under Frechet's bound."""
    low, high, other_low, other_high = bounds
    places = torch.arange(_PIXELS, device=first.device)[:, None]
    products = torch.zeros_like(low[0])
    for i in range(_PIXELS):
        products += i * (places * _overlap(low[i], high[i], other_low, other_high)).sum(dim=0)
    spreads, means = [], []
    for window in (first, second):
        total, mean = window.sum(dim=0).double(), (places * window).sum(dim=0)
        spreads.append((total * (places**2 * window).sum(dim=0) - mean * mean).sqrt() / total)
        means.append(mean / total)
    return (products.double() / high[-1] - means[0] * means[1]) / (spreads[0] * spreads[1])


def _terms(shares: Tensor) -> Tensor:
    """Return -p log2 |p|, 0 at 0."""
    return -shares * torch.where(shares != 0, shares.abs(), 1.0).log2()

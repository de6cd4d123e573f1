"""The batch form of the fusion metrics against that of one pair, on the CPU and on a GPU where there is one."""

import numpy as np
import pytest
import torch

from rgbt_bench.errors import UsageError
from rgbt_bench.metrics.fusion import METRICS, fusion_figures
from rgbt_bench.metrics.fusion.batch import fusion_figures_batch

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=CUDA)])
def device(request):
    return request.param


def shades(seed, shape):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = 120 + 60 * np.sin(x / rng.uniform(5, 40)) + 50 * np.cos(y / rng.uniform(5, 40)) + rng.normal(0, 8, shape)
    return image.clip(0, 255).astype(np.uint8)


def triples(shape):
    """Ordinary, equal, constant, one-pixel and saturated images."""
    rng = np.random.default_rng(0)
    luma, thermal = shades(1, shape), shades(2, shape)
    flat = np.full(shape, 90, dtype=np.uint8)
    spot = flat.copy()
    spot[shape[0] // 2, shape[1] // 2] = 91
    noise = rng.integers(0, 256, shape, dtype=np.uint8)
    saturated = np.where(noise < 128, 0, 255).astype(np.uint8)
    fused = ((luma.astype(int) + thermal) // 2).astype(np.uint8)
    return [
        (luma, thermal, fused),
        (luma, luma, luma),
        (flat, thermal, fused),
        (luma, thermal, flat),
        (flat, flat + 1, flat + 2),
        (spot, noise, saturated),
        (luma, 255 - luma, noise),
    ]


def stacked(triples, device):
    return [torch.from_numpy(np.stack(images)).to(device) for images in zip(*triples, strict=True)]


@pytest.mark.parametrize("shape", [(180, 177), (43, 50), (12, 40), (3, 3), (2, 7), (1, 1)])
def test_a_batch_has_the_figures_of_its_pairs(shape, device):
    cases = triples(shape)
    figures = fusion_figures_batch(*stacked(cases, device))
    assert figures.dtype == torch.float64
    assert figures.device.type == device
    assert figures.shape == (len(cases), len(METRICS))
    for row, images in zip(figures.cpu().numpy(), cases, strict=True):
        expected = fusion_figures(*images)
        found = dict(zip(METRICS, row.tolist(), strict=True))
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)


def test_a_batch_has_the_same_bits_twice_and_a_pair_the_same_figures_alone(device):
    cases = triples((60, 64))
    together = fusion_figures_batch(*stacked(cases, device)).cpu().numpy()
    assert np.array_equal(together, fusion_figures_batch(*stacked(cases, device)).cpu().numpy(), equal_nan=True)
    alone = fusion_figures_batch(*stacked(cases[:1], device)).cpu().numpy()
    assert together[:1] == pytest.approx(alone, rel=1e-12, nan_ok=True)


def test_columns_are_those_asked_for():
    batch = stacked(triples((20, 30)), "cpu")
    every = fusion_figures_batch(*batch)
    chosen = fusion_figures_batch(*batch, ["SF", "EN"])
    assert torch.equal(chosen[:, 0], every[:, list(METRICS).index("SF")])
    assert torch.equal(chosen[:, 1], every[:, 0])
    assert fusion_figures_batch(*batch, []).shape == (len(batch[0]), 0)


def test_a_mistyped_metric_is_named():
    with pytest.raises(UsageError, match="'VIFF'"):
        fusion_figures_batch(*stacked(triples((3, 3)), "cpu"), ["VIFF"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image.float(), "fused: uint8"),
        (lambda image: image[0], "fused: uint8"),
        (lambda image: image[:, :0], "fused: uint8"),
        (lambda image: image[:, 1:], "one size"),
        (lambda image: image[1:], "one size"),
    ],
)
def test_another_dtype_or_size_is_refused(change, words):
    luma, thermal, fused = stacked(triples((5, 6)), "cpu")
    with pytest.raises(ValueError, match=words):
        fusion_figures_batch(luma, thermal, change(fused))

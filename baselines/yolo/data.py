"""The detector's images and batches: fused luma with the RGB image's colour, augmentation and letterbox."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rgbt_bench.datasets.store import Part
from rgbt_bench.datasets.torch_views import Pair, SampleView, decode_pair
from rgbt_bench.datasets.transforms import flip, letterbox, uniform
from rgbt_bench.fused_images import FusedImage
from rgbt_bench.metrics.fusion import luma_of
from rgbt_bench.schema import DatasetInfo, Sample
from rgbt_bench.training.batches import SeededBatches

from .config import AugmentSection, Colour, ModelSection
from .detector import Targets

PADDING = 114 / 255  # the library's


@dataclass(frozen=True)
class Batch:
    """A batch: images float32 [B, 3, S, S] in 0..1, their boxes, and which samples [B] they are of.

    `scale` [B] is what one input pixel measures in pixels of the sample.
    """

    images: Tensor
    targets: Targets
    index: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        images, index, scale = (one.to(device, non_blocking=True) for one in (self.images, self.index, self.scale))
        return Batch(images, self.targets.to(device), index, scale)


def coloured(luma: NDArray[np.uint8], rgb: NDArray[np.uint8], colour: Colour) -> NDArray[np.uint8]:
    """Return what the detector sees, uint8[H, W, 3]: the fused luma [H, W] with the colour of `rgb` [H, W, 3], or grey.

    To keep Cb and Cr and change Y is to add the change to R, G and B alike, which rounds nothing; the sum is clipped.
    """
    if colour == "grey":
        return np.repeat(luma[..., None], 3, axis=2)
    change = luma.astype(np.int16) - luma_of(rgb)
    return (rgb + change[..., None]).clip(0, 255).astype(np.uint8)


def fused_pair(sample: Sample, index: int, luma: NDArray[np.uint8], info: DatasetInfo, colour: Colour) -> Pair:
    """Return a sample with its boxes, whose one image is the detector's input at the sample's own size."""
    pair = decode_pair(replace(sample, thermal=None), index, info)
    rgb = (pair.rgb * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    image = torch.from_numpy(coloured(luma, rgb, colour).copy())
    return pair.with_images(image.permute(2, 0, 1).to(torch.float32) / 255, None)


def evaluation_transform(pair: Pair, generator: torch.Generator | None, size: int) -> Pair:
    """Fit a pair into the network's square, padded at the right and bottom."""
    return letterbox(pair, (size, size), (PADDING,) * 3, PADDING)


def training_transform(pair: Pair, generator: torch.Generator, size: int, augment: AugmentSection) -> Pair:
    """Flip, zoom and fit to the network's square; what is then too large is cropped at random."""
    if uniform(generator, 0, 1) < augment.flip:
        pair = flip(pair)
    zoom = uniform(generator, *augment.zoom)
    shift = (uniform(generator, 0, 1), uniform(generator, 0, 1))
    return letterbox(pair, (size, size), (PADDING,) * 3, PADDING, zoom, shift)


def collate(pairs: list[Pair]) -> Batch:
    """Stack pairs of one square size into a batch."""
    size = pairs[0].rgb.shape[-1]
    corners = torch.cat([pair.boxes for pair in pairs]) / size
    boxes = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], dim=1)
    counts = torch.tensor([len(pair.boxes) for pair in pairs])
    targets = Targets(
        boxes, torch.cat([pair.classes for pair in pairs]), torch.arange(len(pairs)).repeat_interleave(counts)
    )
    index = torch.tensor([pair.index for pair in pairs])
    scale = torch.tensor([pair.scale for pair in pairs], dtype=torch.float32)
    return Batch(torch.stack([pair.rgb for pair in pairs]), targets, index, scale)


def _read(sample: Sample, index: int, fused: Sequence[FusedImage], info: DatasetInfo, colour: Colour) -> Pair:
    return fused_pair(sample, index, fused[index].luma, info, colour)


class Batches(SeededBatches[Batch]):
    """The seeded training batches of a part whose fused images are on disk, and its batches in order."""

    def __init__(
        self,
        part: Part,
        fused: Sequence[FusedImage],
        model: ModelSection,
        batch_size: int,
        workers: int = 0,
        augment: AugmentSection | None = None,
        seed: int = 0,
    ) -> None:
        transform = (
            partial(evaluation_transform, size=model.image_size)
            if augment is None
            else partial(training_transform, size=model.image_size, augment=augment)
        )
        decode = partial(_read, fused=fused, info=part.dataset.info, colour=model.colour)
        super().__init__(SampleView(part, decode, transform, seed), collate, batch_size, workers)

"""The batches of a training: patches of luma, thermal, weights and mask, with boxes and chroma for a detector."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from rgbt_bench.datasets.store import Part
from rgbt_bench.datasets.torch_views import SampleView, clip_boxes
from rgbt_bench.datasets.transforms import uniform
from rgbt_bench.fused_images import source_images
from rgbt_bench.schema import DatasetInfo, Sample
from rgbt_bench.training.batches import SeededBatches

from .config import AugmentSection
from .masks import Masks
from .saliency import saliency_weight

if TYPE_CHECKING:
    from ..yolo.detector import Targets

LUMA, THERMAL, WEIGHT, MASK = range(4)
LAYERS = 4


@dataclass(frozen=True)
class Item:
    """A pair, whole or a patch: `layers` float32 [4 or 6, H, W] in 0..1, `boxes` xyxy in pixels, `classes` int64.

    The layers are luma, thermal, the thermal image's saliency weight and the target mask, all of the whole pair, and
    Cb and Cr where there is a detector.
    """

    layers: Tensor
    boxes: Tensor
    classes: Tensor


@dataclass(frozen=True)
class Batch:
    """Patches: float32 [B, 1, S, S] in 0..1 each; `chroma` [B, 2, S, S] and `targets` where there is a detector."""

    luma: Tensor
    thermal: Tensor
    weight: Tensor
    mask: Tensor
    chroma: Tensor | None = None
    targets: "Targets | None" = None

    def __len__(self) -> int:
        return len(self.luma)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return Batch(
            move(self.luma),
            move(self.thermal),
            move(self.weight),
            move(self.mask),
            None if self.chroma is None else move(self.chroma),
            None if self.targets is None else self.targets.to(device),
        )


def decode_item(sample: Sample, index: int, info: DatasetInfo, masks: Masks, with_detection: bool) -> Item:
    """Return a sample with what is derived of its whole images; ignored and crowd boxes are left out.

    Raises:
        BadInputError: it has no thermal image, or no mask in the folder of masks.
    """
    sources = source_images(sample, info)
    luma, thermal = sources.luma, sources.thermal
    weight, mask = saliency_weight(thermal, luma), masks.of(sample, thermal)
    layers = [_scaled(luma), _scaled(thermal), weight, mask, *(_chroma(sources.rgb) if with_detection else ())]
    boxes: list[tuple[float, float, float, float]] = []
    classes: list[int] = []
    if with_detection:
        for box in sample.objects:
            if not (box.ignore or box.iscrowd):
                x, y, width, height = box.bbox
                boxes.append((x, y, x + width, y + height))
                classes.append(box.category)
    found = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Item(
        torch.from_numpy(np.stack(layers)),
        clip_boxes(found, sample.height, sample.width),
        torch.tensor(classes, dtype=torch.int64),
    )


def recoloured(luma: Tensor, chroma: Tensor) -> Tensor:
    """Return RGB [B, 3, H, W] of luma [B, 1, H, W] and Cb and Cr [B, 2, H, W], all in 0..1 (JPEG's BT.601).

    Nothing is clipped, so that a luma outside of 0..1 has a gradient, too.
    """
    blue, red = chroma[:, :1] - 128 / 255, chroma[:, 1:] - 128 / 255
    return torch.cat([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], 1)


def covering(item: Item, side: int) -> Item:
    """Return the item, enlarged where it is smaller than a patch; its shorter side then is the patch's."""
    height, width = item.layers.shape[-2:]
    if min(height, width) >= side:
        return item
    scale = side / min(height, width)
    size = (max(side, round(height * scale)), max(side, round(width * scale)))
    layers = F.interpolate(item.layers[None], size, mode="bilinear", align_corners=False)[0]
    # a mask has edges
    layers[MASK] = F.interpolate(item.layers[None, MASK : MASK + 1], size, mode="nearest-exact")[0, 0]
    factors = torch.tensor([size[1] / width, size[0] / height] * 2)
    return replace(item, layers=layers, boxes=item.boxes * factors)


def cut(item: Item, top: int, left: int, side: int, least_visible: float) -> Item:
    """Return a patch and the boxes in it, clipped; those that keep less than a share of their area are dropped."""
    boxes = clip_boxes(item.boxes - torch.tensor([left, top, left, top], dtype=torch.float32), side, side)
    area = _area(boxes)
    kept = (area > 0) & (area >= least_visible * _area(item.boxes))
    return Item(item.layers[:, top : top + side, left : left + side], boxes[kept], item.classes[kept])


def mirror(item: Item) -> Item:
    """Mirror an item left to right."""
    x1, y1, x2, y2 = item.boxes.unbind(1)
    width = item.layers.shape[-1]
    return replace(item, layers=item.layers.flip(-1), boxes=torch.stack([width - x2, y1, width - x1, y2], 1))


def prepare(item: Item, generator: torch.Generator, augment: AugmentSection, is_random: bool) -> Item:
    """Return a patch at a random place, mirrored or not, or the one in the middle as it is."""
    if (side := augment.crop) is None:
        raise ValueError("a patch needs augment.crop")
    item = covering(item, side)
    spare = [extent - side for extent in item.layers.shape[-2:]]
    shares = [uniform(generator, 0, 1) if is_random else 0.5 for _ in spare]
    top, left = (int(share * (room + 1)) if is_random else room // 2 for share, room in zip(shares, spare, strict=True))
    patch = cut(item, top, left, side, augment.least_visible)
    return mirror(patch) if is_random and uniform(generator, 0, 1) < augment.flip else patch


def collate(items: Sequence[Item]) -> Batch:
    """Stack patches of one size into a batch."""
    layers = torch.stack([item.layers for item in items])
    luma, thermal, weight, mask = (layers[:, place : place + 1] for place in range(LAYERS))
    if layers.shape[1] == LAYERS:
        return Batch(luma, thermal, weight, mask)
    from ..yolo.detector import Targets

    boxes = torch.cat([item.boxes for item in items]) / layers.shape[-1]
    targets = Targets(
        boxes=torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1),
        classes=torch.cat([item.classes for item in items]),
        index=torch.cat([torch.full_like(item.classes, place) for place, item in enumerate(items)]),
    )
    return Batch(luma, thermal, weight, mask, layers[:, LAYERS:], targets)


class PatchView(SampleView[Item, Item]):
    """A part as patches, `crops` of each pair."""

    crops = 1

    def __len__(self) -> int:
        return len(self.part) * self.crops

    def __getitem__(self, item: int) -> Item:
        return self.transform(self.decoded(item % len(self.part)), self.generator(item))


class Batches(SeededBatches[Batch]):
    """The seeded training batches of a part's patches; for validation, in order, the patch in each pair's middle."""

    def __init__(
        self,
        part: Part,
        augment: AugmentSection,
        batch_size: int,
        workers: int = 0,
        seed: int = 0,
        masks: Masks | None = None,
        with_detection: bool = False,
        is_random: bool = True,
    ) -> None:
        decode = partial(decode_item, info=part.dataset.info, masks=masks or Masks(), with_detection=with_detection)
        view = PatchView(part, decode, partial(prepare, augment=augment, is_random=is_random), seed)
        view.crops = augment.crops if is_random else 1
        super().__init__(view, collate, batch_size, workers)


def _chroma(rgb: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    found = np.asarray(Pillow.fromarray(rgb).convert("YCbCr"))
    return (_scaled(found[..., channel]) for channel in (1, 2))


def _scaled(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return image.astype(np.float32) / np.float32(255)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

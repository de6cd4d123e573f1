"""RGB images as ultralytics' detectors see them: decoded and resized alike in training and in prediction.

It imports the library, so it is imported late.
"""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from rgbt_bench.datasets.store import Part
from rgbt_bench.schema import Box, Image, Labels

from .offline import library

cv2: Any = library("data.base").cv2
Albumentations: Any = library("data.augment").Albumentations
YOLODataset: Any = library("data.dataset").YOLODataset
PADDING = 114  # the library's grey
_KEPT_BYTES = 256 * 1024 * 1024


def decode(image: Image) -> NDArray[np.uint8]:
    """Return an image as uint8[H, W, 3], blue first, as the library's augmentation has it."""
    with Pillow.open(io.BytesIO(image.data)) as opened:
        return np.ascontiguousarray(np.asarray(opened.convert("RGB"))[..., ::-1])


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return an image uint8[H, W, 3] whose longer side is `size` pixels, bilinear, as the library resizes."""
    height, width = image.shape[:2]
    ratio = size / max(height, width)
    if ratio == 1:
        return image
    fitted = (min(math.ceil(width * ratio), size), min(math.ceil(height * ratio), size))
    smaller: NDArray[np.uint8] = cv2.resize(image, fitted, interpolation=cv2.INTER_LINEAR)
    return smaller


@dataclass(frozen=True)
class Shown:
    """Samples as the detector sees them: images float32 [B, 3, S, S] in 0..1, padded at the right and bottom.

    `index` says which samples they are, `scale` float64 [B, 2] what an input pixel measures in pixels of the sample,
    across and down.
    """

    images: Tensor
    index: list[int]
    scale: Tensor


def shown(part: Part, places: Sequence[int], size: int, batch_size: int) -> Iterator[Shown]:
    """Yield samples of a part in batches, in the order of `places`."""
    for first in range(0, len(places), batch_size):
        chosen = list(places[first : first + batch_size])
        batch = np.full((len(chosen), size, size, 3), PADDING, dtype=np.uint8)
        scale = np.empty((len(chosen), 2))
        for row, place in enumerate(chosen):
            image = decode(part[place].rgb)
            fitted = resize(image, size)
            batch[row, : fitted.shape[0], : fitted.shape[1]] = fitted
            scale[row] = image.shape[1] / fitted.shape[1], image.shape[0] / fitted.shape[0]
        images = torch.from_numpy(np.ascontiguousarray(batch[..., ::-1].transpose(0, 3, 1, 2)))
        yield Shown(images.float() / 255, chosen, torch.from_numpy(scale))


class TrainImages(YOLODataset):  # type: ignore[misc]
    """A part as the library's dataset, with its augmentation; labels and images come from the part itself.

    Ignored and crowd boxes are not learnt, nor classes without an output; what of a box lies outside is cut off.
    """

    buffer: list[int]

    def __init__(self, part: Part, classes: Sequence[int], settings: Any, batch_size: int) -> None:
        self.part = part
        self.place_of = {category: place for place, category in enumerate(classes)}
        names = {place: part.dataset.info.classes[category] for place, category in enumerate(classes)}
        self.keeps = len(part) * settings.imgsz**2 * 3 <= _KEPT_BYTES
        self.resized: dict[int, tuple[NDArray[np.uint8], tuple[int, int]]] = {}
        super().__init__(
            img_path="",
            imgsz=settings.imgsz,
            augment=True,
            hyp=settings,
            cache=False,
            batch_size=batch_size,
            data={"names": names, "nc": len(names), "channels": 3},
        )

    def get_img_files(self, img_path: str) -> list[str]:
        """Return names in the place of paths; nothing is read from them."""
        return list(self.part.ids)

    def get_labels(self) -> list[dict[str, Any]]:
        """Return each sample's boxes as the library wants them: centre and size in 0..1."""
        return [self._labels(labels) for labels in self.part.labels]

    def build_transforms(self, hyp: Any) -> Any:
        """Return the library's augmentation without albumentations, which it would use wherever that is installed."""
        built = super().build_transforms(hyp)
        built.transforms = [one for one in built.transforms if not isinstance(one, Albumentations)]
        return built

    def load_image(
        self, i: int, rect_mode: bool = True, resize_short: bool = False
    ) -> tuple[NDArray[np.uint8], tuple[int, int], tuple[int, int]]:
        """Return a sample's resized image, its own height and width, and those of the resized one."""
        image, own = self._remembered(i)
        return image, own, (image.shape[0], image.shape[1])

    def forget(self) -> None:
        """Empty the mosaic's pool of recent images, so that what follows depends on nothing before."""
        for i in self.buffer:
            self.ims[i] = None
        self.buffer = []

    def _remembered(self, i: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Return a sample's image, which is then in the pool that mosaics choose from."""
        if self.ims[i] is None:
            self.ims[i] = self._decoded(i)
            self.buffer.append(i)
            if 1 < len(self.buffer) >= self.max_buffer_length:
                self.ims[self.buffer.pop(0)] = None
        return self.ims[i]  # type: ignore[no-any-return]

    def _decoded(self, i: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        found = self.resized.get(i)
        if found is None:
            image = decode(self.part[i].rgb)
            found = resize(image, self.imgsz), (image.shape[0], image.shape[1])
            if self.keeps:
                self.resized[i] = found
        return found

    def _labels(self, labels: Labels) -> dict[str, Any]:
        size = np.array([labels.width, labels.height], dtype=np.float64)
        rows = dict.fromkeys(
            (self.place_of[box.category], *corners)
            for box in labels.objects
            if not (box.ignore or box.iscrowd) and box.category in self.place_of
            if (corners := _inside(box, labels.width, labels.height)) is not None
        )
        table = np.array(list(rows), dtype=np.float64).reshape(-1, 5)
        low, high = table[:, 1:3] / size, table[:, 3:] / size
        return {
            "im_file": labels.sample_id,
            "shape": (labels.height, labels.width),
            "cls": table[:, :1].astype(np.float32),
            "bboxes": np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32),
            "segments": [],
            "keypoints": None,
            "normalized": True,
            "bbox_format": "xywh",
        }


def _inside(box: Box, width: int, height: int) -> tuple[float, float, float, float] | None:
    """Return what of a box lies in the image as xyxy, or None where nothing does."""
    x, y, across, down = box.bbox
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + across, width), min(y + down, height)
    return (left, top, right, bottom) if right > left and bottom > top else None

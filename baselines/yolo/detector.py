"""Detectors built from ultralytics' own descriptions, with its loss; decoding and NMS that no clock decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from rgbt_bench.errors import unknown_name
from rgbt_bench.predictions import Detections

from .offline import folder, library

# The library's gains of its anchor-free head (cfg/default.yaml).
GAINS: Mapping[str, float] = MappingProxyType({"box": 7.5, "cls": 0.5, "dfl": 1.5})
MAX_CANDIDATES = 30_000  # before NMS, as the library
_SCALES = "nsmlx"
_FAMILIES = {"yolov5": "cfg/models/v5/yolov5.yaml", "yolov8": "cfg/models/v8/yolov8.yaml"}
NAMES = tuple(f"{family}{scale}" for family in _FAMILIES for scale in _SCALES)


@dataclass(frozen=True)
class Targets:
    """The boxes of a batch: float32 [N, 4] as centre and size in 0..1 of the image, int64 [N] classes and images."""

    boxes: Tensor
    classes: Tensor
    index: Tensor

    def to(self, device: torch.device) -> "Targets":
        """Return the targets on a device."""
        return Targets(*(one.to(device, non_blocking=True) for one in (self.boxes, self.classes, self.index)))


@dataclass(frozen=True)
class Found:
    """The detections of an image by falling score: float32 [N, 4] xyxy in input pixels, scores [N], int64 classes."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor


def require_detector(name: str) -> None:
    """Raise a UsageError unless there is a detector of this name; nothing is imported for it."""
    if name not in NAMES:
        raise unknown_name("detector", name, NAMES)


def build_detector(name: str, classes: int, gains: Mapping[str, float] = GAINS) -> nn.Module:
    """Return the library's detector of a name such as `yolov5s`, with random weights from torch's generator.

    It takes images float32 [B, 3, H, W] in 0..1, H and W multiples of 32, and returns the head's raw output in
    training mode, and with it the decoded boxes in evaluation mode. `gains` weigh the terms of its loss. `yolov5*` are
    the variants published as `yolov5*u`, with the anchor-free head.

    Raises:
        UsageError: an unknown name.
        MissingError: ultralytics is not installed.
    """
    require_detector(name)
    path = folder() / _FAMILIES[name[:-1]]
    # without a number of its own the library would print that it is overridden
    description = {**library("utils").YAML.load(path), "scale": name[-1], "nc": classes, "yaml_file": str(path)}
    built = library("nn.tasks").DetectionModel(description, ch=3, nc=classes, verbose=False)
    built.args = SimpleNamespace(**gains)  # where its loss reads them
    built.model[-1].dynamic = True  # else the anchors of one mode of autograd are kept for the next
    detector: nn.Module = built
    return detector


def detection_losses(detector: nn.Module, images: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Return the library's loss of a batch as scalars: `box`, `cls` and `dfl` times their gains, and their `total`.

    They are the mean over images, as the library prints them; it trains on `total` times the batch size. Gradients
    reach `images` [B, 3, H, W] as well, in training and in evaluation mode.
    """
    return losses_of(detector, detector(images), targets)


def losses_of(detector: nn.Module, outputs: Any, targets: Targets) -> dict[str, Tensor]:
    """Return the losses of what a detector, perhaps wrapped for several processes, has put out."""
    criterion = library("utils.loss").v8DetectionLoss(detector)
    raw = criterion.parse_output(outputs)
    batch = {"batch_idx": targets.index, "cls": targets.classes, "bboxes": targets.boxes}
    terms = criterion(raw, batch)[0] / len(raw["boxes"])
    return {"total": terms.sum(), **dict(zip(GAINS, terms, strict=True))}


@torch.no_grad()
def detect(detector: nn.Module, images: Tensor, min_score: float, iou: float, limit: int) -> list[Found]:
    """Return the detections of each image: every class of a place counts for itself, NMS is class by class.

    Args:
        detector: in evaluation mode.
        images: float32 [B, 3, H, W] in 0..1.
        min_score: a score has to be above it.
        iou: a box that overlaps a better one of its class by more is left out.
        limit: the most boxes of an image.

    Raises:
        ValueError: the detector is in training mode.
    """
    if detector.training:
        raise ValueError("detect: the detector is in training mode; call eval() first")
    decoded: Tensor = detector(images)[0].float()
    return [choose(one, min_score, iou, limit) for one in decoded]


def as_detections(rows: Sequence[tuple[int, Found]]) -> Detections:
    """Return the detections of samples, given by index with boxes xyxy in their pixels; none without area is kept."""
    if not rows:  # more processes than samples
        return Detections(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
    corners = np.concatenate([one.boxes.numpy().astype(np.float64) for _, one in rows])
    sizes = corners[:, 2:] - corners[:, :2]
    kept = (sizes > 0).all(axis=1)  # clipping to the image can leave a box without area
    index = np.concatenate([np.full(len(one.scores), sample, dtype=np.int64) for sample, one in rows])
    labels = np.concatenate([one.classes.numpy().astype(np.int64) for _, one in rows])
    scores = np.concatenate([one.scores.numpy().astype(np.float64) for _, one in rows])
    bbox = np.concatenate([corners[:, :2], sizes], axis=1)
    return Detections(index[kept], labels[kept], bbox[kept], scores[kept])


def choose(decoded: Tensor, min_score: float, iou: float, limit: int) -> Found:
    """Return the detections of one image's [4 + classes, places]: centres, sizes and scores."""
    scores = decoded[4:].T
    places, classes = (scores > min_score).nonzero(as_tuple=True)
    found = scores[places, classes]
    order = found.argsort(descending=True, stable=True)[:MAX_CANDIDATES]
    centre, size = decoded[:2].T[places[order]], decoded[2:4].T[places[order]]
    boxes = torch.cat([centre - size / 2, centre + size / 2], dim=1)
    # in double precision, because the classes are told apart by shifting their boxes
    kept = batched_nms(boxes.double(), found[order].double(), classes[order], iou)[:limit]
    return Found(boxes[kept], found[order][kept], classes[order][kept])

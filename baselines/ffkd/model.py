"""FFKD's detector: two EfficientDet branches, one CBAM fusion a level and a fused head, with its loss and decoding."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from .backbone import REDUCTIONS, build_backbone

with warnings.catch_warnings():
    # effdet scripts its box coder while it is imported, and torch warns once for each function
    warnings.filterwarnings("ignore", message=".*torch.jit.script")
    from effdet import get_efficientdet_config
    from effdet.anchors import AnchorLabeler, Anchors, generate_detections, get_feat_sizes
    from effdet.bench import _post_process
    from effdet.efficientdet import BiFpn, HeadNet, _init_weight, get_feature_info
    from effdet.loss import DetectionLoss

TrainMode = Literal["train", "fusion_cbam_only"]

NUM_LEVELS = 5
CBAM_REDUCTION = 16


class DetectorConfig(BaseModel):
    """What a detector is built from; the defaults are EfficientDet-D1's.

    Attributes:
        backbone: timm name, with its pretrained tag where weights are fetched by it.
        image_size: (height, width) of the input, or one number for a square.
        head_init: of the two branches' BiFPN and heads: effdet's own, or torch's defaults, which the official student
            keeps because it skips effdet's; the fused head has effdet's in both.
        norm_momentum: of the BatchNorms in BiFPN and heads, in torch's meaning; the backbone keeps timm's.
        drop_path: stochastic depth of the backbone; 0.2 in effdet's D1, 0 in the official student.
        anchor_scale: side of the smallest square anchor of a level, in strides of that level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str
    num_classes: int = Field(ge=1)
    image_size: tuple[int, int] = (640, 640)
    fpn_channels: int = Field(88, ge=CBAM_REDUCTION // 2)
    fpn_cells: int = Field(4, ge=1)
    head_repeats: int = Field(3, ge=1)
    anchor_scale: float = Field(4.0, gt=0)
    norm_momentum: float = Field(0.01, gt=0, le=1)
    norm_eps: float = Field(1e-3, gt=0)
    drop_path: float = Field(0.2, ge=0, lt=1)
    head_init: Literal["effdet", "torch"] = "effdet"

    @field_validator("image_size", mode="before")
    @classmethod
    def _square(cls, size: Any) -> Any:
        return (size, size) if isinstance(size, int) else size

    @field_validator("image_size")
    @classmethod
    def _pyramid_exists(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < REDUCTIONS[-1]:
            raise ValueError(f"must be at least {REDUCTIONS[-1]} pixels a side")
        levels = get_feat_sizes(size, 7)[3:]
        # effdet's down-sampling skips a step in which one side is 1 already
        if any((here[0] == above[0]) != (here[1] == above[1]) for here, above in pairwise(levels)):
            raise ValueError(f"effdet builds no P3-P7 of {levels}: one side is too short for the other")
        return size


class DetectionConfig(BaseModel):
    """Matching, loss and decoding; the defaults are effdet's. NMS at IoU 0.5 is fixed in effdet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match_iou: float = Field(0.5, ge=0, le=1)
    focal_alpha: float = Field(0.25, ge=0, le=1)
    focal_gamma: float = Field(1.5, ge=0)
    huber_delta: float = Field(0.1, gt=0)
    box_weight: float = Field(50.0, ge=0)
    max_candidates: int = Field(5000, ge=1)
    max_detections: int = Field(100, ge=1)
    min_score: float = Field(0.001, ge=0, le=1)


class Outputs(NamedTuple):
    """P3 to P7: class logits (B, 9*C, H, W), box codes (B, 36, H, W) and fused maps (B, channels, H, W)."""

    cls: list[Tensor]
    box: list[Tensor]
    fused: list[Tensor]


class DetectionLosses(NamedTuple):
    """Scalars; `total` = `classification` + the box weight times `box`."""

    total: Tensor
    classification: Tensor
    box: Tensor


class Detections(NamedTuple):
    """One image's detections by falling score: boxes (N, 4) xyxy, scores (N,), 0-based labels (N,)."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def _effdet_settings(config: DetectorConfig, detection: DetectionConfig | None = None) -> Any:
    detection = detection or DetectionConfig()
    settings = get_efficientdet_config("tf_efficientdet_d1")
    settings.update(
        {
            "image_size": config.image_size,
            "num_classes": config.num_classes,
            "fpn_channels": config.fpn_channels,
            "fpn_cell_repeats": config.fpn_cells,
            "box_class_repeats": config.head_repeats,
            "anchor_scale": config.anchor_scale,
            "norm_kwargs": {"eps": config.norm_eps, "momentum": config.norm_momentum},
            "alpha": detection.focal_alpha,
            "gamma": detection.focal_gamma,
            "delta": detection.huber_delta,
            "box_loss_weight": detection.box_weight,
        }
    )
    return settings


def _effdet_init(module: nn.Module, prefix: str = "") -> None:
    """Apply effdet's initialisation, which goes by the modules' names: Glorot BiFPN, class bias -log 99."""
    for name, part in module.named_modules(prefix=prefix):
        if "backbone" not in name:
            _init_weight(part, name)


class Branch(nn.Module):
    """EfficientDet for one modality."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        settings = _effdet_settings(config)
        self.image_size = config.image_size
        self.backbone = build_backbone(config.backbone, config.drop_path)
        self.bifpn = BiFpn(settings, get_feature_info(self.backbone))
        self.class_net = HeadNet(settings, num_outputs=config.num_classes)
        self.box_net = HeadNet(settings, num_outputs=4)
        if config.head_init == "effdet":
            _effdet_init(self)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the BiFPN maps P3 to P7 of images (B, 3, H, W)."""
        if tuple(images.shape[-2:]) != self.image_size:
            # the BiFPN resizes to sizes fixed at construction
            raise ValueError(f"images of {tuple(images.shape[-2:])} in a detector built for {self.image_size}")
        return list(self.bifpn(self.backbone(images)))

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the class logits and the box codes of the five levels."""
        maps = self.features(images)
        return self.class_net(maps), self.box_net(maps)


class CbamFusion(nn.Module):
    """Fuses one level of two modalities: channel attention, a 1x1 reduction, spatial attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        both = 2 * channels
        hidden = both // CBAM_REDUCTION
        self.mlp = nn.Sequential(nn.Linear(both, hidden), nn.ReLU(), nn.Linear(hidden, both))
        self.reduce = nn.Conv2d(both, channels, 1)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, thermal: Tensor, rgb: Tensor) -> Tensor:
        """Return the fused map (B, C, H, W) of two maps of that shape."""
        maps = torch.cat((thermal, rgb), dim=1)
        attention = self.mlp(maps.mean((2, 3))) + self.mlp(maps.amax((2, 3)))
        reduced: Tensor = self.reduce(maps * attention.sigmoid()[:, :, None, None])
        pooled = torch.cat((reduced.mean(1, keepdim=True), reduced.amax(1, keepdim=True)), dim=1)
        gate: Tensor = self.spatial(pooled).sigmoid()
        return reduced * gate


class FusionDetector(nn.Module):
    """Two branches, fused level by level, with a head of its own."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        settings = _effdet_settings(config)
        self.rgb = Branch(config)
        self.thermal = Branch(config)
        self.fused_class_net = HeadNet(settings, num_outputs=config.num_classes)
        self.fused_box_net = HeadNet(settings, num_outputs=4)
        _effdet_init(self.fused_class_net, "class_net")
        _effdet_init(self.fused_box_net, "box_net")
        self.fusion_cbam = nn.ModuleList(CbamFusion(config.fpn_channels) for _ in range(NUM_LEVELS))

    def forward(self, rgb: Tensor, thermal: Tensor) -> Outputs:
        """Return the fused outputs of images (B, 3, H, W) a modality; thermal is one channel, three times."""
        pairs = zip(self.fusion_cbam, self.thermal.features(thermal), self.rgb.features(rgb), strict=True)
        fused = [fusion(thermal_map, rgb_map) for fusion, thermal_map, rgb_map in pairs]
        return Outputs(self.fused_class_net(fused), self.fused_box_net(fused), fused)


def parameter_counts(model: FusionDetector, frozen: bool = True) -> dict[str, int]:
    """Return the columns of Table I: both backbones, both BiFPNs, one head pair, all, and all but frozen backbones."""

    def count(*modules: nn.Module) -> int:
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    backbone = count(model.rgb.backbone, model.thermal.backbone)
    total = count(model)
    return {
        "backbone": backbone,
        "bifpn": count(model.rgb.bifpn, model.thermal.bifpn),
        "head": count(model.fused_class_net, model.fused_box_net),
        "total": total,
        "trainable": total - backbone * frozen,
    }


def freeze_backbones(model: Branch | FusionDetector) -> None:
    """Stop the backbones' weights from training; their BatchNorm statistics still move under the rule "train"."""
    for branch in branches(model):
        branch.backbone.requires_grad_(False)


def branches(model: Branch | FusionDetector) -> list[Branch]:
    """Return a branch itself, or the two of a fusion detector."""
    return [model] if isinstance(model, Branch) else [model.rgb, model.thermal]


def set_train_mode(model: nn.Module, rule: TrainMode) -> None:
    """Put a model into train mode; "fusion_cbam_only" leaves every module not so named in eval mode.

    Eval mode holds BatchNorm statistics and stochastic depth, not weights: stage 1 of the official code has "train",
    stages 2 and 3 have "fusion_cbam_only".
    """
    model.train()
    if rule == "fusion_cbam_only":
        for name, module in model.named_modules():
            module.training = "fusion_cbam" in name


class DetectionHead(nn.Module):
    """Anchors with their matching, loss and decoding; boxes are xyxy in input pixels, labels 0-based, -1 is padding."""

    def __init__(self, config: DetectorConfig, detection: DetectionConfig | None = None) -> None:
        super().__init__()
        self.detection = detection or DetectionConfig()
        self.num_classes = config.num_classes
        self.image_size = config.image_size
        settings = _effdet_settings(config, self.detection)
        self.anchors = Anchors.from_config(settings)
        self.labeler = AnchorLabeler(self.anchors, config.num_classes, match_threshold=self.detection.match_iou)
        self.criterion = DetectionLoss(settings)

    @torch.no_grad()
    def targets(self, boxes: Tensor, labels: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return class targets (-1 is background), box codes and the number of positives of a padded batch.

        Boxes are (B, N, 4), labels (B, N); N may be 0. Boxes without area are padding: effdet would give each of them
        the first anchor.
        """
        valid = (labels >= 0) & (boxes[..., 2:] > boxes[..., :2]).all(-1)
        classes = torch.where(valid, labels + 1, -1).float()
        cls, box, positives = self.labeler.batch_label_anchors(boxes[..., [1, 0, 3, 2]].float(), classes)
        return cls, box, positives

    def loss(self, cls: Sequence[Tensor], box: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> DetectionLosses:
        """Return focal and Huber loss of the five levels against a padded batch, per positive anchor plus one."""
        return DetectionLosses(*self.criterion(list(cls), list(box), *self.targets(boxes, labels)))

    @torch.no_grad()
    def decode(
        self, cls: Sequence[Tensor], box: Sequence[Tensor], scale: Tensor | None = None, size: Tensor | None = None
    ) -> list[Detections]:
        """Return each image's detections after NMS, clipped to the image.

        Args:
            cls: class logits of the five levels.
            box: box codes of the five levels.
            scale: (B,) what one input pixel measures in original pixels; 1 if None.
            size: (B, 2) width and height of the original images; the input's if None.
        """
        batch, device = cls[0].shape[0], cls[0].device
        if scale is None:
            scale = torch.ones(batch, device=device)
        if size is None:
            size = torch.tensor(self.image_size[::-1], device=device).expand(batch, 2) * scale[:, None]
        candidates = min(self.detection.max_candidates, len(self.anchors.boxes) * self.num_classes)
        scores, codes, indices, classes = _post_process(list(cls), list(box), len(cls), self.num_classes, candidates)
        detections = []
        for score, code, index, label, ratio, extent in zip(scores, codes, indices, classes, scale, size, strict=True):
            rows = generate_detections(
                score, code, self.anchors.boxes, index, label, ratio, extent, self.detection.max_detections
            )
            # effdet fills up with rows of zeros; its classes begin at 1
            rows = rows[(rows[:, 4] >= self.detection.min_score) & (rows[:, 5] > 0)]
            detections.append(Detections(rows[:, :4], rows[:, 4], rows[:, 5].long() - 1))
        return detections

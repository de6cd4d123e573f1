"""The sections of an FFKD recipe, and what of them the networks are built from."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from rgbt_bench.errors import BadInputError
from rgbt_bench.recipes import Recipe

from .losses import ClassForm
from .model import DetectionConfig, DetectorConfig, TrainMode

# YAML has lists where these are tuples
Triple = Annotated[tuple[float, float, float], Strict(False)]
Range = Annotated[tuple[float, float], Strict(False)]


class _Section(BaseModel):
    # strict: `fpn_cells: true` is a typing mistake, not a number
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Normalisation(_Section):
    """Mean and standard deviation of each modality, for values in 0..1; thermal is one channel, three times."""

    rgb_mean: Triple
    rgb_std: Triple
    thermal_mean: float
    thermal_std: float


class ModelSection(_Section):
    """The network and how it is held during training.

    `kind` is one branch or the fusion of two. Freezing backbones that start from random weights is refused unless
    `allow_random_frozen` says otherwise.
    """

    kind: Literal["branch", "fusion"]
    backbone: str
    image_size: int = Field(ge=32)
    fpn_channels: int
    fpn_cells: int
    head_repeats: int
    anchor_scale: float
    norm_momentum: float
    norm_eps: float
    drop_path: float
    head_init: Literal["effdet", "torch"]
    freeze_backbones: bool
    allow_random_frozen: bool = False
    train_mode: TrainMode
    normalisation: Normalisation
    max_candidates: int
    max_detections: int
    min_score: float


class AugmentSection(_Section):
    """Augmentation: flip probability and zoom range are shared by both modalities, colour is drawn for each."""

    flip: float = Field(ge=0, le=1)
    colour_jitter: float = Field(ge=0, lt=1)
    zoom: Range


class DetectionLossSection(_Section):
    """Matching and detection loss of effdet."""

    match_iou: float
    focal_alpha: float
    focal_gamma: float
    huber_delta: float
    box_weight: float


class Balance(_Section):
    """The weights of Eq. 26 together with the class form they belong to; a weight of 0 leaves its term out."""

    form: ClassForm
    detection: float = Field(ge=0)
    feature: float = Field(ge=0)
    response: float = Field(ge=0)

    @property
    def needs_teacher(self) -> bool:
        """Whether any of the teacher's terms counts."""
        return self.feature > 0 or self.response > 0


class DistillationSection(_Section):
    """Eq. 10-18 and 26: `use` names one of the `balances`, so that weights never meet a form they were not made for."""

    use: str
    balances: dict[str, Balance]
    temperature: float = Field(gt=0)
    class_weight: float = Field(ge=0)
    box_weight: float = Field(ge=0)
    box_beta: float = Field(gt=0)

    @model_validator(mode="after")
    def _use_is_known(self) -> Self:
        if self.use not in self.balances:
            raise ValueError(f"use: {self.use!r} is none of the balances {', '.join(self.balances)}")
        return self

    @property
    def balance(self) -> Balance:
        """The balance in use."""
        return self.balances[self.use]


class LossSection(_Section):
    """The detection loss, and the distillation where there is a teacher."""

    detection: DetectionLossSection
    distillation: DistillationSection | None = None


SECTIONS: dict[str, type[BaseModel]] = {"model": ModelSection, "augment": AugmentSection, "loss": LossSection}


def detector_config(section: ModelSection, num_classes: int) -> DetectorConfig:
    """Return what the networks are built from; pretrained weights are loaded by the submission."""
    shared: dict[str, Any] = {
        name: getattr(section, name)
        for name in (
            "backbone", "fpn_channels", "fpn_cells", "head_repeats", "anchor_scale", "norm_momentum", "norm_eps",
            "drop_path", "head_init",
        )
    }  # fmt: skip
    return DetectorConfig(**shared, num_classes=num_classes, image_size=(section.image_size, section.image_size))


def detection_config(model: ModelSection, loss: LossSection) -> DetectionConfig:
    """Return matching, loss and decoding of the detector."""
    return DetectionConfig(
        **loss.detection.model_dump(),
        max_candidates=model.max_candidates,
        max_detections=model.max_detections,
        min_score=model.min_score,
    )


def check_sections(recipe: Recipe, model: ModelSection, loss: LossSection) -> None:
    """Refuse a recipe whose sections do not fit together.

    Raises:
        BadInputError: a role or modality is missing, or backbones would be frozen at random weights.
    """
    where = f"recipe {recipe.name}"
    if (model.kind == "fusion") != (len(recipe.modalities) == 2):
        raise BadInputError(f"{where}: model.kind {model.kind} does not go with modalities {list(recipe.modalities)}")
    if (loss.distillation is not None) != ("teacher" in recipe.requires):
        raise BadInputError(f"{where}: loss.distillation and requires.teacher go together")
    from_branches = {"rgb", "thermal"} <= recipe.requires.keys()
    random_start = recipe.pretrained == "none" and not from_branches
    if model.freeze_backbones and random_start and not model.allow_random_frozen:
        raise BadInputError(
            f"{where}: model.freeze_backbones without pretrained weights trains almost nothing; set pretrained, or"
            " model.freeze_backbones=false, or force it with model.allow_random_frozen=true"
        )

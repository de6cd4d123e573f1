"""The sections of a TarDAL recipe: the networks, the patches that are cut, and the losses that make DT, TT or CT."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rgbt_bench.errors import BadInputError
from rgbt_bench.fusion.submission import FusionSection
from rgbt_bench.recipes import Recipe
from rgbt_bench.schema import DatasetInfo

from .losses import WeightsOn
from .model import STRIDE, Generator

DETECTOR_STRIDE = 32
Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
TARGET, DETAIL = "target", "detail"


class Section(BaseModel):
    """A section of a recipe: strict, because `width: true` is a typing mistake and not a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelSection(FusionSection):
    """The generator, its discriminators, and the detector that learns on what it fuses.

    Attributes:
        width: channels of the generator's dense units and of the discriminators' first one.
        depth: the generator's dense units.
        batch_statistics: whether a picture is normalised by its own statistics, as the first official code does.
        discriminator_slope: of the discriminators' leaky ReLU; 0 is the ReLU.
        target_discriminator: whether there is one; without it Table 3's M1 and M2.
        detail_discriminator: whether there is one; without it Table 3's M1 and M3.
        masks: a folder of target masks, 8-bit grey PNGs named by the sample's id or the stem of its original thermal
            image; null makes them of the thermal image's histogram.
        detector: the detector's name, such as yolov5s; null where the recipe has no detection loss.
    """

    width: Positive
    depth: Positive
    batch_statistics: bool = False
    discriminator_slope: float = Field(default=0.0, ge=0, lt=1)
    target_discriminator: bool = False
    detail_discriminator: bool = False
    masks: str | None = None
    detector: str | None = None

    @property
    def discriminators(self) -> tuple[str, ...]:
        """The names of the discriminators that there are."""
        there = {TARGET: self.target_discriminator, DETAIL: self.detail_discriminator}
        return tuple(name for name, is_there in there.items() if is_there)

    def generator(self) -> Generator:
        """Return the generator with random weights."""
        return Generator(self.width, self.depth, self.batch_statistics)


class AugmentSection(Section):
    """The patches of an epoch, at new places in each: both sides `crop` pixels, `crops` of each pair.

    A pair smaller than that is enlarged until it covers the patch. `flip` is the probability of mirroring; boxes are
    clipped to the patch, and those that keep less than the share `least_visible` of their area are dropped.
    """

    crop: int | None = Field(default=None, ge=32)
    crops: Positive = 1
    flip: float = Field(default=0.0, ge=0, le=1)
    least_visible: float = Field(default=0.0, ge=0, le=1)


class AdversarialSection(Section):
    """Eq. 6-10: β, k and p; `mask` false lets both discriminators see whole images (Fig. 10, without m).

    `learning_rate` is the discriminators'; null is the generator's.
    """

    weight: Weight
    penalty: Weight
    power: float = Field(ge=2, allow_inf_nan=False)
    mask: bool
    learning_rate: float | None = Field(default=None, gt=0)


class FusionLossSection(Section):
    """L_f of Eq. 11, times `weight`, which is λ of Eq. 12.

    Attributes:
        weight: λ; 1 where there is no detection.
        ssim: factor of Eq. 4.
        ssim_weighted: whether the saliency weights multiply Eq. 4, too.
        pixel: α, the factor of Eq. 5.
        saliency_weights: whether the weights are those of Eq. 5; false is 1/2 everywhere (Fig. 10, without SDW).
        weights_on: whether the weights multiply the losses or the images.
        adversarial: Eq. 6-10.
    """

    weight: Weight
    ssim: Weight
    ssim_weighted: bool
    pixel: Weight
    saliency_weights: bool
    weights_on: WeightsOn
    adversarial: AdversarialSection


class DetectionLossSection(Section):
    """The detector's own loss, times `weight`."""

    weight: float = Field(gt=0, allow_inf_nan=False)


class LossSection(Section):
    """What is learnt from: fusion alone is direct training (DT), detection alone task-oriented (TT), both are CT."""

    fusion: FusionLossSection | None = None
    detection: DetectionLossSection | None = None

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        fusion = self.fusion
        if fusion is not None and fusion.weight * (fusion.ssim + fusion.pixel) == 0:
            raise ValueError("fusion: no weight of its own is left; take the section away")
        return self


def check_sections(
    recipe: Recipe, info: DatasetInfo, model: ModelSection, augment: AugmentSection, loss: LossSection
) -> None:
    """Refuse sections that do not go together, or with the dataset.

    Raises:
        UsageError: an unknown detector.
        BadInputError: so it is; the message names the fields.
    """
    where = f"recipe {recipe.name}"
    if model.detector is not None:
        from ..yolo.detector import require_detector

        require_detector(model.detector)
    if (model.detector is not None) != (loss.detection is not None):
        raise BadInputError(f"{where}: model.detector and loss.detection go together")
    if model.detector is not None and not info.classes:
        raise BadInputError(
            f"{where}: {info.name} has no boxes, and loss.detection learns from them; choose a dataset with --dataset"
        )
    if recipe.training is None:
        return
    if loss.fusion is None and loss.detection is None:
        raise BadInputError(f"{where}: loss has neither fusion nor detection, so nothing would be learnt")
    if model.discriminators and loss.fusion is None:
        raise BadInputError(f"{where}: model.{model.discriminators[0]}_discriminator is for loss.fusion.adversarial")
    if model.batch_statistics:
        raise BadInputError(f"{where}: model.batch_statistics is for the published weights, not for a training")
    stride = DETECTOR_STRIDE if model.detector else STRIDE
    if augment.crop is None or augment.crop % stride:
        raise BadInputError(f"{where}: augment.crop is {augment.crop}; training needs a multiple of {stride}")

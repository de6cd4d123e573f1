"""The `model` section of a CEKD recipe, and the network that is built from it."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, Strict, field_validator, model_validator

from rgbt_bench.errors import BadInputError
from rgbt_bench.recipes import Recipe
from rgbt_bench.segmentation.config import AugmentSection
from rgbt_bench.segmentation.config import ModelSection as SharedSection

from ..rtfnet.encoder import RESNET_50, STAGE_CHANNELS, STRIDE, Modality, scaled
from .edges import EDGE_PLACES, SUM_CHANNELS, EdgeVariant
from .loss_config import ENCODED, HINT
from .model import HINT_SUM, CeNet, EkNet

Blocks = Annotated[int, Field(ge=1)]
# YAML has lists where these are tuples
Depths = Annotated[tuple[Blocks, Blocks, Blocks, Blocks], Strict(False)]
Network = CeNet | EkNet


class ModelSection(SharedSection):
    """CENet, with a variant of the edge module, or EKNet, with or without the thermal enhancement.

    Attributes:
        kind: "cenet" (its modalities are the recipe's) or "eknet" (thermal alone).
        backbone: timm's name and tag of the ResNet whose weights `pretrained: timm` means.
        image_size: height and width that images are resized to, multiples of 32 here.
        width: factor of all channels, a multiple of 1/64.
        depths: number of blocks in the encoders' stages 2 to 5; the last ones are BoTNet's.
        edge: cenet only: where the edge module sits, as Table I names it.
        enhancement: eknet only: whether the thermal enhancement is there; without it, it is the paper's KDNet.
        heuristic_coefficient: eknet only: λ of the enhancement.
    """

    multiple: ClassVar[int] = STRIDE
    kind: Literal["cenet", "eknet"]
    backbone: str
    width: float = Field(gt=0, le=4)
    depths: Depths = RESNET_50
    edge: EdgeVariant | None = None
    enhancement: bool | None = None
    heuristic_coefficient: float | None = Field(default=None, allow_inf_nan=False)

    @field_validator("width")
    @classmethod
    def _width_fits(cls, width: float) -> float:
        scaled(STAGE_CHANNELS[0], width)
        return width

    @model_validator(mode="after")
    def _fields_are_of_this_kind(self) -> Self:
        fields = {"cenet": ("edge",), "eknet": ("enhancement", "heuristic_coefficient")}
        for kind, names in fields.items():
            for name in names:
                if (kind == self.kind) != (getattr(self, name) is not None):
                    raise ValueError(f"kind {self.kind} {'needs' if kind == self.kind else 'has no'} {name}")
        return self

    @property
    def edge_step(self) -> int | None:
        """The grid of the edge module's edges in pixels of the image, or None where there is no such module."""
        place = EDGE_PLACES[self.edge] if self.edge else None
        return None if place is None else 2 ** (place.target - 1)

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of the network's features by name."""
        return {ENCODED: scaled(STAGE_CHANNELS[-1], self.width), HINT: scaled(SUM_CHANNELS[HINT_SUM], self.width)}


def build(section: ModelSection, classes: int, modalities: tuple[Modality, ...]) -> Network:
    """Return the network of a section with its random start.

    Args:
        section: the recipe's `model`.
        classes: number of classes, background included.
        modalities: the recipe's modalities, in order; EKNet takes thermal alone.
    """
    if section.edge is not None:
        return CeNet(classes, modalities, section.edge, section.width, section.depths)
    coefficient = section.heuristic_coefficient if section.enhancement else None
    return EkNet(classes, coefficient, section.width, section.depths)


def check_model(recipe: Recipe, section: ModelSection) -> None:
    """Refuse a recipe whose network does not go with its modalities or with what it starts from.

    Raises:
        BadInputError: so it is; the message names the fields.
    """
    where = f"recipe {recipe.name}"
    if section.kind == "eknet" and recipe.modalities != ("thermal",):
        raise BadInputError(f"{where}: model.kind eknet takes thermal alone, not {', '.join(recipe.modalities)}")
    if "baseline" in recipe.requires and (section.kind != "cenet" or recipe.pretrained != "none"):
        raise BadInputError(
            f"{where}: requires.baseline is where a cenet starts from, so it goes with model.kind cenet and"
            " pretrained none"
        )
    if recipe.pretrained != "none" and (section.width != 1 or section.depths[:3] != RESNET_50[:3]):
        raise BadInputError(
            f"{where}: pretrained {recipe.pretrained} is a ResNet-50, and model.width {section.width:g} with depths"
            f" {list(section.depths)} is none; add --set pretrained=none, or leave them as they are"
        )


def check_cache(recipe: Recipe, augment: AugmentSection) -> None:
    """Refuse to keep a teacher's outputs where there is none, or where no two epochs have the same images.

    Raises:
        BadInputError: so it is.
    """
    if recipe.schedule is None or recipe.schedule.teacher_cache is None:
        return
    where = f"recipe {recipe.name}: schedule.teacher_cache"
    if "teacher" not in recipe.requires:
        raise BadInputError(f"{where} is for a recipe that requires a teacher; set it to null")
    if augment.flip or augment.crop:
        raise BadInputError(
            f"{where} needs the same images in every epoch; set augment.flip=0 and augment.crop=0"
            " (augment.mirrored_epoch=true has each image and its mirror), or the cache to null"
        )

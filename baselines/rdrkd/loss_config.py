"""The `loss` section of an RDR-KD recipe, whose weights make the rows of Table II."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
AreaUnit = Literal["image", "pixels"]
BackgroundBy = Literal["cells", "literal"]
SizeBy = Literal["owned", "covered"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RegeneratedSection(_Section):
    """Eq. 1-6: the student makes anew what is masked in its feature maps.

    `attention_temperature` is T of Eq. 1 and 2. A cell is masked where its attention is above `spatial_threshold` or
    where it lies in a box of an area below `area_threshold`, in pixels of the network's input; a channel where its
    attention is above `channel_threshold`. Attention is 1 on average.
    """

    weight: Weight
    attention_temperature: Positive
    spatial_threshold: Weight
    channel_threshold: Weight
    area_threshold: Weight


class DecoupledSection(_Section):
    """Eq. 7-8: the student's feature maps follow the teacher's, in boxes and in the background.

    `foreground` is alpha, `background` beta, `temperature` T_s and `bias` b. Areas in Eq. 7 are shares of the image or
    pixels of the network's input (`area_unit`). The background's sum is divided by its number of cells, or is as
    printed (`background_by`). A box's weight is divided by the number of cells that it owns, or that it covers
    (`size_by`).
    """

    weight: Weight
    foreground: Weight
    background: Weight
    temperature: Positive
    bias: float
    area_unit: AreaUnit
    background_by: BackgroundBy
    size_by: SizeBy


class ResponsiveSection(_Section):
    """Eq. 9-10: the student's scores and boxes follow the teacher's, where its best score is above `min_score`.

    `alpha` and `gamma` are the focal loss's. Below a gamma of 1 the gradient has no bound where two scores agree.
    """

    weight: Weight
    alpha: float = Field(ge=0, le=1)
    gamma: float = Field(ge=1)
    min_score: float = Field(ge=0, lt=1)


class LossSection(_Section):
    """The terms of Eq. 11: the gains of the library's loss, and what is learnt of a teacher.

    A section that is left out, or whose weight is 0, is a term that is not computed.
    """

    box: Weight
    cls: Weight
    dfl: Weight
    regenerated: RegeneratedSection | None = None
    decoupled: DecoupledSection | None = None
    responsive: ResponsiveSection | None = None

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the terms in use, by name."""
        sections = {"regenerated": self.regenerated, "decoupled": self.decoupled, "responsive": self.responsive}
        return {name: one.weight for name, one in sections.items() if one is not None and one.weight > 0}

    @property
    def needs_teacher(self) -> bool:
        """Whether any of the teacher's terms counts."""
        return bool(self.weights)

    @property
    def needs_features(self) -> bool:
        """Whether any term compares feature maps."""
        return not self.weights.keys().isdisjoint({"regenerated", "decoupled"})

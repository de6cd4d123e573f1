"""The classical fusion rules as submissions that train nothing."""

from typing import Literal, Self

from pydantic import Field, model_validator
from torch import nn

from rgbt_bench.fusion.submission import FusionSection, FusionSubmission, NoSection

from .model import RULES, LaplacianPyramid, Rule


class ClassicalSection(FusionSection):
    """The rule, and the levels of the Laplacian pyramid."""

    rule: Literal["infrared", "visible", "average", "max", "laplacian"]
    levels: int | None = Field(default=None, ge=1, le=12)

    @model_validator(mode="after")
    def _levels_are_the_pyramids(self) -> Self:
        if (self.levels is not None) != (self.rule == "laplacian"):
            raise ValueError("levels goes with the rule laplacian alone")
        return self


class Classical(FusionSubmission):
    """A fusion rule without parameters."""

    sections = {"model": ClassicalSection, "augment": NoSection, "loss": NoSection}  # noqa: RUF012

    def build(self) -> nn.Module:
        """Return the rule."""
        model: ClassicalSection = self.config["model"]
        return LaplacianPyramid(model.levels) if model.levels else Rule(RULES[model.rule])


SUBMISSION = Classical

"""RDR-KD as a submission: YOLOv8 detectors alone, or a small one that learns from a large one."""

from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from rgbt_bench.errors import BadInputError
from rgbt_bench.recipes import Recipe
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.submissions import TrainContext
from rgbt_bench.training.checkpoints import load_weights

from ..yolo.rgb_submission import RgbDetector
from .config import ModelSection
from .loss_config import LossSection

TEACHER = "teacher"


class RdrKd(RgbDetector):
    """One detector of the paper; the role "teacher" of its recipe is another run of this submission."""

    sections = {**RgbDetector.sections, "model": ModelSection, "loss": LossSection}  # noqa: RUF012

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        self.loss = cast(LossSection, self.config["loss"])
        where = f"recipe {recipe.name}"
        if not set(recipe.requires) <= {TEACHER}:
            raise BadInputError(f"{where}: requires has another role than {TEACHER}, and there is no other")
        if self.loss.needs_teacher and not recipe.requires:
            raise BadInputError(
                f"{where}: loss.{' and loss.'.join(self.loss.weights)} come from a teacher; name one with"
                f" requires.{TEACHER}, or set their weights to 0"
            )

    def check_required(self, recipes: Mapping[str, Recipe]) -> None:
        """Refuse a teacher that this student cannot be compared with.

        Raises:
            BadInputError: so it is, or a recipe of another submission.
            UsageError: several processes.
        """
        super().check_required(recipes)
        for recipe in recipes.values():
            other = self._other(recipe)
            for path in ("image_size", "left_out"):
                own, others = getattr(self.model, path), getattr(other.model, path)
                if own != others:
                    raise BadInputError(
                        f"recipe {self.recipe.name}: model.{path} is {own} here and {others} in the teacher"
                        f" {recipe.name}; make them equal"
                    )

    def initial(self, settings: Any, context: TrainContext) -> nn.Module:
        """Return the student with its teacher, or the detector alone where no term has a weight."""
        student = super().initial(settings, context)
        if not self.loss.needs_teacher:
            return student
        from .distiller import Rdr

        required = context.requirements[TEACHER]
        teacher = self._other(required.recipe).build()
        load_weights(required.weights, teacher)
        return Rdr(teacher, student, self.loss, cast(ModelSection, self.model).taps)

    def _other(self, recipe: Recipe) -> "RdrKd":
        if recipe.submission != self.recipe.submission:
            raise BadInputError(
                f"recipe {self.recipe.name}: requires.{TEACHER} is {recipe.name}, of the submission"
                f" {recipe.submission}; it has to be one of {self.recipe.submission}"
            )
        return RdrKd(recipe, self.info)


SUBMISSION = RdrKd

"""CEKD as a submission: CENet and its variants, EKNet and KDNet, alone or learning from one another."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from rgbt_bench.devices import resolve_device
from rgbt_bench.distillation.cache import CachedTeacher
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import sha256_file
from rgbt_bench.recipes import Recipe
from rgbt_bench.runs import OUTPUTS_FOLDER
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.segmentation.config import AugmentSection
from rgbt_bench.segmentation.submission import SegmentationSubmission
from rgbt_bench.segmentation.task import SegmentationTask, Training
from rgbt_bench.submissions import Requirement, TrainContext
from rgbt_bench.training.checkpoints import load_weights

from ..rtfnet.pretrained import load_encoders
from .config import ModelSection, Network, build, check_cache, check_model
from .loss_config import LossSection, check_loss, relation_layers
from .task import DistillationTask, SupervisedTask, Teacher


class Cekd(SegmentationSubmission):
    """One network of the paper; the roles "baseline" and "teacher" of its recipe are other runs of this submission."""

    sections = {"model": ModelSection, "augment": AugmentSection, "loss": LossSection}  # noqa: RUF012

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        self.model = cast(ModelSection, self.config["model"])
        self.loss = cast(LossSection, self.config["loss"])
        self.augment = cast(AugmentSection, self.config["augment"])
        check_model(recipe, self.model)
        check_cache(recipe, self.augment)
        check_loss(recipe, self.loss, self.model.edge_step is not None)
        learns_edges = self.loss.edge is not None and self.loss.edge.weight > 0
        self.edge_steps = (self.model.edge_step,) if self.model.edge_step and learns_edges else ()

    def check_required(self, recipes: Mapping[str, Recipe]) -> None:
        """Refuse a baseline that is another network than this one, and a teacher whose features are not comparable.

        Raises:
            BadInputError: one of them, or a recipe of another submission.
        """
        for role, recipe in recipes.items():
            other = self._other(recipe, role)
            if role == "baseline":
                self._check_baseline(other)
            elif self.loss.distillation and self.loss.distillation.hint > 0 and other.model.width != self.model.width:
                raise BadInputError(
                    f"recipe {self.recipe.name}: loss.distillation.hint compares maps of equal channels, but"
                    f" model.width is {self.model.width:g} here and {other.model.width:g} in {recipe.name}; make them"
                    " equal"
                )

    def build(self) -> Network:
        """Return the network with random weights."""
        return build(self.model, self.num_classes, self.recipe.modalities)

    def initialise(self, network: nn.Module, context: TrainContext) -> None:
        """Load the baseline's weights, all but an edge module's, or what `pretrained` names into the encoders."""
        if "baseline" in context.requirements:
            self._start_from(context.requirements["baseline"], network)
        else:
            encoders = cast(Network, network).encoders
            load_encoders(encoders, self.model.backbone, self.recipe.pretrained)

    def task(self, training: Training, context: TrainContext) -> SegmentationTask:
        """Return the training from labels, or from a teacher where the recipe has one.

        Raises:
            BadInputError: the teacher's outputs cannot be kept on disk.
        """
        distillation = self.loss.distillation
        if distillation is None:
            return SupervisedTask(training, self.loss, *(self.edge_steps or (None,)))
        weights = context.requirements["teacher"].weights
        other = self._other(context.requirements["teacher"].recipe, "teacher")
        layers = relation_layers(distillation, self.model.feature_channels, other.model.feature_channels)
        read = tuple(dict.fromkeys((*other.recipe.modalities, *self.recipe.modalities)))
        training = replace(
            training,
            train=self.batches(context.train, self.augment, context.seed, modalities=read),
            val=self.batches(context.val, modalities=read) if context.val else None,
        )
        network = other.build()
        load_weights(weights, network)
        cache = None
        if stored_as := self.training.schedule.teacher_cache:
            cache = CachedTeacher(
                network,
                weights.parent / OUTPUTS_FOLDER,
                self._key(other.recipe, weights, context),
                features=distillation.features,
                items=len(context.train) * (1 + self.augment.mirrored_epoch) + len(context.val or ()),
                stored_as=stored_as,
            )
        teacher = Teacher(network, other.recipe.modalities, cache)
        return DistillationTask(training, self.loss, self.recipe.modalities, teacher, layers)

    def _key(self, teacher: Recipe, weights: Path, context: TrainContext) -> dict[str, str | int]:
        """Return what a teacher's outputs depend on beside the input."""
        return {
            "weights": sha256_file(weights),
            "recipe": teacher.digest,
            "dataset": context.train.dataset.record.fingerprint,
            "height": self.image_size[0],
            "width": self.image_size[1],
            "device": resolve_device(context.device).type,
        }

    def _start_from(self, required: Requirement, network: nn.Module) -> None:
        baseline = self._other(required.recipe, "baseline").build()
        load_weights(required.weights, baseline)
        network.load_state_dict({**network.state_dict(), **_shared(baseline)})

    def _check_baseline(self, other: "Cekd") -> None:
        with torch.device("meta"):
            ours, theirs = (_shared(one.build()) for one in (self, other))
        if {name: one.shape for name, one in ours.items()} != {name: one.shape for name, one in theirs.items()}:
            raise BadInputError(
                f"recipe {self.recipe.name}: {other.recipe.name} is another network than this one without its edge"
                " module; give both the same modalities, model.width and model.depths"
            )

    def _other(self, recipe: Recipe, role: str) -> "Cekd":
        if recipe.submission != self.recipe.submission:
            raise BadInputError(
                f"recipe {self.recipe.name}: requires.{role} is {recipe.name}, of the submission {recipe.submission};"
                f" it has to be one of {self.recipe.submission}"
            )
        return Cekd(recipe, self.info)


def _shared(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return what a teacher has in common with its baseline: all but the edge module."""
    return {name: one for name, one in network.state_dict().items() if not name.startswith("edge.")}


SUBMISSION = Cekd

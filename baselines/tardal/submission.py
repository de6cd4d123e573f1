"""TarDAL as a submission: the published generator, or direct, task-oriented and cooperative training."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError
from rgbt_bench.fusion.submission import FusionSubmission
from rgbt_bench.recipes import Recipe
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.submissions import LatencySubject, TrainContext
from rgbt_bench.training.batches import steps_of_epoch, steps_of_training
from rgbt_bench.training.checkpoints import load_weights

from .config import AugmentSection, LossSection, ModelSection, check_sections
from .data import Batches
from .masks import Masks
from .model import Discriminator, FusionWithDetector, Generator
from .task import TardalTask, Training
from .weights import load_published

START = "start"
PUBLISHED = (".pt", ".pth")


class Tardal(FusionSubmission):
    """One way to train TarDAL; the role "start" of its recipe is another run, whose generator it goes on from."""

    sections = {"model": ModelSection, "augment": AugmentSection, "loss": LossSection}  # noqa: RUF012

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        self.model = cast(ModelSection, self.config["model"])
        self.augment = cast(AugmentSection, self.config["augment"])
        self.loss = cast(LossSection, self.config["loss"])
        check_sections(recipe, info, self.model, self.augment, self.loss)
        if START in recipe.requires and recipe.pretrained != "none":
            raise BadInputError(f"recipe {recipe.name}: requires.start and pretrained are two starts; leave one")

    def check_required(self, recipes: Mapping[str, Recipe]) -> None:
        """Refuse a start whose generator is another network than this one's.

        Raises:
            BadInputError: so it is, or a recipe of another submission.
        """
        super().check_required(recipes)
        for role, recipe in recipes.items():
            if role != START or recipe.submission != self.recipe.submission:
                raise BadInputError(
                    f"recipe {self.recipe.name}: requires.{role} is {recipe.name}, of {recipe.submission}; the one role"
                    f" is {START}, and it has to be of {self.recipe.submission}"
                )
            other = Tardal(recipe, self.info).model
            if (other.width, other.depth) != (self.model.width, self.model.depth):
                raise BadInputError(
                    f"recipe {self.recipe.name}: the generator of {recipe.name} has model.width {other.width} and"
                    f" model.depth {other.depth}, not {self.model.width} and {self.model.depth}; make them equal"
                )

    def build(self) -> nn.Module:
        """Return the generator, with the detector where the recipe has one, with random weights."""
        generator = self.model.generator()
        if self.model.detector is None:
            return generator
        from ..yolo.detector import build_detector

        with torch.device("cpu"):  # the library computes while it builds, which the device "meta" cannot
            detector = build_detector(self.model.detector, len(self.info.classes))
        return FusionWithDetector(generator, detector)

    def load_pretrained(self, path: Path, network: nn.Module) -> None:
        """Load a weights file of this network, or the published generator where the file ends in .pt or .pth."""
        if path.suffix in PUBLISHED:
            load_published(path, _generator(network))
        else:
            super().load_pretrained(path, network)

    def kept_recipe(self) -> Recipe:
        """Return the recipe without paths: the folder of masks is one, too."""
        kept = super().kept_recipe()
        return kept.model_copy(update={"model": {**kept.model, "masks": None}})

    def latency_subject(self, batch: int, device: torch.device) -> LatencySubject:
        """Return the fusion alone: a detector learns with it and takes no part in it."""
        counted = sum(parameter.numel() for parameter in self.model.generator().parameters())
        return replace(super().latency_subject(batch, device), parameters=counted)

    def task(self, context: TrainContext) -> TardalTask:
        """Return the training task.

        Raises:
            BadInputError: the folder of masks has not one for every pair.
        """
        network = self.build()
        self.initialise(network)
        if START in context.requirements:
            self._start_from(context, network)
        discriminators = nn.ModuleDict({name: self._discriminator() for name in self.model.discriminators})
        masks = Masks(self.model.masks)
        for part in (context.train, context.val):
            masks.check(part.labels if part is not None and self.model.discriminators else ())
        optimizer, schedule = self.training
        train = self._batches(context.train, masks, context.seed, is_random=True)
        steps = steps_of_epoch(train, self.recipe.name, schedule, len(train.view))
        return TardalTask(
            Training(
                network,
                discriminators,
                optimizer,
                train,
                self._batches(context.val, masks, is_random=False) if context.val else None,
                steps_of_training(steps, schedule),
                steps,
            ),
            self.loss,
        )

    def _discriminator(self) -> Discriminator:
        side = self.augment.crop or 0
        return Discriminator((side, side), self.model.width, self.model.discriminator_slope)

    def _batches(self, part: Part, masks: Masks, seed: int = 0, *, is_random: bool) -> Batches:
        schedule = self.training.schedule
        return Batches(
            part,
            self.augment,
            schedule.batch_size,
            schedule.workers,
            seed,
            masks,
            self.model.detector is not None,
            is_random,
        )

    def _start_from(self, context: TrainContext, network: nn.Module) -> None:
        start = context.requirements[START]
        other = Tardal(start.recipe, self.info).build()
        load_weights(start.weights, other)
        _generator(network).load_state_dict(_generator(other).state_dict())


def _generator(network: nn.Module) -> Generator:
    return cast(Generator, network.generator if isinstance(network, FusionWithDetector) else network)


SUBMISSION = Tardal

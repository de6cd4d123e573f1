"""What a registered model family offers the harness, and what the harness hands it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.fused_images import FusedImage
from rgbt_bench.label_maps import LabelMap
from rgbt_bench.near_ties import Selection
from rgbt_bench.predictions import Detections
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.recipes import Recipe, Training, explain
from rgbt_bench.schema import DatasetInfo

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class Requirement:
    """A trained model that fills one role of a recipe: its own recipe and its weights file."""

    recipe: Recipe
    weights: Path


@dataclass(frozen=True)
class TrainContext:
    """What a stage of training is given.

    `folder` is the run's own folder: checkpoints and logs go there, and the stage leaves its weights at `weights`.
    """

    folder: Path
    train: Part
    val: Part | None
    seed: int
    device: str = "auto"
    requirements: Mapping[str, Requirement] = field(default_factory=dict)
    progress: Progress = no_progress

    @property
    def weights(self) -> Path:
        """The file the last stage has to write."""
        return self.folder / WEIGHTS_FILE


@dataclass(frozen=True)
class LatencySubject:
    """What is timed: one forward pass at a stated batch; `includes` says what is part of it."""

    forward: Callable[[], Any]
    image_size: tuple[int, int]
    macs: int
    parameters: int
    includes: str


@dataclass(frozen=True)
class Choice:
    """How a network's detections are chosen from its raw outputs, and the settings of that.

    `detections` turns the outputs of a batch into detections in pixels of the network's input, `sample_index` being the
    place in the batch and `category` that in the dataset's classes. The form has quantities `boxes`, in the same
    pixels, and `scores`.
    """

    detections: Callable[[Sequence[NDArray[np.float32]]], Detections]
    selection: Selection


@dataclass(frozen=True)
class OnnxForm:
    """A trained network as an ONNX file has it.

    Attributes:
        network: in evaluation mode with its weights; takes tensors in the order of `example`, returns one or a tuple of
            them in the order of `outputs`.
        example: inputs by name, a batch of two or more; the first dimension of all inputs and outputs is the batch.
        outputs: each output's name, and its shape and meaning in words.
        prepare: the inputs of samples of a part by name, made as `predict` makes them.
        quantities: raw outputs of a batch as what is compared by name, [B, ...] each; of one unit each.
        tolerances: the largest difference of each quantity that may be.
        metadata: what a user of the file has to know besides, by key.
        choice: how detections come from the outputs; None where there are none.
    """

    network: "torch.nn.Module"
    example: "Mapping[str, torch.Tensor]"
    outputs: Mapping[str, str]
    prepare: "Callable[[Part, Sequence[int]], Mapping[str, torch.Tensor]]"
    quantities: Callable[[Sequence[NDArray[np.float32]]], Mapping[str, NDArray[np.float32]]]
    tolerances: Mapping[str, float]
    metadata: Mapping[str, str] = field(default_factory=dict)
    choice: Choice | None = None


def require_val(recipe: Recipe, val: Part | None) -> None:
    """Raise a UsageError where the recipe selects on a val part and the split has none."""
    schedule = recipe.schedule
    if val is None and schedule is not None and (schedule.keep == "best" or schedule.patience is not None):
        raise UsageError(
            f"recipe {recipe.name}: this split has no val part to select on; add --set schedule.keep=last"
            " --set schedule.patience=null, or use a split that has one"
        )


class Submission(ABC):
    """A registered model family: one object a recipe and dataset.

    Subclasses set `sections`, the pydantic schemas of the recipe's own sections (`model`, `augment`, `loss`,
    `trainer`); they are checked here, so that a recipe with an unknown key never starts; and `predicts`, what they give
    a protocol: `detection` boxes, `segmentation` label maps, `fusion` fused images, an empty text whatever the
    recipe's protocol wants. One that can do without training sets `must_train` to False.
    """

    sections: ClassVar[Mapping[str, type[BaseModel]]]
    predicts: ClassVar[str] = ""
    must_train: ClassVar[bool] = True

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        self.recipe = recipe
        self.info = info
        self._check_protocol()
        if recipe.trainer and "trainer" not in self.sections:
            raise BadInputError(
                f"recipe {recipe.name}: trainer: the submission {recipe.submission} trains with this project's own"
                " loop, which has no such section"
            )
        if self.must_train and recipe.training is None:
            raise BadInputError(
                f"recipe {recipe.name}: it has neither optimizer nor schedule, and the submission {recipe.submission}"
                " trains; add both"
            )
        self.config = {name: self._section(name, schema) for name, schema in self.sections.items()}

    def _check_protocol(self) -> None:
        scored = self.recipe.task.partition("-")[0]
        if self.predicts and scored != self.predicts:
            raise BadInputError(
                f"recipe {self.recipe.name}: the protocol {self.recipe.protocol} scores {scored}, and the submission"
                f" {self.recipe.submission} does {self.predicts}; choose a protocol of that"
            )

    def _section(self, name: str, schema: type[BaseModel]) -> Any:
        try:
            return schema.model_validate(getattr(self.recipe, name))
        except ValidationError as error:
            raise BadInputError(explain(error, f"recipe {self.recipe.name}: {name}", schema)) from None

    def check_required(self, recipes: Mapping[str, Recipe]) -> None:  # noqa: B027
        """Refuse recipes, by role, that this one cannot build on; asked before any of them is trained.

        Raises:
            BadInputError: one that will not do.
        """

    def check_given(self, weights: Path) -> None:  # noqa: B027
        """Refuse weights from elsewhere that are of this network and not of this recipe.

        Raises:
            BadInputError: so they are.
        """

    def stages(self) -> tuple[str, ...]:
        """Return the names of the training stages, in order."""
        return ("train",)

    @property
    def training(self) -> Training:
        """How the recipe trains.

        Raises:
            BadInputError: it trains nothing.
        """
        if self.recipe.training is None:
            raise BadInputError(f"recipe {self.recipe.name}: it has neither optimizer nor schedule, and trains nothing")
        return self.recipe.training

    @abstractmethod
    def train(self, stage: str, context: TrainContext) -> None:
        """Run one stage, resuming from its last checkpoint; the last stage writes `context.weights`."""

    def write_weights(self, path: Path) -> None:
        """Write the weights of a recipe that trains nothing.

        Raises:
            BadInputError: this submission cannot do without training.
        """
        raise BadInputError(f"recipe {self.recipe.name}: the submission {self.recipe.submission} has to be trained")

    @abstractmethod
    def predict(
        self, weights: Path, part: Part, device: str, progress: Progress
    ) -> Detections | Iterable[LabelMap] | Iterable[FusedImage]:
        """Return what a trained model says of every sample of a part, in pixels of the sample.

        Of boxes, the detections: where several processes do the run, each is asked and returns all of them, and
        `Processes.merge` joins shares. Of label maps or fused images, those of this process's own share, one at a time
        as they are made.
        """

    @abstractmethod
    def parameters(self) -> dict[str, int]:
        """Return parameter counts by group, with `total` and `trainable` among them."""

    @abstractmethod
    def latency_subject(self, batch: int, device: "torch.device") -> LatencySubject:
        """Return what the latency protocol times: the network with random weights, at a stated batch."""

    def onnx_form(self, weights: Path) -> OnnxForm:
        """Return the trained network as an ONNX file has it.

        Raises:
            BadInputError: this submission has no such form, or the weights are of something else.
        """
        raise BadInputError(
            f"recipe {self.recipe.name}: the submission {self.recipe.submission} has no ONNX form yet; it gets one with"
            " a method onnx_form of its class"
        )

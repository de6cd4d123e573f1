"""What every fusion submission shares: a baseline gives its network, and its task where it trains one."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, Strict
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rgbt_bench.datasets.store import Part
from rgbt_bench.devices import resolve_device
from rgbt_bench.errors import BadInputError
from rgbt_bench.fused_images import FusedImage, Sources, source_images
from rgbt_bench.progress import Progress
from rgbt_bench.recipes import Recipe, pretrained_file
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.submissions import LatencySubject, Submission, TrainContext, require_val
from rgbt_bench.training.accelerator import accelerator
from rgbt_bench.training.checkpoints import load_weights, save_weights
from rgbt_bench.training.loop import fit
from rgbt_bench.training.processes import processes
from rgbt_bench.training.task import Task

HALF = 0.5 + 1e-3  # a fused image is of 256 levels, and float32 is exact to about 1e-5 of one
Side = Annotated[int, Field(ge=32)]


class FusionSection(BaseModel):
    """`image_size`, (height, width), is what latency and MACs are stated at; images are fused at their own size."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    image_size: Annotated[tuple[Side, Side], Strict(False)]


class NoSection(BaseModel):
    """A section without fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FusionSubmission(Submission):
    """A network that is called as `network(luma, thermal)` and returns the fused image.

    All three are float32 [B, 1, H, W] in 0..1, of any H and W from 32. A subclass gives `build`, a `model` section that
    is a FusionSection and, where it trains, `task`. A recipe that trains nothing takes its weights from `pretrained`.

    Raises:
        BadInputError: the recipe does not name both modalities, or it trains and the method does not.
    """

    sections = {"model": FusionSection, "augment": NoSection, "loss": NoSection}  # noqa: RUF012
    predicts = "fusion"
    must_train = False

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        if sorted(recipe.modalities) != ["rgb", "thermal"]:
            raise BadInputError(f"recipe {recipe.name}: modalities: fusion is of both; write [rgb, thermal]")
        if recipe.training is not None and type(self).task is FusionSubmission.task:
            raise self._not_trained()

    def _not_trained(self) -> BadInputError:
        name, method = self.recipe.name, self.recipe.submission
        return BadInputError(f"recipe {name}: {method} is not trained here; leave optimizer and schedule out")

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with random weights."""

    def task(self, context: TrainContext) -> Task:
        """Return the training task; a method that is trained here has its own.

        Raises:
            BadInputError: this one is not.
        """
        raise self._not_trained()

    def initialise(self, network: nn.Module) -> None:
        """Load what the recipe's `pretrained` names: a safetensors file of this very network, or nothing.

        Raises:
            BadInputError: the network has parameters, and a recipe that trains nothing names no file of them.
        """
        if self.recipe.pretrained == "timm":
            raise BadInputError(f"recipe {self.recipe.name}: timm has no such network; write none, or a file")
        if self.recipe.pretrained != "none":
            self.load_pretrained(pretrained_file(self.recipe.pretrained), network)
        elif self.recipe.training is None:
            self._require_no_weights()

    def check_required(self, recipes: Mapping[str, Recipe]) -> None:
        """Refuse a network without weights before anything else is trained.

        Raises:
            BadInputError: the recipe trains nothing, and names no file for a network that has parameters.
        """
        if self.recipe.training is None and self.recipe.pretrained == "none":
            self._require_no_weights()

    def _require_no_weights(self) -> None:
        if any(True for _ in self.build().parameters()):
            raise BadInputError(
                f"recipe {self.recipe.name}: it trains nothing, so it needs weights; give the published ones with --set"
                f" pretrained=FILE, or --set {self.recipe.name}:pretrained=FILE where another recipe requires it"
            )

    def load_pretrained(self, path: Path, network: nn.Module) -> None:
        """Load a weights file into the network; a subclass that knows published files reads them, too."""
        load_weights(path, network)

    def kept_recipe(self) -> Recipe:
        """Return the recipe as weights of others that hold this network keep it: enough to build it, and no path."""
        return self.recipe.model_copy(update={"pretrained": "none", "requires": {}, "quick": {}, "paper": None})

    def train(self, stage: str, context: TrainContext) -> None:
        """Train from the recipe's start to the end of its schedule."""
        torch.manual_seed(context.seed)
        schedule = self.training.schedule
        require_val(self.recipe, context.val)
        on = accelerator(context.device, schedule.precision)
        fit(self.task(context), schedule, context.folder, context.seed, on, context.progress)

    def write_weights(self, path: Path) -> None:
        """Write what the recipe's `pretrained` names, in the names of this network."""
        network = self.build()
        self.initialise(network)
        save_weights(path, network)

    def predict(self, weights: Path, part: Part, device: str, progress: Progress) -> Iterator[FusedImage]:
        """Yield this process's share of a part's fused images, each of its sample's size, as 8-bit grey."""
        resolved = resolve_device(device)
        network = self.build()
        load_weights(weights, network)
        network.eval().to(resolved)
        team = processes()
        places = team.share(list(range(len(part))))
        for done, place in enumerate(places, 1):
            sources = source_images(part[place], part.dataset.info)
            yield FusedImage(place, fuse(network, sources, resolved, part.ids[place]))
            progress("fusing", min(done * team.world, len(part)), len(part))

    def parameters(self) -> dict[str, int]:
        """Return the parameters of each top-level module of the network, of all, and of those that are trained."""
        with torch.device("meta"):
            network = self.build()
        groups = {name: _count(module) for name, module in network.named_children()}
        total = _count(network)
        return {**groups, "total": total, "trainable": total if self.recipe.training else 0}

    def latency_subject(self, batch: int, device: torch.device) -> LatencySubject:
        """Return the fusion of fixed random images of the recipe's size."""
        network = self.build().eval().to(device)
        size = self.config["model"].image_size
        generator = torch.Generator().manual_seed(0)
        images = [torch.rand(batch, 1, *size, generator=generator).to(device) for _ in range(2)]
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(*(image[:1] for image in images))
        return LatencySubject(
            forward=lambda: network(*images),
            image_size=size,
            macs=counter.get_total_flops() // 2,
            parameters=_count(network),
            includes="network forward pass from luma and thermal to fused, without the rounding to 8 bits",
        )


@torch.inference_mode()
def fuse(network: nn.Module, sources: Sources, device: torch.device, called: str = "a pair") -> NDArray[np.uint8]:
    """Return a pair's fused image as it is saved, uint8[H, W]: clipped to 0..1, times 255, halves rounded up.

    What float32 leaves below a half is a half, too: else the average of two images would be rounded by chance, and
    halves rounded to even would move its entropy by 0.19 bit.

    Raises:
        BadInputError: the network makes NaN or infinity of the pair, which the message calls `called`.
    """
    luma, thermal = (_tensor(image).to(device) for image in (sources.luma, sources.thermal))
    fused: Tensor = network(luma, thermal)
    if not fused.isfinite().all():
        raise BadInputError(f"{called}: the fused image has values that are not finite; train with a lower rate")
    found: NDArray[np.uint8] = (fused[0, 0].float().clamp(0, 1) * 255 + HALF).floor().to(torch.uint8).cpu().numpy()
    return found


def _tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(image.copy())[None, None].float() / 255


def _count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())

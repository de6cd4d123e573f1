"""What every segmentation submission shares: a baseline gives its network, and its losses where it has its own."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.flop_counter import FlopCounterMode

from rgbt_bench.datasets.store import Part
from rgbt_bench.devices import resolve_device
from rgbt_bench.errors import BadInputError
from rgbt_bench.label_maps import LabelMap
from rgbt_bench.metrics.edges import stretched
from rgbt_bench.progress import Progress
from rgbt_bench.recipes import Recipe, pretrained_file
from rgbt_bench.schema import DatasetInfo, Modality
from rgbt_bench.submissions import LatencySubject, Submission, TrainContext, require_val
from rgbt_bench.training.accelerator import accelerator
from rgbt_bench.training.batches import steps_of_epoch, steps_of_training
from rgbt_bench.training.checkpoints import load_weights
from rgbt_bench.training.loop import fit

from .config import AugmentSection, LossSection, ModelSection
from .data import Batch, Batches, Size
from .outputs import Outputs
from .task import SegmentationTask, Training

CHANNELS = {"rgb": 3, "thermal": 1}


class SegmentationSubmission(Submission):
    """A network that is called with the images of the recipe's modalities, in their order, and returns `Outputs`.

    A subclass gives `build`, a `model` section that is a ModelSection, and, where its own differ, the start
    (`initialise`) and the losses (`task`). `edge_steps` are the grids on which its losses want edges.

    Raises:
        BadInputError: the dataset has no label maps, or the recipe's protocol scores boxes.
    """

    sections = {"model": ModelSection, "augment": AugmentSection, "loss": LossSection}  # noqa: RUF012
    predicts = "segmentation"
    edge_steps: tuple[int, ...] = ()

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        if not info.mask_classes:
            raise BadInputError(
                f"recipe {recipe.name}: {info.name} has no label maps, and this is segmentation; choose a dataset with"
                " mask classes with --dataset"
            )
        self.image_size: Size = self.config["model"].image_size
        self.num_classes = len(info.mask_classes)

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with random weights."""

    def initialise(self, network: nn.Module, context: TrainContext) -> None:
        """Load what the recipe's `pretrained` names: nothing, or a safetensors file of this very network.

        Raises:
            BadInputError: the recipe names weights of `timm`, which this network has no place for.
        """
        if self.recipe.pretrained == "timm":
            raise BadInputError(
                f"recipe {self.recipe.name}: pretrained: timm has no weights of this network; write none, or a file"
            )
        if self.recipe.pretrained != "none":
            load_weights(pretrained_file(self.recipe.pretrained), network)

    def task(self, training: Training, context: TrainContext) -> SegmentationTask:
        """Return the training task."""
        return SegmentationTask(training)

    def train(self, stage: str, context: TrainContext) -> None:
        """Train from the recipe's start to the end of its schedule."""
        torch.manual_seed(context.seed)
        network = self.build()
        self.initialise(network, context)
        optimizer, schedule = self.training
        require_val(self.recipe, context.val)
        train = self.batches(context.train, cast(AugmentSection, self.config["augment"]), context.seed)
        epoch_steps = steps_of_epoch(train, self.recipe.name, schedule, len(context.train))
        training = Training(
            network,
            optimizer,
            train,
            self.batches(context.val) if context.val else None,
            steps_of_training(epoch_steps, schedule),
            epoch_steps,
        )
        task = self.task(training, context)
        fit(
            task,
            schedule,
            context.folder,
            context.seed,
            accelerator(context.device, schedule.precision),
            context.progress,
        )

    def predict(self, weights: Path, part: Part, device: str, progress: Progress) -> Iterator[LabelMap]:
        """Yield this process's share of a part's label maps, each of its sample's size."""
        resolved = resolve_device(device)
        network = self.build()
        load_weights(weights, network)
        network.eval().to(resolved)
        sizes = [(labels.height, labels.width) for labels in part.labels]
        batches = self.batches(part, with_masks=False)
        done = 0
        for batch in batches.in_order():
            found = _predict(network, batch.to(resolved), [sizes[index] for index in batch.index.tolist()])
            done += len(found)
            progress("predicting", min(done * batches.team.world, len(part)), len(part))
            yield from found

    def parameters(self) -> dict[str, int]:
        """Return the parameters of each top-level module of the network, of all, and of those that are trained."""
        with torch.device("meta"):
            network = self.build()
        groups = {name: _count(module.parameters()) for name, module in network.named_children()}
        trainable = _count(one for one in network.parameters() if one.requires_grad)
        return {**groups, "total": _count(network.parameters()), "trainable": trainable}

    def latency_subject(self, batch: int, device: torch.device) -> LatencySubject:
        """Return the network's forward pass on fixed random images of the recipe's size."""
        network = self.build().eval().to(device)
        generator = torch.Generator().manual_seed(0)
        images = [
            torch.rand(batch, CHANNELS[name], *self.image_size, generator=generator).to(device)
            for name in self.recipe.modalities
        ]
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(*(image[:1] for image in images))
        return LatencySubject(
            forward=lambda: network(*images),
            image_size=self.image_size,
            macs=counter.get_total_flops() // 2,
            parameters=_count(network.parameters()),
            includes="network forward pass, without the choice of the best class",
        )

    def batches(
        self,
        part: Part,
        augment: AugmentSection | None = None,
        seed: int = 0,
        with_masks: bool = True,
        modalities: tuple[Modality, ...] | None = None,
    ) -> Batches:
        """Return the batches of a part as the recipe says; without `augment` they are the samples as they are.

        `modalities` are those to read where a batch is for more than the recipe's network.
        """
        schedule = self.training.schedule
        return Batches(
            part,
            self.image_size,
            modalities or self.recipe.modalities,
            schedule.batch_size,
            schedule.workers,
            augment,
            seed,
            with_masks,
            self.edge_steps if with_masks else (),
        )


@torch.inference_mode()
def _predict(network: nn.Module, batch: Batch, sizes: list[Size]) -> list[LabelMap]:
    outputs: Outputs = network(*batch.inputs.values())
    edges: list[Any] = [None] * len(sizes)
    if outputs.edges is not None:
        step = outputs.logits.shape[-2] // outputs.edges.shape[-2]
        edges = [_edge_map(one[None], size, step) for one, size in zip(outputs.edges, sizes, strict=True)]
    return [
        LabelMap(index, _resized(logits[None], size)[0].argmax(0).to(torch.uint8).cpu().numpy(), edge)
        for index, logits, size, edge in zip(batch.index.tolist(), outputs.logits, sizes, edges, strict=True)
    ]


def _edge_map(edges: Tensor, size: Size, step: int) -> NDArray[np.uint8]:
    """Return edges [1, 1, h, w] on the sample's own grid of `step` pixels, stretched to 0..255."""
    return stretched(_resized(edges.float(), (-(-size[0] // step), -(-size[1] // step)))[0, 0].cpu().numpy())


def _resized(maps: Tensor, size: Size) -> Tensor:
    same = tuple(maps.shape[-2:]) == size
    return maps if same else F.interpolate(maps.float(), size, mode="bilinear", align_corners=False)


def _count(parameters: Any) -> int:
    return sum(parameter.numel() for parameter in parameters)

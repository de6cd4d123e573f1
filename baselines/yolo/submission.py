"""Detection on fused images as a submission: one detector and one budget, whatever has fused."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rgbt_bench.datasets.store import Part
from rgbt_bench.datasets.torch_views import clip_boxes
from rgbt_bench.devices import resolve_device
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import sha256_file
from rgbt_bench.predictions import Detections
from rgbt_bench.progress import Progress
from rgbt_bench.recipes import Recipe, load_recipe
from rgbt_bench.runs import FUSED_FOLDER
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.submissions import LatencySubject, Requirement, Submission, TrainContext, require_val
from rgbt_bench.training.accelerator import accelerator
from rgbt_bench.training.batches import steps_of_epoch, steps_of_training
from rgbt_bench.training.checkpoints import load_weights
from rgbt_bench.training.loop import fit
from rgbt_bench.training.processes import processes

from .config import AugmentSection, LossSection, ModelSection
from .data import Batch, Batches, collate, evaluation_transform, fused_pair
from .detector import Found, as_detections, build_detector, detect, require_detector
from .fused import fused_images, keep_fused
from .network import OnFused, fusion_submission, recipe_in
from .task import DetectorTask

ROLE = "fusion"


class YoloOnFused(Submission):
    """A detector of ultralytics on the images that the recipe's required fusion makes.

    Raises:
        UsageError: an unknown detector.
        BadInputError: the recipe requires no fusion or lacks a modality, or the dataset has no boxes.
    """

    sections = {"model": ModelSection, "augment": AugmentSection, "loss": LossSection}  # noqa: RUF012
    predicts = "detection"

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        self.model = cast(ModelSection, self.config["model"])
        require_detector(self.model.detector)
        where = f"recipe {recipe.name}"
        if set(recipe.requires) != {ROLE}:
            raise BadInputError(f"{where}: requires.{ROLE} has to name what fuses, and no other role")
        if set(recipe.modalities) != {"rgb", "thermal"}:
            raise BadInputError(f"{where}: modalities have to be [rgb, thermal], which are fused")
        if not info.classes:
            raise BadInputError(f"{where}: {info.name} has no boxes; choose a dataset that has with --dataset")
        self._fusing: Recipe | None = None

    def check_required(self, recipes: Mapping[str, Recipe]) -> None:
        """Refuse what does not fuse.

        Raises:
            BadInputError: the recipe of the role `fusion` does something else.
        """
        fusion_submission(recipes[ROLE], self.info)
        self._fusing = recipes[ROLE]

    def build(self, fusing: Recipe) -> OnFused:
        """Return the detector with random weights, and the network of a recipe that fuses."""
        gains = cast(LossSection, self.config["loss"]).model_dump()
        detector = build_detector(self.model.detector, len(self.info.classes), gains)
        fusion = fusion_submission(fusing, self.info)
        return OnFused(detector, fusion.build(), fusion.kept_recipe())

    def train(self, stage: str, context: TrainContext) -> None:
        """Make the fused images of the training and validation parts, and train the detector on them from its start."""
        optimizer, schedule = self.training
        require_val(self.recipe, context.val)
        required = context.requirements[ROLE]
        torch.manual_seed(context.seed)
        network = self.build(required.recipe)
        load_weights(required.weights, network.fusion)
        augment = cast(AugmentSection, self.config["augment"])
        train = self._batches(network.fusion, required, context, context.train, augment)
        val = self._batches(network.fusion, required, context, context.val) if context.val else None
        epoch_steps = steps_of_epoch(train, self.recipe.name, schedule, len(context.train))
        steps = steps_of_training(epoch_steps, schedule)
        task = DetectorTask(network, optimizer, steps, train, val, epoch_steps)
        on = accelerator(context.device, schedule.precision)
        fit(task, schedule, context.folder, context.seed, on, context.progress)

    def predict(self, weights: Path, part: Part, device: str, progress: Progress) -> Detections:
        """Return the detections on a part's fused images, in pixels of the samples."""
        resolved = resolve_device(device)
        self._fusing = recipe_in(weights)  # which may be another than the recipe's own, and is what is then counted
        network = self.build(self._fusing)
        load_weights(weights, network)
        network.eval().to(resolved)
        team = processes()
        places = team.share(range(len(part)))
        rows: list[tuple[int, Found]] = []
        for batch in self._as_batches(network.fusion, part, places, resolved):
            moved = batch.to(resolved)
            model = self.model
            found = detect(network.detector, moved.images, model.min_score, model.nms_iou, model.max_detections)
            for index, scale, one in zip(batch.index.tolist(), batch.scale.tolist(), found, strict=True):
                labels = part.labels[index]
                boxes = clip_boxes(one.boxes.cpu().double() * scale, labels.height, labels.width)
                rows.append((index, Found(boxes, one.scores.cpu(), one.classes.cpu())))
            progress("predicting", min(len(rows) * team.world, len(part)), len(part))
        return team.merge(as_detections(rows), list(places), len(part))

    def check_given(self, weights: Path) -> None:
        """Refuse a detector of another fusion's images: its result would be called by this one's name.

        Raises:
            BadInputError: so it is.
        """
        name, wanted = recipe_in(weights).name, self.recipe.requires[ROLE]
        if name != wanted:
            raise BadInputError(
                f"{weights}: a detector of what {name} fuses, and recipe {self.recipe.name} requires {wanted}; add"
                f" --set requires.{ROLE}={name}"
            )

    def parameters(self) -> dict[str, int]:
        """Return the parameters of the detector and of the fusion, of both, and of those that are trained."""
        with torch.random.fork_rng(devices=[]):
            network = self.build(self._fusion_recipe())
        detector, fusion = _count(network.detector), fusing_parameters(network.fusion)
        trained = sum(one.numel() for one in network.parameters() if one.requires_grad)
        return {"detector": detector, ROLE: fusion, "total": detector + fusion, "trainable": trained}

    def latency_subject(self, batch: int, device: torch.device) -> LatencySubject:
        """Return the fusion of fixed random images of the detector's size, and the detector on its result."""
        # the library's anchors read values, which tensors without any have not
        device = torch.device("cpu") if device.type == "meta" else device
        network = self.build(self._fusion_recipe()).eval().to(device)
        side = self.model.image_size
        generator = torch.Generator().manual_seed(0)
        images = [torch.rand(batch, 1, side, side, generator=generator).to(device) for _ in range(2)]

        def forward(luma: torch.Tensor, thermal: torch.Tensor) -> object:
            return network(network.fusion(luma, thermal).clamp(0, 1).repeat(1, 3, 1, 1))

        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            forward(*(image[:1] for image in images))
        return LatencySubject(
            forward=lambda: forward(*images),
            image_size=(side, side),
            macs=counter.get_total_flops() // 2,
            parameters=_count(network.detector) + fusing_parameters(network.fusion),
            includes="fusion and detector with box decoding, on one size; without colour, letterbox and NMS",
        )

    def _fusion_recipe(self) -> Recipe:
        """Return the recipe that fuses: what predicted or is asked for here, or without that the registered one."""
        return self._fusing or load_recipe(self.recipe.requires[ROLE], self.recipe.preset)

    def _batches(
        self,
        fusion: nn.Module,
        required: Requirement,
        context: TrainContext,
        part: Part,
        augment: AugmentSection | None = None,
    ) -> Batches:
        device = resolve_device(context.device)
        made_with = {"weights_sha256": sha256_file(required.weights), "recipe_digest": required.recipe.digest}
        fused = keep_fused(context.folder / FUSED_FOLDER, fusion, made_with, part, device, context.progress)
        schedule = self.training.schedule
        return Batches(part, fused, self.model, schedule.batch_size, schedule.workers, augment, context.seed)

    def _as_batches(
        self, fusion: nn.Module, part: Part, places: Sequence[int], device: torch.device
    ) -> Iterator[Batch]:
        """Yield a part's fused images as the detector's batches, straight from the fusion."""
        info, model = part.dataset.info, self.model
        pairs = (
            evaluation_transform(
                fused_pair(part[image.index], image.index, image.luma, info, model.colour), None, model.image_size
            )
            for image in fused_images(fusion, part, places, device)
        )
        while batch := list(islice(pairs, self.training.schedule.batch_size)):
            yield collate(batch)


SUBMISSION = YoloOnFused


def fusing_parameters(fusion: nn.Module) -> int:
    """Return the parameters on the way from the images to the fused one; a module may hold others, as a detector."""
    parameters = list(fusion.requires_grad_(True).parameters())
    if not parameters:
        return 0
    device = parameters[0].device
    with torch.enable_grad():
        fused = fusion(*(torch.zeros(1, 1, 64, 64, device=device) for _ in range(2)))
        reached = torch.autograd.grad(fused.sum(), parameters, allow_unused=True)
    fusion.requires_grad_(False)
    return sum(one.numel() for one, gradient in zip(parameters, reached, strict=True) if gradient is not None)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())

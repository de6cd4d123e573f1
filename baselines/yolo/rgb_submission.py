"""A detector on RGB images that ultralytics' own trainer trains."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from pydantic import BaseModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rgbt_bench.datasets.store import Part
from rgbt_bench.datasets.torch_views import clip_boxes
from rgbt_bench.devices import resolve_device, use_full_float32
from rgbt_bench.errors import BadInputError, UsageError, unknown_name
from rgbt_bench.predictions import Detections
from rgbt_bench.progress import Progress
from rgbt_bench.recipes import Recipe, pretrained_file
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.submissions import LatencySubject, OnnxForm, Submission, TrainContext
from rgbt_bench.training.checkpoints import load_weights
from rgbt_bench.training.processes import processes

from .config import LossSection, RgbAugmentSection, RgbModelSection, TrainerSection
from .detector import GAINS, Found, as_detections, build_detector, detect, require_detector
from .weights import start_from

_AMP = {"float32": False, "bfloat16": "bf16"}
_CLIP = 10.0  # the library's


class RgbDetector(Submission):
    """A detector of ultralytics on the RGB images of a dataset, alone; a subclass may give it a teacher.

    Raises:
        UsageError: an unknown detector.
        BadInputError: a recipe that the library's trainer cannot follow, or a dataset without boxes.
    """

    sections: ClassVar[dict[str, type[BaseModel]]] = {
        "model": RgbModelSection,
        "augment": RgbAugmentSection,
        "trainer": TrainerSection,
        "loss": LossSection,
    }
    predicts = "detection"

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        self.model = cast(RgbModelSection, self.config["model"])
        self.augment = cast(RgbAugmentSection, self.config["augment"])
        self.trainer = cast(TrainerSection, self.config["trainer"])
        self.gains = {name: float(getattr(self.config["loss"], name)) for name in GAINS}
        require_detector(self.model.detector)
        self._check()
        self._check_left_out()
        self.classes = tuple(place for place, name in enumerate(info.classes) if name not in self.model.left_out)
        if not self.classes:
            raise BadInputError(f"recipe {recipe.name}: {info.name} has no boxes to learn; choose one with --dataset")

    def _check(self) -> None:
        """Refuse settings that the library's trainer has no place for."""
        optimizer, schedule = self.training
        wrong = {
            "modalities": (list(self.recipe.modalities), ["rgb"]),
            "optimizer.name": (optimizer.name, "sgd"),
            "optimizer.schedule": (optimizer.schedule, "linear"),
            "optimizer.clip_norm": (optimizer.clip_norm, _CLIP),
            "schedule.keep": (schedule.keep, "last"),
            "schedule.patience": (schedule.patience, None),
            "schedule.teacher_cache": (schedule.teacher_cache, None),
        }
        for path, (found, needed) in wrong.items():
            if found != needed:
                raise BadInputError(
                    f"recipe {self.recipe.name}: {path} is {found!r}, and ultralytics' trainer, as it is used here,"
                    f" needs {needed!r}"
                )
        if optimizer.learning_rate > 1:
            raise BadInputError(
                f"recipe {self.recipe.name}: optimizer.learning_rate is {optimizer.learning_rate:g}, and ultralytics"
                " takes 0 to 1"
            )
        if schedule.precision not in _AMP:
            raise BadInputError(
                f"recipe {self.recipe.name}: schedule.precision is {schedule.precision}, for which ultralytics would"
                " first fetch a network to try it; choose bfloat16 or float32"
            )
        if self.recipe.pretrained == "timm":
            raise BadInputError(f"recipe {self.recipe.name}: timm has no such detector; name a file, or `none`")

    def _check_left_out(self) -> None:
        """Refuse a name that is all but a class of the set; one of another set may be none here."""
        for name in self.model.left_out:
            if name not in self.info.classes and get_close_matches(name, self.info.classes):
                raise unknown_name("class in model.left_out", name, self.info.classes)

    def check_required(self, recipes: Mapping[str, Recipe]) -> None:
        """Refuse what cannot be trained here, before anything is.

        Raises:
            UsageError: several processes.
            MissingError: no such file as `pretrained` names.
            BadInputError: it holds weights of another network.
        """
        if self.recipe.pretrained != "none":
            start_from(pretrained_file(self.recipe.pretrained), self.build())
        if processes().world > 1:
            raise UsageError(f"recipe {self.recipe.name}: ultralytics' trainer is used in one process; start one")

    def build(self, settings: Any = None) -> nn.Module:
        """Return the detector with random weights; `settings` are the library's, of a training."""
        detector = build_detector(self.model.detector, len(self.classes), self.gains)
        if settings is not None:
            detector.args = settings
        return detector

    def initial(self, settings: Any, context: TrainContext) -> nn.Module:
        """Return the network to train: the detector, from the weights that the recipe starts from."""
        detector = self.build(settings)
        if self.recipe.pretrained != "none":
            start_from(pretrained_file(self.recipe.pretrained), detector)
        return detector

    def train(self, stage: str, context: TrainContext) -> None:
        """Train with the library's trainer, from its last checkpoint.

        Raises:
            UsageError: half precision without a GPU.
        """
        from .trainer import Job, train_detector

        use_full_float32()
        if self.training.schedule.precision != "float32" and resolve_device(context.device).type == "cpu":
            raise UsageError(
                f"recipe {self.recipe.name}: ultralytics trains in {self.training.schedule.precision} on a GPU alone;"
                " add --set schedule.precision=float32"
            )
        job = Job(
            build=lambda settings: self.initial(settings, context),
            part=context.train,
            classes=self.classes,
            settings=self._settings(context),
            seed=context.seed,
            folder=context.folder,
            progress=context.progress,
        )
        train_detector(job, context.weights)

    def predict(self, weights: Path, part: Part, device: str, progress: Progress) -> Detections:
        """Return the detections on a part's RGB images, in pixels of the samples."""
        from .images import shown

        use_full_float32()
        resolved = resolve_device(device)
        detector = self.build()
        load_weights(weights, detector)
        detector.eval().to(resolved)
        team = processes()
        places = team.share(range(len(part)))
        rows: list[tuple[int, Found]] = []
        model = self.model
        for batch in shown(part, places, model.image_size, self.training.schedule.batch_size):
            found = detect(detector, batch.images.to(resolved), model.min_score, model.nms_iou, model.max_detections)
            for place, scale, one in zip(batch.index, batch.scale, found, strict=True):
                labels = part.labels[place]
                boxes = clip_boxes(one.boxes.cpu().double() * scale.repeat(2), labels.height, labels.width)
                rows.append((place, Found(boxes, one.scores.cpu(), self._own_classes(one.classes.cpu()))))
            progress("predicting", min(len(rows) * team.world, len(part)), len(part))
        return team.merge(as_detections(rows), list(places), len(part))

    def parameters(self) -> dict[str, int]:
        """Return the parameters of the detector: no teacher and nothing beside it is in its weights."""
        with torch.random.fork_rng(devices=[]):
            total = sum(one.numel() for one in self.build().parameters())
        return {"detector": total, "total": total, "trainable": total}

    def latency_subject(self, batch: int, device: torch.device) -> LatencySubject:
        """Return the detector on fixed random images."""
        # the library's anchors read values, which tensors without any have not
        device = torch.device("cpu") if device.type == "meta" else device
        detector = self.build().eval().to(device)
        side = self.model.image_size
        images = torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            detector(images[:1])
        return LatencySubject(
            forward=lambda: detector(images),
            image_size=(side, side),
            macs=counter.get_total_flops() // 2,
            parameters=sum(one.numel() for one in detector.parameters()),
            includes="detector with box decoding; without letterbox and NMS",
        )

    def onnx_form(self, weights: Path) -> OnnxForm:
        """Return the detector with its decoded boxes, without letterbox and NMS."""
        from .onnx_form import detector_form

        detector = self.build()
        load_weights(weights, detector)
        return detector_form(detector, self.model, self.classes, self.info.classes)

    def _own_classes(self, found: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.classes, dtype=torch.int64)[found]

    def _settings(self, context: TrainContext) -> dict[str, Any]:
        """Return the recipe in the library's words."""
        optimizer, schedule = self.training
        augment, trainer = self.augment, self.trainer
        batches = -(-len(context.train) // schedule.batch_size)
        epochs = schedule.epochs
        if schedule.max_steps is not None:  # whole epochs, since its schedule goes by them
            steps = -(-batches // schedule.accumulate)
            epochs = min(epochs, -(-schedule.max_steps // steps))
        return {
            "task": "detect",
            "imgsz": self.model.image_size,
            "epochs": epochs,
            "batch": schedule.batch_size,
            "nbs": schedule.batch_size * schedule.accumulate,
            "workers": schedule.workers,
            "device": "0" if resolve_device(context.device).type == "cuda" else "cpu",
            "seed": 0,  # begin_epoch's are the ones that count
            "deterministic": True,
            "amp": _AMP[schedule.precision],
            "optimizer": "SGD",
            "lr0": optimizer.learning_rate,
            "lrf": optimizer.final,
            "momentum": 0.9 if optimizer.momentum is None else optimizer.momentum,
            "weight_decay": optimizer.weight_decay,
            "warmup_epochs": trainer.warmup_epochs,
            "warmup_momentum": trainer.warmup_momentum,
            "warmup_bias_lr": trainer.warmup_bias_rate,
            **self.gains,
            "hsv_h": augment.hue,
            "hsv_s": augment.saturation,
            "hsv_v": augment.brightness,
            "translate": augment.shift,
            "scale": augment.zoom,
            "fliplr": augment.flip,
            "mosaic": augment.mosaic,
            "close_mosaic": augment.mosaic_off,
            **dict.fromkeys(("degrees", "shear", "perspective", "flipud", "bgr", "mixup", "cutmix", "copy_paste"), 0.0),
            "pretrained": False,
            "patience": epochs + 1,
            "max_det": self.model.max_detections,
            **dict.fromkeys(("val", "plots", "save_json", "cache", "rect", "single_cls", "compile"), False),
        }

"""Predicting with a finished run on loose pairs of images."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rgbt_bench.datasets.loose import LoosePairs, PairFiles, pair_files
from rgbt_bench.datasets.sheet import spread
from rgbt_bench.datasets.splits import parse_dataset_name
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.files import sha256_file, write_json, write_with
from rgbt_bench.finding import RunFolder
from rgbt_bench.fused_images import FusedImage
from rgbt_bench.fusion.sheet import draw_fused
from rgbt_bench.label_maps import LabelMap
from rgbt_bench.mask_sheet import draw_label_maps
from rgbt_bench.opening import dataset_info, open_dataset
from rgbt_bench.pictures import draw_found
from rgbt_bench.png_folders import SUFFIX, Bytes, save_png
from rgbt_bench.predictions import Detections, canonical_order
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.protocols import find_protocol
from rgbt_bench.registry import load_submission
from rgbt_bench.schema import DatasetInfo

DRAWN_PAIRS = 24


@dataclass(frozen=True)
class Predicted:
    """What a run found on loose pairs: the detections above a score, in canonical order, on a part without labels."""

    run: RunFolder
    weights_sha256: str
    files: Sequence[PairFiles]
    part: Part
    detections: Detections
    min_score: float

    def to_dict(self) -> dict[str, Any]:
        """Return the detections by pair as JSON-ready data; boxes are x, y, width, height in pixels of the image."""
        classes = self.part.dataset.info.classes
        found: list[list[dict[str, Any]]] = [[] for _ in self.part.ids]
        columns = (self.detections.sample_index, self.detections.category, self.detections.bbox, self.detections.score)
        for place, category, bbox, score in zip(*(column.tolist() for column in columns), strict=True):
            row = {"class": classes[category], "category_id": category + 1, "bbox": bbox, "score": score}
            found[place].append(row)
        return {
            "run": self.run.label,
            "weights_sha256": self.weights_sha256,
            "classes": list(classes),
            "min_score": self.min_score,
            "pairs": [
                {
                    "rgb": str(files.rgb) if files.rgb else None,
                    "thermal": str(files.thermal) if files.thermal else None,
                    "width": labels.width,
                    "height": labels.height,
                    "detections": rows,
                }
                for files, labels, rows in zip(self.files, self.part.labels, found, strict=True)
            ],
        }

    def write(self, path: Path) -> None:
        """Write the detections into a JSON file."""
        write_json(path, self.to_dict())

    def draw(self, path: Path) -> None:
        """Write a picture of the pairs with their detections; of many pairs, some spread over them."""
        draw_found(path, self.part, self.detections, spread(len(self.part), DRAWN_PAIRS))


@dataclass(frozen=True)
class PredictedPictures(ABC):
    """What a run makes of loose pairs that is a picture itself, on a part without labels."""

    run: RunFolder
    weights_sha256: str
    files: Sequence[PairFiles]
    part: Part

    what: ClassVar[str]
    key: ClassVar[str]

    @abstractmethod
    def pixels(self) -> list[Bytes]:
        """Return the picture of each pair, uint8."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Return what is told of each pair's picture beside its name, as JSON-ready data."""

    @abstractmethod
    def draw(self, path: Path) -> None:
        """Write a sheet of the pairs with their pictures; of many pairs, some spread over them."""

    @property
    def names(self) -> list[str]:
        """What each pair's picture is called: its first file's stem, and its place where several have that stem."""
        stems = [Path(files.name).stem for files in self.files]
        times = Counter(map(str.casefold, stems))
        names = [stem if times[stem.casefold()] == 1 else f"{stem}-{place}" for place, stem in enumerate(stems)]
        # a file may be called as another's stem with its place
        is_plain = len(set(map(str.casefold, names))) == len(names)
        return names if is_plain else [f"{stem}-{place}" for place, stem in enumerate(stems)]

    def to_dict(self) -> dict[str, Any]:
        """Return what is told of each pair as JSON-ready data."""
        classes = self.part.dataset.info.mask_classes
        return {
            "run": self.run.label,
            "weights_sha256": self.weights_sha256,
            **({"classes": list(classes)} if self.key == "label_map" else {}),
            "pairs": [
                {
                    "rgb": str(files.rgb) if files.rgb else None,
                    "thermal": str(files.thermal) if files.thermal else None,
                    "width": labels.width,
                    "height": labels.height,
                    self.key: f"{name}{SUFFIX}",
                    **row,
                }
                for files, labels, name, row in zip(self.files, self.part.labels, self.names, self.rows(), strict=True)
            ],
        }

    def write(self, path: Path) -> None:
        """Write the pictures into a folder as PNG files, beside what is there."""
        if path.exists() and not path.is_dir():
            raise UsageError(f"--out {path}: is a file; {self.what} are written into a folder")
        own = {one.resolve() for files in self.files for one in (files.rgb, files.thermal) if one}
        targets = [path / f"{name}{SUFFIX}" for name in self.names]
        if lost := [target for target in targets if target.resolve() in own]:
            raise UsageError(
                f"--out {path}: {lost[0].name} there is one of the images, which would be lost; name another"
            )
        path.mkdir(parents=True, exist_ok=True)
        for target, one in zip(targets, self.pixels(), strict=True):
            write_with(target, partial(save_png, one))


@dataclass(frozen=True)
class PredictedMaps(PredictedPictures):
    """What a run says of every pixel of loose pairs: one label map a pair."""

    maps: Sequence[LabelMap]

    what = "label maps"
    key = "label_map"

    def pixels(self) -> list[Bytes]:
        """Return the class of every pixel."""
        return [one.labels for one in self.maps]

    def rows(self) -> list[dict[str, Any]]:
        """Return the pixels of each class."""
        classes = self.part.dataset.info.mask_classes
        counts = [np.bincount(one.labels.ravel(), minlength=len(classes)).tolist() for one in self.maps]
        return [{"pixels": dict(zip(classes, one, strict=True))} for one in counts]

    def draw(self, path: Path) -> None:
        """Write a picture of the pairs with their label maps; of many pairs, some spread over them."""
        found = {self.part.ids[one.index]: one for one in self.maps}
        with_rgb = any(files.rgb for files in self.files)  # else the samples have black pictures in their place
        draw_label_maps(path, self.part, found, DRAWN_PAIRS, with_rgb)


@dataclass(frozen=True)
class PredictedFusion(PredictedPictures):
    """What a run fuses loose pairs into: one image a pair."""

    fused: Sequence[FusedImage]

    what = "fused images"
    key = "fused"

    def pixels(self) -> list[Bytes]:
        """Return the fused images."""
        return [one.pixels for one in self.fused]

    def rows(self) -> list[dict[str, Any]]:
        """Return nothing more."""
        return [{} for _ in self.fused]

    def draw(self, path: Path) -> None:
        """Write a picture of the pairs beside their fused images; of many pairs, some spread over them."""
        draw_fused(path, self.part, self.fused, DRAWN_PAIRS)


def predict_pairs(
    run: RunFolder,
    rgb: Sequence[Path],
    thermal: Sequence[Path],
    min_score: float,
    device: str = "auto",
    progress: Progress = no_progress,
    dataset: str | None = None,
) -> Predicted | PredictedPictures:
    """Return what a finished run makes of pairs of files, or of two folders with equal stems.

    `dataset` names the set that the run was trained on, where it is neither registered nor in the datasets folder;
    `min_score` is for boxes alone.

    Raises:
        MissingError: the run is not finished, its weights are gone, or a file is not there.
        BadInputError: other weights than the result's, or images that cannot be used.
        UsageError: a modality that the recipe reads is not given.
    """
    recipe = run.load_recipe()
    info = trained_info(run, dataset)
    files = pair_files(rgb, thermal, recipe.modalities, recipe.name)
    digest = require_weights(run)
    part = LoosePairs(files, info).part()
    submission = load_submission(recipe.submission)(recipe, info)
    found = submission.predict(run.weights, part, device, progress)
    if not isinstance(found, Detections):
        pictures = sorted(found, key=lambda one: one.index)
        if maps := [one for one in pictures if isinstance(one, LabelMap)]:
            return PredictedMaps(run, digest, files, part, maps)
        return PredictedFusion(run, digest, files, part, [one for one in pictures if isinstance(one, FusedImage)])
    found = found.take(found.score >= min_score)
    return Predicted(run, digest, files, part, found.take(canonical_order(found)), min_score)


def require_weights(run: RunFolder) -> str:
    """Return the SHA-256 of a run's weights, which must be those that its result was made with.

    Raises:
        MissingError: the run is not finished, or its weights are gone.
        BadInputError: other weights than the result's.
    """
    model = run.result().model
    if model is None:
        raise BadInputError(f"{run.folder}: its result names no weights; `rgbt-bench run` makes one that does")
    if not run.weights.is_file():
        raise MissingError(f"{run.weights}: no such weights file; `rgbt-bench run {run.recipe}` trains again")
    if sha256_file(run.weights) != model.weights_sha256:
        raise BadInputError(
            f"{run.weights}: not the weights that the result was made with; delete the file to train again"
        )
    return model.weights_sha256


def trained_info(run: RunFolder, dataset: str | None = None) -> DatasetInfo:
    """Return the info of the dataset that a run was trained on, from the converted set or else from its converter.

    Raises:
        MissingError: neither is here.
        BadInputError: the classes are not those of the run's result.
    """
    name = dataset or parse_dataset_name(run.dataset)[0]
    try:
        info = open_dataset(name).info
    except MissingError:
        if dataset is not None:
            raise
        info = dataset_info(name)
    result = run.result()
    scored = tuple(result.metrics.per_class)
    classes = find_protocol(result.protocol["name"]).classes(info)
    if classes != scored:
        raise BadInputError(
            f"{run.folder}: was scored on the classes {', '.join(scored)}, but {name} has {', '.join(classes)}"
        )
    return info

"""Writing what a detector of any framework found as a predictions file, checked image by image as it comes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.errors import BadInputError, UsageError, did_you_mean, enumerate_faults
from rgbt_bench.formats.images import IMAGE_SUFFIXES
from rgbt_bench.opening import open_dataset
from rgbt_bench.predictions import (
    LARGEST,
    MAX_PER_IMAGE,
    Detections,
    aliases,
    canonical_order,
    write_predictions,
)
from rgbt_bench.runs import TEST_PART

WITHOUT_AREA = "boxes without area"
_SUFFIXES = (*IMAGE_SUFFIXES, ".webp", ".npy")  # several modalities in one file are often an array
_NAMES = ("boxes", "labels", "scores")
OF_OTHER_CLASSES = "of classes that the dataset does not have"
OVER_THE_CAP = f"lowest scores of images with more than {MAX_PER_IMAGE:,} detections"


@dataclass(frozen=True)
class Written:
    """What a predictions file holds, and what was left out of it and why; printed, it is one sentence.

    `samples` is how many the part has, None where only class names were given; `left_out` counts detections by reason,
    and `unknown` those of the classes that the dataset does not have by class.
    """

    path: Path
    images: int
    samples: int | None
    detections: int
    left_out: Mapping[str, int]
    unknown: Mapping[str, int]

    def __str__(self) -> str:
        of = "" if self.samples is None else f" of {self.samples:,}"
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        left_out = f"; left out: {reasons}" if reasons else ""
        return f"{self.path}: {self.detections:,} detections on {self.images:,}{of} images{left_out}"


class PredictionsWriter:
    """Gathers a detector's output image by image, and writes it as `rgbt-bench evaluate` reads it.

    `dataset` is a converted set's name or folder: images are then looked up among the samples of its `part`; or class
    names alone in the dataset's order: no set is needed, and images are known by their file names. `names` says which
    class a label of the model is: a mapping, or a sequence from 0; `rename` gives a class of the model the dataset's
    name for it. Detections of classes that the dataset does not have are refused, or with `drop_unknown` left out.

    Raises:
        UsageError: a class that the dataset does not have, or names that are no such mapping.
        MissingError: there is no such set.
    """

    def __init__(
        self,
        dataset: str | os.PathLike[str] | Sequence[str],
        names: Mapping[int, str] | Sequence[str],
        *,
        rename: Mapping[str, str] | None = None,
        drop_unknown: bool = False,
        part: str = TEST_PART,
    ) -> None:
        self._samples: dict[str, str] | None = None
        self._ids: tuple[str, ...] = ()
        self._where = ""
        if isinstance(dataset, str | os.PathLike):
            opened = open_dataset(os.fspath(dataset))
            found = opened.part(part)
            classes: tuple[str, ...] = opened.info.classes
            self._ids, self._where = found.ids, f"the part {part} of {opened.name}"
            self._samples = aliases(found.labels) | {sample_id: sample_id for sample_id in found.ids}
        else:
            classes = _class_names(dataset)
        self._names = _labels(names)
        self._categories = _categories(classes, self._names, dict(rename or {}), drop_unknown)
        self._found: dict[str, Detections] = {}
        self._left_out: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()

    def add(self, image: str | os.PathLike[str], boxes: Any, labels: Any, scores: Any) -> None:
        """Take the detections of one image; none is a legal number of them.

        `image` is a sample id, or the image's file name or path. `boxes` are x1, y1, x2, y2 in pixels of the sample,
        [N, 4]; `labels` [N] whole numbers; `scores` [N], higher is surer: lists, arrays, or tensors on any device.
        Boxes without area, which nothing can match, are left out and counted, and of more than 1,000 the lowest scores.

        Raises:
            BadInputError: no sample of the part, one that was added before, or detections that cannot be scored; the
                message names the image and every kind of fault.
        """
        if not isinstance(image, str | os.PathLike):
            raise BadInputError(f"{image!r}: is no image; its file name, its path or a sample id was expected")
        sample_id = self._sample_id(os.fspath(image))
        where = f"{os.fspath(image)}: these detections cannot be written"
        corners, label, score = _columns(where, boxes, labels, scores)
        if faults := [*_faults(corners, score), *self._label_faults(label)]:
            raise BadInputError(enumerate_faults(f"{where}; they are counted from 0:", faults))
        size = corners[:, 2:] - corners[:, :2]
        category = np.array([self._categories[int(one)] for one in label], dtype=np.int64)
        has_area = (size > 0).all(axis=1) & (size.prod(axis=1) > 0)
        kept = has_area & (category >= 0)
        detections = Detections(
            sample_index=np.zeros(int(kept.sum()), dtype=np.int64),
            category=category[kept],
            bbox=np.concatenate([corners[:, :2], size], axis=1)[kept],
            score=score[kept],
        )
        best = canonical_order(detections)[:MAX_PER_IMAGE]
        self._found[sample_id] = detections.take(best)
        self._unknown.update(self._names[int(one)] for one in label[category < 0])
        self._left_out[OF_OTHER_CLASSES] += int((category < 0).sum())
        self._left_out[WITHOUT_AREA] += int((~has_area & (category >= 0)).sum())
        self._left_out[OVER_THE_CAP] += len(detections) - len(best)

    def write(self, path: str | os.PathLike[str]) -> Written:
        """Write the file, whole or not at all, and return what it holds; the same detections give the same bytes.

        Raises:
            BadInputError: no image was added.
        """
        if not self._found:
            raise BadInputError(f"{os.fspath(path)}: not written, no image was added; one without detections is legal")
        ids = sorted(self._found)
        parts = [self._found[sample_id] for sample_id in ids]
        counts = [len(one) for one in parts]
        detections = Detections(
            sample_index=np.repeat(np.arange(len(ids), dtype=np.int64), counts),
            category=np.concatenate([one.category for one in parts]),
            bbox=np.concatenate([one.bbox for one in parts]),
            score=np.concatenate([one.score for one in parts]),
        )
        write_predictions(Path(path), detections, ids)
        left_out = {reason: count for reason, count in self._left_out.items() if count}
        samples = None if self._samples is None else len(self._ids)
        return Written(Path(path), len(ids), samples, len(detections), left_out, dict(self._unknown.most_common()))

    def _sample_id(self, image: str) -> str:
        name = PurePath(image).name
        stem = PurePath(name).stem if name.lower().endswith(_SUFFIXES) else name
        sample_id = stem
        if self._samples is not None:
            # Exports percent-encode the ids that no file can be called by.
            known = (one for one in (image, name, stem, unquote(stem)) if one in self._samples)
            found = next(known, None)
            if found is None:
                raise BadInputError(f"{image}: is no sample of {self._where}{self._near(stem)}")
            sample_id = self._samples[found]
        if not sample_id:
            raise BadInputError(f"{image!r}: is no image's name")
        if sample_id in self._found:
            raise BadInputError(f"{image}: {sample_id} was added before; add all detections of an image at once")
        return sample_id

    def _near(self, name: str) -> str:
        if get_close_matches(name[:200], self._samples or (), n=1):
            return f". {did_you_mean(name[:200], self._samples or ())}"
        return f", whose ids are such as {self._ids[0]!r}" if self._ids else ", which has none"

    def _label_faults(self, label: NDArray[np.float64]) -> list[str]:
        unknown = sorted({float(one) for one in label} - set(self._names))
        if not unknown:
            return []
        shown = ", ".join(f"{number} {name}" for number, name in list(self._names.items())[:5])
        return [f"labels that `names` does not have: {', '.join(f'{one:g}' for one in unknown[:5])}; it begins {shown}"]


def _class_names(classes: Sequence[str]) -> tuple[str, ...]:
    found = tuple(classes) if isinstance(classes, Sequence) else ()
    if not found or len(set(map(str, found))) < len(found) or not all(isinstance(name, str) for name in found):
        raise UsageError(f"dataset: a set's name, its folder or its class names were expected, not {classes!r}")
    return found


def _labels(names: Mapping[int, str] | Sequence[str]) -> dict[int, str]:
    """Return the class name of each label of a model."""
    if isinstance(names, str):
        raise UsageError(f"names: a mapping or a sequence of class names was expected, not the text {names!r}")
    pairs = names.items() if isinstance(names, Mapping) else enumerate(names)
    found = {}
    for label, name in pairs:
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or not isinstance(name, str):
            raise UsageError(f"names: whole numbers and their class names were expected, not {label!r}: {name!r}")
        found[int(label)] = name
    return found


def _categories(
    classes: Sequence[str], names: Mapping[int, str], rename: Mapping[str, str], drop_unknown: bool
) -> dict[int, int]:
    """Return the dataset's 0-based class of each label, -1 for those that it does not have."""
    theirs = set(names.values())
    wrong = [f"no class {name!r} in names. {did_you_mean(name, theirs)}" for name in rename if name not in theirs]
    asked = [name for name in dict.fromkeys(rename.values()) if name not in classes]
    wrong += [f"the dataset has no class {name!r}. {did_you_mean(name, classes)}" for name in asked]
    if wrong:
        raise UsageError(enumerate_faults("rename: classes cannot be renamed so:", wrong))
    place = {name: number for number, name in enumerate(classes)}
    found = {label: place.get(rename.get(name, name), -1) for label, name in names.items()}
    unknown = dict.fromkeys(names[label] for label, category in found.items() if category < 0)
    if unknown and not drop_unknown:
        title = f"{len(unknown)} class(es) of the model that the dataset does not have ({', '.join(classes)}):"
        advice = "rename={'bicycle': 'bike'} gives one the dataset's name; drop_unknown=True leaves them out"
        lines = [f"{name!r}{_near_class(name, classes)}" for name in unknown]
        raise UsageError(f"{enumerate_faults(title, lines, limit=8)}\n{advice}")
    if len(unknown) == len(theirs):
        raise UsageError(f"names: none of them is a class of the dataset: {', '.join(classes) or 'it has none'}")
    return found


def _near_class(name: str, classes: Sequence[str]) -> str:
    said = did_you_mean(name, classes)
    return f": {said}" if said.startswith("Did") else ""


def _columns(where: str, *values: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return boxes, labels and scores as float64[N, 4], [N] and [N]."""
    boxes, labels, scores = (_array(where, name, value) for name, value in zip(_NAMES, values, strict=True))
    if boxes.shape == (0,):  # what an empty list becomes
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or labels.shape != (len(boxes),) or scores.shape != (len(boxes),):
        shapes = ", ".join(
            f"{name} {list(one.shape)}" for name, one in zip(_NAMES, (boxes, labels, scores), strict=True)
        )
        raise BadInputError(f"{where}: boxes [N, 4], labels [N] and scores [N] were expected, not {shapes}")
    return boxes, labels, scores


def _array(where: str, name: str, value: Any) -> NDArray[np.float64]:
    """Return numbers of any kind as float64, which holds them exactly; torch is not needed to take its tensors."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            if "bfloat16" in str(value.dtype):  # which NumPy does not have
                value = value.float()
        array = np.asarray(value)
    except Exception as error:  # a framework's own type may raise anything
        raise BadInputError(f"{where}: {name} are no array of numbers: {error}") from None
    if array.size == 0:
        return np.zeros(array.shape, dtype=np.float64)
    if array.dtype.kind not in "iuf":
        raise BadInputError(f"{where}: {name} are no array of numbers, but of {array.dtype}")
    return array.astype(np.float64)


def _faults(corners: NDArray[np.float64], score: NDArray[np.float64]) -> list[str]:
    numbers = np.column_stack([corners, score])
    finite = np.logical_and.reduce(np.isfinite(numbers), axis=1)
    first, last = np.hsplit(np.where(finite[:, None], corners, 0.0), 2)
    checks = {
        "a box or score that is not finite": ~finite,
        f"a box or score beyond {LARGEST:,.0f}": finite & (np.abs(numbers).max(axis=1) > LARGEST),
        f"a box wider or higher than {LARGEST:,.0f}": (last - first > LARGEST).any(axis=1),
        "x2 before x1 or y2 before y1; two corners are expected, not x, y, width, height": (last < first).any(axis=1),
        "a score below 0": finite & (score < 0),
    }
    return [
        f"{int(bad.sum()):,} of {len(score):,} with {problem}, first {int(bad.argmax())}"
        for problem, bad in checks.items()
        if bad.any()
    ]

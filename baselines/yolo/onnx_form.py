"""A trained detector on RGB images as an ONNX file has it. It imports the library, so it is imported late."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rgbt_bench.datasets.store import Part
from rgbt_bench.near_ties import Selection
from rgbt_bench.predictions import Detections
from rgbt_bench.submissions import Choice, OnnxForm

from .config import RgbModelSection
from .detector import MAX_CANDIDATES, as_detections, choose
from .images import PADDING, shown

TOLERANCES = {"boxes": 0.01, "scores": 1e-4}  # pixels of the input, and scores in 0..1


def detector_form(
    detector: nn.Module, model: RgbModelSection, classes: Sequence[int], names: Sequence[str]
) -> OnnxForm:
    """Return the ONNX form of a detector with its weights, which is changed for it: it then returns a tensor alone.

    `classes` are those with an output, as indices into the dataset's classes `names`.
    """
    head: Any = detector.model[-1]  # type: ignore[index]
    head.export = True  # the decoded boxes alone
    head.stride = head.stride.tolist()  # else the exporter warns of a tensor that is no parameter
    side = model.image_size

    def found(outputs: Sequence[NDArray[np.float32]]) -> Detections:
        decoded = torch.from_numpy(outputs[0])
        chosen = [choose(one, model.min_score, model.nms_iou, model.max_detections) for one in decoded]
        for one in chosen:
            one.classes.copy_(torch.tensor(classes)[one.classes])
        return as_detections(list(enumerate(chosen)))

    def prepare(part: Part, places: Sequence[int]) -> Mapping[str, Tensor]:
        (batch,) = shown(part, places, side, len(places))
        return {"images": batch.images}

    return OnnxForm(
        network=detector.eval().requires_grad_(False),
        example={"images": torch.zeros(2, 3, side, side)},
        outputs={
            "detections": "float32 [batch, 4 + classes, places]: centre x, centre y, width and height of a box in"
            " pixels of the input, then its score in 0..1 for each class; every class of a place counts for itself,"
            " and no NMS is done"
        },
        prepare=prepare,
        quantities=lambda outputs: {"boxes": outputs[0][:, :4], "scores": outputs[0][:, 4:]},
        tolerances=TOLERANCES,
        metadata=_metadata(model, [names[place] for place in classes]),
        choice=Choice(found, Selection(model.min_score, model.nms_iou, model.max_detections)),
    )


def _metadata(model: RgbModelSection, names: Sequence[str]) -> dict[str, str]:
    side = model.image_size
    selection = {
        "min_score": model.min_score,
        "max_candidates": MAX_CANDIDATES,
        "nms_iou": model.nms_iou,
        "max_detections": model.max_detections,
    }
    return {
        "detector": model.detector,
        "classes": json.dumps(list(names), ensure_ascii=False),
        "image_size": str(side),
        "preprocessing": f"an 8-bit RGB image; where its longer side is not {side} pixels, resized bilinearly (OpenCV's"
        f" INTER_LINEAR) to sides of min(ceil(side * {side} / longer), {side}); placed at the top left of a {side} x"
        f" {side} square whose right or bottom is grey {PADDING}; divided by 255; float32 [batch, 3, {side}, {side}],"
        " red first",
        "postprocessing": "scores above min_score, the best max_candidates of these; NMS class by class, which drops a"
        " box that overlaps a better one by an IoU of more than nms_iou; the best max_detections of an image; x times"
        " image width / resized width, y times image height / resized height, cut off at the image",
        "selection": json.dumps(selection),
    }

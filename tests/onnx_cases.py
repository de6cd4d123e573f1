"""A small network with an ONNX form, for the tests of what knows no model."""

import io

import numpy as np
import torch
from PIL import Image as Pillow
from torch import nn

from rgbt_bench.near_ties import Selection
from rgbt_bench.predictions import Detections
from rgbt_bench.submissions import Choice, OnnxForm

SIDE = 32
SELECTION = Selection(min_score=0.5, nms_iou=0.7, limit=100)


class Cells(nn.Module):
    """A box and three scores for each of four cells."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.convolution = nn.Conv2d(3, 7, 16, stride=16)

    def forward(self, images):
        cells = self.convolution(images).flatten(2).sigmoid()
        return torch.cat([cells[:, :4] * SIDE, cells[:, 4:]], 1)


def found(outputs):
    index, category, place = (outputs[0][:, 4:] > SELECTION.min_score).nonzero()
    bbox = outputs[0].transpose(0, 2, 1)[index, place, :4].astype(np.float64)
    return Detections(index, category, bbox, outputs[0][index, 4 + category, place].astype(np.float64))


def prepare(part, places):
    images = [Pillow.open(io.BytesIO(part[place].rgb.data)).convert("RGB").resize((SIDE, SIDE)) for place in places]
    return {"images": torch.from_numpy(np.stack([np.asarray(one) for one in images])).permute(0, 3, 1, 2).float() / 255}


def form(network=None, **changed):
    return OnnxForm(
        **{
            "network": (network or Cells()).eval(),
            "example": {"images": torch.zeros(2, 3, SIDE, SIDE)},
            "outputs": {"cells": "float32 [batch, 7, 4]: boxes and scores"},
            "prepare": prepare,
            "quantities": lambda outputs: {"boxes": outputs[0][:, :4], "scores": outputs[0][:, 4:]},
            "tolerances": {"boxes": 1e-3, "scores": 1e-4},
            "metadata": {"classes": '["person", "bike", "car"]'},
            "choice": Choice(found, SELECTION),
            **changed,
        }
    )


class WithForm:
    """A submission that says a word on stdout, as libraries do, and has an ONNX form."""

    def __init__(self, recipe, info):
        print("a library's greeting")

    def onnx_form(self, weights):
        return form()

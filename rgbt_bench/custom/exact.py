"""Labels written in full: a file beside an export, for the samples whose labels its format cannot hold."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rgbt_bench.errors import BadInputError
from rgbt_bench.recipes import explain
from rgbt_bench.schema import Box, Labels, Rect
from rgbt_bench.sources import Source

EXACT_FILE = "rgbt-bench-labels.json"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ExactBox(_Data):
    """One object, its category by name."""

    category: str
    bbox: Rect
    area: float
    iscrowd: bool = False
    ignore: bool = False
    truncation: Literal[0, 1] | None = None
    occlusion: Literal[0, 1, 2] | None = None


class ExactLabels(_Data):
    """The labels of one sample; `label_sha256` is of the bytes of the label file that they stand in for, if any."""

    width: int
    height: int
    objects: tuple[ExactBox, ...] = ()
    ignore_regions: tuple[Rect, ...] = ()
    label_sha256: str | None = None


class ExactFile(_Data):
    """The file: labels by sample id."""

    version: Literal[1] = 1
    samples: dict[str, ExactLabels] = Field(default_factory=dict)


def exact_labels(labels: Labels, classes: tuple[str, ...], label_sha256: str | None) -> dict[str, Any]:
    """Return a sample's labels as the file holds them."""
    return {
        "width": labels.width,
        "height": labels.height,
        "objects": [_exact_box(box, classes) for box in labels.objects],
        "ignore_regions": [list(region) for region in labels.ignore_regions],
        "label_sha256": label_sha256,
    }


def read_exact(source: Source, name: str) -> Mapping[str, ExactLabels]:
    """Return the labels of a file by sample id.

    Raises:
        BadInputError: no such file, or not such labels; the message names the file and the key.
    """
    try:
        return ExactFile.model_validate(source.json(name)).samples
    except ValidationError as error:
        raise BadInputError(explain(error, source.where(name), ExactFile)) from None


def _exact_box(box: Box, classes: tuple[str, ...]) -> dict[str, Any]:
    values = {key: getattr(box, key) for key in ("bbox", "area", "iscrowd", "ignore", "truncation", "occlusion")}
    return {"category": classes[box.category], **values}

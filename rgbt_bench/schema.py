"""The RGB-T schema: what a sample is, and how it is stored as Parquet that needs no code of ours to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
Illumination = Literal["day", "night", "overcast", "challenge", "unknown"]
Modality = Literal["rgb", "thermal"]
Task = Literal["detection", "segmentation", "fusion"]
MODALITIES: tuple[Modality, ...] = ("rgb", "thermal")
VOID = 255

Rect = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """One labelled object.

    Attributes:
        bbox: x, y, width, height in pixels of the sample, float64; may leave the image where the dataset's labels do.
        category: 0-based index into `DatasetInfo.classes`.
        area: in square pixels; the COCO size classes are read from it.
        iscrowd: COCO's crowd flag.
        ignore: counts neither as a hit nor as a miss.
        truncation: 0 none, 1 partial, or None where the dataset does not say.
        occlusion: 0 none, 1 partial, 2 heavy, or None where the dataset does not say.
    """

    bbox: Rect
    category: int
    area: float
    iscrowd: bool = False
    ignore: bool = False
    truncation: int | None = None
    occlusion: int | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An encoded image as its dataset delivered it: the file's bytes and its base name."""

    data: bytes
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Everything a dataset says of one registered RGB-thermal pair except its pixels.

    `width` and `height` are in pixels, `ignore_regions` are x, y, width, height; `source` is the relative path in the
    original archive; `scene` names what consecutive frames share, and is empty where the dataset does not say.
    """

    sample_id: str
    width: int
    height: int
    objects: tuple[Box, ...] = ()
    ignore_regions: tuple[Rect, ...] = ()
    illumination: Illumination = "unknown"
    scene: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Labels):
    """One registered RGB-thermal pair with its labels.

    `rgb` is 8-bit, three channels; `thermal` is 8- or 16-bit, one channel (or three equal ones), or None; `mask` is a
    uint8 label map (255 = void) or None. All are of one size.
    """

    rgb: Image
    thermal: Image | None = None
    mask: Image | None = None

    def image(self, modality: Modality) -> Image | None:
        """Return the encoded image of one modality."""
        return self.rgb if modality == "rgb" else self.thermal


class DatasetInfo(BaseModel):
    """What holds for a whole dataset, whoever converts it.

    `classes` are those of the boxes; `mask_classes` name the values of the masks in order (255 is void) and are empty
    where there are none; `palette` has the published colour of each of them, of which black is not painted.
    `thermal_range` is the declared range of the thermal values (for 16-bit images), `clip_training_boxes` says that
    published boxes leave the image and are scored as they are but clipped for training, `hub_licence` is the identifier
    that the Hugging Face Hub knows the licence by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str
    classes: tuple[str, ...]
    tasks: tuple[Task, ...]
    homepage: str
    licence: str
    hub_licence: str = "other"
    citation: str
    split_policy: str
    thermal_range: tuple[float, float] = (0.0, 255.0)
    clip_training_boxes: bool = True
    mask_classes: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class SplitList:
    """A named split: for every part, the ids of its samples; `origin` says whose it is and how its ids are known."""

    name: str
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    origin: str = ""


def to_row(sample: Sample) -> dict[str, Any]:
    """Return a sample as the dict that one Parquet row holds."""
    return {
        "sample_id": sample.sample_id,
        "rgb": _to_cell(sample.rgb),
        "thermal": _to_cell(sample.thermal),
        "width": sample.width,
        "height": sample.height,
        "objects": [
            {
                "bbox": list(box.bbox),
                "category": box.category,
                "area": box.area,
                "iscrowd": box.iscrowd,
                "ignore": box.ignore,
                "truncation": box.truncation,
                "occlusion": box.occlusion,
            }
            for box in sample.objects
        ],
        "ignore_regions": [list(region) for region in sample.ignore_regions],
        "mask": _to_cell(sample.mask),
        "illumination": sample.illumination,
        "scene": sample.scene,
        "source": sample.source,
    }


IMAGE_COLUMNS = ("rgb", "thermal", "mask")


def from_row(row: Mapping[str, Any]) -> Sample:
    """Return the sample that a whole Parquet row holds."""
    images = {column: image_from_cell(row[column]) for column in IMAGE_COLUMNS}
    return Sample(**_label_fields(row), **images)  # type: ignore[arg-type]


def labels_from_row(row: Mapping[str, Any]) -> Labels:
    """Return the labels that a Parquet row holds; the image columns may be missing from it."""
    return Labels(**_label_fields(row))


def _label_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    fields = {column: row[column] for column in ("sample_id", "width", "height", "illumination", "scene", "source")}
    fields["objects"] = tuple(Box(**{**box, "bbox": tuple(box["bbox"])}) for box in row["objects"])
    fields["ignore_regions"] = tuple(tuple(region) for region in row["ignore_regions"])
    return fields


def _to_cell(image: Image | None) -> dict[str, Any] | None:
    return None if image is None else {"bytes": image.data, "path": image.name}


def image_from_cell(cell: Mapping[str, Any] | None) -> Image | None:
    """Return the encoded image that a cell of an image column holds."""
    return None if cell is None else Image(cell["bytes"], cell["path"])

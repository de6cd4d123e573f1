"""The sections of a recipe for detection on fused images."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

Colour = Literal["from-rgb", "grey"]
Gain = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Zoom = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelSection(_Section):
    """The detector and what it is shown.

    `detector` is a name such as `yolov5s`, `image_size` the side of its square input. `colour` is what stands beside
    the fused image: Cb and Cr of the RGB image (`from-rgb`), or nothing (`grey`). The last three choose detections.
    """

    detector: str
    image_size: int = Field(ge=64, multiple_of=32)
    colour: Colour
    min_score: Share
    nms_iou: Share
    max_detections: int = Field(ge=1)


class AugmentSection(_Section):
    """Augmentation: flip probability and the range of the zoom; colours are left as they are."""

    flip: Share
    zoom: Annotated[tuple[Zoom, Zoom], Strict(False)]


class LossSection(_Section):
    """The gains of the library's loss."""

    box: Gain
    cls: Gain
    dfl: Gain

"""The sections of a recipe: for detection on fused images, and for a detector that the library's trainer trains."""

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


class RgbModelSection(_Section):
    """The detector and the square it sees; no class of the names in `left_out` has an output.

    The last three choose detections.
    """

    detector: str
    image_size: int = Field(ge=64, multiple_of=32)
    left_out: Annotated[tuple[str, ...], Strict(False)] = ()
    min_score: Share
    nms_iou: Share
    max_detections: int = Field(ge=1)


class RgbAugmentSection(_Section):
    """The library's augmentation: changes of hue, saturation and brightness, shifts, zoom, flips and mosaics.

    `mosaic` is the share of images that are put together from four; the last `mosaic_off` epochs have none.
    """

    hue: Share
    saturation: Share
    brightness: Share
    shift: Share
    zoom: Annotated[float, Field(ge=0, lt=1)]
    flip: Share
    mosaic: Share
    mosaic_off: int = Field(ge=0)


class TrainerSection(_Section):
    """The library's warm-up: in these epochs the rates rise to the recipe's, and the biases' falls to it."""

    warmup_epochs: float = Field(ge=0)
    warmup_momentum: float = Field(ge=0, lt=1)
    warmup_bias_rate: float = Field(ge=0)

"""The result of a run: one JSON with its numbers and everything that says what they were computed on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationError,
    model_serializer,
)

from rgbt_bench import __version__
from rgbt_bench.devices import cpu_name
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import read_json, write_json

RESULT_SCHEMA = 2
RESULT_FILE = "result.json"
_ANEW = "the same `run` or `evaluate` again scores it anew"
_LIBRARIES = (
    "numpy", "numba", "pillow", "pyarrow", "hotcoco", "pycocotools", "torch", "torchvision", "timm", "effdet",
    "accelerate",
)  # fmt: skip

Figure = float | None
Interval = tuple[float, float] | None
Standing = Literal["official", "pending", "unofficial"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resampling(_Record):
    """What was drawn for intervals: `blocks` of `unit`, `resamples` times; `reason` says why there are none.

    `undefined` counts the resamples in which a figure is not defined, because a class with labels has none there; the
    figure's interval is over the others. `block_size` is None where the blocks are scenes.
    """

    resamples: int
    seed: int
    unit: str
    blocks: int
    block_size: int | None
    level: float
    undefined: dict[str, int] = Field(default_factory=dict)
    reason: str | None = None


class Intervals(_Record):
    """Percentile intervals [low, high] of the figures beside them, None where there is none.

    `resampling` says how, for `all` samples and for each subset.
    """

    figures: dict[str, Interval]
    per_class: dict[str, dict[str, Interval]]
    subsets: dict[str, dict[str, Interval]]
    resampling: dict[str, Resampling]


class Metrics(_Record):
    """Figures in 0..1, higher is better; None where there is nothing to average. The first is the main one.

    `per_class` has figures of each class, and counts of its labels as integers; `subsets` holds the same figures over
    the samples of one illumination; they are shown, never ranked.
    """

    figures: dict[str, Figure]
    per_class: dict[str, dict[str, int | Figure]]
    subsets: dict[str, dict[str, Figure]] = Field(default_factory=dict)
    subset_samples: dict[str, int] = Field(default_factory=dict)
    intervals: Intervals

    @property
    def main(self) -> str:
        """The name of the main figure."""
        return next(iter(self.figures))

    def by_name(self) -> dict[str, Figure]:
        """Return every figure: of all samples by its name, of a subset or a class as `day AP` or `CLASS AP`."""
        found = dict(self.figures)
        for subset, figures in self.subsets.items():
            found |= {f"{subset} {name}": value for name, value in figures.items()}
        for one, intervals in self.intervals.per_class.items():
            found |= {f"{one} {name}": self.per_class[one][name] for name in intervals}
        return found

    def intervals_by_name(self) -> dict[str, Interval]:
        """Return the interval of every figure, by the same names."""
        found = dict(self.intervals.figures)
        for groups in (self.intervals.subsets, self.intervals.per_class):
            for group, intervals in groups.items():
                found |= {f"{group} {name}": value for name, value in intervals.items()}
        return found


class DetectionMetrics(Metrics):
    """Figures of boxes; `further` are those with more detections allowed, where that changes any, without intervals."""

    kind: Literal["detection"] = "detection"
    further: dict[str, Figure] | None = None

    @model_serializer(mode="wrap")
    def _without_nothing_further(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # what was written before there was the field keeps its digest
        found: dict[str, Any] = dump(self)
        if self.further is None:
            found.pop("further", None)
        return found


class SegmentationMetrics(Metrics):
    """Figures of label maps; `confusion` counts pixels, rows by label and columns by prediction, in classes' order.

    `edge_iou` has the IoU of the edges at each threshold, where edges were predicted.
    """

    kind: Literal["segmentation"] = "segmentation"
    confusion: tuple[tuple[int, ...], ...]
    edge_iou: dict[str, Figure] | None = None


class Spread(_Record):
    """How a figure is spread over the samples: the five numbers of a box plot."""

    minimum: float
    first_quartile: float
    median: float
    third_quartile: float
    maximum: float


class FusionMetrics(Metrics):
    """Figures of fused images, the mean over the samples where each is defined, in the units of their definitions.

    `undefined` counts the other samples; `spread` is over the samples, too. `controls` has the same figures of what no
    method should have to beat: the infrared and the visible image, their average and maximum, and noise.
    """

    kind: Literal["fusion"] = "fusion"
    spread: dict[str, Spread]
    undefined: dict[str, int]
    controls: dict[str, dict[str, Figure]]


def _kind(metrics: Any) -> Any:
    # results from before there were two kinds do not say theirs
    return metrics.get("kind", "detection") if isinstance(metrics, dict) else getattr(metrics, "kind", None)


AnyMetrics = Annotated[
    Annotated[DetectionMetrics, Tag("detection")]
    | Annotated[SegmentationMetrics, Tag("segmentation")]
    | Annotated[FusionMetrics, Tag("fusion")],
    Discriminator(_kind),
]


class DataProvenance(_Record):
    """What the predictions were scored against, and what the model was trained on."""

    dataset: str
    split: str
    part: str
    samples: int
    skipped: int
    label_digest: str
    rgb_digest: str
    thermal_digest: str | None
    ids_sha256: str
    fingerprint: str
    train_label_digest: str | None = None
    val_label_digest: str | None = None


class ModelProvenance(_Record):
    """Which recipe and weights made the predictions; empty for predictions brought from outside.

    `processes` trained together, each on its share of a batch; None where the run's folder does not say it.
    `weights_from` is None where the run trained them; else where they came from, `hub:OWNER/NAME@COMMIT` or `file`, and
    then `seed` is the one that is told there, None where none is, and `requires` is empty.
    """

    recipe: str
    preset: str
    recipe_digest: str
    run_key: str
    seed: int | None
    settings: tuple[str, ...]
    weights_sha256: str
    requires: dict[str, str]
    parameters: dict[str, int]
    epochs: int | None
    processes: int | None = 1
    weights_from: str | None = None


class Result(_Record):
    """One run's numbers with their provenance; `standing` says whether they may ever rank on their track."""

    result_schema: int = RESULT_SCHEMA
    track: str
    standing: Standing
    standing_reason: str
    protocol: dict[str, Any]
    protocol_digest: str
    evaluator: str
    metrics: AnyMetrics
    predictions_sha256: str
    data: DataProvenance
    model: ModelProvenance | None = None
    durations_s: dict[str, float]
    libraries: dict[str, str]
    hardware: dict[str, Any]
    created: str

    def write(self, path: Path) -> None:
        """Write the result atomically."""
        write_json(path, self.model_dump(mode="json"))


def read_result(path: Path) -> Result:
    """Read a result file.

    Raises:
        MissingError: there is no such file.
        BadInputError: not a result of this schema.
    """
    try:
        content = read_json(path)
    except BadInputError as error:
        raise BadInputError(f"{error}; {_ANEW}") from None
    # First, because another schema's result has other fields.
    found = content.get("result_schema", RESULT_SCHEMA) if isinstance(content, dict) else RESULT_SCHEMA
    if found != RESULT_SCHEMA:
        raise BadInputError(f"{path}: a result of schema {found}, this rgbt-bench reads {RESULT_SCHEMA}; {_ANEW}")
    try:
        return Result.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, _without_tag(first["loc"]))) or "the whole file"
        raise BadInputError(
            f"{path}: not a result of schema {RESULT_SCHEMA} ({error.error_count()} fault(s), the first in {place}:"
            f" {first['msg']}); {_ANEW}"
        ) from None


def _without_tag(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return where a fault is, as the file has it: pydantic names the kind of metrics, which is no key."""
    return (place[0], *place[2:]) if place[:1] == ("metrics",) and len(place) > 1 else place


def library_versions() -> dict[str, str]:
    """Return the versions of what took part in a number."""
    found = {"rgbt-bench": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware(device: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the machine's processor, cores and platform, with the device's description where one was used."""
    found: dict[str, Any] = {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "machine": platform.machine(),
    }
    return found | ({"device": device} if device else {})


def now() -> str:
    """Return the present time as ISO 8601, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")

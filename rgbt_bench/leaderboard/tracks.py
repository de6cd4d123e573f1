"""The frozen tracks: which label and protocol digests make a result official."""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.errors import BadInputError, BenchError
from rgbt_bench.files import sha256_json
from rgbt_bench.metrics import detection, fusion, segmentation
from rgbt_bench.metrics.visdrone import CLEAN, OFFICIAL
from rgbt_bench.results import ModelProvenance, Standing

PENDING = "pending"
DEFINITIONS_FILE = "leaderboard.yaml"
_VERSION = re.compile(r"v([1-9][0-9]*)")
_BOXES = (detection.PROTOCOL, detection.PROTOCOL_ON_FUSED, OFFICIAL, CLEAN)
PROTOCOLS: dict[str, dict[str, Any]] = {one["name"]: one for one in (*_BOXES, segmentation.PROTOCOL, fusion.PROTOCOL)}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OfficialData(_Record):
    """The official part of a dataset; a digest nobody has confirmed yet is `pending`.

    `ids_sha256` is of the part's ids, which alone may be known; `boxes` is None where boxes are not what is scored, or
    where nobody has counted them. `thermal_digest` is None where there are no thermal images.
    `pictures` says that the dataset's images may be shown on the leaderboard's pages.
    """

    dataset: str
    split: str = DEFAULT_SPLIT
    part: str
    samples: int
    boxes: int | None = None
    ids_sha256: str | None = None
    label_digest: str
    rgb_digest: str
    thermal_digest: str | None
    source: str
    pictures: bool = False


class Track(_Record):
    """A track: the official data it is scored on and the protocol; `ranked` is false for the installation check.

    A track keyed by pixels has no labels; what is official there are both sources' pixel digests, and nothing ranks.
    With a `recipe` it is of that recipe alone, in which only the paths in `free` may be set, and what it requires.
    """

    data: str
    protocol: str
    ranked: bool = True
    key: Literal["labels", "pixels"] = "labels"
    recipe: str | None = None
    free: tuple[str, ...] = ()


class DeviceClass(_Record):
    """Devices whose times compare; `names` are all that torch calls them, to the letter."""

    title: str
    type: Literal["cpu", "cuda"]
    names: tuple[str, ...] = Field(min_length=1)


class Leaderboard(_Record):
    """One version of the leaderboard's frozen definitions."""

    version: int
    protocols: dict[str, str]
    data: dict[str, OfficialData]
    tracks: dict[str, Track]
    devices: dict[Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")], DeviceClass] = {}

    @model_validator(mode="after")
    def _every_device_is_of_one_class(self) -> Self:
        names = [(one.type, name) for one in self.devices.values() for name in one.names]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"devices: named twice: {', '.join(name for _, name in twice)}")
        return self


@cache
def leaderboard() -> Leaderboard:
    """Return the frozen definitions of the newest version in the packaged `leaderboards/`."""
    packaged = files("rgbt_leaderboards")
    return read_definitions(packaged / versions(packaged)[-1] / DEFINITIONS_FILE)


def versions(folder: Traversable) -> list[str]:
    """Return the versions in a folder, such as v1, oldest first."""
    named = [one.name for one in folder.iterdir() if _VERSION.fullmatch(one.name)]
    found = [name for name in named if (folder / name / DEFINITIONS_FILE).is_file()]
    return sorted(found, key=lambda name: int(name[1:]))


def read_definitions(path: Traversable) -> Leaderboard:
    """Return the frozen definitions in a `leaderboard.yaml`.

    Raises:
        BadInputError: it cannot be read as such.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return Leaderboard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise BadInputError(f"{path}: not the definitions of a leaderboard: {place}: {first['msg']}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: not the definitions of a leaderboard: {error}") from None


def protocol_digest(name: str) -> str:
    """Return the digest of a protocol: over its canonical parameters and definition version, not over code."""
    return sha256_json(PROTOCOLS[name])


def official_data(dataset: str, part: str, split: str = DEFAULT_SPLIT) -> OfficialData | None:
    """Return what is official of a part of a dataset's split, or None."""
    for data in leaderboard().data.values():
        if (data.dataset, data.part, data.split) == (dataset, part, split):
            return data
    return None


def standing(
    track: str,
    part: str,
    protocol: str,
    label_digest: str,
    skipped: int = 0,
    ids_sha256: str | None = None,
    pixels: tuple[str, str | None] = ("", None),
    model: ModelProvenance | None = None,
    definitions: Leaderboard | None = None,
    split: str | None = None,
    samples: int | None = None,
) -> tuple[Standing, str]:
    """Return whether numbers on these labels are official on a track, and the reason in one sentence.

    `skipped` is how many samples were left out when the set was converted; `pixels` are the digests of the RGB and of
    the thermal images; `model` is what made the predictions, None where nobody knows; `definitions` are those of the
    newest version where none are given; `split` and `samples` decide where the official ids and labels are unknown.
    """
    board = definitions or leaderboard()
    version = f"v{board.version}"
    if track not in board.tracks:
        return "unofficial", f"leaderboard {version} has no track {track}"
    frozen = board.tracks[track]
    data = board.data[frozen.data]
    if not frozen.ranked:
        return "unofficial", f"{track} is for checking an installation and never ranks"
    if data.part != part:
        return "unofficial", f"{track} is scored on the part {data.part}, not {part}"
    if protocol != frozen.protocol or protocol_digest(protocol) != board.protocols[frozen.protocol]:
        return "unofficial", f"the protocol is not the one frozen in leaderboard {version}"
    if frozen.recipe is not None and not _is_of(model, frozen.recipe, frozen.free):
        return "unofficial", f"{track} is of {frozen.recipe} alone, where nothing is set but {', '.join(frozen.free)}"
    if skipped:
        return "unofficial", f"{skipped} sample(s) of the set were left out at its conversion"
    if frozen.key == "labels" and data.label_digest != PENDING:
        if data.label_digest != label_digest:
            own, official = label_digest[:12], data.label_digest[:12]
            return "unofficial", f"these labels ({own}) are not the official ones ({official})"
        return "official", f"scored on the official labels of {track}"
    if data.ids_sha256 is not None and ids_sha256 != data.ids_sha256:
        return "unofficial", f"these samples are not the {data.samples} of the official {part} part"
    if data.ids_sha256 is None and split not in (None, data.split):
        return "unofficial", f"{track} is scored on the split {data.split}, not {split}"
    if data.ids_sha256 is None and samples not in (None, data.samples):
        return "unofficial", f"these are {samples} samples, and the official {part} part has {data.samples}"
    if frozen.key == "pixels":
        return _standing_of_pixels(track, data, pixels)
    return "pending", f"nobody has confirmed the official label digest of {track} yet"


def _is_of(model: ModelProvenance | None, recipe: str, free: tuple[str, ...]) -> bool:
    """Tell whether a model is of a registered recipe in which only free paths, or what it requires, were set."""
    from rgbt_bench.runs import settled_recipe  # which needs this module

    if model is None or model.recipe != recipe:
        return False
    own = [one.partition("=")[0].strip() for one in model.settings]
    if not all(path in free or ":" in path for path in own):
        return False
    try:
        # a recipe file of the same name may hold anything
        return settled_recipe(recipe, model.preset, model.settings).digest == model.recipe_digest
    except BenchError:
        return False


def _standing_of_pixels(track: str, data: OfficialData, pixels: tuple[str, str | None]) -> tuple[Standing, str]:
    official = (data.rgb_digest, data.thermal_digest)
    if PENDING in official:
        return "pending", f"nobody has confirmed the official pixel digests of {track} yet"
    if pixels != official:
        return "unofficial", "these images are not the official ones"
    return "official", f"scored on the official images of {track}, where nothing ranks"

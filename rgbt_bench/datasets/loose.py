"""Loose pairs of image files as a part of a dataset, so that any submission predicts on them unchanged."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from rgbt_bench.datasets.checks import MAX_PIXELS, channel_fault
from rgbt_bench.datasets.digests import fingerprint, open_image, sample_digests, strip_jpeg_metadata
from rgbt_bench.datasets.splits import DEFAULT_SPLIT, split_hash
from rgbt_bench.datasets.store import Dataset, DatasetRecord, Part, part_record
from rgbt_bench.errors import BadInputError, MissingError, UsageError, enumerate_faults
from rgbt_bench.paths import RECORD_FILE
from rgbt_bench.schema import SCHEMA_VERSION, DatasetInfo, Image, Labels, Modality, Sample
from rgbt_bench.sources import is_stray

PART = "loose"
# what the field calls the folder of each modality, in lower case
_FOLDERS: dict[str, tuple[str, ...]] = {
    "rgb": ("rgb", "vi", "vis", "visible", "crop_lr_visible"),
    "thermal": ("thermal", "ir", "infrared", "inf", "lwir", "cropinfrared"),
}
_PAIRS = DatasetInfo(
    name="pairs",
    title="A folder of pairs",
    classes=(),
    tasks=("fusion",),
    homepage="",
    licence="",
    citation="",
    split_policy="",
)
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair; one of the two may be missing where the model does without."""

    rgb: Path | None
    thermal: Path | None

    @property
    def name(self) -> str:
        """The base name of the pair's first file."""
        return (self.rgb or self.thermal or Path()).name


class LoosePairs(Dataset):
    """Pairs of files read as an unlabelled dataset of one part; `info` is that of the set a model was trained on.

    Sample ids are `ids`, or without them the pairs' places, six digits. Every file is decoded once and checked before
    anything is predicted. Where there is no RGB file, the sample has a black picture in its place, which a model
    without RGB does not read.

    Raises:
        BadInputError: files that cannot be used; each is named.
    """

    def __init__(self, files: Sequence[PairFiles], info: DatasetInfo, ids: Sequence[str] | None = None) -> None:
        self.root = Path()
        self.split = DEFAULT_SPLIT
        self.files = tuple(files)
        ids = [f"{place:06d}" for place in range(len(self.files))] if ids is None else list(ids)
        self._places = {sample_id: place for place, sample_id in enumerate(ids)}
        sizes, faults = {}, []
        for sample_id, pair in zip(ids, self.files, strict=True):
            size, found = _check(pair, info)
            sizes[sample_id] = size
            faults += found
        if faults:
            raise BadInputError(enumerate_faults("these images cannot be used:", faults))
        self.labels = {
            sample_id: Labels(sample_id=sample_id, width=width, height=height, source=pair.name)
            for (sample_id, (width, height)), pair in zip(sizes.items(), self.files, strict=True)
        }
        self.digests = {sample_id: sample_digests(self.sample(sample_id), info.classes) for sample_id in ids}
        self.record = DatasetRecord(
            schema_version=SCHEMA_VERSION,
            info=info,
            layout=PART,
            made_with=PART,
            skipped=0,
            shards={},
            splits={self.split: {PART: part_record(self.digests, ids, split_hash(ids), info.classes)}},
            fingerprint=fingerprint(self.digests, info.classes),
        )

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def part(self, name: str = PART) -> Part:
        """Return the one part that there is."""
        return Part(self, self.split, name, list(self._places))

    def sample(self, sample_id: str) -> Sample:
        """Return one pair with its encoded images."""
        pair, labels = self.files[self._places[sample_id]], self.labels[sample_id]
        return Sample(
            **{name: getattr(labels, name) for name in Labels.__slots__},
            rgb=_read(pair.rgb) if pair.rgb else _black(labels.width, labels.height),
            thermal=_read(pair.thermal) if pair.thermal else None,
        )


def pair_files(
    rgb: Sequence[Path], thermal: Sequence[Path], modalities: Sequence[Modality], recipe: str
) -> list[PairFiles]:
    """Return the pairs that files mean in their order, or two folders by equal stems.

    Raises:
        UsageError: a modality that the recipe reads is not given, or there are not as many of one as of the other.
        MissingError: a path that is not there.
        BadInputError: a folder without images, or halves of pairs without the other.
    """
    given = {"rgb": list(rgb), "thermal": list(thermal)}
    for modality in modalities:
        if not given[modality]:
            raise UsageError(f"the recipe {recipe} reads {' and '.join(modalities)} images: give --{modality}, too")
    for path in (*rgb, *thermal):
        if not path.exists():
            raise MissingError(f"{path}: no such file or folder")
    folders = {path.is_dir() for path in (*rgb, *thermal)}
    if folders == {True}:
        return _by_stem(given, modalities)
    if True in folders:
        raise UsageError("give files only, or one folder of each modality")
    if rgb and thermal and len(rgb) != len(thermal):
        raise UsageError(f"{len(rgb)} --rgb and {len(thermal)} --thermal files: give as many of each, in one order")
    count = max(len(rgb), len(thermal))
    return [
        PairFiles(rgb[place] if rgb else None, thermal[place] if thermal else None) for place in range(count)
    ]  # fmt: skip


def is_pairs_folder(folder: Path) -> bool:
    """Tell whether a folder that is no converted set has a folder of each modality in it."""
    return folder.is_dir() and not (folder / RECORD_FILE).is_file() and all(_modality_folders(folder).values())


def open_pairs(folder: Path) -> LoosePairs:
    """Return the pairs in a folder's two folders, such as `visible` and `infrared`; their equal stems are their ids.

    Raises:
        UsageError: several folders of one modality.
        BadInputError: halves of pairs without the other, or files that cannot be used; each is named.
    """
    found = _modality_folders(folder)
    for modality, folders in found.items():
        if len(folders) > 1:
            listed = " and ".join(path.name for path in folders)
            raise UsageError(f"{folder}: {listed} can both hold the {modality} images; take one of them away")
    files = pair_files(found["rgb"], found["thermal"], ("rgb", "thermal"), "fusion")
    return LoosePairs(files, _PAIRS, [Path(one.name).stem for one in files])


def _modality_folders(folder: Path) -> dict[str, list[Path]]:
    there = sorted(path for path in folder.iterdir() if path.is_dir())
    return {modality: [path for path in there if path.name.lower() in names] for modality, names in _FOLDERS.items()}


def _by_stem(given: dict[str, list[Path]], modalities: Sequence[Modality]) -> list[PairFiles]:
    found: dict[str, dict[str, Path]] = {}
    for modality, folders in given.items():
        if len(folders) > 1:
            raise UsageError(f"--{modality}: give one folder")
        found[modality] = _images(folders[0]) if folders else {}
    rgb, thermal = found["rgb"], found["thermal"]
    lone = sorted(rgb.keys() ^ thermal.keys()) if rgb and thermal else []
    if lone:
        files = [str(rgb.get(stem) or thermal[stem]) for stem in lone]
        raise BadInputError(
            enumerate_faults("these images have no partner of the same name in the other folder:", files)
        )
    return [PairFiles(rgb.get(stem), thermal.get(stem)) for stem in sorted(rgb or thermal)]


def _images(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file() and not is_stray(path.name):
            if path.stem in found:
                raise BadInputError(
                    f"{folder}: {found[path.stem].name} and {path.name} have one stem; keep one of them"
                )
            found[path.stem] = path
    if not found:
        raise BadInputError(f"{folder}: no image here ({', '.join(sorted(SUFFIXES))})")
    return found


def _check(pair: PairFiles, info: DatasetInfo) -> tuple[tuple[int, int], list[str]]:
    """Return a pair's width and height, and what is wrong with its files."""
    faults, sizes = [], {}
    for kind, path in (("rgb", pair.rgb), ("thermal", pair.thermal)):
        if path is None:
            continue
        try:
            data = path.read_bytes()
            with open_image(data) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise ValueError(f"{opened.width}x{opened.height} is above {MAX_PIXELS} pixels")
                opened.load()
                if opened.format in ("JPEG", "MPO"):
                    strip_jpeg_metadata(data)  # a decoder mends what has no digest
                sizes[path] = (opened.width, opened.height)
                fault = channel_fault(kind, opened, opened.mode) or (
                    _range_fault(opened, info) if kind == "thermal" else ""
                )
                faults += [f"{path}: {fault}"] if fault else []
        except Exception as error:  # a damaged file makes a decoder raise almost anything
            faults.append(f"{path}: cannot be decoded: {str(error).replace(repr(path), '') or type(error).__name__}")
    if len(set(sizes.values())) > 1:
        words = " and ".join(f"{path} is {width}x{height}" for path, (width, height) in sizes.items())
        faults.append(f"{words}: the two images of a pair are registered and of one size")
    return next(iter(sizes.values()), (0, 0)), faults


def _range_fault(picture: Pillow.Image, info: DatasetInfo) -> str:
    """Return why a thermal image's depth is not that of a dataset, or an empty text."""
    low, high = info.thermal_range
    deep = picture.mode.startswith("I")
    if deep == (high > 255):
        return ""
    bits = "16" if deep else "8"
    return f"a {bits}-bit thermal image, but {info.name} declares the range {low:g}..{high:g}; bring it to that one"


def _read(path: Path) -> Image:
    return Image(path.read_bytes(), path.name)


def _black(width: int, height: int) -> Image:
    stream = BytesIO()
    Pillow.new("RGB", (width, height)).save(stream, "PNG")
    return Image(stream.getvalue(), "")

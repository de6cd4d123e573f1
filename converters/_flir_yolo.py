"""The layouts of FLIR-aligned with YOLO labels: folders by modality and part, or CFT's lists of image paths."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import image_size
from rgbt_bench.formats.yolo import label_names, read_yolo
from rgbt_bench.schema import Labels
from rgbt_bench.sources import Source

from ._flir_labels import SIZE, YOLO_CLASSES, labels_of_yolo, same_names, sample_id_of
from ._flir_pairs import PARTS, Entries, FlirLayout, Pair

_MODALITIES = (("visible", "infrared"), ("rgb", "ir"))
_FOLDERS = ("{0}/{1}/images", "{0}/{1}", "{0}/images/{1}", "images/{0}/{1}")
_PART_FOLDERS = {"train": ("train",), "test": ("test", "val")}
_LISTS = {"train": "align_train.txt", "test": "align_validation.txt"}
_LIST_FOLDERS = ("{}", "yolo/{}")
_SUFFIXES = (".jpg", ".jpeg", ".png")

_YOLO_TREE = """
FLIR-align-3class/                           class numbers: 0 person, 1 car, 2 bicycle
  {visible,infrared}/{train,test}/           FLIR_00002.jpg or FLIR_00002_PreviewData.jpeg; also below images/ there,
                                             in images/{visible,infrared}/{train,test}/, and val/ instead of test/
  labels in labels/ instead of images/, in labels/ there, or beside the images: FLIR_00002.txt
or align/
  yolo/{rgb,ir}/align_train.txt              and align_validation.txt: paths, of which the image's name is used
  yolo/{rgb,ir}/{train,test}/{images,labels}/
Six decimals give whole pixels back, but not what the writer of the labels did with the original boxes' ends: the label
digest of such a set is its own, not the official one.
"""


def _marks(source: Source, base: str) -> set[str]:
    """Return the lists and the folders with images that are there, if there are lists or both modalities' folders."""
    for names in _MODALITIES:
        lists = [name for modality in names for name in _lists(source, base, modality)]
        folders = [[name for part in PARTS for name in _folders(source, base, modality, part)] for modality in names]
        if lists or all(folders):
            return {*lists, *folders[0], *folders[1]}
    return set()


def _entries(source: Source, base: str, part: str, scan: Scan) -> Entries:
    names = next(names for names in _MODALITIES if any(_marks_of(source, base, modality) for modality in names))
    if any(_lists(source, base, modality) for modality in names):
        rgb, thermal = (_below(source, base, modality) for modality in names)
        ids = _listed(source, base, names, part, (rgb, thermal), scan)
    else:
        rgb, thermal = (_in_folders(source, base, modality, part, scan) for modality in names)
        ids = sorted(rgb | thermal)
        _count_passed_over(source, base, names[1], part, scan)
    scan.quirks[f"{part}: no images, so this part is empty"] += not ids
    expected = [f"{base}{modality}/{part}" for modality in names]
    pairs = {one: Pair(_half(one, rgb, thermal, expected[0]), _half(one, thermal, rgb, expected[1])) for one in ids}
    labels = {sample_id: _label_file(source, pair, scan) for sample_id, pair in pairs.items()}
    _require_labels(source, labels, expected[1], part, scan)
    for sample_id, pair in pairs.items():
        try:
            name = labels[sample_id]
            yield pair, _labels(source, sample_id, pair, name, base, scan), name or ""
        except BadInputError as error:
            scan.faults.append(str(error))


def _marks_of(source: Source, base: str, modality: str) -> bool:
    return bool(_lists(source, base, modality)) or any(_folders(source, base, modality, part) for part in PARTS)


def _lists(source: Source, base: str, modality: str, part: str = "") -> list[str]:
    """Return the lists of a modality that are there, of one part or of both."""
    wanted = [_LISTS[part]] if part else list(_LISTS.values())
    names = [f"{base}{folder.format(modality)}/{name}" for folder in _LIST_FOLDERS for name in wanted]
    return [name for name in names if name in source]


def _folders(source: Source, base: str, modality: str, part: str) -> list[str]:
    """Return the folders with images of a modality: those of the first of a part's names that has any."""
    found = (_with_images(source, base, modality, name) for name in _PART_FOLDERS[part])
    return next(filter(None, found), [])


def _with_images(source: Source, base: str, modality: str, part_folder: str) -> list[str]:
    folders = [base + template.format(modality, part_folder) for template in _FOLDERS]
    return [folder for folder in folders if any(map(_is_image, source.files_in(folder)))]


def _count_passed_over(source: Source, base: str, modality: str, part: str, scan: Scan) -> None:
    """Count the images of `val` where the images of `test` are there, too."""
    first, *others = [
        found for name in _PART_FOLDERS[part] if (found := _with_images(source, base, modality, name))
    ] or [[]]
    images = [file for folders in others for folder in folders for file in source.files_in(folder) if _is_image(file)]
    scan.quirks[f"images in val (left out, as {first[0] if first else part} is there)"] += len(images)


def _is_image(name: str) -> bool:
    return name.startswith("FLIR_") and name.endswith(_SUFFIXES)


def _in_folders(source: Source, base: str, modality: str, part: str, scan: Scan) -> dict[str, str]:
    """Return a part's images of one modality by sample id."""
    images: dict[str, str] = {}
    for folder in _folders(source, base, modality, part):
        for file in filter(_is_image, source.files_in(folder)):
            name = f"{folder}/{file}"
            try:
                sample_id = sample_id_of(file, source.where(folder))
            except BadInputError as error:
                scan.faults.append(str(error))
                continue
            if sample_id in images:
                scan.faults.append(f"{source.where(name)}: {sample_id} again, first {images[sample_id]}; keep one")
            images.setdefault(sample_id, name)
    return images


def _below(source: Source, base: str, modality: str) -> dict[str, str]:
    """Return the images anywhere in a modality's folder by sample id; which of them count, the lists say."""
    prefixes = tuple(f"{base}{folder.format(modality)}/" for folder in _LIST_FOLDERS)
    images: dict[str, str] = {}
    for name in source.names:
        if name.startswith(prefixes) and _is_image(file := name.rpartition("/")[2]):
            with suppress(BadInputError):
                images.setdefault(sample_id_of(file, name), name)
    return images


def _listed(
    source: Source, base: str, modalities: Sequence[str], part: str, images: Sequence[dict[str, str]], scan: Scan
) -> list[str]:
    """Return the ids that a part's lists name; an image at the end of a listed path goes before one found by its id."""
    rows: dict[str, str] = {}
    lists = [(name, at) for at, modality in enumerate(modalities) for name in _lists(source, base, modality, part)]
    if not lists:
        scan.quirks[f"{part}: no list {_LISTS[part]}, so this part is empty"] += 1
    for name, at in lists:
        before: dict[str, int] = {}
        for row, line in enumerate(source.text(name).splitlines(), start=1):
            parts = line.strip().replace("\\", "/").split("/")
            where = f"{source.where(name)}: line {row}"
            if parts == [""]:
                continue
            try:
                sample_id = sample_id_of(parts[-1], where)
            except BadInputError as error:
                scan.faults.append(str(error))
                continue
            if sample_id in before:
                scan.faults.append(f"{where}: {sample_id} again, first in line {before[sample_id]}; keep one")
            before.setdefault(sample_id, row)
            rows.setdefault(sample_id, where)
            tails = (base + "/".join(parts[start:]) for start in range(len(parts) - 1))
            images[at].update((sample_id, tail) for tail in tails if tail in source)
    for sample_id in [one for one in rows if not any(one in found for found in images)]:
        scan.faults.append(
            f"{rows.pop(sample_id)}: {sample_id} is listed in {part}, but neither of its images is there"
        )
    return list(rows)


def _half(sample_id: str, images: dict[str, str], others: dict[str, str], folder: str) -> str:
    """Return an image's name, or where it should be."""
    if sample_id in images:
        return images[sample_id]
    folder = next(iter(images.values()), f"{folder}/").rpartition("/")[0]
    return f"{folder}/{others[sample_id].rpartition('/')[2]}"


def _label_file(source: Source, pair: Pair, scan: Scan) -> str | None:
    """Return the label file of a pair, the thermal image's if each has one."""
    stems = [PurePosixPath(name).stem for name in reversed(pair)]
    found = [next((one for one in label_names(name, stems) if one in source), None) for name in reversed(pair)]
    thermal, rgb = found
    if thermal and rgb and thermal != rgb and source.read(thermal) != source.read(rgb):
        scan.quirks["pairs whose two label files differ (the thermal one is used)"] += 1
    return thermal or rgb


def _require_labels(source: Source, labels: dict[str, str | None], folder: str, part: str, scan: Scan) -> None:
    """Count images without a label file, and refuse a part without any label file or with another order of classes."""
    without = sum(name is None for name in labels.values())
    if labels and without == len(labels):
        raise BadInputError(
            f"{source.where(folder)}: no label file of any image of {part}; looked for txt files in"
            " labels/ in place of images/, in labels/ beside it, and beside the images"
        )
    scan.quirks[f"{part}: images without a label file (kept, no boxes: background)"] += without
    for name in sorted({f"{name.rpartition('/')[0]}/classes.txt" for name in labels.values() if name}):
        if name in source and (classes := same_names(source.text(name).split())) != same_names(YOLO_CLASSES):
            raise BadInputError(
                f"{source.where(name)}: the classes are {', '.join(classes)}; the order of this layout is"
                f" {', '.join(YOLO_CLASSES)}: number the labels again"
            )


def _labels(source: Source, sample_id: str, pair: Pair, name: str | None, base: str, scan: Scan) -> Labels:
    place = pair.thermal.removeprefix(base)
    size = image_size(source, pair.thermal) if pair.thermal in source else SIZE
    objects = read_yolo(source, name, size, YOLO_CLASSES) if name else ()
    return labels_of_yolo(sample_id, objects, size, place, scan.quirks)


YOLO = FlirLayout(
    "yolo",
    _YOLO_TREE,
    "visible/train and infrared/train, images/{visible,infrared}/train, or yolo/{rgb,ir}/align_train.txt",
    _marks,
    _entries,
)

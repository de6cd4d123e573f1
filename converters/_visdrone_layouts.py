"""The trees that VisDrone lies in: a folder a part as it is published, or Ultralytics' folders of images and labels."""

from collections.abc import Iterator
from dataclasses import dataclass

from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import is_image
from rgbt_bench.layouts import Layout, find_layouts
from rgbt_bench.sources import Source

# The part of each folder's name, the published one first.
FOLDERS = {
    "train": ("VisDrone2019-DET-train", "train"),
    "val": ("VisDrone2019-DET-val", "val"),
    "test": ("VisDrone2019-DET-test-dev", "test-dev", "test"),
    "challenge": ("VisDrone2019-DET-test-challenge", "test-challenge", "challenge"),
}
UNLABELLED = "challenge"

_ORIGINAL_TREE = """
VisDrone2019-DET-train/     and VisDrone2019-DET-val, VisDrone2019-DET-test-dev, VisDrone2019-DET-test-challenge;
                            all of them in one folder or archive, or any one alone, which must keep its name
  images/                   0000002_00005_d_0000014.jpg
  annotations/              0000002_00005_d_0000014.txt: left,top,width,height,score,category,truncation,occlusion;
                            the challenge part has none
or, where Ultralytics moved the images: images/{train,val,test}/ beside annotations/{train,val,test}/ or beside
VisDrone2019-DET-train/annotations/ and so on
"""
_YOLO_TREE = """
VisDrone/                   class numbers: 0 pedestrian, 1 people, ... 9 motor, 10 others (as Ultralytics writes them)
  images/{train,val,test}/  test is test-dev
  labels/{train,val,test}/  or VisDrone2019-DET-train/{images,labels}/ and so on; original annotations are preferred
This layout has lost what the digest is over: boxes of score 0, ignored regions, others, truncation and occlusion. Its
label digest is its own.
"""


@dataclass(frozen=True)
class PartFolder:
    """Where a part's images, annotations and YOLO labels lie, or would lie; `passed_over` are other copies of it."""

    part: str
    base: str
    images: str
    annotations: str
    labels: str
    passed_over: tuple[str, ...] = ()

    def layout(self, source: Source) -> str:
        """Return which labels are read: YOLO's only where they alone are there."""
        return "yolo" if _texts(source, self.labels) and not _texts(source, self.annotations) else "original"


def _texts(source: Source, folder: str) -> bool:
    return any(file.endswith(".txt") for file in source.files_in(folder))


def _candidates(source: Source, base: str, part: str) -> Iterator[PartFolder]:
    """Yield where a part may lie in a base folder, the published tree first."""
    names = FOLDERS[part]
    if not base and source.root.resolve().name.partition(".")[0] in names:
        yield PartFolder(part, base, "images", "annotations", "labels")
    for name in names:
        home = f"{base}{name}"
        yield PartFolder(part, base, f"{home}/images", f"{home}/annotations", f"{home}/labels")
    moved = [f"{base}annotations/{name}" for name in names] + [f"{base}{name}/annotations" for name in names]
    annotations = next((folder for folder in moved if _texts(source, folder)), moved[0])
    for name in names:
        yield PartFolder(part, base, f"{base}images/{name}", annotations, f"{base}labels/{name}")


def _part_folders(source: Source, base: str) -> list[PartFolder]:
    """Return the parts in a base folder; one whose original annotations are there goes before its copies."""
    found = []
    for part in FOLDERS:
        there = [one for one in _candidates(source, base, part) if any(map(is_image, source.files_in(one.images)))]
        there.sort(key=lambda one: not _texts(source, one.annotations))
        if there:
            first, *others = there
            passed_over = tuple(one.images for one in others)
            found.append(PartFolder(part, base, first.images, first.annotations, first.labels, passed_over))
    return found


def _require_images(source: Source, base: str) -> None:
    """Raise where a part in a base folder has annotations, but no images anywhere."""
    there = {one.part for one in _part_folders(source, base)}
    for part in FOLDERS:
        alone = [one for one in _candidates(source, base, part) if _texts(source, one.annotations)]
        if alone and part not in there:
            labels, images = source.where(alone[0].annotations), source.where(alone[0].images)
            raise BadInputError(
                f"{labels}: annotations of {part}, but no images of it in {images}: put those of the published archive"
                " there, or take the annotations away"
            )


def _marks(source: Source, base: str, layout: str) -> set[str]:
    """Return the folders of images of the parts in a base folder that have a layout's labels."""
    return {one.images for one in _part_folders(source, base) if one.layout(source) == layout}


LAYOUTS = (
    Layout(
        "original",
        _ORIGINAL_TREE,
        "VisDrone2019-DET-train/images and annotations, or another part's",
        lambda source, base: _marks(source, base, "original"),
    ),
    Layout(
        "yolo",
        _YOLO_TREE,
        "images/train and labels/train, or another part's",
        lambda source, base: _marks(source, base, "yolo"),
    ),
)


def find_parts(source: Source) -> tuple[str, list[PartFolder]]:
    """Return the layout of a source and the folder of each part that is there, in the order of the parts.

    Raises:
        BadInputError: no part is there, one is there twice or without its images, or parts have labels of both kinds.
    """
    _require_images(source, "")
    bases = dict.fromkeys(base for _, base in find_layouts(source, LAYOUTS, "VisDrone2019-DET"))
    for base in bases:
        _require_images(source, base)
    found = [one for base in bases for one in _part_folders(source, base)]
    for part in FOLDERS:
        places = [source.where(one.images) for one in found if one.part == part]
        if len(places) > 1:
            raise BadInputError(f"{source.root}: {part} is there twice: {', '.join(places)}; name one of the folders")
    kinds = {one.part: one.layout(source) for one in found if one.part != UNLABELLED}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{part} ({kind})" for part, kind in kinds.items())
        raise BadInputError(
            f"{source.root}: original annotations in some parts, YOLO labels alone in others: {told}; put the original"
            " annotations beside the images of every part, or take those parts away"
        )
    return next(iter(kinds.values()), "original"), sorted(found, key=lambda one: list(FOLDERS).index(one.part))

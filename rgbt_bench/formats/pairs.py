"""Pairing the images of two folders, one of each modality, by their names."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import is_image
from rgbt_bench.sources import Source


class NamedPair(NamedTuple):
    """A sample id and the names of its two images in the source."""

    sample_id: str
    rgb: str
    thermal: str


def pair_folders(
    source: Source, rgb: str, thermal: str, sample_id_of: Callable[[str, str], str], faults: list[str]
) -> Iterator[NamedPair]:
    """Yield the pairs of two folders in the order of their ids; whatever has no partner is added to `faults`.

    `sample_id_of(stem, where)` returns the id in a file's name without its ending, or raises a BadInputError whose
    message begins with `where`: that, and a second image of an id in one folder, is a fault, too.
    """
    there = [_images(source, folder, sample_id_of, faults) for folder in (rgb, thermal)]
    for sample_id in sorted(there[0].keys() | there[1].keys()):
        names = [images.get(sample_id, "") for images in there]
        if all(names):
            yield NamedPair(sample_id, *names)
            continue
        name, folder = (names[0], thermal) if names[0] else (names[1], rgb)
        faults.append(f"{source.where(name)}: no image of that name in {source.where(folder)}")


def count_others(source: Source, base: str, folders: tuple[str, ...]) -> dict[str, int]:
    """Return how many files there are below `base`, by what they are, that the images of `folders` leave over."""
    inside = [name for folder in folders for name in source.files_in(folder)]
    used = tuple(f"{folder}/" for folder in folders)
    outside = (name for name in source.names if name.startswith(base) and not name.startswith(used))
    return {
        "files in the folders of images that are none (left out)": sum(not is_image(name) for name in inside),
        "images in other folders (left out)": sum(map(is_image, outside)),
    }


def _images(source: Source, folder: str, sample_id_of: Callable[[str, str], str], faults: list[str]) -> dict[str, str]:
    images: dict[str, str] = {}
    for file in filter(is_image, source.files_in(folder)):
        name = f"{folder}/{file}"
        try:
            sample_id = sample_id_of(file.rpartition(".")[0], source.where(name))
        except BadInputError as error:
            faults.append(str(error))
            continue
        if sample_id in images:
            faults.append(f"{source.where(name)}: {sample_id} again, first {images[sample_id]}; keep one")
        images.setdefault(sample_id, name)
    return images

"""Files of one folder by their stems, for datasets whose halves and labels are called alike."""

from rgbt_bench.converters import Scan
from rgbt_bench.formats.images import is_image
from rgbt_bench.sources import Source


def images_by_stem(source: Source, folder: str, scan: Scan) -> dict[str, str]:
    """Return the images right in a folder by stem; other files are counted, a stem that is there twice is a fault."""
    images: dict[str, str] = {}
    for file in source.files_in(folder):
        stem, name = file.rpartition(".")[0], f"{folder}/{file}"
        if not is_image(file):
            scan.quirks["files among the images that are none (left out)"] += 1
        elif stem in images:
            scan.faults.append(f"{source.where(name)}: {stem} again, first {source.where(images[stem])}; keep one")
        else:
            images[stem] = name
    return images


def labels_by_stem(source: Source, folder: str, suffix: str) -> dict[str, str]:
    """Return the label files right in a folder by stem; `suffix` may be in capitals."""
    files = [file for file in source.files_in(folder) if file.lower().endswith(suffix)]
    return {file[: -len(suffix)]: f"{folder}/{file}" for file in files}


def paired(
    source: Source, rgb: dict[str, str], thermal: dict[str, str], folders: tuple[str, str], scan: Scan
) -> list[str]:
    """Return the stems of whole pairs, sorted; a half without the other is a fault that names the missing file."""
    halves = ((rgb, thermal, folders[1]), (thermal, rgb, folders[0]))
    for there, others, folder in halves:
        for stem in sorted(there.keys() - others.keys()):
            missing = source.where(f"{folder}/{there[stem].rpartition('/')[2]}")
            scan.faults.append(f"{missing}: missing, but {source.where(there[stem])} is there")
    return sorted(rgb.keys() & thermal.keys())

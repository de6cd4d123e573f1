"""Print what every part of every named split of FLIR-aligned and M3FD holds, and its label digest.

Read are the published COCO files, through the paths on which the converters read labels; no image is needed, as none is
in a label digest. FLIR-aligned's train list has a 4,129th pair that none of its files has, so its parts here are those
of the 4,128.

    python docs/measurements/label_digests.py FOLDER/annotations_full [--whole]
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgbt_bench.datasets.digests import label_digest, sample_label_digest
from rgbt_bench.datasets.splits import split_hash
from rgbt_bench.formats.coco import read_coco
from rgbt_bench.schema import Labels
from rgbt_bench.sources import FolderSource
from rgbt_converters import _flir_labels
from rgbt_converters._m3fd_coco import labels_of_coco
from rgbt_converters.flir import Flir
from rgbt_converters.m3fd import M3fd

DIGITS = 16
FLIR = {
    "train": (
        "thermal_train_day_flir.json",
        "thermal_train_night__night_flir_train.json",
        "thermal_val_day__day_flir_val.json",
        "thermal_val_night__night_flir_val.json",
    ),
    "test": ("thermal_test__thermal-val-flir.json",),
}
Splits = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Row:
    """What one part of one split holds; `boxes` by class in the order of the dataset."""

    split: str
    part: str
    samples: int
    boxes: tuple[int, ...]
    ids_sha256: str
    label_digest: str


def read_flir(folder: Path) -> tuple[list[Labels], Splits]:
    """Return the labels of all published images of FLIR-aligned, and its splits."""
    source = FolderSource(folder / "flir_aligned")
    listed: dict[str, list[Labels]] = {
        part: [
            _flir_labels.labels_of_coco(image, image.file_name, Counter(), name)
            for name in names
            for image in read_coco(source, name)
        ]
        for part, names in FLIR.items()
    }
    official = {part: [one.sample_id for one in labels] for part, labels in listed.items()}
    default: dict[str, list[str]] = {part: [] for part in Flir.parts}
    for part, ids in official.items():
        for one in ids:
            default[_flir_labels.part_of(one, part)].append(one)
    published = {split.name: split.parts for split in Flir().published_splits()}
    labels = [one for part in listed.values() for one in part]
    return labels, {"default": default, "official": official, **published}


def read_m3fd(folder: Path) -> tuple[list[Labels], Splits]:
    """Return the labels of all pairs of M3FD, and its splits."""
    source = FolderSource(folder / "m3fd_coco")
    names = [f"m3fd-{part}.json" for part in M3fd.parts]
    labels = [
        labels_of_coco(image, f"{name}: {image.file_name}") for name in names for image in read_coco(source, name)
    ]
    return labels, {split.name: split.parts for split in M3fd().published_splits()}


def rows(labels: Iterable[Labels], splits: Splits, classes: Sequence[str]) -> list[Row]:
    """Return what every part of every split holds, whose ids all have labels."""
    of = {one.sample_id: one for one in labels}
    digests = {sample_id: sample_label_digest(one, classes) for sample_id, one in of.items()}
    found = []
    for split, parts in splits.items():
        for part, ids in parts.items():
            boxes = Counter(box.category for one in ids for box in of[one].objects)
            by_class = tuple(boxes[number] for number in range(len(classes)))
            digest = label_digest({one: digests[one] for one in ids}, classes)
            found.append(Row(split, part, len(ids), by_class, split_hash(ids), digest))
    return found


def table(found: Iterable[Row], classes: Sequence[str], digits: int) -> list[str]:
    """Return the rows as lines of Markdown, with so many digits of each digest."""
    heads = ["split", "part", "samples", "boxes", *classes, "SHA-256 of the ids", "label digest"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in found:
        numbers = [f"{number:,}" for number in (row.samples, sum(row.boxes), *row.boxes)]
        digests = [f"`{digest[:digits]}`" for digest in (row.ids_sha256, row.label_digest)]
        lines.append(f"| {' | '.join([row.split, row.part, *numbers, *digests])} |")
    return lines


def main() -> None:
    """Print a table for each dataset."""
    folder, digits = Path(sys.argv[1]), 64 if "--whole" in sys.argv[2:] else DIGITS
    for info, read in ((Flir.info, read_flir), (M3fd.info, read_m3fd)):
        labels, splits = read(folder)
        print(f"{info.name}: {len(labels):,} images, {sum(len(one.objects) for one in labels):,} boxes\n")
        print("\n".join(table(rows(labels, splits, info.classes), info.classes, digits)), end="\n\n")


if __name__ == "__main__":
    main()

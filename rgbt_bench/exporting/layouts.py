"""Where each format has its files, and what it says of a sample."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rgbt_bench.custom.labels import Classes, Told, voc_labels, yolo_labels
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.voc import voc_text
from rgbt_bench.formats.yolo import yolo_text
from rgbt_bench.schema import Labels
from rgbt_bench.sources import MemorySource

Write = Callable[[Labels, Sequence[str], str], str]
Read = Callable[[str, Labels, tuple[str, ...]], Told]


@dataclass(frozen=True)
class ExportLayout:
    """One format: patterns of its files without suffixes, as the description of `custom` has them.

    `labels` is the description's entry; `label_files` are where a sample's label text goes, the second for its thermal
    twin; `write` makes it of labels and the RGB image's name, `read` says what it holds.
    """

    rgb: str
    thermal: str
    labels: Mapping[str, str] = field(default_factory=dict)
    label_files: tuple[str, ...] = ()
    ids: str | None = None
    write: Write | None = None
    read: Read | None = None
    mask: str = "labels/{part}/{id}"

    def told(self, text: str, labels: Labels, classes: tuple[str, ...]) -> Told | None:
        """Return what a label file's text says of a sample, or None where it cannot be read; no file says nothing."""
        if self.read is None or not classes:
            return Told((labels.width, labels.height))
        try:
            return self.read(text, labels, classes)
        except BadInputError:
            return None


def _write_yolo(labels: Labels, classes: Sequence[str], file_name: str) -> str:
    return yolo_text(labels)


def _read_yolo(text: str, labels: Labels, classes: tuple[str, ...]) -> Told:
    return yolo_labels(MemorySource({"": text.encode()}), "", (labels.width, labels.height), classes)


def _read_voc(text: str, labels: Labels, classes: tuple[str, ...]) -> Told:
    return voc_labels(MemorySource({"": text.encode()}), "", Classes(classes), "one-based", Counter())


LAYOUTS: Mapping[str, ExportLayout] = {
    "coco": ExportLayout(
        rgb="visible/{part}/{id}", thermal="infrared/{part}/{id}", labels={"coco": "annotations/{part}.json"}
    ),
    "yolo": ExportLayout(
        rgb="visible/images/{part}/{id}",
        thermal="infrared/images/{part}/{id}",
        labels={"yolo": "visible/labels/{part}/{id}.txt"},
        label_files=("visible/labels/{part}/{id}.txt", "infrared/labels/{part}/{id}.txt"),
        write=_write_yolo,
        read=_read_yolo,
    ),
    "voc": ExportLayout(
        rgb="JPEGImages/{id}",
        thermal="JPEGImages-infrared/{id}",
        labels={"voc": "Annotations/{id}.xml", "boxes": "one-based"},
        label_files=("Annotations/{id}.xml",),
        ids="ImageSets/Main/{part}.txt",
        write=voc_text,
        read=_read_voc,
    ),
    "masks": ExportLayout(rgb="visible/{part}/{id}", thermal="infrared/{part}/{id}"),
}

"""MSRS's detection labels: one YOLO file a pair and kind of picture, of which those drawn on the fused one are read."""

from dataclasses import dataclass, field

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.yolo import read_yolo
from rgbt_bench.schema import Box
from rgbt_bench.sources import Source

CLASSES = ("person", "bike", "car")
_SAME = {"bicycle": "bike"}
_FOLDER = "detection_label"
_READ, *_OTHERS = ("fusion", "infrared", "visible")


@dataclass(frozen=True)
class BoxFiles:
    """The detection labels beside a base folder; `named` has the ids of the pairs of which one was read."""

    source: Source
    base: str
    named: set[str] = field(default_factory=set)

    def check_classes(self, scan: Scan) -> None:
        """Require the class numbers that classes.txt gives to be those of `CLASSES`.

        Raises:
            BadInputError: they are others; the message names the file.
        """
        folder = f"{self.base}{_FOLDER}/"
        name = f"{folder}classes.txt"
        if not any(one.startswith(folder) for one in self.source.names):
            scan.quirks[f"no {_FOLDER}/, so no pair has boxes"] += 1
            return
        if name not in self.source:
            scan.quirks[f"no {_FOLDER}/classes.txt: the classes are taken to be {_numbered(CLASSES)}"] += 1
            return
        found = [line.split() for line in self.source.text(name).splitlines() if line.strip()]
        numbers = [words[0] for words in found]
        names = tuple(_SAME.get(words[-1].lower(), words[-1].lower()) for words in found)
        if names != CLASSES or (any(len(words) > 1 for words in found) and numbers != ["0", "1", "2"]):
            given = ", ".join(" ".join(words) for words in found)
            raise BadInputError(
                f"{self.source.where(name)}: the classes are {given or 'missing'}; here they are {_numbered(CLASSES)}:"
                " number the labels again"
            )

    def file(self, part: str, sample_id: str) -> str:
        """Return the name of a pair's file, or an empty text where there is none."""
        name = f"{self._folder(_READ, part)}/{sample_id}.txt"
        return name if name in self.source else ""

    def read(self, part: str, sample_id: str, size: tuple[int, int]) -> tuple[Box, ...]:
        """Return a pair's boxes; a pair without a file has none.

        Raises:
            BadInputError: lines of the file are no labels; every one is named with its number.
        """
        name = self.file(part, sample_id)
        if not name:
            return ()
        objects = read_yolo(self.source, name, size, CLASSES)
        self.named.add(sample_id)
        return tuple(Box(one.bbox, CLASSES.index(one.name), one.bbox[2] * one.bbox[3]) for one in objects)

    def count(self, part: str, ids: set[str], scan: Scan) -> None:
        """Count what is not read of a part's labels, and the pairs of it that have none."""
        files = self._files(_READ, part)
        scan.quirks[f"{_FOLDER}/{_READ}: label files of no pair (left out)"] += len(files - ids)
        without = len(ids - files) if self.named or files else 0
        scan.quirks[f"{part}: pairs without a detection label (kept without boxes; not in msrs@detection)"] += without
        for kind in _OTHERS:
            names = [f"{self._folder(kind, part)}/{one}.txt" for one in self._files(kind, part)]
            boxes = sum(bool(line.strip()) for name in names for line in self.source.text(name).splitlines())
            scan.quirks[f"{_FOLDER}/{kind}: boxes left out (drawn on that picture alone)"] += boxes

    def _folder(self, kind: str, part: str) -> str:
        return f"{self.base}{_FOLDER}/{kind}/{part}"

    def _files(self, kind: str, part: str) -> set[str]:
        files = self.source.files_in(self._folder(kind, part))
        return {file.removesuffix(".txt") for file in files if file.endswith(".txt") and file != "classes.txt"}


def _numbered(classes: tuple[str, ...]) -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(classes))

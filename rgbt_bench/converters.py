"""What a converter is: one dataset's original files, described sample by sample."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from rgbt_bench.schema import DatasetInfo, Image, Labels, Sample, SplitList
from rgbt_bench.sources import Source


@dataclass(frozen=True)
class Images:
    """The encoded images of one sample, as a converter hands them over."""

    rgb: Image
    thermal: Image | None = None
    mask: Image | None = None


@dataclass(frozen=True)
class Item:
    """One sample as its source describes it: its part, its labels and the names of its images' files.

    A set that is not stored one file an image names the files it is made of, and its converter overrides `read`.
    `label_file` is the name of the file that its boxes were read from, which faults of them name.
    """

    part: str
    labels: Labels
    rgb: str = ""
    thermal: str | None = None
    mask: str | None = None
    label_file: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its files in the source."""
        return tuple(name for name in (self.rgb, self.thermal, self.mask) if name)


@dataclass
class Scan:
    """What a converter found: the layout, the samples, declared quirks by name and count, and faults by file.

    `named_splits` are those that only the archive has the ids of.
    """

    layout: str
    items: list[Item] = field(default_factory=list)
    quirks: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    named_splits: list[SplitList] = field(default_factory=list)


class Converter(ABC):
    """From one dataset's original archive to the schema: a subclass a dataset, found by its module's name.

    `how_to_get` says where the archive comes from and under which terms, `layouts` names each layout with its tree,
    `parts` the parts of the default split in order, `expected` the number of samples of the whole set by part (parts
    joined by `+` are counted together).
    """

    info: ClassVar[DatasetInfo]
    how_to_get: ClassVar[str]
    layouts: ClassVar[Mapping[str, str]]
    parts: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    expected: ClassVar[Mapping[str, int]] = {}
    needs_path: ClassVar[bool] = True

    def locate(self, path: Path) -> Path:
        """Return the folder or archive to read, given what the user named; a set that a file describes finds it there.

        Raises:
            BenchError: what the user named does not say where the set is.
        """
        return path

    def published_splits(self) -> Sequence[SplitList]:
        """Return the named splits whose ids are known without the archive, the default one among them if its are."""
        return ()

    @abstractmethod
    def scan(self, source: Source) -> Scan:
        """Describe every sample of a source, without reading images.

        Raises:
            BadInputError: no known layout is there.
        """

    def read(self, source: Source, item: Item) -> Images:
        """Return the encoded images of one sample.

        Raises:
            BadInputError: a file is missing or cannot be read; the message names it.
        """
        thermal, mask = (read_image(source, name) if name else None for name in (item.thermal, item.mask))
        return Images(read_image(source, item.rgb), thermal, mask)

    def sample(self, source: Source, item: Item) -> Sample:
        """Return one sample with its encoded images.

        Raises:
            BadInputError: as `read`.
        """
        images = self.read(source, item)
        labels = {name: getattr(item.labels, name) for name in Labels.__slots__}
        return Sample(**labels, rgb=images.rgb, thermal=images.thermal, mask=images.mask)

    def instructions(self) -> str:
        """Return where to get the set and which layouts are read, as text."""
        trees = "\n\n".join(f"{name}:\n{tree.rstrip()}" for name, tree in self.layouts.items())
        return f"{self.info.title}\n\n{self.how_to_get.strip()}\n\nLayouts that are read:\n\n{trees}"


def read_image(source: Source, name: str) -> Image:
    """Return a file's bytes as an encoded image.

    Raises:
        BadInputError: the file is missing or cannot be read.
    """
    return Image(source.read(name), name.rpartition("/")[2])

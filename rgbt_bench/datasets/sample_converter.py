"""The converter of the embedded sample set, and what those of generated sets share: they make their images."""

from abc import abstractmethod
from typing import ClassVar

from rgbt_bench.converters import Converter, Images, Item, Scan
from rgbt_bench.datasets.sample import INFO, SPLITS, scene
from rgbt_bench.schema import Labels, Sample
from rgbt_bench.sources import Source


class GeneratedConverter(Converter):
    """Makes a set of which `expected` says how many samples each part has; there is no archive."""

    layouts: ClassVar[dict[str, str]] = {"generated": "(none)"}
    needs_path = False

    @abstractmethod
    def draw(self, part: str, index: int) -> Sample:
        """Return one sample of a part, the same each time."""

    def scan(self, source: Source) -> Scan:
        """Generate every sample."""
        numbered = ((part, index) for part, count in self.expected.items() for index in range(count))
        return Scan("generated", [to_item(part, self.draw(part, index)) for part, index in numbered])

    def read(self, source: Source, item: Item) -> Images:
        """Return the images of a sample, drawn again where they are not at hand."""
        sample = self.draw(item.part, int(item.labels.source.rpartition("/")[2]))
        return Images(sample.rgb, sample.thermal, sample.mask)


class SampleConverter(GeneratedConverter):
    """Makes the embedded sample set."""

    info = INFO
    how_to_get = "Nothing to get: the scenes are generated. Run: rgbt-bench convert sample"
    expected = SPLITS

    def draw(self, part: str, index: int) -> Sample:
        """Return one sample of a part."""
        return scene(part, index)


CONVERTER = SampleConverter


def to_item(part: str, sample: Sample) -> Item:
    """Return a generated sample as a converter's item."""
    return Item(part, Labels(**{name: getattr(sample, name) for name in Labels.__slots__}))

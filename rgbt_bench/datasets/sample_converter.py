"""The converter of the embedded sample set: it makes its images instead of reading them."""

from typing import ClassVar

from rgbt_bench.converters import Converter, Images, Item, Scan
from rgbt_bench.datasets.sample import INFO, SPLITS, scene, scenes
from rgbt_bench.schema import Labels, Sample
from rgbt_bench.sources import Source


class SampleConverter(Converter):
    """Makes the embedded sample set; there is no archive."""

    info = INFO
    how_to_get = "Nothing to get: the scenes are generated. Run: rgbt-bench convert sample"
    layouts: ClassVar[dict[str, str]] = {"generated": "(none)"}
    expected = SPLITS
    needs_path = False

    def scan(self, source: Source) -> Scan:
        """Generate every scene."""
        return Scan("generated", [to_item(part, sample) for part in SPLITS for sample in scenes(part)])

    def read(self, source: Source, item: Item) -> Images:
        """Return the images of a scene, drawn again where they are not at hand."""
        sample = scene(item.part, int(item.labels.source.rpartition("/")[2]))
        return Images(sample.rgb, sample.thermal, sample.mask)


CONVERTER = SampleConverter


def to_item(part: str, sample: Sample) -> Item:
    """Return a generated sample as a converter's item."""
    return Item(part, Labels(**{name: getattr(sample, name) for name in Labels.__slots__}))

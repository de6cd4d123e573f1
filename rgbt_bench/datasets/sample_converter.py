"""The converter of the embedded sample set: it makes its images instead of reading them."""

from pathlib import Path
from typing import ClassVar

from rgbt_bench.converting import Converter, Images, Item, Scan
from rgbt_bench.datasets.sample import INFO, SPLITS, scenes
from rgbt_bench.schema import Labels, Sample


class SampleConverter(Converter):
    """Makes the embedded sample set; there is no archive."""

    info = INFO
    how_to_get = "Nothing to get: the scenes are generated. Run: rgbt-bench convert sample"
    layouts: ClassVar[dict[str, str]] = {"generated": "(none)"}
    expected = SPLITS
    needs_path = False

    def scan(self, root: Path) -> Scan:
        """Generate every scene."""
        items = [to_item(part, sample) for part in SPLITS for sample in scenes(part)]
        return Scan("generated", items)


CONVERTER = SampleConverter


def to_item(part: str, sample: Sample) -> Item:
    """Return a generated sample as a converter's item."""
    labels = Labels(**{name: getattr(sample, name) for name in Labels.__slots__})
    images = Images(sample.rgb, sample.thermal, sample.mask)
    return Item(part, labels, lambda: images, len(sample.rgb.data), "")

"""The converter of the generated drone's views: it makes its images instead of reading them."""

from rgbt_bench.datasets.sample_converter import GeneratedConverter
from rgbt_bench.datasets.sample_drone import INFO, SPLITS, scene
from rgbt_bench.schema import Sample


class SampleDroneConverter(GeneratedConverter):
    """Makes the generated drone's views; there is no archive."""

    info = INFO
    how_to_get = "Nothing to get: the views are generated. Run: rgbt-bench convert sample-drone"
    expected = SPLITS

    def draw(self, part: str, index: int) -> Sample:
        """Return one sample of a part."""
        return scene(part, index)


CONVERTER = SampleDroneConverter

"""The picture of a leak report: samples that look alike although they are in different parts, side by side."""

from dataclasses import replace
from pathlib import Path

from rgbt_bench.datasets.leaks import LeakReport
from rgbt_bench.datasets.sheet import contact_sheet
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.pictures import save_sheet
from rgbt_bench.schema import Sample


def draw_leaks(path: Path, dataset: Dataset, report: LeakReport, pairs: int) -> int:
    """Write a sheet of the nearest pairs, the earlier part's on the left, and return how many there are.

    Nearest are those of all comparisons, whether they count as near or not. Without any, nothing is written.

    Raises:
        BadInputError: a shard cannot be read.
    """
    found = sorted(
        ((one, comparison) for comparison in report.comparisons for one in comparison.nearest),
        key=lambda entry: (entry[0].distance, entry[0].sample_id, entry[1].part, entry[1].other),
    )[:pairs]
    if not found:
        return 0
    samples: list[Sample] = []
    captions: dict[str, str] = {}
    for number, (one, comparison) in enumerate(found):
        bits = f"rgb {one.rgb}" + (f", thermal {one.thermal}" if one.thermal is not None else "")
        said = f"distance {one.distance:g} ({bits})" + ("" if one.distance <= comparison.near else ", not near")
        sides = ((comparison.other, one.other_id, ""), (comparison.part, one.sample_id, f"   {said}"))
        for part, sample_id, more in sides:
            place = f"{number} {part} {sample_id}"
            samples.append(_picture(dataset.sample(sample_id), place))
            captions[place] = f"{part}  {sample_id}{more}"
    info = dataset.info.model_copy(update={"classes": (), "mask_classes": (), "palette": ()})
    save_sheet(path, contact_sheet(samples, info, captions=captions))
    return len(found)


def _picture(sample: Sample, name: str) -> Sample:
    """Return a sample under another name and without labels, which would hide what looks alike."""
    return replace(sample, sample_id=name, objects=(), ignore_regions=(), mask=None)

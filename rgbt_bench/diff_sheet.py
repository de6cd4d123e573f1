"""The picture of a difference between two sets: the same pair from A and from B, side by side."""

from dataclasses import replace
from pathlib import Path

from rgbt_bench.datasets.sheet import DrawnBox, contact_sheet
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.diffing import Diff
from rgbt_bench.pictures import save_sheet
from rgbt_bench.schema import Box, DatasetInfo, Sample


def draw_difference(path: Path, found: Diff, pairs: int) -> int:
    """Write a sheet of the pairs that differ most, A on the left and B on the right, and return how many there are.

    Boxes that both have are thin and white, what differs is thick. Without a pair that differs nothing is written.
    """
    changed = {change.sample_id: change for change in found.labels}
    pixels = {one for ids in found.pixels.values() for one in ids}
    faults = {one: len(changed[one].boxes) if one in changed else 0 for one in (*changed, *pixels)}
    chosen = sorted(faults, key=lambda one: (-faults[one], one))[:pairs]
    if not chosen:
        return 0
    classes = tuple(dict.fromkeys((*found.a.info.classes, *found.b.info.classes)))
    info = found.a.info.model_copy(update={"classes": classes})
    samples: list[Sample] = []
    drawn: dict[str, list[DrawnBox]] = {}
    captions: dict[str, str] = {}
    for one in chosen:
        boxes = changed[one].boxes if one in changed else ()
        words = [f"{len(boxes)} box(es) differ"] if boxes else []
        words += [f"{modality} pixels differ" for modality, ids in found.pixels.items() if one in ids]
        words += changed[one].others if one in changed else ()
        sides = (("A", found.a, [box.a for box in boxes]), ("B", found.b, [box.b for box in boxes]))
        for side, dataset, different in sides:
            place = f"{side} {one}"
            samples.append(_without(dataset.sample(one), place, [box for box in different if box], dataset, info))
            drawn[place] = [
                DrawnBox(box.bbox, classes.index(dataset.info.classes[box.category])) for box in different if box
            ]
            captions[place] = f"{side}  {one}   {', '.join(words)}"
    sheet = contact_sheet(samples, info, drawn, captions=captions, thin="the same in both")
    save_sheet(path, sheet)
    return len(chosen)


def _without(sample: Sample, name: str, different: list[Box], dataset: Dataset, info: DatasetInfo) -> Sample:
    """Return a sample under another name, with the boxes alone that do not differ, in the classes of both sets."""
    kept = list(sample.objects)
    for box in different:
        kept.remove(box)
    objects = tuple(replace(box, category=info.classes.index(dataset.info.classes[box.category])) for box in kept)
    return replace(sample, sample_id=name, objects=objects)

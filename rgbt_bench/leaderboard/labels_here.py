"""The labels that rows are verified against: of the sets converted here, whose digests are computed again first."""

from dataclasses import dataclass, field

from rgbt_bench.datasets.digests import (
    image_digest,
    label_digest,
    mask_digest,
    open_image,
    pixel_digest,
    sample_label_digest,
)
from rgbt_bench.datasets.splits import dataset_name
from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError
from rgbt_bench.opening import open_dataset
from rgbt_bench.results import Result


@dataclass
class LabelsHere:
    """Parts of converted sets, each opened and proven once."""

    _parts: dict[tuple[str, str, bool], Part] = field(default_factory=dict)

    def part(self, result: Result) -> Part:
        """Return the part that a result was scored on; of fused images, its images are proven too.

        Raises:
            MissingError: the set is not converted here.
            BadInputError: its split list, labels or images are not those that its own record names.
        """
        data = result.data
        key = (dataset_name(data.dataset, data.split), data.part, result.metrics.kind == "fusion")
        if key not in self._parts:
            part = open_dataset(key[0]).part(key[1])
            _require_labels(part)
            if key[2]:
                _require_pixels(part)
            self._parts[key] = part
        return self._parts[key]


def _require_labels(part: Part) -> None:
    classes, recorded = part.dataset.info.classes, part.dataset.digests
    maps = {}
    for sample_id, mask in part.masks() if part.dataset.info.mask_classes else ():
        if mask is not None:
            with open_image(mask.data) as opened:
                maps[sample_id] = mask_digest(opened)
    found = {one.sample_id: sample_label_digest(one, classes, maps.get(one.sample_id)) for one in part.labels}
    if label_digest(found, classes) == part.record.label_digest:
        return
    changed = [name for name, digest in found.items() if name not in recorded or recorded[name].label != digest]
    named = f": {changed[0]}" if changed else ""
    raise BadInputError(
        f"{part.dataset.root}: the labels of {part.name} are not those that its record names{named};"
        f" {part.dataset.remedy}"
    )


def _require_pixels(part: Part) -> None:
    rgb, thermal = {}, {}
    for sample in part:
        rgb[sample.sample_id] = image_digest(sample.rgb.data)
        if sample.thermal is not None:
            thermal[sample.sample_id] = image_digest(sample.thermal.data)
    ours = (pixel_digest(rgb), pixel_digest(thermal) if thermal else None)
    if ours != (part.record.rgb_digest, part.record.thermal_digest):
        raise BadInputError(
            f"{part.dataset.root}: the images of {part.name} are not those that its record names; {part.dataset.remedy}"
        )

"""What two converted sets do not have in common: classes, samples, labels, pixels and parts."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.boxes import iou, match
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.datasets.verifying import require_own_digests
from rgbt_bench.datasets.verifying import verify as verify_set
from rgbt_bench.schema import MODALITIES, Box, Labels

MOVED = 0.5  # the least IoU of a box with the one it was before it moved
_SAME = 1 - 1e-9  # of a box with itself: sums of floats
_FIELDS = ("class", "bbox", "area", "iscrowd", "ignore", "truncation", "occlusion")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BoxChange:
    """One box that is another in B: `a` or `b` is None where there is none, `fields` names what differs."""

    kind: str
    a: Box | None
    b: Box | None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelChange:
    """How the labels of one sample differ: its boxes, and whatever else the label digest covers."""

    sample_id: str
    boxes: tuple[BoxChange, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Diff:
    """What two sets do not have in common, each list in the order of the sample ids.

    `parts` holds (sample id, its parts in A, its parts in B) of samples in both; `pixels` the ids by modality.
    Illumination, scene and source are in no digest and are not compared.
    """

    a: Dataset
    b: Dataset
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    labels: tuple[LabelChange, ...]
    pixels: Mapping[str, tuple[str, ...]]
    parts: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    samples_in_both: int

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        lists = (self.only_in_a, self.only_in_b, self.labels, self.parts, *self.pixels.values())
        return self.a.info.classes == self.b.info.classes and not any(lists)


def diff(a: Dataset, b: Dataset, verify: bool = False, progress: Progress = lambda stage, done, total: None) -> Diff:
    """Return what differs between two sets, each under its split.

    Digests are those recorded at conversion; with `verify` they are computed again from the stored bytes.

    Raises:
        BadInputError: a set whose digests are not those of its record or, with `verify`, of its bytes, or a sample
            that no shard holds.
    """
    for dataset in (a, b):
        require_own_digests(dataset)
        if verify:
            verify_set(dataset, progress, count=None)
    parts_a, parts_b = _memberships(a), _memberships(b)
    both = sorted(parts_a.keys() & parts_b.keys())
    pixels: dict[str, tuple[str, ...]] = {
        modality: tuple(one for one in both if getattr(a.digests[one], modality) != getattr(b.digests[one], modality))
        for modality in MODALITIES
    }
    return Diff(
        a,
        b,
        only_in_a=tuple(sorted(parts_a.keys() - parts_b.keys())),
        only_in_b=tuple(sorted(parts_b.keys() - parts_a.keys())),
        labels=tuple(
            label_change(a.look_up(a.labels, one), b.look_up(b.labels, one), a.info.classes, b.info.classes)
            for one in both
            if a.digests[one].label != b.digests[one].label
        ),
        pixels=pixels,
        parts=tuple((one, parts_a[one], parts_b[one]) for one in both if parts_a[one] != parts_b[one]),
        samples_in_both=len(both),
    )


def label_change(a: Labels, b: Labels, classes_a: tuple[str, ...], classes_b: tuple[str, ...]) -> LabelChange:
    """Return how one sample's labels differ; boxes that both have count for nothing, however they are ordered."""
    others = []
    if (a.width, a.height) != (b.width, b.height):
        others.append(f"size {a.width}x{a.height} in A, {b.width}x{b.height} in B")
    if sorted(a.ignore_regions) != sorted(b.ignore_regions):
        others.append(f"ignore regions: {len(a.ignore_regions)} in A, {len(b.ignore_regions)} in B")
    rest_a, rest_b = _without_common(a.objects, b.objects, classes_a, classes_b)
    changes: list[BoxChange] = []
    # A box at its old place comes first, whatever else of it changed; then one that moved; then one that also changed.
    for least, same_class in ((_SAME, False), (MOVED, True), (MOVED, False)):
        found = match(_overlaps(rest_a, rest_b, classes_a, classes_b, same_class), least)
        changes += [_changed(rest_a[row], rest_b[column], classes_a, classes_b) for row, column in found]
        rows, columns = {row for row, _ in found}, {column for _, column in found}
        rest_a = [box for row, box in enumerate(rest_a) if row not in rows]
        rest_b = [box for column, box in enumerate(rest_b) if column not in columns]
    changes += [BoxChange("removed", one, None) for one in rest_a] + [BoxChange("added", None, one) for one in rest_b]
    if not changes and not others:
        others.append("mask")  # the one thing of a label digest that is not read here
    return LabelChange(a.sample_id, tuple(changes), tuple(others))


def count_changes(changes: Iterable[LabelChange]) -> dict[str, int]:
    """Return how many boxes were added, removed, and changed by field, over all samples."""
    counts: Counter[str] = Counter()
    for change in changes:
        for box in change.boxes:
            counts.update(
                [f"boxes {box.kind}"] if box.kind != "changed" else [f"{name} changed" for name in box.fields]
            )
        counts.update(other.partition(":")[0].partition(" ")[0] for other in change.others)
    return dict(sorted(counts.items()))


def to_dict(found: Diff, limit: int) -> dict[str, Any]:
    """Return a difference as JSON-ready data; counts are of everything, lists hold the first `limit` (of each)."""
    labels = [
        {
            "sample_id": change.sample_id,
            "boxes": [_box_change(box, found) for box in change.boxes],
            "others": list(change.others),
        }
        for change in found.labels[:limit]
    ]
    ids = {"only_in_a": found.only_in_a, "only_in_b": found.only_in_b}
    ids |= {f"{modality}_differs": changed for modality, changed in found.pixels.items()}
    return {
        "equal": found.equal,
        "a": _side(found.a),
        "b": _side(found.b),
        "fingerprints_equal": found.a.record.fingerprint == found.b.record.fingerprint,
        "samples_in_both": found.samples_in_both,
        "counts": {name: len(listed) for name, listed in ids.items()}
        | {"labels_differ": len(found.labels), "parts_differ": len(found.parts)},
        "label_changes": count_changes(found.labels),
        **{name: list(listed[:limit]) for name, listed in ids.items()},
        "labels_differ": labels,
        "parts_differ": [{"sample_id": one, "a": list(a), "b": list(b)} for one, a, b in found.parts[:limit]],
    }


def _side(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "folder": str(dataset.root),
        "fingerprint": dataset.record.fingerprint,
        "classes": list(dataset.info.classes),
        "parts": {name: record.samples for name, record in dataset.record.splits[dataset.split].items()},
    }


def _box_change(change: BoxChange, found: Diff) -> dict[str, Any]:
    sides = ((change.a, found.a.info.classes), (change.b, found.b.info.classes))
    a, b = (
        dict(zip(_FIELDS, _values(box, classes), strict=True)) if box is not None else None for box, classes in sides
    )
    return {"kind": change.kind, "fields": list(change.fields), "a": a, "b": b}


def _memberships(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in sorted(dataset.parts):
        for sample_id in dataset.part(name).ids:
            found[sample_id] = (*found.get(sample_id, ()), name)
    return found


def _values(box: Box, classes: tuple[str, ...]) -> tuple[Any, ...]:
    flags = (bool(box.iscrowd), bool(box.ignore), box.truncation, box.occlusion)
    return (classes[box.category], tuple(map(float, box.bbox)), float(box.area), *flags)


def _without_common(
    a: Iterable[Box], b: Iterable[Box], classes_a: tuple[str, ...], classes_b: tuple[str, ...]
) -> tuple[list[Box], list[Box]]:
    rest: list[Box] = []
    waiting: dict[tuple[Any, ...], list[Box]] = {}
    for box in b:
        waiting.setdefault(_values(box, classes_b), []).append(box)
    for box in a:
        same = waiting.get(_values(box, classes_a))
        if same:
            same.pop()
        else:
            rest.append(box)
    return rest, [box for boxes in waiting.values() for box in boxes]


def _overlaps(
    a: list[Box], b: list[Box], classes_a: tuple[str, ...], classes_b: tuple[str, ...], same_class: bool
) -> NDArray[np.float64]:
    overlaps = iou(*(np.array([box.bbox for box in boxes], dtype=np.float64).reshape(-1, 4) for boxes in (a, b)))
    if same_class:
        for row, one in enumerate(a):
            overlaps[row] *= [classes_a[one.category] == classes_b[other.category] for other in b]
    return overlaps


def _changed(a: Box, b: Box, classes_a: tuple[str, ...], classes_b: tuple[str, ...]) -> BoxChange:
    pairs = zip(_FIELDS, _values(a, classes_a), _values(b, classes_b), strict=True)
    return BoxChange("changed", a, b, tuple(name for name, one, other in pairs if one != other))

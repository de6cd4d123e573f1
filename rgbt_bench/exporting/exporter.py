"""Exporting a converted set."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rgbt_bench import __version__
from rgbt_bench.custom.description import DESCRIPTION_FILE, PART_NAME
from rgbt_bench.custom.exact import EXACT_FILE, exact_labels
from rgbt_bench.datasets.digests import fingerprint, sample_label_digest
from rgbt_bench.datasets.splits import DEFAULT_SPLIT, require_part
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, UsageError, unknown_name
from rgbt_bench.formats.coco import coco_content
from rgbt_bench.schema import Image, Labels, Sample

from .describing import data_yaml, description_yaml, meta_csv
from .folder import ExportFolder, new_folder
from .layouts import LAYOUTS, ExportLayout
from .names import file_stem, suffix_of

Progress = Callable[[str, int, int], None]
META_FILE = "meta.csv"


@dataclass(frozen=True)
class ExportReport:
    """What an export did, as printed and as stored in `export.json`.

    `exact` is how many samples have labels that the format cannot hold, and have them in full in `exact_file`;
    `without_boxes` names the parts of a detection set in which no sample has a box, which is background to a trainer.
    """

    dataset: str
    format: str
    out: str
    parts: dict[str, int]
    exact: int
    exact_file: str | None
    without_boxes: tuple[str, ...]
    fingerprint: str
    made_with: str = f"rgbt-bench {__version__}"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready data."""
        return asdict(self)


@dataclass
class Export:
    """An export as it grows: what the description has to say of it."""

    dataset: Dataset
    layout: ExportLayout
    folder: ExportFolder
    exact: dict[str, dict[str, Any]] = field(default_factory=dict)
    meta: list[Labels] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    encoded: bool = False


def export(
    dataset: Dataset,
    format_name: str,
    out: Path,
    parts: Sequence[str] = (),
    force: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> ExportReport:
    """Write a set's parts (all of its split for none) as files of a format to the folder `out`, whole or not at all.

    Images keep their bytes. The folder's `rgbt-bench.yaml` describes it, and `convert custom` of it gives a set of the
    same fingerprint.

    Raises:
        UsageError: no such format or part, or `out` cannot be replaced.
        BadInputError: a sample cannot be written as it is; the message names it.
    """
    if format_name not in LAYOUTS:
        raise unknown_name("--format", format_name, LAYOUTS)
    chosen = list(dict.fromkeys(parts)) or list(dataset.parts)
    for part in chosen:
        require_part(dataset.parts, part, dataset.name)
    if out.resolve().is_relative_to(dataset.root.resolve()):
        raise UsageError(f"{out}: lies in the set itself; give --out a folder elsewhere")
    ids = {part: dataset.part(part).ids for part in chosen}
    _require_writable(ids)
    with new_folder(out, force) as folder:
        growing = Export(dataset, _layout(dataset, format_name), folder)
        growing.encoded = any(file_stem(one) != one for found in ids.values() for one in found)
        done, total = 0, sum(map(len, ids.values()))
        for part in chosen:
            written: list[tuple[Labels, dict[str, str]]] = []
            for sample in dataset.part(part):
                written.append((_labels(sample), _write_sample(growing, part, sample)))
                done += 1
                progress("exporting", done, total)
            _write_part(growing, part, written)
        if format_name == "masks" and not growing.kinds["mask"]:
            raise UsageError(f"{dataset.name}: has no label maps; choose another --format: coco, yolo or voc")
        _write_rest(growing, format_name, ids)
        digests = {one: dataset.digests[one] for found in ids.values() for one in found}
        report = ExportReport(
            dataset=dataset.name,
            format=format_name,
            out=str(out),
            parts={part: len(found) for part, found in ids.items()},
            exact=len(growing.exact),
            exact_file=EXACT_FILE if growing.exact else None,
            without_boxes=_without_boxes(growing, ids),
            fingerprint=fingerprint(digests, dataset.info.classes),
        )
        folder.finish(report.to_dict())
    return report


def _without_boxes(growing: Export, ids: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the parts that have label files, and not one box in them."""
    labels = growing.dataset.labels
    empty = (part for part, found in ids.items() if not any(labels[one].objects for one in found))
    return tuple(empty) if growing.layout.labels else ()


def _layout(dataset: Dataset, format_name: str) -> ExportLayout:
    """Return a format's layout, without label files for a set that has no boxes: empty ones would say background."""
    layout, labels = LAYOUTS[format_name], dataset.labels.values()
    if "detection" in dataset.info.tasks or any(one.objects or one.ignore_regions for one in labels):
        return layout
    return replace(layout, labels={}, label_files=(), write=None, read=None)


def _require_writable(ids: dict[str, tuple[str, ...]]) -> None:
    for part in ids:
        if not re.match(PART_NAME, part):
            raise UsageError(f"{part!r}: a part whose name cannot be a folder's; leave it out with --part")
    count = Counter(one for found in ids.values() for one in found)
    twice = [one for one, number in count.items() if number > 1]
    if twice:
        raise UsageError(f"{twice[0]}: is in more than one of {', '.join(ids)}; export them apart, with --part")


def _labels(sample: Labels) -> Labels:
    return Labels(**{name: getattr(sample, name) for name in Labels.__slots__})


def _write_sample(growing: Export, part: str, sample: Sample) -> dict[str, str]:
    """Write a sample's files, and return what a COCO file says of it: the names of its images in their folders."""
    layout, stem = growing.layout, file_stem(sample.sample_id)
    names = {}
    for kind, image in (("rgb", sample.rgb), ("thermal", sample.thermal), ("mask", sample.mask)):
        if image is not None:
            names[kind] = _put_image(growing, _place(getattr(layout, kind), part, stem), image, sample.sample_id)
            growing.kinds[kind] += 1
    growing.kinds["sample"] += 1
    if sample.illumination != "unknown" or sample.scene:
        if not sample.scene.isprintable():
            raise BadInputError(f"{sample.sample_id}: a control character in the name of its scene, {sample.scene!r}")
        growing.meta.append(_labels(sample))
    if not (layout.labels.get("coco") and growing.dataset.info.classes):
        _write_labels(growing, part, stem, sample, names["rgb"])
    keys = {"rgb": "file_name", "thermal": "thermal_file_name", "mask": "mask_file_name"}
    return {keys[kind]: name for kind, name in names.items()}


def _place(pattern: str, part: str, stem: str) -> str:
    # The id last: it may hold what looks like a field.
    return pattern.replace("{part}", part).replace("{id}", stem)


def _put_image(growing: Export, place: str, image: Image, sample_id: str) -> str:
    """Write an image under the suffix of its real format, and return its base name."""
    name = place + suffix_of(image, sample_id)
    growing.folder.put(name, image.data)
    return name.rpartition("/")[2]


def _write_labels(growing: Export, part: str, stem: str, sample: Sample, rgb: str) -> None:
    """Write a sample's label files, and keep its labels in full where reading them gives others."""
    layout, classes = growing.layout, growing.dataset.info.classes
    text = layout.write(sample, classes, rgb) if layout.write and classes else None
    if text is not None:
        for pattern in layout.label_files[: 1 if sample.thermal is None else 2]:
            growing.folder.put_text(_place(pattern, part, stem), text)
    told = layout.told(text or "", sample, classes)
    if told is not None:
        again = replace(
            _labels(sample),
            width=told.size[0],
            height=told.size[1],
            objects=told.objects,
            ignore_regions=told.ignore_regions,
        )
        if sample_label_digest(again, classes) == sample_label_digest(sample, classes):
            return
    written = None if text is None else hashlib.sha256(text.encode()).hexdigest()
    growing.exact[sample.sample_id] = exact_labels(sample, classes, written)


def _write_part(growing: Export, part: str, samples: Sequence[tuple[Labels, dict[str, str]]]) -> None:
    """Write the files that a part has once."""
    layout, info = growing.layout, growing.dataset.info
    if layout.labels.get("coco") and info.classes:
        content = coco_content(samples, info.classes, f"{info.title}: {part}")
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        growing.folder.put_text(layout.labels["coco"].replace("{part}", part), text + "\n")
    if layout.ids:
        _put_list(growing, layout.ids.replace("{part}", part), [labels.sample_id for labels, _ in samples])


def _put_list(growing: Export, name: str, ids: Sequence[str]) -> None:
    growing.folder.put_text(name, "".join(f"{file_stem(one)}\n" for one in ids))


def _write_rest(growing: Export, format_name: str, ids: dict[str, tuple[str, ...]]) -> None:
    """Write what an export has once: the labels in full, what is known of the samples, other splits, descriptions."""
    dataset, folder = growing.dataset, growing.folder
    splits: dict[str, dict[str, str]] = {}
    if dataset.split == DEFAULT_SPLIT and set(ids) == set(dataset.parts):
        for name in sorted(set(dataset.record.splits) - {DEFAULT_SPLIT}):
            split = dataset.under(name)
            splits[name] = {part: f"splits/{name}/{part}.txt" for part in split.parts}
            for part, place in splits[name].items():
                _put_list(growing, place, split.part(part).ids)
    if growing.exact:
        folder.put_text(EXACT_FILE, json.dumps({"version": 1, "samples": growing.exact}, ensure_ascii=False) + "\n")
    if growing.meta:
        folder.put_text(META_FILE, meta_csv(growing.meta))
    if format_name == "yolo":
        folder.put_text("data.yaml", data_yaml(dataset.info.classes, list(ids), bool(growing.kinds["thermal"])))
    whole = {
        "parts": list(ids),
        "splits": splits,
        "meta": META_FILE if growing.meta else None,
        "exact": EXACT_FILE if growing.exact else None,
        "percent_encoded": growing.encoded,
    }
    folder.put_text(DESCRIPTION_FILE, description_yaml(dataset.info, growing.layout, growing.kinds, whole))

"""What an export says of itself: its description for `custom`, and what loaders of the field read."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from rgbt_bench.custom.description import DESCRIPTION_FILE, check_description
from rgbt_bench.registry import converters
from rgbt_bench.schema import DatasetInfo, Labels

from .layouts import ExportLayout


def description_yaml(
    info: DatasetInfo, layout: ExportLayout, kinds: Mapping[str, int], whole: Mapping[str, Any]
) -> str:
    """Return the description of an export; `kinds` counts its samples and their images, `whole` are further keys.

    Raises:
        BadInputError: the set has what no description holds.
    """
    content = {key: value for key, value in info.model_dump(mode="json").items() if value not in ([], "")}
    content["name"] = f"{info.name}-export" if info.name in converters() else info.name
    content["rgb"] = f"{layout.rgb}.*"
    content["thermal"] = f"{layout.thermal}.*" if kinds["thermal"] else None
    if kinds["mask"]:
        content["mask"] = f"{layout.mask}.*"
    if layout.labels and info.classes:
        content["labels"] = dict(layout.labels)
    if layout.ids:
        content["ids"] = layout.ids
    optional = [kind for kind in ("thermal", "mask") if 0 < kinds[kind] < kinds["sample"]]
    content |= {key: value for key, value in {"optional": optional, **whole}.items() if value}
    check_description(content, DESCRIPTION_FILE)
    return _yaml(content)


def meta_csv(samples: Iterable[Labels]) -> str:
    """Return illumination and scene of samples as the CSV file that a description names as `meta`."""
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", "illumination", "scene"])
    for labels in samples:
        writer.writerow([labels.sample_id, labels.illumination, labels.scene])
    return stream.getvalue()


def data_yaml(classes: Sequence[str], parts: Sequence[str], thermal: bool) -> str:
    """Return a YOLO data file: Ultralytics' keys for the RGB images, and the twins' as CFT and ICAFusion name them.

    Without `path` Ultralytics takes the folder of this file.
    """
    content: dict[str, Any] = {part: f"visible/images/{part}" for part in parts}
    content |= {f"{part}_rgb": f"visible/images/{part}" for part in parts}
    content |= {f"{part}_ir": f"infrared/images/{part}" for part in parts if thermal}
    return _yaml({**content, "nc": len(classes), "names": list(classes)})


def _yaml(content: Mapping[str, Any]) -> str:
    yaml = YAML(typ="rt")
    yaml.width = 10_000
    stream = StringIO()
    yaml.dump(dict(content), stream)
    return stream.getvalue()

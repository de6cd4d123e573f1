"""The dataset card: a README whose front matter lets `datasets.load_dataset` read the folder without our code."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined

from rgbt_bench.datasets.arrow import card_features
from rgbt_bench.datasets.croissant import KEYWORDS
from rgbt_bench.datasets.splits import DEFAULT_SPLIT
from rgbt_bench.datasets.store import Dataset, DatasetRecord
from rgbt_bench.registry import converters
from rgbt_bench.schema import DatasetInfo

CARD_FILE = "README.md"
HERE = "PATH_OF_THIS_FOLDER"
_HUB_TASKS = {"detection": "object-detection", "segmentation": "image-segmentation", "fusion": "image-to-image"}
# The licence is in words, in the card's section of that name.
_IN_WORDS = "see-licence-section"


@dataclass(frozen=True, slots=True)
class PartSize:
    """What one part weighs in bytes: its rows before compression, and its files."""

    rows: int
    files: int


def card_text(
    record: DatasetRecord,
    boxes: Mapping[str, Counter[str]],
    sizes: Mapping[str, PartSize],
    place: str = HERE,
    revision: str = "",
) -> str:
    """Return the card of a converted set; `boxes` and `sizes` are those of each part of the default split.

    `place` is what `load_dataset` is given: the folder, or `owner/name` of a repo on the Hub, then with the `revision`
    that is to be pinned, or a word in its place.
    """
    front = _front_matter(record, sizes, card_features(record.info.classes), "data/{}-*.parquet", place)
    with_boxes = "detection" in record.info.tasks or any(found.total() for found in boxes.values())
    classes = record.info.classes if with_boxes else ()
    return _render("card.md.jinja", front, record, place, revision, classes=classes, counts=boxes)


def manifest_card_text(record: DatasetRecord, sizes: Mapping[str, PartSize], columns: Sequence[str], place: str) -> str:
    """Return the card of a manifest at `place`: a set's ids and digests, all texts, without its pixels and labels."""
    features = [{"name": name, "dtype": "string"} for name in columns]
    front = _front_matter(record, sizes, features, "manifest/{}.parquet", place)
    front["pretty_name"] = f"{record.info.title} (manifest)"
    front["tags"] = [*front["tags"], "manifest"]
    return _render("manifest.md.jinja", front, record, place, "", columns=columns)


def dataset_card(dataset: Dataset, place: str = HERE, revision: str = "") -> str:
    """Return the card of a set on disk as `card_text` does; its boxes are counted without reading an image."""
    whole = dataset.under(DEFAULT_SPLIT)
    classes = whole.info.classes
    boxes = {
        part: Counter(classes[box.category] for labels in whole.part(part).labels for box in labels.objects)
        for part in whole.parts
    }
    return card_text(whole.record, boxes, part_sizes(whole.root, whole.record), place, revision)


def part_sizes(root: Path, record: DatasetRecord) -> dict[str, PartSize]:
    """Return what the parts of a set on disk weigh, as the footers of their shards say."""
    return {part: _size([root / "data" / shard for shard in shards]) for part, shards in record.shards.items()}


def _size(shards: Sequence[Path]) -> PartSize:
    footers = [pq.read_metadata(shard) for shard in shards]
    rows = sum(footer.row_group(place).total_byte_size for footer in footers for place in range(footer.num_row_groups))
    return PartSize(rows, sum(shard.stat().st_size for shard in shards))


def size_category(samples: int) -> str:
    """Return the Hub's name for a number of samples, such as `1K<n<10K`."""
    bounds = ["1K", "10K", "100K", "1M", "10M", "100M", "1B"]
    place = next((place for place in range(len(bounds)) if samples < 10 ** (place + 3)), len(bounds) - 1)
    return f"{bounds[place - 1]}<n<{bounds[place]}" if place else f"n<{bounds[0]}"


def _front_matter(
    record: DatasetRecord, sizes: Mapping[str, PartSize], features: list[dict[str, Any]], files: str, place: str
) -> dict[str, Any]:
    default = record.splits[DEFAULT_SPLIT]
    return {
        "pretty_name": record.info.title,
        **_licence(record.info, place),
        "task_categories": [_HUB_TASKS[task] for task in record.info.tasks],
        "size_categories": [size_category(sum(entry.samples for entry in default.values()))],
        "tags": list(KEYWORDS),
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": part, "path": files.format(part)} for part in default],
            }
        ],
        "dataset_info": {
            "features": features,
            "splits": [
                {"name": part, "num_bytes": sizes[part].rows, "num_examples": entry.samples}
                for part, entry in default.items()
            ],
            "download_size": sum(sizes[part].files for part in default),
            "dataset_size": sum(sizes[part].rows for part in default),
        },
    }


def _licence(info: DatasetInfo, place: str) -> dict[str, str]:
    if info.hub_licence != "other":
        return {"license": info.hub_licence}
    page = f"https://huggingface.co/datasets/{place}#licence" if place != HERE else info.homepage
    link = {"license_link": page} if page.startswith(("https://", "http://")) else {}
    return {"license": "other", "license_name": _IN_WORDS, **link}


def _render(
    template: str, front: Mapping[str, Any], record: DatasetRecord, place: str, revision: str, **values: Any
) -> str:
    environment = Environment(
        loader=PackageLoader("rgbt_bench", "datasets/templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # JSON is YAML: quoting is left to the serialiser, never to the template.
    front_matter = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())
    body = environment.get_template(template).render(
        record=record,
        info=record.info,
        place=place,
        revision=revision,
        on_hub=place != HERE,
        registered=record.info.name in converters(),
        **values,
    )
    return f"---\n{front_matter}\n---\n{body}"

"""The dataset card: a README whose front matter lets `datasets.load_dataset` read the folder without our code."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined

from rgbt_bench.datasets.arrow import card_features
from rgbt_bench.datasets.store import DatasetRecord
from rgbt_bench.files import write_text
from rgbt_bench.registry import converters

_HUB_TASKS = {"detection": "object-detection", "segmentation": "image-segmentation", "fusion": "image-to-image"}


def write_card(root: Path, record: DatasetRecord, boxes: Mapping[str, Counter[str]]) -> None:
    """Write `README.md` into a dataset folder; `boxes` counts those of each part of the default split by class."""
    environment = Environment(
        loader=PackageLoader("rgbt_bench", "datasets/templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    default = record.splits["default"]
    # JSON is YAML: quoting is left to the serialiser, never to the template.
    front = {
        "pretty_name": record.info.title,
        "license": record.info.hub_licence,
        "task_categories": [_HUB_TASKS[task] for task in record.info.tasks],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": part, "path": f"data/{part}-*.parquet"} for part in default],
            }
        ],
        "dataset_info": {
            "features": card_features(record.info.classes),
            "splits": [
                {"name": part, "num_bytes": _bytes(root, record.shards[part]), "num_examples": entry.samples}
                for part, entry in default.items()
            ],
        },
    }
    front_matter = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())
    with_boxes = "detection" in record.info.tasks or any(found.total() for found in boxes.values())
    classes = record.info.classes if with_boxes else ()
    template = environment.get_template("card.md.jinja")
    registered = record.info.name in converters()
    body = template.render(record=record, info=record.info, classes=classes, counts=boxes, registered=registered)
    write_text(root / "README.md", f"---\n{front_matter}\n---\n{body}")


def _bytes(root: Path, shards: Sequence[str]) -> int:
    """Return the size of shards before compression, as their footers say."""
    footers = (pq.read_metadata(root / "data" / shard) for shard in shards)
    return sum(footer.row_group(place).total_byte_size for footer in footers for place in range(footer.num_row_groups))

"""The dataset card: what the Hub, `datasets` and a reader find in it, of a folder and of a pushed set."""

import json
from collections import Counter
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from rgbt_bench.converting import convert
from rgbt_bench.datasets import writer
from rgbt_bench.datasets.card import HERE, PartSize, card_text, dataset_card, part_sizes, size_category
from rgbt_bench.datasets.store import Dataset
from test_store import IDS, PARTS, MadeUp, boxes_of, put_source

REPO = "owner/made-up"
NO_BOXES = {part: Counter() for part in PARTS}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    base = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "SHARD_BYTES", 5_000)
        convert(MadeUp(), put_source(base / "source"), base / "set")
    return Dataset(base / "set")


def front(text):
    card = DatasetCard(text)
    assert card.text.lstrip().startswith("# Made &#34;up&#34;")
    return card.data.to_dict()


def test_the_front_matter_is_what_the_hub_reads(made):
    data = front((made.root / "README.md").read_text())
    assert data["pretty_name"] == 'Made "up": <b>x</b>'
    assert data["task_categories"] == ["object-detection", "image-segmentation"]
    assert data["size_categories"] == ["n<1K"]
    assert {"rgb-thermal", "multispectral", "thermal", "rgbt-bench"} <= set(data["tags"])
    assert [one["split"] for one in data["configs"][0]["data_files"]] == list(PARTS)
    info = data["dataset_info"]
    assert {one["name"]: one["num_examples"] for one in info["splits"]} == PARTS
    assert info["download_size"] == sum(path.stat().st_size for path in (made.root / "data").iterdir())
    assert info["dataset_size"] == sum(one["num_bytes"] for one in info["splits"])


def test_its_size_is_one_that_the_hub_knows(made):
    import datasets

    known = Path(datasets.__file__).parent / "utils/resources/size_categories.json"
    assert set(front((made.root / "README.md").read_text())["size_categories"]) <= set(json.loads(known.read_text()))


@pytest.mark.parametrize(
    ("samples", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (9_999, "1K<n<10K"), (15_488, "10K<n<100K"), (10**6, "1M<n<10M")],
)
def test_a_size_category_begins_at_its_lower_bound(samples, name):
    assert size_category(samples) == name


@pytest.mark.parametrize(
    ("change", "place", "licence"),
    [
        (
            {},
            HERE,
            {"license": "other", "license_name": "see-licence-section", "license_link": "https://example.org"},
        ),
        ({"homepage": "a disk"}, HERE, {"license": "other", "license_name": "see-licence-section"}),
        (
            {"homepage": "a disk"},
            REPO,
            {
                "license": "other",
                "license_name": "see-licence-section",
                "license_link": f"https://huggingface.co/datasets/{REPO}#licence",
            },
        ),
        ({"hub_licence": "cc-by-4.0"}, REPO, {"license": "cc-by-4.0"}),
    ],
)
def test_a_licence_in_words_has_the_name_and_link_that_the_hub_asks_for(change, place, licence, made):
    record = made.record.model_copy(update={"info": made.record.info.model_copy(update=change)})
    text = card_text(record, NO_BOXES, part_sizes(made.root, record), place)
    data = front(text)
    assert {key: data[key] for key in data if key.startswith("license")} == licence
    assert "## Licence\n\nnone &amp; nothing" in text


def test_datasets_reads_the_card_of_a_folder(made, tmp_path):
    from datasets import load_dataset_builder

    info = load_dataset_builder(str(made.root), cache_dir=str(tmp_path)).info
    data = front((made.root / "README.md").read_text())["dataset_info"]
    assert {name: (split.num_examples, split.num_bytes) for name, split in info.splits.items()} == {
        one["name"]: (one["num_examples"], one["num_bytes"]) for one in data["splits"]
    }
    assert (info.download_size, info.dataset_size) == (data["download_size"], data["dataset_size"])
    assert info.features["objects"].feature["category"].names == ["person", "bike", "car"]


def test_the_card_of_a_folder_is_made_again_from_the_folder(made):
    assert dataset_card(made) == (made.root / "README.md").read_text()
    assert dataset_card(Dataset(made.root, "odd")) == dataset_card(made)


def test_the_card_of_a_pushed_set_says_how_it_is_got(made):
    text = dataset_card(made, REPO, "a tag")
    assert f'load_dataset("{REPO}", revision="a tag")' in text
    assert f"`rgbt-bench pull {REPO}@a tag`" in text
    assert HERE not in text
    for part, ids in IDS.items():
        counts = [sum(box.category == number for one in ids for box in boxes_of(one)) for number in range(3)]
        assert f"| {part} | {len(ids)} | {counts[0]} | {counts[1]} | {counts[2]} |" in text
    assert f'load_dataset("{REPO}")' in dataset_card(made, REPO)


def test_the_report_of_the_conversion_is_named_only_where_it_lies(made):
    record = made.record.model_copy(update={"skipped": 2})
    sizes = dict.fromkeys(PARTS, PartSize(1, 1))
    here, there = (card_text(record, NO_BOXES, sizes, place) for place in (HERE, REPO))
    assert "**Unofficial: 2 sample(s) were left out at conversion because of faults; see `conversion.json`.**" in here
    assert "**Unofficial: 2 sample(s) were left out at conversion because of faults.**" in there
    assert "conversion.json" not in there


def test_nothing_of_the_info_breaks_the_front_matter(made):
    change = {"title": "a\n---\nlicense: mit\n# '\"{{ 7 * 7 }}"}
    record = made.record.model_copy(update={"info": made.record.info.model_copy(update=change)})
    text = card_text(record, NO_BOXES, part_sizes(made.root, record))
    data = DatasetCard(text).data.to_dict()
    assert data["license"] == "other"
    assert json.loads(json.dumps(data["pretty_name"])) == change["title"]
    assert "49" not in text.split("## Contents")[0].split("---\n", 2)[2]

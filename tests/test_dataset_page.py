"""The page of the datasets: the one that is committed is the one that the converters make."""

import re
from pathlib import Path

from rgbt_bench.cli.dataset_page import HOW, PAGE, page
from rgbt_bench.registry import converters, load_converter

ROOT = Path(__file__).parent.parent


def test_the_page_is_not_stale():
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(), f"{PAGE} is stale; make it again: {HOW}"


def test_every_dataset_has_its_section_with_layouts_splits_and_licence():
    text = page()
    published = {name for name in converters() if load_converter(name).expected and load_converter(name).needs_path}
    assert set(re.findall(r"^## `(.+?)`", text, re.MULTILINE)) == published
    for name in published:
        converter = load_converter(name)()
        section = re.search(rf"^## `{name}`.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[0]
        assert converter.info.licence in section
        for layout in converter.layouts:
            assert f"Layout `{layout}`" in section
        for split in converter.published_splits():
            assert f"- `{split.name}`: {split.origin}" in section
            assert section.count(f"| {split.name} |") == len(split.parts)


def test_a_published_split_names_no_id_twice_and_says_whose_it_is():
    for name in converters():
        for split in load_converter(name)().published_splits():
            ids = [one for found in split.parts.values() for one in found]
            assert len(ids) == len(set(ids)), (name, split.name)
            assert split.origin, (name, split.name)

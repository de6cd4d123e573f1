"""The page of the documentation about every registered dataset, made from the converters themselves."""

from collections.abc import Iterator
from pathlib import Path

from rgbt_bench.converters import Converter
from rgbt_bench.datasets.splits import split_hash
from rgbt_bench.registry import converters, load_converter
from rgbt_bench.schema import SplitList

from .page import write_page

PAGE = Path("docs/reference/datasets.md")
HOW = "python -m rgbt_bench.cli.dataset_page"
_HEAD = f"""# Datasets

Made by `{HOW}`. Of each dataset: what it is, how it is got, the layouts that are read (from
a folder, a zip or a tar, looked for two folders deep), and the named splits whose ids are known without the archive.
`rgbt-bench convert NAME PATH` converts it, `rgbt-bench splits NAME` lists its splits, `NAME@SPLIT` reads one of them.
Files that a layout does not name are counted in the conversion report, never silently used. None of these datasets is
ours to pass on.
"""


def page() -> str:
    """Return the page as Markdown."""
    names = [name for name in sorted(converters()) if load_converter(name).needs_path and load_converter(name).expected]
    return "\n".join([_HEAD, *(line for name in names for line in _dataset(load_converter(name)()))]) + "\n"


def _dataset(converter: Converter) -> Iterator[str]:
    info = converter.info
    yield f"## `{info.name}`: {info.title}\n"
    yield f"- Tasks: {', '.join(info.tasks)}"
    if info.classes and "detection" in info.tasks:
        yield f"- Classes of boxes: {', '.join(info.classes)}"
    if info.mask_classes:
        numbered = (f"{value} {name}" for value, name in enumerate(info.mask_classes))
        yield f"- Values of label maps: {', '.join(numbered)}, 255 void"
    yield f"- The whole set: {', '.join(f'{parts} {count:,}' for parts, count in converter.expected.items())}"
    yield f"- Splits: {info.split_policy}"
    yield f"- Licence: {info.licence}"
    yield f"- Citation: {info.citation}\n"
    yield f"{_escaped(converter.how_to_get.strip())}\n"
    for name, tree in converter.layouts.items():
        yield f"Layout `{name}`:\n\n```\n{tree.strip(chr(10))}\n```\n"
    published = converter.published_splits()
    if published:
        yield "| split | part | pairs | SHA-256 of the ids |\n|---|---|---|---|"
        yield from (row for split in published for row in _rows(split))
        yield ""
        yield from (f"- `{split.name}`: {split.origin}" for split in published)
        yield ""


def _rows(split: SplitList) -> Iterator[str]:
    return (f"| {split.name} | {part} | {len(ids):,} | `{split_hash(ids)}` |" for part, ids in split.parts.items())


def _escaped(text: str) -> str:
    """Return a text whose angle brackets Markdown shows as they are."""
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    write_page(PAGE, page())

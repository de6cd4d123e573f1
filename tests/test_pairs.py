"""Pairing the images of two folders: by id, whatever the endings, and every file without a partner is named."""

import pytest

from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.pairs import count_others, pair_folders
from rgbt_bench.sources import FolderSource


def number_of(stem, where):
    if not stem.isdigit():
        raise BadInputError(f"{where}: no number")
    return stem


@pytest.fixture
def source(tmp_path):
    files = ["a/vi/2.png", "a/vi/1.JPG", "a/vi/3.bmp", "a/vi/x.png", "a/vi/1.png", "a/vi/list.txt"]
    files += ["a/ir/1.tif", "a/ir/2.jpeg", "a/ir/4.png", "a/other/1.png", "a/README.md", "b/ir/9.png"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    return FolderSource(tmp_path)


def test_images_of_one_id_are_a_pair_and_all_others_are_faults(source):
    faults = []
    assert [tuple(pair) for pair in pair_folders(source, "a/vi", "a/ir", number_of, faults)] == [
        ("1", "a/vi/1.JPG", "a/ir/1.tif"),
        ("2", "a/vi/2.png", "a/ir/2.jpeg"),
    ]
    assert faults == [
        f"{source.root}/a/vi/1.png: 1 again, first a/vi/1.JPG; keep one",
        f"{source.root}/a/vi/x.png: no number",
        f"{source.root}/a/vi/3.bmp: no image of that name in {source.root}/a/ir",
        f"{source.root}/a/ir/4.png: no image of that name in {source.root}/a/vi",
    ]


def test_files_left_over_are_counted_below_the_base_alone(source):
    assert list(count_others(source, "a/", ("a/vi", "a/ir")).values()) == [1, 1]
    assert list(count_others(source, "", ("a/vi", "a/ir")).values()) == [1, 2]

"""Every archive of the table, through the command line: refused by member with nothing left, or read as it says."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import hostile_cases
from hostile_cases import ARCHIVES, ID, IMAGES, READINGS, RGB, SAME
from rgbt_bench.archives import guard
from rgbt_bench.datasets.digests import image_digest
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.datasets.torch_views import decode_rgb, decode_thermal

PAGE = Path(__file__).parent.parent / "docs/reference/bad-input.md"


def beside(folder):
    """What lies in a folder but the test's home and the lock, which stays."""
    return sorted(path.name for path in folder.iterdir() if path.name not in ("home", ".out.lock"))


def by_given(cases):
    return [pytest.param(case, id=case.given) for case in cases]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("case", by_given([*ARCHIVES, *IMAGES]))
def test_it_is_refused_by_member_and_leaves_nothing(case, bench, tmp_path, monkeypatch):
    for limit, value in case.limits.items():
        monkeypatch.setattr(guard, limit, value)
    archive = tmp_path / "archive"
    archive.write_bytes(case.make())
    code, out, err = bench("convert", case.dataset, archive, "--out", tmp_path / "out")
    assert (code, out) == (3, "")
    assert f"error: {archive}: " in err
    assert any(case.member in line and case.says in line for line in err.splitlines()), err
    assert all(line.isprintable() for line in err.splitlines())
    assert "Traceback" not in err
    assert beside(tmp_path) == ["archive"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The good set, converted from a zip."""
    from rgbt_bench.converting import convert
    from rgbt_bench.registry import load_converter

    folder = tmp_path_factory.mktemp("plain")
    (folder / "archive").write_bytes(hostile_cases.zipped())
    return convert(load_converter("flir")(), folder / "archive", folder / "out")


@pytest.mark.parametrize("name", SAME)
def test_an_odd_archive_of_the_same_set_is_the_same_set(name, bench, tmp_path, plain):
    (tmp_path / "archive").write_bytes(SAME[name]())
    code, _, err = bench("convert", "flir", tmp_path / "archive", "--out", tmp_path / "out")
    assert code == 0, err
    assert Dataset(tmp_path / "out").record.fingerprint == plain.fingerprint


def ours(image, is_rgb):
    """An image's values as the torch views have them, as 8 bits, channels last."""
    tensor = decode_rgb(image) if is_rgb else decode_thermal(image, (0, 255))
    return np.rint(tensor.numpy() * 255).astype(np.uint8).transpose(1, 2, 0)


def theirs(picture, is_rgb):
    """The values of a picture that `datasets` decoded, as 8 bits, channels last."""
    if is_rgb:
        return np.asarray(picture.convert("RGB"))
    array = np.asarray(picture)
    return array[..., :1] if array.ndim == 3 else array[..., None]


@pytest.mark.parametrize("case", by_given(READINGS))
def test_it_is_read_as_the_table_says(case, bench, tmp_path):
    from datasets import load_dataset

    data, like = case.make(), case.like()
    (tmp_path / "archive").write_bytes(hostile_cases.with_image(data, case.member))
    code, out, err = bench("convert", "flir", tmp_path / "archive", "--out", tmp_path / "out")
    assert code == 0, err
    assert ("an image that EXIF turns" in out) == case.turned
    dataset, is_rgb = Dataset(tmp_path / "out"), case.member == RGB
    column = "rgb" if is_rgb else "thermal"
    image = getattr(dataset.sample(ID), column)
    assert image.data == data  # stored as it came

    digest = getattr(dataset.digests[ID], column)
    assert digest == image_digest(data)
    assert (digest == image_digest(like)) == case.digest

    expected = theirs(Pillow.open(io.BytesIO(like)), is_rgb)
    assert np.array_equal(ours(image, is_rgb), expected)

    (row,) = [
        row
        for row in load_dataset(str(dataset.root), cache_dir=str(tmp_path / "cache"), split="train")
        if row["sample_id"] == ID
    ]
    seen = theirs(row[column], is_rgb)
    assert np.array_equal(np.rot90(seen) if case.turned else seen, expected)
    assert (seen.shape != expected.shape) == case.turned


def tables():
    """The page's tables as the cases have them."""
    refused = {"Archives that are refused": ARCHIVES, "Images that are refused": IMAGES}
    for title, cases in refused.items():
        yield title, [f"| {case.given} | `{case.says}` |" for case in cases]
    yield "Archives that are read as if nothing were odd", [f"| {name} |" for name in SAME]
    told = {True: "the same", False: "another"}
    yield "Images that are read", [f"| {case.given} | {case.happens} | {told[case.digest]} |" for case in READINGS]


@pytest.mark.parametrize(("title", "rows"), list(tables()))
def test_the_page_shows_the_table(title, rows):
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section, title
    shown = [line for line in section[1].splitlines() if line.startswith("| ")][1:]
    assert shown == rows, "\n".join(rows)


def test_there_are_many_and_none_twice():
    given = [case.given for case in [*ARCHIVES, *IMAGES, *READINGS]] + list(SAME)
    assert len(set(given)) == len(given) >= 100
    contents = [case.make() for case in [*ARCHIVES, *IMAGES]]
    assert len(
        {(content, tuple(case.limits)) for content, case in zip(contents, [*ARCHIVES, *IMAGES], strict=True)}
    ) == len(contents)

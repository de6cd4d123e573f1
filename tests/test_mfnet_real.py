"""MFNet on its real pairs: nothing is lost in splitting, flipped copies are mirrors, every layout is one set."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from flir_cases import put
from mfnet_cases import encoded
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.sources import FolderSource
from rgbt_converters.mfnet import Mfnet

DATA = Path(__file__).parents[2] / "shared" / "data" / "MFNet"


@pytest.fixture(scope="module")
def real():
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}: it may not be committed")
    return DATA


@pytest.fixture(scope="module")
def few(real, tmp_path_factory):
    """The test pairs and two of train with their flipped copies, as the original layout."""
    base = tmp_path_factory.mktemp("few") / "original"
    lists = {name: (real / f"{name}.txt").read_text().split() for name in ("test", "test_day", "test_night")}
    lists |= {"train": ["00101D", "00101D_flip", "00710N", "00710N_flip"], "val": ["00501D", "01103N"]}
    for name, ids in lists.items():
        put(base / f"{name}.txt", "".join(f"{one}\n" for one in ids))
        for one in ids:
            for folder in ("images", "labels"):
                put(base / folder / f"{one}.png", (real / folder / f"{one}.png").read_bytes())
    return base, convert(Mfnet(), base, base.with_name("out"))


def pixels(path_or_bytes):
    opened = io.BytesIO(path_or_bytes) if isinstance(path_or_bytes, bytes) else path_or_bytes
    return np.asarray(Pillow.open(opened))


def in_gmnet_form(base, pair, stem):
    put(base / f"seperated_images/{stem}_rgb.png", encoded(pair[..., :3]))
    put(base / f"seperated_images/{stem}_th.png", encoded(pair[..., 3:].repeat(3, axis=2)))


def in_cmx_form(base, pair, stem):
    put(base / f"RGB/{stem}.png", encoded(pair[..., :3]))
    put(base / f"Modal/{stem}.png", encoded(pair[..., 3]))


def test_the_whole_sample_is_described_as_it_is(real):
    scan = Mfnet().scan(FolderSource(real))
    assert scan.faults == []
    assert [sum(item.part == part for item in scan.items) for part in Mfnet.parts] == [93, 16, 10]
    assert {(item.labels.width, item.labels.height) for item in scan.items} == {(640, 480)}
    assert sum(item.labels.illumination == "night" for item in scan.items if item.part == "test") == 5
    assert {name: count for name, count in scan.quirks.items() if count} == {
        "_flip files in images/ (left out)": 6,
        "_flip files in labels/ (left out)": 6,
        "train: flipped copies in train.txt (left out: augmentation is the recipe's business)": 6,
        "train: pairs that the published lists have in another part (mfnet@official)": 31,
    }


def test_the_split_pictures_have_every_pixel_of_the_real_ones(few):
    base, report = few
    assert report.parts == {"train": 2, "val": 2, "test": 10}
    dataset = Dataset(Path(report.out))
    for part in dataset.parts:
        for sample in dataset.part(part):
            pair = pixels(base / "images" / f"{sample.sample_id}.png")
            assert pair.shape == (480, 640, 4)
            assert np.array_equal(pixels(sample.rgb.data), pair[..., :3])
            assert np.array_equal(pixels(sample.thermal.data), pair[..., 3])
            assert sample.mask.data == (base / "labels" / f"{sample.sample_id}.png").read_bytes()


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_the_flipped_copies_are_mirrors_of_their_originals(folder, real):
    flips = sorted((real / folder).glob("*_flip.png"))
    assert len(flips) == 6
    for flip in flips:
        with Pillow.open(flip.with_name(flip.name.replace("_flip", ""))) as opened:
            assert np.array_equal(np.asarray(ImageOps.mirror(opened)), pixels(flip))


@pytest.mark.parametrize(
    ("name", "form", "labels"), [("gmnet", in_gmnet_form, "labels"), ("cmx", in_cmx_form, "Label")]
)
def test_the_real_pairs_are_one_set_in_every_layout(name, form, labels, few, tmp_path):
    base, expected = few
    for path in base.glob("*.txt"):
        put(tmp_path / name / path.name, path.read_bytes())
    shutil.copytree(base / "labels", tmp_path / name / labels)
    for path in (base / "images").iterdir():
        form(tmp_path / name, pixels(path), path.stem)
    report = convert(Mfnet(), tmp_path / name, tmp_path / "out")
    assert (report.layout, report.fingerprint) == (name, expected.fingerprint)

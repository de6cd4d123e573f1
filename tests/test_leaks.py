"""Look-alikes across parts: the hash against other implementations, and planted copies that are found or are not."""

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageEnhance

from rgbt_bench.converters import Converter, Item, Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.leaks import (
    NEAR,
    NEAR_RGB_ALONE,
    HashedPart,
    compare,
    hamming,
    leak_report,
    phash,
    small_grey,
)
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.pairs import pair_folders
from rgbt_bench.leak_sheet import draw_leaks
from rgbt_bench.schema import DatasetInfo, Image, Labels

REAL = Path(__file__).parents[2] / "shared" / "data" / "RoadScene"
SIZE = (96, 64)


def scene(seed):
    """A picture as a camera makes one: mostly low frequencies, some detail."""
    draw = np.random.default_rng(seed)
    coarse = Pillow.fromarray(draw.integers(0, 255, (6, 9), dtype=np.uint8)).resize(SIZE, Pillow.Resampling.BICUBIC)
    fine = draw.normal(0, 6, SIZE[::-1])
    return Pillow.fromarray((np.asarray(coarse) * 0.8 + 20 + fine).clip(0, 255).astype(np.uint8))


def png(picture):
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return Image(stream.getvalue(), "x.png")


def by_definition(grey):
    """The hash from the sum that defines a DCT-II, one coefficient after another."""
    lows = [
        [
            math.fsum(
                float(grey[y, x]) * math.cos(math.pi * v * (2 * y + 1) / 64) * math.cos(math.pi * u * (2 * x + 1) / 64)
                for y in range(32)
                for x in range(32)
            )
            for u in range(8)
        ]
        for v in range(8)
    ]
    values = sorted(value for row in lows for value in row)
    median = (values[31] + values[32]) / 2
    return int("".join(str(int(value > median)) for row in lows for value in row), 2)


@pytest.mark.parametrize("seed", range(4))
def test_the_hash_is_what_the_definition_gives(seed):
    for picture in (scene(seed), Pillow.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 32), np.uint8))):
        grey = small_grey(png(picture), (0, 255))
        assert phash(grey) == by_definition(grey)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_the_hash_is_imagehash_s(mode):
    imagehash = pytest.importorskip("imagehash", reason="the package imagehash is not installed (extra `dev`)")
    draw = np.random.default_rng(7)
    pictures = [scene(seed).convert(mode) for seed in range(40)]
    noise = [Pillow.fromarray(draw.integers(0, 255, (40, 50, 3), dtype=np.uint8)).convert(mode) for _ in range(40)]
    for picture in (*pictures, *noise):
        assert phash(small_grey(png(picture), (0, 255))) == int(str(imagehash.phash(picture)), 16)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real RoadScene in ../shared/data")
def test_the_hash_is_imagehash_s_on_real_pairs():
    imagehash = pytest.importorskip("imagehash", reason="the package imagehash is not installed (extra `dev`)")
    files = sorted(REAL.glob("*/*.jpg"))[::9]
    assert len(files) > 30
    for file in files:
        with Pillow.open(file) as picture:
            expected = int(str(imagehash.phash(picture)), 16)
        assert phash(small_grey(Image(file.read_bytes(), file.name), (0, 255))) == expected


def test_a_picture_without_detail_hashes_alike_everywhere():
    assert [phash(np.full((32, 32), value, np.uint8)) for value in (0, 1, 17, 255)] == [0, *[1 << 63] * 3]


def test_sixteen_bits_are_scaled_by_the_declared_range_and_not_by_the_picture():
    values = np.asarray(scene(1)).astype(np.uint16) * 4 + 7000
    grey = small_grey(png(Pillow.fromarray(values)), (7000, 7000 + 4 * 255))
    assert np.abs(grey.astype(int) - small_grey(png(scene(1)), (0, 255))).max() <= 1
    assert small_grey(png(Pillow.fromarray(values)), (0, 255)).min() == 255


def test_bits_that_differ_are_counted():
    a = np.array([0, 2**64 - 1, 0b1011], np.uint64)
    b = np.array([0, 0b0001], np.uint64)
    assert hamming(a, b).tolist() == [[0, 1], [64, 63], [3, 2]]


def hashed(name, rgb, thermal):
    ids = tuple(f"{name}{place:04d}" for place in range(len(rgb)))
    return HashedPart(name, ids, np.array(rgb, np.uint64), None if thermal is None else np.array(thermal, np.uint64))


def test_the_nearest_is_the_one_that_brute_force_finds():
    draw = np.random.default_rng(3)
    rgb, thermal = (draw.integers(0, 2**64, 700, np.uint64) for _ in range(2))
    part, other = hashed("test", rgb[:300], thermal[:300]), hashed("train", rgb[300:], thermal[300:])
    found = compare(part, other)
    assert [one.distance for one in found.nearest] == sorted(one.distance for one in found.nearest)
    for one in found.nearest:
        at = part.ids.index(one.sample_id)
        all_of_them = [
            ((int(rgb[at]) ^ int(r)).bit_count() + (int(thermal[at]) ^ int(t)).bit_count())
            for r, t in zip(rgb[300:], thermal[300:], strict=True)
        ]
        assert (one.distance * 2, one.other_id) == (min(all_of_them), other.ids[all_of_them.index(min(all_of_them))])
        assert one.distance == (one.rgb + one.thermal) / 2
    assert sum(count for _, count in found.histogram) == 300
    assert found.histogram[-1][0] == 64


def test_thermal_must_agree_where_night_is_alike_in_rgb():
    low = 2**20 - 1
    with_thermal = compare(hashed("test", [7], [0]), hashed("train", [7], [2**64 - 1 - low]))
    assert (with_thermal.nearest[0].distance, with_thermal.leaks, with_thermal.near) == (22.0, 0, NEAR)
    rgb_alone = compare(hashed("test", [7], None), hashed("train", [7], [0]))
    assert (rgb_alone.nearest[0].thermal, rgb_alone.leaks, rgb_alone.near) == (None, 1, NEAR_RGB_ALONE)


def test_distances_at_the_bound_count_and_fall_into_its_bin():
    bits = [2**count - 1 for count in (0, 2, 14, 15)]
    found = compare(hashed("test", bits, bits), hashed("train", [0], [0]))
    assert found.leaks == 3
    assert {bound: count for bound, count in found.histogram if count} == {0: 1, 2: 1, 14: 1, 16: 1}
    assert found.median == 8.0


class Planted(Converter):
    """Pairs in the folders PART/vi and PART/ir."""

    info = DatasetInfo(
        name="planted",
        title="Planted",
        classes=(),
        tasks=("fusion",),
        homepage="",
        licence="",
        citation="",
        split_policy="",
    )
    how_to_get = ""
    layouts = {}  # noqa: RUF012

    def scan(self, source):
        scan = Scan("folders")
        for part in self.parts:
            for pair in pair_folders(source, f"{part}/vi", f"{part}/ir", lambda stem, where: stem, scan.faults):
                labels = Labels(sample_id=pair.sample_id, width=SIZE[0], height=SIZE[1])
                scan.items.append(Item(part, labels, pair.rgb, pair.thermal))
        return scan


def cropped(picture):
    x, y = round(SIZE[0] * 0.02), round(SIZE[1] * 0.02)
    return picture.crop((x, y, SIZE[0] - x, SIZE[1] - y)).resize(SIZE, Pillow.Resampling.BICUBIC)


def encoded_again(picture):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=50)
    return Pillow.open(stream)


COPIES = {
    "exact": lambda picture: picture,
    "encoded": encoded_again,
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "cropped": cropped,
}
MIRRORED = "mirrored"


def planted(tmp_path, copies):
    """40 training pairs, and as test pairs 10 others and copies of the first training ones."""
    pictures = {("train", f"train{place:02d}"): (scene(place), scene(1000 + place)) for place in range(40)}
    pictures |= {("test", f"other{place:02d}"): (scene(500 + place), scene(1500 + place)) for place in range(10)}
    pictures |= {
        ("test", name): tuple(change(picture) for picture in pictures["train", f"train{place:02d}"])
        for place, (name, change) in enumerate(copies.items())
    }
    for (part, name), images in pictures.items():
        for folder, picture in zip(("vi", "ir"), images, strict=True):
            path = tmp_path / "set" / part / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.convert("RGB" if folder == "vi" else "L").save(path)
    convert(Planted(), tmp_path / "set", tmp_path / "out")
    return Dataset(tmp_path / "out")


def test_planted_copies_are_found_and_mirrored_ones_are_not(tmp_path):
    dataset = planted(
        tmp_path, {**COPIES, MIRRORED: lambda picture: picture.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)}
    )
    calls = []
    report = leak_report(dataset, lambda *call: calls.append(call))
    assert calls[-1] == ("hashing", 55, 55)
    (found,) = report.comparisons
    assert (report.modalities, found.part, found.other, len(found.nearest)) == (("rgb", "thermal"), "test", "train", 15)
    near = {one.sample_id: one.other_id for one in found.nearest if one.distance <= found.near}
    assert near == {name: f"train{place:02d}" for place, name in enumerate(COPIES)}
    assert found.nearest[0].distance == 0
    content = json.loads(json.dumps(report.to_dict()))
    assert content["comparisons"][0]["leaks"] == len(COPIES)
    assert content["comparisons"][0]["worst"][0] == {
        "sample_id": found.nearest[0].sample_id,
        "other_id": found.nearest[0].other_id,
        "distance": 0.0,
        "rgb": 0,
        "thermal": 0,
    }
    assert report.to_dict() == leak_report(dataset).to_dict()


def test_the_nearest_pairs_are_drawn(tmp_path):
    dataset = planted(tmp_path, COPIES)
    report = leak_report(dataset)
    assert draw_leaks(tmp_path / "sheet.png", dataset, report, 4) == 4
    with Pillow.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    half = pixels.shape[1] // 2
    left, right = pixels[40:200, 4 : half - 8], pixels[40:200, half + 2 : pixels.shape[1] - 10]
    assert np.abs(left - right).mean() < 1  # the exact copy stands beside its original
    assert draw_leaks(tmp_path / "all.png", dataset, report, 1000) == 14


def test_an_unrelated_set_has_none(tmp_path):
    (found,) = leak_report(planted(tmp_path, {})).comparisons
    assert (found.leaks, found.in_both) == (0, 0)
    assert found.median > NEAR


def test_three_parts_are_compared_two_by_two(tiny):
    report = leak_report(tiny)
    assert [(one.part, one.other) for one in report.comparisons] == [
        ("val", "train"),
        ("test", "train"),
        ("test", "val"),
    ]
    assert [len(one.nearest) for one in report.comparisons] == [4, 12, 12]


def test_one_part_has_nothing_to_be_compared_with(tmp_path):
    dataset = planted(tmp_path, {})
    only = tmp_path / "only"
    convert(type("OneEnd", (Planted,), {"parts": ("test",)})(), tmp_path / "set", only)
    report = leak_report(Dataset(only))
    assert report.comparisons == ()
    assert draw_leaks(tmp_path / "none.png", dataset, report, 5) == 0
    assert not (tmp_path / "none.png").exists()


def test_an_image_that_is_damaged_since_is_named(tmp_path, monkeypatch):
    dataset = planted(tmp_path, {})
    read = Dataset.sample
    damaged = Image(b"no image", "train03.png")
    changed = lambda self, one: replace(read(self, one), **({"rgb": damaged} if one == "train03" else {}))  # noqa: E731
    monkeypatch.setattr(Dataset, "sample", changed)
    with pytest.raises(BadInputError, match=r"train03 \(train03.png\): cannot be decoded"):
        leak_report(dataset)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real RoadScene in ../shared/data")
def test_frames_of_one_street_are_found_in_real_pairs(tmp_path):
    names = sorted(path.stem for path in (REAL / "cropinfrared").glob("*.jpg"))
    near = HashedPart("test", ("FLIR_06128",), *_real(["FLIR_06128"]))
    others = tuple(name for name in names if name != "FLIR_06128")
    found = compare(near, HashedPart("train", others, *_real(others)))
    assert (found.nearest[0].other_id, found.nearest[0].distance, found.leaks) == ("FLIR_06099", 6.0, 1)


def _real(names):
    files = [[REAL / folder / f"{name}.jpg" for name in names] for folder in ("crop_LR_visible", "cropinfrared")]
    return [
        np.array([phash(small_grey(Image(file.read_bytes(), file.name), (0, 255))) for file in paths], np.uint64)
        for paths in files
    ]

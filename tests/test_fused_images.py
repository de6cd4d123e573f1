"""Fused images on disk: what is read, what is refused with which words, and how sources become 8 bits."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from rgbt_bench.errors import BadInputError, MissingError
from rgbt_bench.fused_images import FusedImage, read_fused_images, source_images, write_fused_image
from rgbt_bench.predictions import aliases
from rgbt_bench.schema import DatasetInfo, Image, Labels, Sample

WIDTH, HEIGHT = 8, 4
IDS = ("road_0001", "road_0002", "road_0003")
LABELS = [Labels(sample_id=name, width=WIDTH, height=HEIGHT, source=f"vi/FLIR_{name[-2:]}.jpg") for name in IDS]
INFO = DatasetInfo(
    name="made-up", title="", classes=(), tasks=("fusion",), homepage="", licence="", citation="", split_policy=""
)
DEEP = INFO.model_copy(update={"thermal_range": (1000.0, 3000.0)})


def grey(seed=0, shape=(HEIGHT, WIDTH)):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def colours(seed=0):
    return grey(seed, (HEIGHT, WIDTH, 3))


def encoded(picture, kind="PNG"):
    stream = io.BytesIO()
    (picture if isinstance(picture, Pillow.Image) else Pillow.fromarray(picture)).save(stream, kind)
    return stream.getvalue()


def raw_png(bits, colour, row, width=WIDTH, height=HEIGHT):
    """A PNG whose every row is these bytes: for the kinds that Pillow does not write."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress((b"\0" + row) * height)),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def put(folder, image=grey):
    folder.mkdir()
    for index, labels in enumerate(LABELS):
        write_fused_image(folder, labels, FusedImage(index, image(index)))
    return folder


@pytest.fixture
def folder(tmp_path):
    return put(tmp_path / "fused")


def read(folder):
    return read_fused_images(folder, LABELS, aliases(LABELS))


def refused(folder):
    with pytest.raises(BadInputError) as error:
        read(folder)
    return str(error.value)


@pytest.mark.parametrize(("image", "kind"), [(grey, "grey"), (colours, "RGB")])
def test_what_is_written_is_read_again_in_the_order_of_the_samples(folder, tmp_path, image, kind):
    found = read(put(tmp_path / "again", image))
    assert (len(found), found.colours) == (3, kind)
    for index, one in enumerate(found):
        assert one.index == index
        assert one.pixels.dtype == np.uint8
        assert np.array_equal(one.pixels, image(index))
        assert one.luma.shape == (HEIGHT, WIDTH)
    assert found[-1].index == 2
    with pytest.raises(IndexError):
        found[3]


def test_the_luma_of_every_colour_is_pillows(folder):
    steps = np.arange(0, 256, 5, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(52, -1, 3)
    luma = FusedImage(0, cube).luma
    assert np.array_equal(luma, np.asarray(Pillow.fromarray(cube).convert("L")))
    assert np.array_equal(FusedImage(0, luma).luma, luma)


FILES = {  # what stands in the place of one PNG, and what is said of it
    "smaller": (encoded(grey(0, (HEIGHT, WIDTH - 1))), "7x4, but its sources are 8x4; fuse at the sample's own size"),
    "turned": (encoded(grey(0, (WIDTH, HEIGHT))), "4x8, but its sources are 8x4"),
    "16-bit grey": (encoded(grey().astype(np.uint16) * 257), "16-bit grey; save 8-bit grey, or RGB"),
    "1-bit": (encoded(Pillow.fromarray(grey()).convert("1")), "1-bit grey; save 8-bit grey, or RGB"),
    "2-bit": (raw_png(2, 0, b"\x1b\xe4"), "2-bit grey; save 8-bit grey"),
    "4-bit": (raw_png(4, 0, b"\x12\x34\x56\x78"), "4-bit grey; save 8-bit grey"),
    "16-bit colours": (raw_png(16, 2, bytes(range(48))), "16-bit RGB; save 8-bit grey, or RGB"),
    "palette": (encoded(Pillow.fromarray(colours()).convert("P")), "mode P; save 8-bit grey, or RGB, without a"),
    "grey and alpha": (encoded(Pillow.fromarray(grey()).convert("LA")), "mode LA with transparency; save 8-bit grey"),
    "16-bit grey and alpha": (raw_png(16, 4, bytes(32)), "16-bit grey with transparency; save 8-bit grey"),
    "colours and alpha": (encoded(Pillow.fromarray(colours()).convert("RGBA")), "mode RGBA with transparency"),
    "a renamed JPEG": (encoded(grey(), "JPEG"), "cannot be decoded: "),
    "a renamed TIFF": (encoded(grey(), "TIFF"), "cannot be decoded: "),
    "cut short": (encoded(grey())[:-28], "cannot be decoded: "),
    "a cut header": (encoded(grey())[:20], "cannot be decoded: "),
    "empty": (b"", "cannot be decoded: "),
    "text": (b"<html>404</html>", "cannot be decoded: "),
    "far too large": (raw_png(8, 0, b"", 60_000, 60_000), "cannot be decoded: "),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_8_bit_png_of_the_size_is_named(folder, kind):
    data, message = FILES[kind]
    path = folder / "road_0002.png"
    path.write_bytes(data)
    told = refused(folder)
    assert told.startswith(f"{folder}: cannot be scored:")
    assert f"{path}: {message}" in told
    assert told.count(str(folder)) == 2  # the folder and the one file, each once


def test_a_constant_image_may_be_scored(folder):
    (folder / "road_0002.png").write_bytes(encoded(np.zeros((HEIGHT, WIDTH), np.uint8)))
    assert not read(folder)[1].pixels.any()


@pytest.mark.parametrize("compression", [0, 9])
def test_how_a_png_was_compressed_is_all_the_same(folder, compression):
    Pillow.fromarray(grey(1)).save(folder / "road_0002.png", compress_level=compression, dpi=(300, 300))
    assert np.array_equal(read(folder)[1].pixels, grey(1))


def test_missing_ones_are_counted_and_named(folder):
    (folder / "road_0001.png").unlink()
    told = "1 of 3 samples have no fused image: road_0001.png; every one needs its own"
    assert told in refused(folder)
    for path in folder.iterdir():
        path.unlink()
    assert "3 of 3 samples have no fused image: road_0001.png, road_0002.png, road_0003.png" in refused(folder)


def rename(new):
    def change(folder):
        (folder / "road_0002.png").rename(folder / new)

    return change


def add(name, data=b"x"):
    return lambda folder: (folder / name).write_bytes(data)


STRANGE = {
    "left over": (add("road_0004.png", encoded(grey())), r"road_0004\.png: no sample of this part is called so; take"),
    "mistyped": (rename("raod_0002.png"), r"raod_0002\.png: no sample .* Did you mean road_0002\?"),
    "a suffix": (rename("road_0002_fused.png"), r"road_0002_fused\.png: no sample .* Did you mean road_0002\?"),
    "nothing like it": (rename("x.png"), r"x\.png: no sample of this part is called so; take it away$"),
    "another case": (rename("ROAD_0002.png"), r"ROAD_0002\.png: no sample of this part is called so"),
    "a JPEG": (rename("road_0002.jpg"), r"road_0002\.jpg: not a \.png file; save it without loss, or take it away"),
    "notes": (add("metrics.csv"), r"metrics\.csv: not a \.png file"),
    "a folder": (lambda folder: (folder / "night").mkdir(), r"night: is a folder; put the \.png files side by side"),
    "edges": (lambda folder: (folder / "edges").mkdir(), r"edges: is a folder; put the \.png files side by side"),
    "a dead link": (lambda folder: (folder / "road_9.png").symlink_to(folder / "no"), r"road_9\.png: .*leads nowhere"),
    "two by letter case": (add("road_0002.PNG", encoded(grey())), r"road_0002 has road_0002\.PNG, too; keep one"),
    "two by alias": (add("FLIR_02.png", encoded(grey())), r"the sample road_0002 has FLIR_02\.png, too; keep one"),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE)
def test_a_file_that_is_no_samples_is_named(folder, kind):
    change, message = STRANGE[kind]
    change(folder)
    assert re.search(message, refused(folder), re.MULTILINE)


def test_all_that_is_wrong_is_told_at_once(folder):
    (folder / "road_0001.png").unlink()
    (folder / "road_0002.png").write_bytes(FILES["16-bit grey"][0])
    (folder / "road_0003.png").write_bytes(FILES["smaller"][0])
    (folder / "road_4.png").write_bytes(encoded(grey()))
    told = refused(folder)
    for part in ("no fused image: road_0001.png", "road_0002.png: 16-bit", "road_0003.png: 7x4", "road_4.png: no samp"):
        assert part in told


@pytest.mark.parametrize(("first", "told"), [(grey, "1 are RGB and 2 are grey"), (colours, "1 are grey and 2 are RGB")])
def test_grey_and_colours_in_one_folder_are_refused(tmp_path, first, told):
    folder = put(tmp_path / "fused", first)
    other = colours if first is grey else grey
    (folder / "road_0002.png").write_bytes(encoded(other()))
    assert f"{told}, such as road_0002.png; save all alike" in refused(folder)


def test_files_that_a_file_manager_left_are_none(folder):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._road_0001.png"):
        (folder / name).write_bytes(b"left")
    assert len(read(folder)) == 3


def test_original_names_mean_their_samples(folder):
    rename("FLIR_02.png")(folder)
    assert np.array_equal(read(folder)[1].pixels, grey(1))
    (folder / "FLIR_02.png").rename(folder / "FLIR_02.jpg.png")  # as a script that adds .png to every name leaves it
    assert np.array_equal(read(folder)[1].pixels, grey(1))


def test_an_id_is_its_own_sample_whatever_else_is_called_so(folder):
    swapped = [
        Labels(sample_id=name, width=WIDTH, height=HEIGHT, source=f"vi/{other}.jpg")
        for name, other in zip(IDS, IDS[::-1], strict=True)
    ]
    found = read_fused_images(folder, swapped, aliases(swapped))
    assert np.array_equal(found[0].pixels, grey(0))


def test_a_folder_that_is_none_is_told(tmp_path, folder):
    with pytest.raises(MissingError, match="nowhere: no such folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(BadInputError, match=r"road_0001\.png: is a file; fused images are a folder with one \.png a"):
        read(folder / "road_0001.png")


@pytest.mark.parametrize(
    "pixels",
    [
        grey(0, (WIDTH, HEIGHT)),
        grey(0, (HEIGHT, WIDTH, 1)),
        grey(0, (HEIGHT, WIDTH, 4)),
        grey(0, (1, HEIGHT, WIDTH)),
        grey().astype(np.float32),
        grey().astype(np.uint16),
        grey() > 100,
    ],
)
def test_another_shape_or_type_is_never_written(tmp_path, pixels):
    with pytest.raises(ValueError, match=r"road_0001: uint8\(4, 8\) expected, not "):
        write_fused_image(tmp_path, LABELS[0], FusedImage(0, pixels))
    assert not list(tmp_path.iterdir())


def test_a_sample_is_written_once(folder):
    with pytest.raises(ValueError, match="road_0001: was predicted twice"):
        write_fused_image(folder, LABELS[0], FusedImage(0, grey(9)))
    assert np.array_equal(read(folder)[0].pixels, grey(0))


def sample(thermal, rgb=None):
    rgb = Image(encoded(colours(1) if rgb is None else rgb), "a.png")
    data = None if thermal is None else Image(encoded(thermal), "b.png")
    return Sample(sample_id="road_0001", width=WIDTH, height=HEIGHT, rgb=rgb, thermal=data)


def test_8_bit_sources_are_as_they_are():
    found = source_images(sample(grey(2)), INFO)
    assert np.array_equal(found.rgb, colours(1))
    assert np.array_equal(found.luma, np.asarray(Pillow.fromarray(colours(1)).convert("L")))
    assert np.array_equal(found.thermal, grey(2))


def test_three_equal_thermal_channels_are_one():
    found = source_images(sample(np.repeat(grey(2)[..., None], 3, axis=2)), INFO)
    assert np.array_equal(found.thermal, grey(2))


def test_16_bit_thermal_is_scaled_by_the_declared_range_and_clipped_at_it():
    values = np.full((HEIGHT, WIDTH), 2000, np.uint16)
    values[0] = [0, 999, 1000, 1004, 1003, 2996, 3000, 65535]
    found = source_images(sample(values), DEEP).thermal
    assert found.dtype == np.uint8
    assert found[0].tolist() == [0, 0, 0, 1, 0, 254, 255, 255]
    assert set(found[1:].ravel().tolist()) == {128}  # 127.5, to even


def test_grey_rgb_is_three_channels():
    found = source_images(sample(grey(2), rgb=grey(3)), INFO)
    assert found.rgb.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(found.luma, grey(3))


def test_a_sample_without_thermal_has_nothing_to_fuse():
    with pytest.raises(BadInputError, match="made-up: sample 'road_0001' has no thermal image"):
        source_images(sample(None), INFO)

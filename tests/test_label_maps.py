"""Label maps on disk: what is read, what is refused with which words, and the one form in which they are written."""

import io
import os
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from rgbt_bench.errors import BadInputError, MissingError
from rgbt_bench.label_maps import (
    LabelMap,
    read_label_maps,
    write_label_map,
)
from rgbt_bench.png_folders import holds_pngs, png_digest, png_files, save_png
from rgbt_bench.schema import DatasetInfo, Labels

WIDTH, HEIGHT = 8, 4
IDS = ("00001D", "00002N", "00003N")
PALETTE = ((0, 0, 0), (64, 0, 128), (64, 64, 0), (0, 128, 192))
INFO = DatasetInfo(
    name="made-up", title="", classes=(), tasks=("segmentation",), homepage="", licence="", citation="",
    split_policy="", mask_classes=("unlabeled", "car", "person", "bike"), palette=PALETTE,
)  # fmt: skip
LABELS = [Labels(sample_id=name, width=WIDTH, height=HEIGHT) for name in IDS]
KNOWN = r"\(0 unlabeled to 3 bike\)"


def values(seed=0, shape=(HEIGHT, WIDTH), classes=4):
    return np.random.default_rng(seed).integers(0, classes, shape).astype(np.uint8)


def found(seed=0, edges=False):
    edge = values(seed, (HEIGHT // 2, WIDTH // 2), 256) if edges else None
    return [LabelMap(index, values(seed + index), edge) for index in range(len(IDS))]


def put(folder, maps):
    folder.mkdir(exist_ok=True)
    for one in maps:
        write_label_map(folder, LABELS[one.index], INFO, one)
    return folder


@pytest.fixture
def folder(tmp_path):
    return put(tmp_path / "maps", found())


def read(folder, aliases=None, info=INFO, labels=LABELS):
    return read_label_maps(folder, labels, info, aliases or {})


def refused(folder, **how):
    with pytest.raises(BadInputError) as error:
        read(folder, **how)
    return str(error.value)


def png(picture, kind="PNG"):
    stream = io.BytesIO()
    (picture if isinstance(picture, Pillow.Image) else Pillow.fromarray(picture)).save(stream, kind)
    return stream.getvalue()


def chunked(*chunks):
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def header(width, height, bits=8, colour=0):
    return b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)


def grey_of_few_bits(bits):
    """A grey PNG of 2 or 4 bits with the value 1 everywhere, which a decoder makes 85 or 17."""
    row = b"\0" + bytes([{2: 0b01010101, 4: 0b00010001}[bits]]) * (WIDTH * bits // 8)
    return chunked(header(WIDTH, HEIGHT, bits), (b"IDAT", zlib.compress(row * HEIGHT)), (b"IEND", b""))


def paletted(array, colours):
    picture = Pillow.fromarray(array).convert("L").copy()
    picture = Pillow.frombytes("P", (WIDTH, HEIGHT), picture.tobytes())
    picture.putpalette([channel for colour in colours for channel in colour])
    return picture


@pytest.mark.parametrize("edges", [False, True])
def test_what_is_written_is_read_again(tmp_path, edges):
    maps = found(edges=edges)
    again = read(put(tmp_path / "maps", reversed(maps)))
    assert len(again) == 3
    for one, other in zip(again, maps, strict=True):
        assert one.index == other.index
        assert np.array_equal(one.labels, other.labels)
        assert one.labels.dtype == np.uint8
        assert np.array_equal(one.edges, other.edges) if edges else one.edges is None
    assert again[-1].index == 2


def test_the_same_maps_are_the_same_bytes_and_the_same_digest(tmp_path):
    first, second = put(tmp_path / "a", found(edges=True)), put(tmp_path / "b", reversed(found(edges=True)))
    contents = [{path.relative_to(one): path.read_bytes() for path in png_files(one)} for one in (first, second)]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 6
    assert png_digest(first) == png_digest(second)
    save_png(np.asfortranarray(values()), first / f"{IDS[0]}.png")
    assert png_digest(first) == png_digest(second)


def test_the_digest_is_of_names_and_bytes_and_of_no_strays(folder):
    before = png_digest(folder)
    for name in (".DS_Store", "Thumbs.db", "._00001D.png"):
        (folder / name).write_bytes(b"left by a file manager")
    os.utime(folder / "00001D.png", (0, 0))
    assert png_digest(folder) == before
    seen = {before}
    (folder / "00001D.png").rename(folder / "00001D.PNG")
    seen.add(png_digest(folder))
    save_png(values(9), folder / "00001D.PNG")
    seen.add(png_digest(folder))
    (folder / "edges").mkdir()
    save_png(values(9), folder / "edges" / "00001D.png")
    seen.add(png_digest(folder))
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"a name that is not UTF-8")
    seen.add(png_digest(folder))
    assert len(seen) == 5


def test_strays_are_passed_over(folder):
    before = read(folder)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "._00001D.png").write_bytes(b"x")
    assert read(folder) == before


FAULTS = {
    "a value beyond the classes": (
        png(np.full((HEIGHT, WIDTH), 4, np.uint8)), r"the value\(s\) 4 are no class: 0 unlabeled to 3 bike$",
    ),
    "void": (
        png(np.where(values() > 2, 255, values()).astype(np.uint8)),
        r"the value\(s\) 255 are no class: .*; 255 is void in labels, a prediction says a class everywhere",
    ),
    "many wrong values": (
        png(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)), r"the value\(s\) 4, 5, 6, 7, 8 are no",
    ),
    "another size": (
        png(values(shape=(WIDTH, HEIGHT))),
        "4x8, but the sample is 8x4; resize label maps by nearest neighbour",
    ),
    "colours": (png(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), rf"colours \(RGB\) instead of class ids; .*{KNOWN}"),
    "colours with alpha": (png(np.zeros((HEIGHT, WIDTH, 4), np.uint8)), r"colours \(RGBA\) instead of class ids"),
    "grey with alpha": (png(np.zeros((HEIGHT, WIDTH, 2), np.uint8)), r"colours \(LA\) instead of class ids"),
    "a palette in which 1 is the colour of 2": (
        png(paletted(np.ones((HEIGHT, WIDTH), np.uint8), [(9, 9, 9), PALETTE[2]])),
        r"the value 1 \(car\) has the colour of 2 \(person\); write class ids",
    ),
    "16 bits": (png(values().astype(np.uint16)), rf"16-bit grey instead of 8-bit grey; .*{KNOWN}"),
    "1 bit": (png(values(classes=2).astype(bool)), "1-bit grey instead of 8-bit grey"),
    "2 bits": (grey_of_few_bits(2), "2-bit grey instead of 8-bit grey"),
    "4 bits": (grey_of_few_bits(4), "4-bit grey instead of 8-bit grey"),
    "cut short": (png(values(1))[:-30], "cannot be decoded: .+"),
    "cut in its header": (png(values(1))[:20], "cannot be decoded: .+"),
    "empty": (b"", "cannot be decoded: cannot identify image file"),
    "JPEG": (png(values(), "JPEG"), "cannot be decoded: cannot identify image file"),
    "text": (b"label map", "cannot be decoded: cannot identify image file"),
    "no pixels": (chunked(header(WIDTH, HEIGHT), (b"IEND", b"")), "cannot be decoded"),
    "a text chunk that is a bomb": (
        chunked(header(WIDTH, HEIGHT), (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26))), (b"IEND", b"")),
        "cannot be decoded: .*too large",
    ),
    "a huge header": (
        chunked(header(100_000, 100_000), (b"IDAT", b""), (b"IEND", b"")), "cannot be decoded: .*decompression bomb",
    ),
    "a large header": (chunked(header(10_000, 10_000), (b"IDAT", b""), (b"IEND", b"")), "10000x10000, but the sample"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_is_named_with_its_fault(folder, name):
    content, message = FAULTS[name]
    path = folder / "00002N.png"
    path.write_bytes(content)
    text = refused(folder)
    assert text.startswith(f"{folder}: cannot be scored:\n  - {path}: ")
    assert re.search(message, text), text
    assert len(text.splitlines()) == 2
    assert text.count(str(path)) == 1


@pytest.mark.parametrize("colours", [PALETTE, [(value, value, value) for value in range(4)], [(1, 2, 3)] * 4])
def test_a_palette_with_right_ids_is_read_as_ids(folder, colours):
    (folder / "00002N.png").write_bytes(png(paletted(values(7), colours)))
    assert np.array_equal(read(folder)[1].labels, values(7))


def test_a_colour_that_two_classes_share_is_no_fault(folder):
    info = INFO.model_copy(update={"palette": (PALETTE[0], PALETTE[1], PALETTE[1], PALETTE[3])})
    (folder / "00002N.png").write_bytes(png(paletted(values(7), info.palette)))
    assert np.array_equal(read(folder, info=info)[1].labels, values(7))


def test_a_colour_of_a_value_that_is_not_used_is_no_fault(folder):
    (folder / "00002N.png").write_bytes(png(paletted(np.zeros((HEIGHT, WIDTH), np.uint8), [PALETTE[0], PALETTE[3]])))
    assert not read(folder)[1].labels.any()


def test_missing_files_are_counted_and_named_first(folder):
    (folder / "00001D.png").unlink()
    assert "1 of 3 samples have no label map: 00001D.png; every one needs its own" in refused(folder)
    (folder / "00002N.png").write_bytes(b"x")
    lines = refused(folder).splitlines()
    assert lines[1].startswith("  - 1 of 3 samples have no label map")
    assert "00002N.png: cannot be decoded" in lines[2]
    for path in folder.iterdir():
        path.unlink()
    many = [Labels(sample_id=f"{place:05d}", width=8, height=4) for place in range(3000)]
    text = refused(folder, labels=many)
    assert "3,000 of 3,000 samples have no label map: 00000.png, 00001.png" in text
    assert "00004.png and 2,995 more" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("00004N.png", r"no sample of this part is called so; take it away\. Did you mean 0000"),
        ("00001D_flip.png", r"no sample of this part is called so; take it away\. Did you mean 00001D\?"),
        ("elsewhere.png", r"no sample of this part is called so; take it away$"),
        ("00001d.png", r"take it away\. Did you mean 00001D\?"),
        ("00001D", r"not a \.png file; save it without loss, or take it away"),
        ("00001D.jpg", r"not a \.png file"),
        ("result.json", r"not a \.png file"),
        (".png", r"not a \.png file"),
        ("edges", r"not a \.png file"),
        ("with space é\n\x1b[31m.png", "no sample of this part is called so"),
        (os.fsdecode(b"\xff\xfe.png"), "no sample of this part is called so"),
    ],
)
def test_a_file_that_is_no_samples_is_named(folder, name, message):
    (folder / name).write_bytes(b"x")
    text = refused(folder)
    assert f"  - {folder / name}: " in text
    assert re.search(message, text), text


@pytest.mark.parametrize("name", ["more", "00001D", "00001D.png"])
def test_a_folder_inside_is_named(folder, name):
    (folder / "00001D.png").unlink()
    (folder / name).mkdir()
    text = refused(folder)
    assert f"{folder / name}: is a folder; put the .png files side by side" in text
    assert "1 of 3 samples have no label map" in text


def test_a_pipe_and_a_link_to_nowhere_are_no_files(folder):
    for name in ("00001D.png", "00002N.png"):
        (folder / name).unlink()
    os.mkfifo(folder / "00001D.png")
    (folder / "00002N.png").symlink_to(folder / "gone.png")
    text = refused(folder)
    assert text.count("not a file, or a link that leads nowhere") == 2


def test_links_are_followed(folder, tmp_path):
    expected = png_digest(folder)
    path = folder / "00002N.png"
    path.rename(tmp_path / "there.png")
    path.symlink_to(tmp_path / "there.png")
    assert np.array_equal(read(folder)[1].labels, values(1))
    assert png_digest(folder) == expected
    (tmp_path / "linked").symlink_to(folder)
    assert len(read(tmp_path / "linked")) == 3


def test_an_ending_in_capitals_is_read_and_two_of_one_sample_are_not(folder):
    (folder / "00001D.png").rename(folder / "00001D.PNG")
    assert np.array_equal(read(folder)[0].labels, values(0))
    save_png(values(), folder / "00001D.png")
    assert "00001D.png: the sample 00001D has 00001D.PNG, too; keep one" in refused(folder)


def test_aliases_stand_for_their_sample(folder):
    aliases = {"first": "00001D", "other": "of another part"}
    (folder / "00001D.png").rename(folder / "first.png")
    assert np.array_equal(read(folder, aliases)[0].labels, values(0))
    save_png(values(), folder / "00001D.png")
    assert "first.png: the sample 00001D has 00001D.png, too; keep one" in refused(folder, aliases=aliases)
    (folder / "first.png").rename(folder / "other.png")
    assert "other.png: no sample of this part is called so" in refused(folder, aliases=aliases)


def test_an_id_means_its_own_sample_though_anothers_file_was_called_so(folder):
    aliases = {"00001D": "00002N", "00002N": "00001D"}
    assert [np.array_equal(one.labels, values(place)) for place, one in enumerate(read(folder, aliases))] == [True] * 3


def test_a_folder_that_is_none_is_said(tmp_path):
    with pytest.raises(MissingError, match=r"nowhere: no such folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "p.json").write_text("[]")
    assert "p.json: is a file; label maps are a folder with one .png a sample" in refused(tmp_path / "p.json")
    (tmp_path / "empty").mkdir()
    assert "3 of 3 samples have no label map: 00001D.png, 00002N.png, 00003N.png" in refused(tmp_path / "empty")


@pytest.fixture
def with_edges(tmp_path):
    return put(tmp_path / "maps", found(edges=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(values(shape=(3, 8))), "8x3 is no whole fraction of the sample's 8x4"),
        (png(values(shape=(2, 8))), "8x2 is no whole fraction"),
        (png(values(shape=(8, 16))), "16x8 is no whole fraction"),
        (png(np.zeros((2, 4, 3), np.uint8)), "mode RGB instead of 8-bit grey, 0 for no edge to 255"),
        (png(values(shape=(2, 4)).astype(np.uint16)), "16-bit grey instead of 8-bit grey"),
        (png(values(shape=(2, 4), classes=2).astype(bool)), "1-bit grey instead of 8-bit grey"),
        (grey_of_few_bits(2), "2-bit grey instead of 8-bit grey"),
        (png(values(shape=(2, 4)))[:-26], "cannot be decoded"),
        (b"", "cannot be decoded"),
    ],
)
def test_a_faulty_edge_map_is_named(with_edges, content, message):
    path = with_edges / "edges" / "00002N.png"
    path.write_bytes(content)
    text = refused(with_edges)
    assert f"  - edges: {path}: " in text
    assert message in text


def test_edge_maps_are_of_every_sample_or_of_none(with_edges):
    (with_edges / "edges" / "00002N.png").rename(with_edges / "edges" / "00009N.png")
    text = refused(with_edges)
    assert "edges: 1 of 3 samples have no edge map: 00002N.png" in text
    assert "00009N.png: no sample of this part is called so" in text
    for path in (with_edges / "edges").iterdir():
        path.unlink()
    assert "edges: 3 of 3 samples have no edge map" in refused(with_edges)
    (with_edges / "edges").rmdir()
    assert read(with_edges).edges is None


def test_all_faults_are_named_at_once_and_many_are_counted(folder):
    for name in (f"{place}.txt" for place in range(40)):
        (folder / name).write_bytes(b"")
    (folder / "00001D.png").unlink()
    (folder / "00002N.png").write_bytes(b"")
    lines = refused(folder).splitlines()
    assert "1 of 3 samples have no label map" in lines[1]
    assert lines[-1].strip() == "... and 22 more"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": values(shape=(WIDTH, HEIGHT))}, r"00001D: uint8\(4, 8\) expected, not uint8\(8, 4\)"),
        ({"labels": values().astype(np.int64)}, "not int64"),
        ({"labels": values() + 1}, "the value 4 is none of 4 classes"),
        ({"edges": values(shape=(3, 4))}, r"edges uint8\(3, 4\) do not divide \(4, 8\)"),
        ({"edges": np.zeros((2, 4))}, "edges float64"),
    ],
)
def test_a_map_that_would_not_be_read_again_is_not_written(tmp_path, change, message):
    one = LabelMap(**{"index": 0, "labels": values()} | change)
    with pytest.raises(ValueError, match=message):
        write_label_map(tmp_path, LABELS[0], INFO, one)
    assert not list(tmp_path.iterdir())


def test_a_sample_is_written_once(tmp_path):
    put(tmp_path, found())
    with pytest.raises(ValueError, match="00001D: was predicted twice"):
        put(tmp_path, found(seed=4))
    assert np.array_equal(read(tmp_path)[0].labels, values(0))


def test_what_looks_like_label_maps(folder, tmp_path):
    assert holds_pngs(folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "._a.png").write_bytes(b"")
    (tmp_path / "other" / "a.json").write_bytes(b"")
    (tmp_path / "other" / "b.png").mkdir()
    assert not holds_pngs(tmp_path / "other")

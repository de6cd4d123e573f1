"""One table of hostile and odd archives in real layouts: what each must give. docs/reference/bad-input.md shows it."""

import bz2
import gzip
import io
import random
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

import mfnet_cases
from archive_cases import LINK, declared, entry, pax, raw_block, tar_bytes, with_flag, zip_bytes, zip_entry
from flir_cases import jpegs, put_voc

ID = "FLIR_00002"
RGB, THERMAL = f"JPEGImages/{ID}_RGB.jpg", f"JPEGImages/{ID}_PreviewData.jpeg"
LABEL = "labels/00001D.png"
FIRST = "Annotations/FLIR_00002_PreviewData.xml"
SIZE = (64, 48)


@dataclass(frozen=True)
class Refused:
    """An archive that is refused: what is given, and that the message names `member` and `says` so."""

    given: str
    member: str
    says: str
    make: Callable[[], bytes]
    dataset: str = "flir"
    limits: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """An archive that is read: the image at `member` has the pixels of `like`, a plain one, as `happens` says.

    `digest` tells whether it has its digest, too; `turned` that `load_dataset` shows it another way up.
    """

    given: str
    happens: str
    make: Callable[[], bytes]
    member: str
    like: Callable[[], bytes]
    digest: bool = True
    turned: bool = False


@cache
def members(dataset: str = "flir") -> dict[str, bytes]:
    """The files of a good set by name."""
    with tempfile.TemporaryDirectory() as folder:
        base = {"flir": put_voc, "mfnet": mfnet_cases.put_original}[dataset](Path(folder))
        return {path.relative_to(base).as_posix(): path.read_bytes() for path in sorted(base.rglob("*.*"))}


def zipped(*extra, method=zipfile.ZIP_DEFLATED, dataset="flir", **changed):
    """A good set as a zip with more members behind, or with other contents."""
    content = members(dataset) | changed.get("changed", {})
    return zip_bytes([*content.items(), *extra], method)


def tarred(*extra):
    return tar_bytes([*members().items(), *extra])


def with_image(data, member=RGB):
    return zipped(changed={member: data}, dataset="mfnet" if member == LABEL else "flir")


def patched(data, mark, offset, form, *values):
    """An archive with a field overwritten, counted from the first place of a mark."""
    data = bytearray(data)
    struct.pack_into(form, data, data.find(mark) + offset, *values)
    return bytes(data)


def overlapping():
    data = bytearray(zipped())
    second = data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 1)
    struct.pack_into("<L", data, second + 42, 0)
    return bytes(data)


BOMB = ("JPEGImages/more.jpg", bytes(3 * 1024**2))
SECOND = "Annotations/FLIR_00008_PreviewData.xml"


def of(make, *arguments, **options):
    return partial(make, *arguments, **options)


ARCHIVES = [
    Refused("zip: a path out of it", "../x.jpg", "a path out of the archive", of(zipped, ("../x.jpg", b""))),
    Refused("zip: an absolute path", "/etc/x.jpg", "an absolute path", of(zipped, ("/etc/x.jpg", b""))),
    Refused("zip: a drive", "C:/x.jpg", "an absolute path", of(zipped, ("C:/x.jpg", b""))),
    Refused(
        "zip: a backslash", "JPEGImages\\x.jpg", "a backslash in its name",
        lambda: zipped(("JPEGImagesQx.jpg", b"")).replace(b"esQx", b"es\\x"),
    ),
    Refused("zip: NUL in a name", r"a.jpg\x00.exe", "a control character in its name",
            lambda: zipped(("a.jpgX.exe", b"")).replace(b"gX.", b"g\0.")),
    Refused("zip: a name written right to left", r"\u202egpj.exe", "a control character in its name",
            of(zipped, ("a\u202egpj.exe", b""))),
    Refused("zip: an escape sequence in a name", r"\x1b[2J", "a control character in its name",
            of(zipped, ("a\x1b[2J.jpg", b""))),
    Refused("zip: a name that is not UTF-8", "", "its name is not UTF-8",
            lambda: zipped(("é.txt", b"")).replace("é.txt".encode(), b"\xff\xfe.txt")),
    Refused("zip: a name of 300 letters", "xxx", "its name is too long", of(zipped, ("x" * 300, b""))),
    Refused("zip: a member twice", RGB, "occurs twice", of(zipped, (RGB, b"another"))),
    Refused("zip: a member twice, once through `.`", RGB, "occurs twice", of(zipped, (f"./{RGB}", b"another"))),
    Refused("zip: names that differ in case", RGB.upper(), "its name differs only in case or accents from",
            of(zipped, (RGB.upper(), b"another"))),
    Refused("zip: names that differ in the form of an accent", "e\u0301.jpg", "differs only in case or accents",
            of(zipped, ("\u00e9.jpg", b""), ("e\u0301.jpg", b""))),
    Refused("zip: a file that is a folder, too", "JPEGImages", "a file, but a folder too",
            of(zipped, ("JPEGImages", b""))),
    Refused("zip: a symbolic link", "x.jpg", "a link, which is never followed",
            lambda: zipped((zip_entry("x.jpg", LINK), b"/etc/passwd"))),
    Refused("zip: a device", "x.jpg", "neither a file nor a folder",
            lambda: zipped((zip_entry("x.jpg", stat.S_IFBLK), b""))),
    Refused("zip: encrypted", FIRST, "encrypted", lambda: with_flag(zipped(), 1)),
    Refused("zip: packed in another way (LZMA)", FIRST, "packed by method 14", of(zipped, method=zipfile.ZIP_LZMA)),
    Refused("zip: a ratio bomb", BOMB[0], "a decompression bomb", of(zipped, BOMB)),
    Refused("zip: a ratio bomb that declares a small size", FIRST, "more comes out of it than",
            lambda: declared(zipped(changed={FIRST: bytes(10_000)}), 200)),
    Refused("zip: a member of 2 GiB by its header", FIRST, "a decompression bomb", lambda: declared(zipped(), 2**31)),
    Refused("zip: members that overlap", SECOND, "its bytes overlap those of another member", overlapping),
    Refused("zip: too many members", "", "members, which no set has", zipped, limits={"MAX_FILES": 20}),
    Refused("zip: too many bytes in all", "", "bytes in all, which no set has", zipped,
            limits={"MAX_TOTAL_BYTES": 10_000}),
    Refused("zip: cut short", "", "cut short", lambda: zipped()[:-40]),
    Refused("zip: one volume of several", "", "one volume of several",
            lambda: patched(zipped(), b"PK\x05\x06", 4, "<H", 1)),
    Refused("zip: a changed byte in a member", FIRST, "damaged, its checksum is another",
            lambda: zipped(method=zipfile.ZIP_STORED).replace(b"<size><width>64", b"<size><width>65", 1)),
    Refused("an image with a zip behind it", "", "not an archive that is read", lambda: jpegs(ID)[0] + zipped()),
    Refused("a script with a zip behind it", "", "not an archive that is read", lambda: b"#!/bin/sh\n" + zipped()),
    Refused("zip: the real archive inside it, which is never entered", "", "no FLIR-aligned layout here",
            lambda: zip_bytes([("inner.zip", zipped())])),
    Refused("tar: a path out of it", "../x.jpg", "a path out of the archive", of(tarred, ("../x.jpg", b""))),
    Refused("tar: a path out of it in an extended header", "../x.jpg", "a path out of the archive",
            lambda: pax(path="../x.jpg") + tarred()),
    Refused("tar: an absolute path", "/x.jpg", "an absolute path", of(tarred, ("/x.jpg", b""))),
    Refused("tar: a symbolic link", "x.jpg", "a link, which is never followed",
            lambda: tarred((entry("x.jpg", tarfile.SYMTYPE, linkname="/etc/passwd"), b""))),
    Refused("tar: a hard link", "x.jpg", "a hard link",
            lambda: tarred((entry("x.jpg", tarfile.LNKTYPE, linkname=RGB), b""))),
    Refused("tar: a device", "x.jpg", "a device", lambda: tarred((entry("x.jpg", tarfile.CHRTYPE), b""))),
    Refused("tar: a pipe", "x.jpg", "a pipe", lambda: tarred((entry("x.jpg", tarfile.FIFOTYPE), b""))),
    Refused("tar: a sparse file", "x.jpg", "a sparse file", lambda: raw_block(name="x.jpg", kind=b"S") + tarred()),
    Refused("tar: cut short", "", "cut short", lambda: tarred()[:20_000]),
    Refused("tar: another archive behind its end", "", "another archive follows the end of this one",
            lambda: tarred() + tarred()),
    Refused("tar.gz: a bomb", "", "a decompression bomb", lambda: gzip.compress(tarred(("b", bytes(2**26))))),
    Refused("tar.bz2: a bomb behind the end", "", "a decompression bomb",
            lambda: bz2.compress(tarred() + bytes(2**25))),
    Refused("tar.gz: cut short", "", "damaged (cut short", lambda: gzip.compress(tarred())[:-5000]),
    Refused("a web page in place of the archive", "", "a web page and not the archive", lambda: b"<!DOCTYPE html>"),
    Refused("7z", "", "a 7z archive, which is not read", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(50)),
]  # fmt: skip


@cache
def arrays():
    """The made-up visible and thermal values that images of all kinds are made of."""
    noise = np.random.default_rng(7).integers(0, 255, (SIZE[1], SIZE[0], 4), dtype=np.uint8)
    return np.ascontiguousarray(noise[..., :3]), np.ascontiguousarray(noise[..., 3])


def colour():
    return Pillow.fromarray(arrays()[0])


def grey():
    return Pillow.fromarray(arrays()[1])


def encoded(picture, form="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, kind, rows, interlaced=0):
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, (b"IHDR", b"IDAT", b"IEND"), (header, zlib.compress(rows), b"")))


def png_rows(values):
    return b"".join(b"\0" + row.tobytes() for row in values)


def interlaced_png():
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b"".join(png_rows(arrays()[0][top::down, left::across]) for top, left, down, across in passes)
    return png(*SIZE, 8, 2, rows, 1)


def with_text(name, head, size, at=33):
    """A PNG with a chunk that unpacks to so many bytes."""
    data = encoded(colour())
    return data[:at] + chunk(name, head + zlib.compress(bytes(size))) + data[at:]


def oriented(picture, form, orientation=6):
    """A picture with an EXIF orientation, of which 6 is a quarter turn."""
    exif = Pillow.Exif()
    exif[0x112] = orientation
    return encoded(picture, form, exif=exif)


def with_segments(data):
    return data[:2] + b"".join(b"\xff\xe5\xff\xff" + random.Random(n).randbytes(65_533) for n in range(48)) + data[2:]


def deep(values):
    return encoded(Pillow.fromarray(values.astype(np.uint16)))


def deep_colour():
    return png(*SIZE, 16, 2, png_rows((arrays()[0].astype(int) * 256 + 7).astype(">u2")))


def mask(values):
    return mfnet_cases.encoded(values)


def image(given, says, make, member=RGB):
    name = member.rpartition("/")[2]
    return Refused(given, name, says, lambda: with_image(make(), member), "mfnet" if member == LABEL else "flir")


JPEG = partial(encoded, form="JPEG")
UNREADABLE = "not a readable JPEG, PNG, TIFF or BMP image"
NOT_THERMAL = "neither one channel nor three equal ones"

IMAGES = [
    image("PNG of 100,000 x 100,000 pixels by its header", "could be decompression bomb",
          lambda: png(100_000, 100_000, 8, 2, b"")),
    image("PNG of 9,000 x 9,000 pixels, all there, in 80 kB", "9000x9000 is above 64000000 pixels",
          lambda: png(9000, 9000, 1, 0, bytes(9000 * 1126))),
    image("JPEG of 65,500 x 65,500 pixels by its header", "could be decompression bomb",
          lambda: patched(JPEG(colour()), b"\xff\xc0", 5, ">HH", 65_500, 65_500)),
    image("BMP of 100,000 x 100,000 pixels by its header", "could be decompression bomb",
          lambda: patched(encoded(colour(), "BMP"), b"BM", 18, "<ii", 100_000, 100_000)),
    image("PNG with a zTXt bomb", "Decompressed data too large", lambda: with_text(b"zTXt", b"k\0\0", 2**24)),
    image("PNG with an iTXt bomb behind its pixels", "Decompressed data too large",
          lambda: with_text(b"iTXt", b"k\0\1\0\0\0", 2**24, -12)),
    image("PNG with an iCCP bomb", "Decompressed data too large", lambda: with_text(b"iCCP", b"k\0\0", 2**24)),
    image("PNG without pixels", UNREADABLE, lambda: png(0, 0, 8, 2, b"")),
    image("PNG cut short", "image file is truncated", lambda: encoded(colour())[:-300]),
    image("JPEG cut short", "image file is truncated", lambda: JPEG(colour())[:-300]),
    image("GIF called .jpg", UNREADABLE, lambda: encoded(colour(), "GIF")),
    image("WebP called .jpg", UNREADABLE, lambda: encoded(colour(), "WEBP")),
    image("EPS, which is a program, called .jpg", UNREADABLE, lambda: encoded(colour(), "EPS")),
    image("SVG called .jpg", UNREADABLE, lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    image("an empty file", UNREADABLE, lambda: b""),
    image("CMYK JPEG", "8-bit colour was expected", lambda: JPEG(colour().convert("CMYK"))),
    image("CMYK TIFF", "8-bit colour was expected", lambda: encoded(colour().convert("CMYK"), "TIFF")),
    image("16-bit grey PNG as visible image", "8-bit colour was expected", lambda: deep(arrays()[1].astype(int) * 257)),
    image("TIFF turned by its orientation", "48x64, but the labels and the pair say 64x48",
          lambda: encoded(colour(), "TIFF", tiffinfo={274: 6})),
    image("16-bit thermal PNG in a set of 8 bits", "but flir declares the thermal range 0..255",
          lambda: deep(arrays()[1].astype(int) * 257), THERMAL),
    image("thermal TIFF of 16 bits, high byte first, in a set of 8 bits", "but flir declares the thermal range 0..255",
          lambda: encoded(Pillow.fromarray(arrays()[1].astype(">u2") * 257), "TIFF"), THERMAL),
    image("thermal TIFF with values below 0", "values down to -44, but flir declares",
          lambda: encoded(Pillow.fromarray(arrays()[1].astype(np.int32) - 44), "TIFF"), THERMAL),
    image("thermal image in false colours", NOT_THERMAL, lambda: encoded(colour()), THERMAL),
    image("thermal PNG with a palette", NOT_THERMAL, lambda: encoded(grey().quantize(16)), THERMAL),
    image("thermal PNG with alpha", NOT_THERMAL, lambda: encoded(grey().convert("LA")), THERMAL),
    image("thermal PNG of 1 bit", NOT_THERMAL, lambda: encoded(grey().convert("1")), THERMAL),
    image("thermal TIFF of floating point", NOT_THERMAL, lambda: encoded(grey().convert("F"), "TIFF"), THERMAL),
    image("CMYK JPEG as thermal image", NOT_THERMAL, lambda: JPEG(grey().convert("CMYK")), THERMAL),
    image("16-bit label map", "a label map has one 8-bit channel", lambda: mask(np.ones((24, 32), np.uint16)), LABEL),
    image("label map in colours", "a label map has one 8-bit channel",
          lambda: mask(np.ones((24, 32, 3), np.uint8)), LABEL),
    image("label map with a value that is no class", "a label map with the value(s) 77",
          lambda: mask(np.full((24, 32), 77, np.uint8)), LABEL),
]  # fmt: skip


def two(form, picture):
    """Two pictures in one file, of which the first counts."""
    return encoded(picture, form, save_all=True, append_images=[grey().convert("RGB")])


def visible(given, happens, make, like, **told):
    return Reading(given, happens, make, RGB, like, **told)


def thermal(given, happens, make, like, **told):
    return Reading(given, happens, make, THERMAL, like, **told)


def colour_png():
    return encoded(colour())


def colour_jpeg():
    return JPEG(colour())


def as_colours(make):
    """The plain image of a picture of another mode."""
    return lambda: encoded(make().convert("RGB"))


def palette():
    return colour().quantize(32)


OWN = {"digest": False}
PLAIN, FIRST_ONE, STORED = "as the plain image", "its first picture", "as it is stored; `load_dataset` turns it"
PROGRESSIVE = "its pixels; it is not the bytes of a baseline JPEG"
READINGS = [
    visible("PNG called .jpg", PLAIN, lambda: encoded(colour(), compress_level=1), colour_png),
    visible("BMP called .jpg", PLAIN, lambda: encoded(colour(), "BMP"), colour_png),
    visible("TIFF, LZW", PLAIN, lambda: encoded(colour(), "TIFF", compression="tiff_lzw"), colour_png),
    visible("interlaced PNG", PLAIN, interlaced_png, colour_png),
    visible("PNG without its end chunk", PLAIN, lambda: colour_png()[:-12], colour_png),
    visible("PNG with a zip behind it", PLAIN, lambda: colour_png() + zipped(), colour_png),
    visible("animated PNG", FIRST_ONE, lambda: two("PNG", colour()), colour_png),
    visible("TIFF of several pages", FIRST_ONE, lambda: two("TIFF", colour()), colour_png),
    visible("MPO: JPEGs behind one another", FIRST_ONE, lambda: two("MPO", colour()), colour_jpeg),
    visible("16-bit colour PNG", "the high byte of each value", deep_colour, colour_png),
    visible("PNG with a palette", "its colours", lambda: encoded(palette()), as_colours(palette)),
    visible("PNG with a palette, one colour of it transparent", "its colours; alpha is dropped",
            lambda: encoded(palette(), transparency=3), as_colours(palette), **OWN),
    visible("PNG with alpha", "its colours; alpha is dropped",
            lambda: encoded(Pillow.fromarray(np.dstack(arrays()))), colour_png, **OWN),
    visible("grey PNG as visible image", "three equal channels", lambda: encoded(grey()), as_colours(grey), **OWN),
    visible("PNG of grey and alpha as visible image", "three equal channels; alpha is dropped",
            lambda: encoded(grey().convert("LA")), as_colours(grey), **OWN),
    visible("PNG of 1 bit as visible image", "black and white",
            lambda: encoded(grey().convert("1")), as_colours(lambda: grey().convert("1")), **OWN),
    visible("progressive JPEG", PROGRESSIVE, lambda: JPEG(colour(), progressive=True), colour_jpeg, **OWN),
    visible("JPEG with 3 MB of application segments", PLAIN, lambda: with_segments(colour_jpeg()), colour_jpeg),
    visible("JPEG with a zip behind it", PLAIN, lambda: colour_jpeg() + zipped(), colour_jpeg),
    visible("JPEG turned by EXIF", STORED, lambda: oriented(colour(), "JPEG"), colour_jpeg, turned=True),
    visible("PNG turned by EXIF", STORED, lambda: oriented(colour(), "PNG"), colour_png, turned=True),
    visible("JPEG with an EXIF orientation that there is not", PLAIN,
            lambda: oriented(colour(), "JPEG", 9), colour_jpeg),
    thermal("thermal JPEG turned by EXIF", STORED, lambda: oriented(grey(), "JPEG"), lambda: JPEG(grey()), turned=True),
    thermal("progressive thermal JPEG", PROGRESSIVE,
            lambda: JPEG(grey(), progressive=True), lambda: JPEG(grey()), **OWN),
    thermal("thermal PNG of three equal channels", "one channel",
            lambda: encoded(grey().convert("RGB")), lambda: encoded(grey()), **OWN),
    thermal("16-bit thermal PNG with values up to 255", "its values",
            lambda: deep(arrays()[1]), lambda: encoded(grey()), **OWN),
    thermal("thermal BMP", PLAIN, lambda: encoded(grey(), "BMP"), lambda: encoded(grey())),
]  # fmt: skip

# Archives of a good set that have something odd about them and are the same set.
SAME = {
    "zip: stray files of macOS": lambda: zipped(("__MACOSX/._x", b"x"), ("JPEGImages/.DS_Store", b"x")),
    "zip: a comment": lambda: patched(zipped(), b"PK\x05\x06", 20, "<H", 5) + b"12345",
    "zip: other files beside": lambda: zipped(("notes/read me.txt", b"x"), ("more/inner.zip", zipped())),
    "zip: folders on top": lambda: zip_bytes([(f"a/b/{name}", data) for name, data in members().items()]),
    "tar: bytes behind its end": lambda: tarred() + b"left in a buffer" * 100,
    "tar.gz: several streams": lambda: b"".join(
        gzip.compress(tarred()[start : start + 9999]) for start in range(0, len(tarred()), 9999)
    ),
}

"""Archives as sources: what they hold is what the folder holds, what is hostile is named, nothing else is written."""

import bz2
import gzip
import io
import lzma
import multiprocessing
import os
import pickle
import random
import stat
import struct
import tarfile
import threading
import warnings
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flir_cases import put_voc
from rgbt_bench.archives import guard, zips
from rgbt_bench.archives.source import open_source
from rgbt_bench.converting import convert
from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import FolderSource
from rgbt_converters.flir import Flir

COMPRESS = {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}
KINDS = ("stored.zip", "deflated.zip", *COMPRESS)
FILES = {"a/b.txt": b"text\n" * 50, "a/c.jpg": os.urandom(2000), "d": b"", "e/f/g.json": b"{}"}


def zip_bytes(members, method=zipfile.ZIP_DEFLATED):
    """A zip of (name or ZipInfo, content) pairs, as Python writes it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that occur twice
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def tar_bytes(members, form=tarfile.PAX_FORMAT):
    """A tar of (name or TarInfo, content) pairs."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def archive_bytes(kind, members):
    if kind.endswith(".zip"):
        return zip_bytes(members, zipfile.ZIP_STORED if kind.startswith("stored") else zipfile.ZIP_DEFLATED)
    return COMPRESS[kind](tar_bytes(members))


def entry(name, kind=tarfile.REGTYPE, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def zip_entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def raw_block(**fields):
    """One tar header with any field as it is, its checksum right."""
    return bytes(entry(**fields).tobuf(tarfile.GNU_FORMAT))


def pax(**records):
    """A pax header of any records before a member."""
    lines = b""
    for key, value in records.items():
        body = f" {key.replace('__', '.')}={value}\n".encode()
        size = len(body) + 2 + (len(body) + 2 >= 100)
        lines += b"%d" % size + body
    block = entry("x", b"x", size=len(lines)).tobuf(tarfile.USTAR_FORMAT)
    return bytes(block) + lines.ljust(512, b"\0")


def opened(path, data, spool=None):
    path.write_bytes(data)
    return open_source(path, spool or path.with_name(".out.spool"))


def tree(folder):
    return {path: path.is_file() and path.read_bytes() for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_reads_as_its_files(kind, tmp_path):
    with opened(tmp_path / "no-suffix", archive_bytes(kind, FILES.items())) as source:
        assert source.names == tuple(sorted(FILES))
        assert {name: source.read(name) for name in source.names} == FILES
        assert [source.size(name) for name in FILES] == [len(content) for content in FILES.values()]
        assert source.files_in("a") == ["b.txt", "c.jpg"]
        assert source.bases(1) == ["", "a/", "e/"]
        assert len({source.stamp(name) for name in FILES}) == len(FILES)
        assert source.where("a/b.txt") == f"{tmp_path / 'no-suffix'}: a/b.txt"
        with pytest.raises(BadInputError, match="no-suffix: nothing: no such file in the archive"):
            source.read("nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["no-suffix"]


NAMES = st.lists(
    st.lists(st.text(st.sampled_from("abüA é.中0-"), min_size=1, max_size=60), min_size=1, max_size=4).map("/".join),
    min_size=1, max_size=12,
)  # fmt: skip


def sound(names):
    """The names that a folder and an archive can both hold side by side."""
    kept = {}
    for name in names:
        parts = name.split("/")
        key = guard._folded(name)
        folders = {key[:place] for place, letter in enumerate(key) if letter == "/"}
        above = {place for other in kept for place in (other, *folders_of(other))}
        if not ({".", "..", ""} & set(parts) or key in above or folders & kept.keys() or name.startswith("._")):
            kept[key] = name
    return kept.values()


def folders_of(key):
    return {key[:place] for place, letter in enumerate(key) if letter == "/"}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(NAMES, st.randoms(use_true_random=False), st.sampled_from(KINDS), st.sampled_from(["", "./"]))
def test_reading_an_archive_is_reading_the_folder_it_was_made_from(tmp_path_factory, names, rng, kind, prefix):
    root = tmp_path_factory.mktemp("property")
    files = {name: rng.randbytes(rng.choice((0, 1, 511, 512, 513, 3000))) for name in sound(names)}
    if not files:
        return
    for name, content in files.items():
        (root / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "folder" / name).write_bytes(content)
    folder = FolderSource(root / "folder")
    with opened(root / "archive", archive_bytes(kind, ((prefix + name, data) for name, data in files.items()))) as one:
        assert one.names == folder.names
        assert {name: one.read(name) for name in one.names} == {name: folder.read(name) for name in folder.names}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_every_tar_form(form, tmp_path):
    long = "/".join(["n" * 60] * 3 + ["é.txt"])
    with opened(tmp_path / "a", tar_bytes([(long, b"1"), ("b", b"22")], form)) as source:
        assert {name: source.read(name) for name in source.names} == {long: b"1", "b": b"22"}


def test_names_of_old_zips_are_utf8_or_else_cp437(tmp_path):
    utf8 = zip_bytes([("café.txt", b"1"), ("aaa.txt", b"2")])
    unflagged = utf8.replace(struct.pack("<H", 0x0800) + b"\x08\0", struct.pack("<H", 0) + b"\x08\0")
    assert unflagged != utf8
    with opened(tmp_path / "a", unflagged) as source:
        assert source.names == ("aaa.txt", "café.txt")
    with opened(tmp_path / "b", zip_bytes([("aaa.txt", b"2")]).replace(b"aaa", b"a\x82a")) as source:
        assert source.names == ("aéa.txt",)


def test_a_zip_with_64_bit_fields_and_one_with_a_comment(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.comment = b"PK\x05\x06" * 100
        with archive.open("a/big", "w", force_zip64=True) as member:
            member.write(b"content")
    with opened(tmp_path / "a", stream.getvalue()) as source:
        assert source.read("a/big") == b"content"
    with opened(tmp_path / "c", zip_bytes([GOOD]) + b"trailing") as source:
        assert source.read("good.txt") == b"good"
    with opened(tmp_path / "b", zip64(zip_bytes([("x", b"abc" * 99), ("y", b"")]))) as source:
        assert {name: source.read(name) for name in source.names} == {"x": b"abc" * 99, "y": b""}


def zip64(data):
    """A small zip with its directory rewritten in the 64-bit form."""
    end = data.rindex(b"PK\x05\x06")
    _, _, _, _, count, _, start, _ = struct.unpack("<4s4H2LH", data[end : end + 22])
    entries, place = b"", start
    for _ in range(count):
        fields = list(struct.unpack("<4s6H3L5H2L", data[place : place + 46]))
        name = data[place + 46 : place + 46 + fields[10]]
        extra = struct.pack("<2H3Q", 1, 24, fields[9], fields[8], fields[16])
        place += 46 + fields[10] + fields[11]
        fields[8] = fields[9] = fields[16] = 0xFFFFFFFF
        fields[11] = len(extra)
        entries += struct.pack("<4s6H3L5H2L", *fields) + name + extra
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(entries), start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + len(entries), 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:start] + entries + record + locator + last


def with_flag(data, flag):
    """A zip whose every header has a flag set."""
    data = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := data.find(mark, place + 1)) >= 0:
            data[place + offset] |= flag
    return bytes(data)


def declared(data, size):
    """A zip whose first entry declares another size."""
    data = bytearray(data)
    struct.pack_into("<L", data, data.find(b"PK\x01\x02") + 24, size)
    return bytes(data)


def overlapping():
    """Two entries of one place, as in Fifield's bomb."""
    data = bytearray(zip_bytes([("a", b"x" * 9), ("b", b"x" * 9)]))
    second = data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 1)
    struct.pack_into("<L", data, second + 42, 0)
    return bytes(data)


BOMB = bytes(3 * 1024**2)
LINK = stat.S_IFLNK | 0o777
GOOD = ("good.txt", b"good")
# Each hostile archive: its bytes, what the one message says beside the archive's name.
HOSTILE = {
    "zip: path out": (zip_bytes([GOOD, ("a/../../x", b"")]), r"a/\.\./\.\./x: a path out of the archive"),
    "zip: absolute": (zip_bytes([("/etc/passwd", b"")]), "/etc/passwd: an absolute path"),
    "zip: drive": (zip_bytes([("C:/x", b"")]), "C:/x: an absolute path"),
    "zip: backslash": (zip_bytes([("aXb", b"")]).replace(b"aXb", b"a\\b"), r"- a\\b: a backslash"),
    "zip: NUL": (zip_bytes([("a.jpgX.exe", b"")]).replace(b"gX.", b"g\0."), r"'a.jpg\\x00.exe': a control character"),
    "zip: escape": (zip_bytes([("a\x1b[2Jb", b"")]), r"'a\\x1b\[2Jb': a control character"),
    "zip: right to left": (zip_bytes([("a\u202egpj.exe", b"")]), r"u202egpj.exe': a control character"),
    "zip: newline": (zip_bytes([("a\nb", b"")]), r"'a\\nb': a control character"),
    "zip: folder without a name": (zip_bytes([("a//b", b"")]), "a//b: an empty name"),
    "zip: long": (zip_bytes([("x" * 256, b"")]), r"'xxx.*xxx': its name is too long"),
    "zip: deep": (zip_bytes([("x/" * 600 + "y", b"")]), r"'x/x.*y': its name is too long"),
    "zip: not UTF-8": (zip_bytes([("é.txt", b"")]).replace("é".encode(), b"\xff\xfe"), "its name is not UTF-8"),
    "zip: path out in a folder's name": (zip_bytes([GOOD, ("../", b"")]), r"\.\./: a path out"),
    "zip: twice": (zip_bytes([("a", b"1"), ("b", b""), ("a", b"2")]), "a: occurs twice"),
    "zip: twice by a dot": (zip_bytes([("a/b", b"1"), ("a/./b", b"2")]), "a/b: occurs twice"),
    "zip: case": (zip_bytes([("A/b", b""), ("a/B", b"")]), "a/B: its name differs only in case or accents from A/b"),
    "zip: accents": (zip_bytes([("é", b""), ("e\u0301", b"")]), "differs only in case or accents"),
    "zip: file and folder": (zip_bytes([("a", b""), ("a/b", b"")]), "a/b: lies in a, which is a file"),
    "zip: folder and file": (zip_bytes([("a/b", b""), ("A", b"")]), "A: a file, but a folder too, with a/b in it"),
    "zip: link": (zip_bytes([(zip_entry("l", LINK), b"/etc/passwd")]), "l: a link, which is never followed"),
    "zip: device": (zip_bytes([(zip_entry("d", stat.S_IFBLK), b"")]), "d: neither a file nor a folder"),
    "zip: encrypted": (with_flag(zip_bytes([GOOD]), 1), "good.txt: encrypted"),
    "zip: method": (zip_bytes([GOOD], zipfile.ZIP_LZMA), "good.txt: packed by method 14; stored and deflated"),
    "zip: declared larger than packed": (declared(zip_bytes([GOOD], 0), 99), "stored as 4 bytes, but declared as 99"),
    "zip: bomb": (zip_bytes([("b", BOMB)]), "b: 3,145,728 bytes out of [0-9,]+: a decompression bomb"),
    "zip: too large": (declared(zip_bytes([GOOD]), 2**31), "good.txt: 2,147,483,648 bytes out of 6: a decomp"),
    "zip: overlap": (overlapping(), "b: its bytes overlap those of another member"),
    "zip: cut": (zip_bytes([GOOD, ("b", os.urandom(9))])[:-30], "no end of a zip archive in it: the file is cut short"),
    "zip: middle missing": (zip_bytes([GOOD])[:20] + zip_bytes([GOOD])[40:], "cut short, or one volume"),
    "zip: directory damaged": (zip_bytes([GOOD]).replace(b"PK\x01\x02", b"PK\x01\x03"), "directory is damaged at byte"),
    "zip: two volumes": (
        zip_bytes([GOOD]).replace(b"PK\x05\x06\0\0", b"PK\x05\x06\x01\0"), "one volume of several",
    ),
    "zip: count": (
        zip_bytes([GOOD]).replace(b"PK\x05\x06\0\0\0\0\1\0\1\0", b"PK\x05\x06\0\0\0\0\2\0\2\0"),
        "its directory has 1 entries, but its end says 2",
    ),
    "zip: empty": (zip_bytes([]), "an archive without files"),
    "zip: folders alone": (zip_bytes([("a/", b"")]), "an archive without files"),
    "tar: path out": (tar_bytes([GOOD, ("../x", b"")]), r"\.\./x: a path out of the archive"),
    "tar: path out by pax": (pax(path="../x") + tar_bytes([GOOD]), r"\.\./x: a path out of the archive"),
    "tar: path out by a long name": (
        tar_bytes([("../" + "y" * 120, b"")], tarfile.GNU_FORMAT), r"'?\.\./y.*: a path out of the archive",
    ),
    "tar: absolute": (tar_bytes([("/x", b"")]), "/x: an absolute path"),
    "tar: NUL by pax": (pax(path="a\0b") + tar_bytes([GOOD]), r"'a\\x00b': a control character"),
    "tar: not UTF-8": (
        tar_bytes([("a\udcff", b"")], tarfile.GNU_FORMAT), r"'a\\udcff': its name is not UTF-8",
    ),
    "tar: twice": (tar_bytes([("a", b"1"), ("./a", b"2")]), "a: occurs twice"),
    "tar: case": (tar_bytes([("a", b"1"), ("A", b"2")]), "A: its name differs only in case"),
    "tar: link": (tar_bytes([GOOD, (entry("l", tarfile.SYMTYPE, linkname="/etc/passwd"), b"")]), "l: a link"),
    "tar: hard link": (tar_bytes([GOOD, (entry("l", tarfile.LNKTYPE, linkname="good.txt"), b"")]), "l: a hard link"),
    "tar: device": (tar_bytes([GOOD, (entry("d", tarfile.CHRTYPE), b"")]), "d: a device"),
    "tar: pipe": (tar_bytes([GOOD, (entry("p", tarfile.FIFOTYPE), b"")]), "p: a pipe"),
    "tar: another kind": (raw_block(name="k", kind=b"Q") + tar_bytes([GOOD]), r"k: neither a file nor a folder"),
    "tar: sparse": (raw_block(name="s", kind=b"S") + tar_bytes([GOOD]), "s: a sparse file"),
    "tar: sparse by pax": (pax(GNU__sparse__major="1") + tar_bytes([GOOD]), "good.txt: a sparse file"),
    "tar: size by pax": (pax(size="-5") + tar_bytes([GOOD]), "good.txt: its size is no number"),
    "tar: negative size": (
        raw_block(name="n", size=-4096) + tar_bytes([GOOD]), "n: its size is no number",
    ),
    "tar: pax broken": (pax(path="x").replace(b"path=", b"path:") + tar_bytes([GOOD]), "extended header is damaged"),
    "tar: pax of every member": (
        bytes(entry("g", b"g", size=10).tobuf()) + b"10 path=x\n".ljust(512, b"\0") + tar_bytes([GOOD]),
        "names every member alike",
    ),
    "tar: two names": (pax(path="x") + pax(path="y") + tar_bytes([GOOD]), "say different things"),
    "tar: huge header": (raw_block(name="L", kind=b"L", size=10**9) + tar_bytes([GOOD]), "a header of 1,000,000,000"),
    "tar: too large": (raw_block(name="big", size=2**30), r"big: larger than 536,870,912 bytes"),
    "tar: cut in a member": (tar_bytes([GOOD, ("b", bytes(5000))])[:3000], "cut short in this member's bytes"),
    "tar: cut between members": (tar_bytes([GOOD, GOOD])[:1024], "its end mark is missing"),
    "tar: cut in a header": (tar_bytes([GOOD, GOOD])[:1200], "its end mark is missing"),
    "tar: header damaged": (
        tar_bytes([GOOD, ("bbb", b"")]).replace(b"bbb", b"bbc"), "a member's header is damaged",
    ),
    "tar: name without a member": (pax(path="x") + bytes(1024), "cut short before its last member"),
    "tar: empty": (tar_bytes([]), "an archive without files"),
    "tar: another behind": (tar_bytes([GOOD]) + tar_bytes([("b", b"")]), "another archive follows the end of this one"),
    "tar.gz: another behind": (
        gzip.compress(tar_bytes([GOOD])) + gzip.compress(tar_bytes([("b", b"")])), "another archive follows the end",
    ),
    "tar.gz: path out": (gzip.compress(tar_bytes([GOOD, ("../x", b"")])), r"\.\./x: a path out"),
    "tar.gz: cut": (gzip.compress(tar_bytes([GOOD, ("b", os.urandom(9000))]))[:-3000], "damaged .cut short"),
    "tar.gz: checksum": (
        gzip.compress(tar_bytes([GOOD]))[:-8] + bytes(8), "compressed content is damaged .*check",
    ),
    "tar.gz: no tar": (gzip.compress(b"{}" * 999), "what is compressed is no tar archive"),
    "tar.gz: bomb": (gzip.compress(tar_bytes([GOOD, ("b", bytes(20 * 1024**2))]), 1), "a decompression bomb"),
    "tar.gz: empty": (gzip.compress(tar_bytes([])), "an archive without files"),
    "tar.bz2: cut": (bz2.compress(tar_bytes([("b", os.urandom(9000))]))[:-3000], "damaged .cut short"),
    "tar.bz2: bomb behind the end": (bz2.compress(tar_bytes([GOOD]) + BOMB), "a decompression bomb"),
    "tar.xz: cut": (lzma.compress(tar_bytes([("b", os.urandom(9000))]))[:-3000], "damaged .cut short"),
    "tar.xz: flipped": (lzma.compress(tar_bytes([GOOD])).replace(b"\xfd7zXZ\0\0", b"\xfd7zXZ\0\1"), "damaged"),
    "nothing in it": (b"", "an empty file; get the archive again"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(50), "a 7z archive, which is not read: unpack it"),
    "rar": (b"Rar!\x1a\x07\x01\0" + bytes(50), "a RAR archive"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(50), "a zstd file"),
    "web page": (b"<!DOCTYPE html><title>Virus scan warning</title>", "a web page and not the archive"),
    "text": (b"hello", "not an archive that is read; zip, tar, tar.gz"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_by_member_and_leaves_nothing(name, tmp_path):
    data, message = HOSTILE[name]
    (tmp_path / "archive").write_bytes(data)
    before = tree(tmp_path)
    with pytest.raises(BadInputError, match=message) as caught:
        open_source(tmp_path / "archive", tmp_path / ".out.spool")
    assert str(caught.value).startswith(f"{tmp_path / 'archive'}: ")
    assert str(caught.value).isprintable() or all(line.isprintable() for line in str(caught.value).splitlines())
    assert tree(tmp_path) == before


def test_all_faults_of_an_archive_are_named_at_once(tmp_path):
    members = [GOOD, ("../x", b""), (entry("l", tarfile.SYMTYPE), b""), GOOD, ("/y", b"")]
    for kind in ("tar", "tar.gz"):
        with pytest.raises(BadInputError, match=r"4 fault\(s\)") as caught:
            opened(tmp_path / "archive", COMPRESS[kind](tar_bytes(members)))
        for line in (
            "../x: a path out",
            "l: a link",
            "good.txt: occurs twice",
            "/y: an absolute",
            "unpack it and give",
        ):
            assert line in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [("MAX_FILES", 2, "more than 2 members"), ("MAX_TOTAL_BYTES", 100, "more than 100 bytes in all"),
     ("MAX_FILE_BYTES", 60, "a: larger than 60 bytes")],
)  # fmt: skip
def test_limits_hold_for_every_kind(kind, limit, value, message, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, limit, value)
    with pytest.raises(BadInputError, match=message):
        opened(tmp_path / "a", archive_bytes(kind, [(name, os.urandom(61)) for name in "abc"]))


def test_a_zip_whose_directory_is_huge_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "MAX_DIRECTORY_BYTES", 40)
    with pytest.raises(BadInputError, match="its directory is larger than 40 bytes"):
        opened(tmp_path / "a", zip_bytes([GOOD]))


def second_header_damaged():
    data = zip_bytes([GOOD, ("a", b"1")])
    place = data.rindex(b"PK\x03\x04")
    return data[:place] + b"PK\x03\x05" + data[place + 4 :]


def not_deflated():
    data = zip_bytes([("a", b"ab" * 200)])
    return data[:31] + b"\xff" * 4 + data[35:]


DAMAGED = {
    "checksum": (zip_bytes([("a", b"0123456789")], 0).replace(b"0123", b"0124"), "damaged, its checksum is another"),
    "more than declared": (declared(zip_bytes([("a", b"x" * 500)]), 400), "more comes out of it than the 400 bytes"),
    "less than declared": (declared(zip_bytes([("a", b"x" * 500)]), 600), "damaged, its checksum"),
    "not deflated": (not_deflated(), "cannot be unpacked"),
    "its own header": (second_header_damaged(), "its header in the archive is damaged"),
    "longer header": (
        zip_bytes([("a", b"1")], 0).replace(b"\1\0\0\0a1PK", b"\1\0\x40\0a1PK"), "its bytes overlap those of another",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_inside_a_zip_is_named_when_the_member_is_read(name, tmp_path):
    data, message = DAMAGED[name]
    with opened(tmp_path / "archive", data) as source, pytest.raises(BadInputError, match=message) as caught:
        source.read("a")
    assert str(caught.value).startswith(f"{tmp_path / 'archive'}: a: ")


@pytest.mark.parametrize("kind", KINDS)
def test_any_damage_is_a_fault_or_does_no_harm(kind, tmp_path):
    rng = random.Random(kind)
    whole = archive_bytes(kind, FILES.items())
    for _ in range(150):
        data = bytearray(whole[: rng.choice((len(whole), rng.randrange(1, len(whole))))])
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "archive").write_bytes(data)
        try:
            with open_source(tmp_path / "archive", tmp_path / ".out.spool") as source:
                for name in source.names:
                    source.read(name)
        except BadInputError:
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_what_operating_systems_leave_is_passed_over_and_nested_archives_are_files(tmp_path):
    inner = zip_bytes([("../x", b"")])
    members = [("__MACOSX/._a", b""), (".DS_Store", b""), ("a/._b", b""), ("a/Thumbs.db", b""), ("a/in.zip", inner)]
    for kind in KINDS:
        with opened(tmp_path / "archive", archive_bytes(kind, members)) as source:
            assert source.names == ("a/in.zip",)
            assert source.read("a/in.zip") == inner


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_several_compressed_streams_in_a_row_are_one(kind, tmp_path):
    data = tar_bytes(FILES.items())
    parts = b"".join(COMPRESS[kind](data[start : start + 1000]) for start in range(0, len(data), 1000))
    with opened(tmp_path / "a", parts) as source:
        assert {name: source.read(name) for name in source.names} == FILES


@pytest.mark.parametrize("kind", COMPRESS)
def test_what_a_writer_left_behind_the_end_of_a_tar_does_no_harm(kind, tmp_path):
    with opened(tmp_path / "a", COMPRESS[kind](tar_bytes(FILES.items()) + b"left in the buffer" * 100)) as source:
        assert {name: source.read(name) for name in source.names} == FILES


def read_there(source, names):
    with source:
        return os.getpid(), [source.read(name) for name in names]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_threads_and_other_processes_read_the_same(kind, tmp_path):
    rng = random.Random(0)
    files = {f"f{number}": rng.randbytes(rng.randrange(60_000)) for number in range(40)}
    with opened(tmp_path / "a", archive_bytes(kind, files.items())) as source:
        again = pickle.loads(pickle.dumps(source))
        assert again.read("f7") == files["f7"]
        again.close()
        start = threading.Barrier(4)

        def read_all(seed):
            names = random.Random(seed).sample(sorted(files), len(files))
            start.wait()
            return all(source.read(name) == files[name] for name in names * 3)

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read_all, range(4)))
        if method := {"deflated.zip": "fork", "tar.gz": "spawn"}.get(kind):
            with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
                there, read = pool.submit(read_there, source, list(files)).result()
            assert there != os.getpid()
            assert read == list(files.values())
        assert source.read("f0") == files["f0"]  # no other process has removed the spool file


def test_an_archive_that_changes_is_noticed_by_another_process(tmp_path):
    with opened(tmp_path / "a", zip_bytes([GOOD])) as source:
        sent = pickle.dumps(source)
        (tmp_path / "a").write_bytes(zip_bytes([GOOD, (GOOD[0], b"else")]))
        with pytest.raises(BadInputError, match="a: changed while it was read"):
            pickle.loads(sent).read("good.txt")


def packed(kind, folder, path):
    """Pack a folder with its own name on top, as a person does."""
    members = [(file.relative_to(folder.parent).as_posix(), file.read_bytes()) for file in sorted(folder.rglob("*.*"))]
    path.write_bytes(archive_bytes(kind, members))
    return path


def content_of(out):
    """Every file of a dataset, the report apart, which says where the dataset lies."""
    files = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return {name: data for name, data in files.items() if name.name != "conversion.json"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_is_the_same_bytes_from_a_folder_and_from_any_archive(kind, tmp_path):
    folder = put_voc(tmp_path / "in" / "align")
    expected = convert(Flir(), folder, tmp_path / "from-folder")
    archive = packed(kind, folder, tmp_path / "in" / "download")
    before = tree(tmp_path / "in")
    report = convert(Flir(), archive, tmp_path / "out" / "flir")
    assert report.fingerprint == expected.fingerprint
    assert report.quirks == expected.quirks
    assert content_of(tmp_path / "out" / "flir") == content_of(tmp_path / "from-folder")
    assert tree(tmp_path / "in") == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".flir.lock", "flir"]  # and no spool


@pytest.mark.parametrize("ending", ["fault", "interruption", "killed before"])
def test_the_spool_file_goes_however_a_conversion_ends(ending, tmp_path):
    folder = put_voc(tmp_path / "in" / "align")
    if ending == "fault":
        next(folder.glob("JPEGImages/*_RGB.jpg")).write_bytes(b"")
    archive = packed("tar.gz", folder, tmp_path / "in" / "download")
    spool = tmp_path / "out" / ".flir.spool"
    seen = []

    def progress(stage, done, total):
        seen.append(spool.is_file())
        if ending == "interruption":
            raise KeyboardInterrupt

    if ending == "killed before":
        spool.parent.mkdir()
        spool.write_bytes(b"left over")
        convert(Flir(), archive, tmp_path / "out" / "flir", progress=progress)
    else:
        with pytest.raises((BadInputError, KeyboardInterrupt)):
            convert(Flir(), archive, tmp_path / "out" / "flir", progress=progress)
    assert seen
    assert all(seen)
    assert not spool.exists()


def test_a_full_disk_says_what_to_do_and_leaves_no_spool_file(tmp_path, monkeypatch):
    path_open = Path.open

    def on_a_full_disk(path, mode="r"):
        return path_open(Path("/dev/full"), "wb") if mode == "xb" else path_open(path, mode)

    (tmp_path / "a").write_bytes(b"")
    monkeypatch.setattr(Path, "open", on_a_full_disk)
    with pytest.raises(BadInputError, match=r"\.out\.spool: No space left.*free some space, or unpack"):
        opened(tmp_path / "a", gzip.compress(tar_bytes([("a", os.urandom(2**20))])))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]

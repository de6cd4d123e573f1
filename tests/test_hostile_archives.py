"""What is hostile or damaged in an archive is named by member, and nothing is written."""

import bz2
import gzip
import lzma
import os
import random
import stat
import struct
import tarfile
import zipfile

import pytest

from archive_cases import (
    COMPRESS,
    FILES,
    GOOD,
    KINDS,
    LINK,
    archive_bytes,
    declared,
    entry,
    opened,
    pax,
    raw_block,
    tar_bytes,
    tree,
    with_flag,
    zip_bytes,
    zip_entry,
)
from rgbt_bench.archives import guard, zips
from rgbt_bench.archives.source import open_source
from rgbt_bench.errors import BadInputError


def packed_as(size):
    """A zip whose first entry says how many bytes it is packed in."""
    data = bytearray(zip_bytes([GOOD]))
    struct.pack_into("<L", data, data.find(b"PK\x01\x02") + 20, size)
    return bytes(data)


def overlapping():
    """Two entries of one place, as in Fifield's bomb."""
    data = bytearray(zip_bytes([("a", b"x" * 9), ("b", b"x" * 9)]))
    second = data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 1)
    struct.pack_into("<L", data, second + 42, 0)
    return bytes(data)


BOMB = bytes(3 * 1024**2)

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
    "zip: packed too large": (packed_as(2**29 + 1), "good.txt: packed in 536,870,913 bytes, more than any file"),
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

"""Archives made by hand: members, headers and fields as no packer writes them."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import warnings
import zipfile

from rgbt_bench.archives.source import open_source

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


LINK = stat.S_IFLNK | 0o777

GOOD = ("good.txt", b"good")

"""Entries to refuse by the files that they bring: each with its rule and a word of the reason."""

import gzip
import io
import json
import stat
import struct
import zipfile
import zlib

from checking_cases import NAME, PREDICTIONS, ROWS, brought, detections, png, zipped
from hostile_entries import hostile, put
from rgbt_bench.leaderboard.checking.changes import MAX_FILES, MAX_ROWS
from rgbt_bench.leaderboard.rows import MAX_PACKED_BYTES, MAX_ROW_BYTES

SAMPLE = "sample/segmentation-rgb"
COUNT = 128
# what no file system or no index of git would take is checked from its bytes alone
NOT_IN_GIT = {
    "a-path-that-leads-out",
    "a-doubled-slash",
    "a-nul-in-a-path",
    "one-path-twice",
    "a-path-of-a-million-characters",
    "a-deleted-row",
    "a-changed-row",
    "a-row-over-an-existing-one",
    "changed-predictions",
}


def also_brings(path, data=b"x", kind="added", mode=0o100644):
    def spoil(entry):
        entry.files[path] = data
        entry.kinds[path] = kind
        entry.modes[path] = mode

    return spoil


def row_as(**about):
    def spoil(entry):
        for what, value in about.items():
            getattr(entry, what)[entry.row_path] = value

    return spoil


def packed_as(make):
    """Replace the packed file by what is made of what it holds, its own size and digest told rightly."""
    return lambda entry: entry.pack(make(detections()))


def holding(content):
    """Replace the detections by other bytes, told rightly."""
    return lambda entry: entry.pack_json(content if isinstance(content, bytes) else json.dumps(content).encode())


def holding_row(**changes):
    return holding([json.loads(detections())[0] | changes])


def pngs(**changes):
    def spoil(entry):
        contents = {f"s{number:04}.png": png() for number in range(COUNT)}
        contents |= {name.replace("__", "/").replace("_png", ".png"): data for name, data in changes.items()}
        entry.pack_pngs({name: data for name, data in contents.items() if data is not None})

    return spoil


def zipped_as(make):
    contents = {f"s{number:04}.png": png() for number in range(COUNT)}
    return lambda entry: entry.pack(make(contents))


def with_member(name, data=b"", **options):
    return zipped_as(lambda contents: zipped(contents | {name: data or png()}, **options))


def named(content):
    made = io.BytesIO()
    with gzip.GzipFile("home-of-ann.json", "wb", fileobj=made, mtime=0) as stream:
        stream.write(content)
    return made.getvalue()


def link(contents):
    return zipped(contents, attributes=(stat.S_IFLNK | 0o777) << 16)


def twice(contents):
    made = io.BytesIO(zipped(contents))
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("S0000.png", png())
    return made.getvalue()


def encrypted(contents):
    data = bytearray(zipped(contents))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


def bomb(contents):
    return zipped(contents | {"bomb.png": bytes(70 * 2**20)}, method=zipfile.ZIP_DEFLATED)


def lying_bomb(contents):
    """Say of 70 MiB that they are 100 bytes."""
    data = bytearray(bomb(contents))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    return bytes(data)


def headed(width, height):
    body = b"IHDR" + struct.pack(">II", width, height) + b"\x08\x00\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def many_rows(entry):
    for number in range(MAX_ROWS + 1):
        entry.files[f"{ROWS}r{number}.json"] = b"{}"


def many_files(entry):
    for number in range(MAX_FILES + 1):
        entry.files[f"{PREDICTIONS}r.s{number}.zip"] = b"{}"


def many_bytes(entry):
    for number in range(30):
        entry.files[f"{PREDICTIONS}r.s{number}.zip"] = bytes(MAX_PACKED_BYTES - number)


def too_large_a_row(entry):
    entry.raw = json.dumps(entry.content).encode() + b" " * MAX_ROW_BYTES


def left_over(entry):
    entry.files[f"{PREDICTIONS}nobody.s0.json.gz"] = gzip.compress(b"[]")


def of_another_seed(entry):
    entry.packed = {f"{NAME}.s1.json.gz": next(iter(entry.packed.values()))}


def of_another_row(entry):
    entry.packed = {"other.s0.json.gz": next(iter(entry.packed.values()))}
    entry.run["predictions"]["file"] = "other.s0.json.gz"


def hub(text):
    def spoil(entry):
        entry.packed = {}
        entry.run["predictions"] |= {"file": None, "hub": text}

    return spoil


COMMIT = "a" * 40
OTHER = {"also": {"predictions-left-over"}}

PLACES = {
    "a-workflow-beside": hostile("other-files", "is added", also_brings(".github/workflows/x.yml")),
    "a-conftest-beside": hostile("other-files", "is added", also_brings("conftest.py", b"raise SystemExit")),
    "a-changed-definition": hostile("other-files", "besides", also_brings("leaderboards/v1/leaderboard.yaml")),
    "a-proof-of-its-own": hostile("other-files", "is added", also_brings(f"leaderboards/v1/proofs/{NAME}.json")),
    "git-attributes-beside": hostile("other-files", "is added", also_brings(".gitattributes", b"* filter=evil")),
    "a-changed-row": hostile("existing", "is changed", row_as(kinds="modified"), **OTHER),
    "a-deleted-row": hostile("existing", "is deleted", also_brings(f"{ROWS}old.json", b"", "deleted", 0)),
    "changed-predictions": hostile("existing", "is changed", also_brings(f"{PREDICTIONS}old.s0.zip", b"x", "modified")),
    "a-row-over-an-existing-one": hostile("taken", "already", also_brings(f"{ROWS}there.json", b"{}")),
    "a-link": hostile("mode", "a link", row_as(modes=0o120000), **OTHER),
    "a-program": hostile("mode", "a program", row_as(modes=0o100755), **OTHER),
    "a-submodule": hostile("mode", "a submodule", also_brings(f"{ROWS}sub.json", b"", mode=0o160000)),
    "predictions-that-are-a-link": hostile(
        "mode", "a link", also_brings(f"{PREDICTIONS}x.s0.zip", b"../../../README.md", mode=0o120000)
    ),
    "a-path-that-leads-out": hostile("path", "leads out", also_brings(f"{ROWS}../../../x.json")),
    "a-doubled-slash": hostile("path", "second way", also_brings(f"{ROWS}/x.json")),
    "a-backslash": hostile("path", "backslash", also_brings(f"{ROWS}..\\x.json")),
    "a-nul-in-a-path": hostile("path", "NUL", also_brings(f"{ROWS}x\0.json")),
    "a-folder-in-another-case": hostile("path", "capital", also_brings("leaderboards/v1/Rows/x.json")),
    "a-home-in-another-case": hostile("path", "capital", also_brings("LeaderBoards/v1/rows/x.json")),
    "a-name-in-another-case": hostile("path", "capital", also_brings(f"{ROWS}There.json")),
    "a-full-width-folder": hostile("path", "plain ASCII", also_brings("leaderboards/v1/\uff52ows/x.json")),
    "a-name-of-another-alphabet": hostile("path", "plain ASCII", also_brings(f"{ROWS}th\u0435re.json")),
    "a-path-that-is-no-utf-8": hostile("path", "plain ASCII", also_brings(f"{ROWS}\udcff.json")),
    "a-new-line-in-a-path": hostile("path", "neither", also_brings(f"{ROWS}x\n::error::y.json")),
    "a-hidden-file": hostile("path", "neither", also_brings(f"{ROWS}.gitattributes")),
    "a-folder-in-rows": hostile("path", "neither", also_brings(f"{ROWS}sub/x.json")),
    "python-among-the-rows": hostile("path", "neither", also_brings(f"{ROWS}__init__.py")),
    "a-pickle-among-the-predictions": hostile("path", "neither", also_brings(f"{PREDICTIONS}x.s0.pkl")),
    "a-very-long-name": hostile("path", "100 characters", also_brings(f"{ROWS}{'x' * 100}.json")),
    "a-path-of-a-million-characters": hostile("path", "characters", also_brings("leaderboards/" * 80_000)),
    "a-name-that-windows-keeps": hostile("path", "keep", also_brings(f"{ROWS}nul.json")),
    "a-version-that-never-was": hostile("path", "neither", also_brings("leaderboards/v0/rows/x.json")),
    "a-version-to-come": hostile("version", "of v2", also_brings("leaderboards/v2/rows/x.json")),
    "one-path-twice": hostile("path", "twice", put("entry.note", "twice")),
    "too-many-rows": hostile("limits", f"{MAX_ROWS + 2} rows", many_rows),
    "too-many-files": hostile("limits", "files", many_files),
    "too-many-bytes": hostile("limits", "bytes", many_bytes),
    "a-row-too-large": hostile("size", "bytes", too_large_a_row, **OTHER),
    "predictions-too-large": hostile(
        "size", "bytes", also_brings(f"{PREDICTIONS}x.s0.zip", bytes(MAX_PACKED_BYTES + 1))
    ),
}

PACKED = {
    "no-predictions": hostile("predictions-missing", "does not add", lambda entry: entry.packed.clear()),
    "predictions-of-no-row": hostile("predictions-left-over", "no row", left_over),
    "predictions-of-another-seed": hostile("predictions-missing", "does not add", of_another_seed, **OTHER),
    "predictions-of-another-row": hostile("predictions-name", "are called", of_another_row),
    "another-digest": hostile("predictions-digest", "differs", put("runs.0.predictions.sha256", "0" * 64)),
    "another-size": hostile("predictions-digest", "differs", put("runs.0.predictions.bytes", 7)),
    "other-predictions-inside": hostile(
        "predictions-digest", "other predictions", packed_as(lambda content: gzip.compress(content + b" "))
    ),
    "no-gzip": hostile("predictions-packed", "not a gzip", packed_as(lambda content: content)),
    "a-gzip-cut-short": hostile(
        "predictions-packed", "cut short", packed_as(lambda content: gzip.compress(content)[:-5])
    ),
    "something-behind-a-gzip": hostile("predictions-packed", "behind", packed_as(lambda c: gzip.compress(c) + b"MZ")),
    "a-gzip-of-two-members": hostile("predictions-packed", "behind", packed_as(lambda c: 2 * gzip.compress(c))),
    "a-gzip-with-a-name": hostile("predictions-packed", "beside its content", packed_as(named)),
    "a-wrong-checksum": hostile(
        "predictions-packed", "not a gzip", packed_as(lambda c: gzip.compress(c)[:-8] + bytes(8))
    ),
    "a-gzip-bomb": hostile(
        "predictions-packed", "unpacks to more", packed_as(lambda c: gzip.compress(bytes(80 * 2**20)))
    ),
    "a-bomb-of-empty-lists": hostile("predictions-content", "more than", holding(b"[" + b"[]," * 3 * 10**6 + b"[]]")),
    "predictions-that-are-no-json": hostile("predictions-content", "not valid JSON", holding(b"x")),
    "a-pickle-as-predictions": hostile("predictions-content", "not UTF-8", holding(b"\x80\x04cposix\nsystem\n")),
    "a-score-that-is-no-number": hostile("predictions-content", "NaN", holding(b'[{"score": NaN}]')),
    "an-infinite-score": hostile(
        "predictions-content", "not a finite", holding(detections().replace(b'"score": 0.5', b'"score": 1e999'))
    ),
    "a-negative-score": hostile("predictions-content", "negative", holding_row(score=-1.0)),
    "a-class-that-is-none": hostile("predictions-content", "category_id is none", holding_row(category_id=9)),
    "class-zero": hostile("predictions-content", "start at 1", holding_row(category_id=0)),
    "a-box-of-no-area": hostile("predictions-content", "no width", holding_row(bbox=[1.0, 1.0, 0.0, 5.0])),
    "a-box-of-three": hostile("predictions-content", "four finite", holding_row(bbox=[1.0, 1.0, 5.0])),
    "a-sample-by-number": hostile("predictions-content", "is an integer", holding_row(image_id=7)),
    "an-unknown-key-in-a-detection": hostile("predictions-content", "unknown key", holding_row(code="x")),
    "one-key-twice-in-a-detection": hostile(
        "predictions-content", "duplicate key", holding(b'[{"score": 1, "score": 2}]')
    ),
    "more-than-the-cap": hostile(
        "predictions-content", "more than 1,000 rows", holding(json.loads(detections(0, 1)) * 1001)
    ),
    "more-samples-than-the-part": hostile("predictions-content", "rows of 1,014", holding(detections(0, 1014))),
    "a-coco-file": hostile("predictions-content", "ground-truth", holding({"annotations": []})),
    "a-zip-for-detections": hostile(
        "predictions-packed", "not a gzip", packed_as(lambda content: zipped({"a.png": content}))
    ),
    "no-zip": hostile(
        "predictions-packed", "not a readable zip", zipped_as(lambda contents: b"PK\x03\x04"), track=SAMPLE
    ),
    "a-zip-that-leads-out": hostile("predictions-packed", "no NAME.png", with_member("../../x.png"), track=SAMPLE),
    "a-zip-of-an-absolute-path": hostile("predictions-packed", "no NAME.png", with_member("/etc/x.png"), track=SAMPLE),
    "a-zip-with-a-program": hostile("predictions-packed", "no NAME.png", with_member("x.py"), track=SAMPLE),
    "a-zip-with-a-folder": hostile("predictions-packed", "no NAME.png", with_member("edges/"), track=SAMPLE),
    "a-zip-of-links": hostile("predictions-packed", "no plain file", zipped_as(link), track=SAMPLE),
    "a-zip-with-a-name-twice": hostile("predictions-packed", "there twice", zipped_as(twice), track=SAMPLE),
    "a-zip-that-is-encrypted": hostile("predictions-packed", "encrypted", zipped_as(encrypted), track=SAMPLE),
    "a-zip-bomb": hostile("predictions-packed", "unpacks to more", zipped_as(bomb), track=SAMPLE),
    "a-zip-bomb-that-lies": hostile("predictions-packed", "zip", zipped_as(lying_bomb), track=SAMPLE),
    "a-zip-of-another-method": hostile(
        "predictions-packed", "neither stored", zipped_as(lambda c: zipped(c, method=zipfile.ZIP_LZMA)), track=SAMPLE
    ),
    "something-before-a-zip": hostile(
        "predictions-packed", "of no member", zipped_as(lambda c: zipped(c, before=b"#!/bin/sh\n")), track=SAMPLE
    ),
    "a-comment-in-a-zip": hostile(
        "predictions-packed", "of no member", zipped_as(lambda c: zipped(c, comment=b"hidden")), track=SAMPLE
    ),
    "fewer-label-maps": hostile("predictions-content", "127 files", pngs(s0000_png=None), track=SAMPLE),
    "edges-of-other-samples": hostile("predictions-content", "edges", pngs(edges__x_png=png()), track=SAMPLE),
    "a-picture-that-is-none": hostile(
        "predictions-content", "no PNG", pngs(s0001_png=b"GIF89a" + bytes(30)), track=SAMPLE
    ),
    "a-picture-of-gigapixels": hostile(
        "predictions-content", "pixels", pngs(s0001_png=headed(50_000, 50_000)), track=SAMPLE
    ),
    "a-file-of-a-file-manager": hostile(
        "predictions-content", "file manager", pngs(**{"s0001_png": None, "._x_png": png()}), track=SAMPLE
    ),
    "a-name-turned-around": hostile(
        "predictions-content", "cannot be seen", pngs(**{"s0001_png": None, "s\u202e_png": png()}), track=SAMPLE
    ),
    "a-hub-path-that-leads-out": hostile("predictions-name", "no file", hub(f"hub:ann/x@{COMMIT}/a/../p.json.gz")),
    "a-hub-file-of-another-kind": hostile("predictions-name", "end in", hub(f"hub:ann/x@{COMMIT}/weights.pkl")),
    "a-branch-of-the-hub": hostile("row-form", "predictions.hub", hub("hub:ann/x@main/p.json.gz")),
}

OF_FILES = PLACES | PACKED


def changes_of(name, case):
    """Return the changes of a hostile entry, one of which no dictionary can hold."""
    made = case.entry().changes()
    return [*made, made[0]] if name == "one-path-twice" else made


assert brought().row_path == f"{ROWS}{NAME}.json"

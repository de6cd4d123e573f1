"""Packed predictions of a row, opened within bounds and held against what the row says of them, without labels."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from rgbt_bench.errors import BadInputError
from rgbt_bench.leaderboard.checking.network import LARGEST_SIDE
from rgbt_bench.leaderboard.checking.reporting import Problem, shown, told
from rgbt_bench.leaderboard.checking.texts import plain_problems
from rgbt_bench.leaderboard.packing import JSON_SUFFIX, ZIP_SUFFIX, unpack_json, unpack_pngs
from rgbt_bench.leaderboard.rows import MAX_HUB_BYTES, MAX_PACKED_BYTES, Packed, ScoredRun
from rgbt_bench.png_folders import EDGES_FOLDER, png_digest_of
from rgbt_bench.predictions import MAX_PER_IMAGE, check_predictions
from rgbt_bench.sources import is_stray

MAX_JSON_BYTES: Final = 64 * 2**20  # unpacked: 16 times the packed file
MAX_PNG_BYTES: Final = 64 * 2**20
_HUB: Final = re.compile(r"hub:[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*@[0-9a-f]{40}/(?P<file>.+)")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_HEADER: Final = b"\x00\x00\x00\rIHDR"


def name_problems(row: str, run: ScoredRun) -> Iterator[Problem]:
    """Yield what is wrong with where a run says its predictions lie."""
    packed = run.predictions
    suffix = JSON_SUFFIX if run.result.metrics.kind == "detection" else ZIP_SUFFIX
    if packed.file is not None:
        seed = "x" if run.seed is None else str(run.seed)
        expected = f"{row}.s{seed}{suffix}"
        if packed.file != expected:
            yield Problem("predictions-name", f"names {shown(packed.file)}, and its predictions are called {expected}")
        if packed.bytes > MAX_PACKED_BYTES:
            yield Problem(
                "size", f"names predictions of {packed.bytes:,} bytes, and at most {MAX_PACKED_BYTES:,} are kept"
            )
    else:
        yield from _hub_problems(packed, suffix)


def packed_problems(data: bytes, run: ScoredRun, name: str, classes: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with a packed file of this name, given its bytes and the run that names it."""
    packed, result = run.predictions, run.result
    if len(data) != packed.bytes or hashlib.sha256(data).hexdigest() != packed.sha256:
        yield Problem("predictions-digest", "is not the file that the row names: its size or SHA-256 differs")
    if name.endswith(JSON_SUFFIX) != (result.metrics.kind == "detection"):
        return  # named by the row's fault
    try:
        if name.endswith(JSON_SUFFIX):
            digest = _json_digest(data, name, result.data.samples, classes)
        else:
            contents = unpack_pngs(data, name, MAX_PNG_BYTES)
            yield from _png_problems(contents, result.data.samples)
            digest = png_digest_of(contents)
    except BadInputError as error:
        rule = "predictions-content" if isinstance(error, _ContentError) else "predictions-packed"
        yield Problem(rule, told(error, name))
        return
    if digest != result.predictions_sha256:
        apart = f"{digest[:12]}, not {shown(result.predictions_sha256[:12])}"
        yield Problem("predictions-digest", f"holds other predictions than the result is of: their digest is {apart}")


class _ContentError(BadInputError):
    """Unpacked, but nothing that can be scored."""


def _json_digest(data: bytes, name: str, samples: int, classes: Sequence[str]) -> str:
    content = unpack_json(data, name, MAX_JSON_BYTES)
    # first, because a list of many small things takes a hundred times its size in memory
    most = samples * MAX_PER_IMAGE
    if content.count(b"{") > most or content.count(b"[") > 2 * most + 1:
        raise _ContentError(f"more than {most:,} rows, {MAX_PER_IMAGE:,} a sample")
    try:
        check_predictions(content, name, samples, classes)
    except BadInputError as error:
        raise _ContentError(str(error)) from None
    return hashlib.sha256(content).hexdigest()


def _hub_problems(packed: Packed, suffix: str) -> Iterator[Problem]:
    found = _HUB.fullmatch(packed.hub or "")
    file = found["file"] if found else ""
    if not found or any(part in ("", ".", "..") for part in file.split("/")):
        yield Problem("predictions-name", f"names {shown(packed.hub)}, which is no file of a repository on the Hub")
    elif not file.endswith(suffix):
        yield Problem("predictions-name", f"names {shown(packed.hub)}, and predictions of this track end in {suffix}")
    if packed.bytes > MAX_HUB_BYTES:
        yield Problem("size", f"names predictions of {packed.bytes:,} bytes on the Hub")


def _png_problems(contents: Mapping[str, bytes], samples: int) -> Iterator[Problem]:
    names = [name for name in contents if len(PurePosixPath(name).parts) == 1]
    edges = {PurePosixPath(name).name for name in contents if name.startswith(f"{EDGES_FOLDER}/")}
    if len(names) != samples:
        yield Problem("predictions-content", f"{len(names):,} files, and the part has {samples:,} samples")
    if edges and edges != set(names):
        yield Problem("predictions-content", "edges are there for other samples than label maps")
    for name, content in contents.items():
        if is_stray(name):
            yield Problem("predictions-content", f"{shown(name)} is left by a file manager")
        if any(plain_problems("a name", name)):
            yield Problem(
                "predictions-content", f"the name {shown(name)} has characters that cannot be seen or told apart"
            )
        if reason := _png_fault(content):
            yield Problem("predictions-content", f"{shown(name)} {reason}")
            return


def _png_fault(content: bytes) -> str:
    """Return why bytes are no PNG that we would open, from its first 24 bytes."""
    if content[:8] != _PNG or content[8:16] != _HEADER:
        return "is no PNG by its first bytes"
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        return f"is a picture of {width:,} by {height:,} pixels"
    return ""

"""MFNet's lists: which pairs are in which part, what is only a flipped copy, and what the day and night lists say."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rgbt_bench.converters import Scan
from rgbt_bench.sources import Source, is_stray

from ._id_lists import id_list
from ._mfnet_labels import SAMPLE_ID, illumination_of

PARTS = ("train", "val", "test")
FLIP = "_flip"
PUBLISHED = "the published {} list"
_STEM = re.compile(rf"({SAMPLE_ID.pattern})({FLIP})?")
_NAME = re.compile(rf"{_STEM.pattern}(?:_rgb|_th)?(?:\.(?:png|jpe?g))?")
_BY_LIGHT = {"day": ("test_day.txt", "text_day.txt"), "night": ("test_night.txt", "text_night.txt")}


class Entry(NamedTuple):
    """One line of a list: the pair that it names, whether its flipped copy is meant, and the list and line."""

    sample_id: str
    flip: bool
    where: str


def published() -> dict[str, tuple[str, ...]]:
    """Return the ids of the published lists by part, without the flipped copies that some lists have."""
    return {part: id_list(f"mfnet_{part}") for part in PARTS}


def read_parts(source: Source, base: str, scan: Scan) -> dict[str, dict[str, str]]:
    """Return the ids of every part, each with the list and line that names it; flipped copies are left out."""
    lists = {part: f"{base}{part}.txt" for part in PARTS}
    if not any(name in source for name in lists.values()):
        scan.quirks["no train.txt, val.txt or test.txt: the parts are those of the published lists"] += 1
        return {part: dict.fromkeys(ids, PUBLISHED.format(part)) for part, ids in published().items()}
    parts: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    first: dict[str, str] = {}
    for part, name in lists.items():
        if name not in source:
            scan.quirks[f"{part}: no list {part}.txt, so this part is empty"] += 1
            continue
        entries = list(_entries(source, name, scan))
        scan.quirks[f"{part}: {part}.txt names no pair, so this part is empty"] += not entries
        for sample_id, flip, where in entries:
            if flip:
                continue
            if sample_id in first:
                scan.faults.append(f"{where}: {sample_id} again, first in {first[sample_id]}; keep one")
                continue
            first[sample_id] = parts[part][sample_id] = where
        _leave_out_flips(entries, part, scan)
    _check_published(parts, scan)
    _check_lights(source, base, parts["test"], scan)
    return parts


def _entries(source: Source, name: str, scan: Scan) -> Iterator[Entry]:
    """Yield what the lines of a list name; lines that name no one pair are faults."""
    for row, line in enumerate(source.text(name).splitlines(), start=1):
        where = f"{source.where(name)}: line {row}"
        names = [one.replace("\\", "/").rpartition("/")[2] for one in line.split()]
        if names and all(map(is_stray, names)):
            scan.quirks["list lines that an operating system left (left out)"] += 1
            continue
        matches = {match and match.groups() for match in map(_NAME.fullmatch, names)}
        if len(matches) == 1 and (found := matches.pop()):
            yield Entry(found[0], found[1] is not None, where)
        elif names:
            scan.faults.append(f"{where}: {line.strip()!r} is no MFNet name such as 00001D, nor names of one pair")


def _leave_out_flips(entries: list[Entry], part: str, scan: Scan) -> None:
    originals = {entry.sample_id for entry in entries if not entry.flip}
    flips = [entry for entry in entries if entry.flip]
    scan.quirks[f"{part}: flipped copies in {part}.txt (left out: augmentation is the recipe's business)"] += len(flips)
    scan.faults += [
        f"{where}: {sample_id}{FLIP} without its original {sample_id} in this list; list that"
        for sample_id, _, where in flips
        if sample_id not in originals
    ]


def _check_published(parts: Mapping[str, Mapping[str, str]], scan: Scan) -> None:
    """Count what the published lists have elsewhere, or not at all."""
    part_of = {sample_id: part for part, ids in published().items() for sample_id in ids}
    for part, ids in parts.items():
        others = [part_of.get(sample_id) for sample_id in ids if part_of.get(sample_id) != part]
        scan.quirks[f"{part}: pairs that no published list has"] += others.count(None)
        scan.quirks[f"{part}: pairs that the published lists have in another part (mfnet@official)"] += len(
            others
        ) - others.count(None)


def _check_lights(source: Source, base: str, test: Mapping[str, str], scan: Scan) -> None:
    """Count where the day and night lists, which nothing is read from, contradict the names or the test list."""
    lists = {light: [base + name for name in names if base + name in source] for light, names in _BY_LIGHT.items()}
    listed: set[str] = set()
    for light, names in lists.items():
        ids = {entry.sample_id for name in names for entry in _entries(source, name, scan)}
        contradicting = sum(illumination_of(sample_id) != light for sample_id in ids)
        scan.quirks[f"names in the {light} list of test that end otherwise (the name is believed)"] += contradicting
        scan.quirks[f"names in the {light} list of test that test.txt does not have"] += len(ids - test.keys())
        listed |= ids
    if all(lists.values()):
        scan.quirks["test pairs in neither the day nor the night list"] += len(test.keys() - listed)


def name_of(file: str, end: str) -> tuple[str, bool] | None:
    """Return the sample id in a file's name and whether it is a flipped copy, or None where it is no such name."""
    stem = file.rpartition(".")[0]
    match = _STEM.fullmatch(stem.removesuffix(end)) if stem.endswith(end) else None
    return (match[1], bool(match[2])) if match else None

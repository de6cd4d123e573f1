"""Which files of a source are pairs, by the patterns of a description."""

from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import unquote

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import Source

from .description import Described, PartFiles, in_part
from .labels import keys_of, without_suffix
from .patterns import Match

SHOWN = 3


@dataclass(frozen=True)
class Pair:
    """The files of one pair, by what they are: rgb, thermal, mask, voc or yolo."""

    sample_id: str
    scene: str
    files: dict[str, str] = field(default_factory=dict)

    @property
    def images(self) -> list[str]:
        """The names of its RGB and thermal images."""
        return [self.files[kind] for kind in ("rgb", "thermal") if kind in self.files]


def patterns_of(files: PartFiles) -> dict[str, str]:
    """Return a part's patterns by what they are of."""
    found = {"rgb": files.rgb, "thermal": files.thermal, "mask": files.mask}
    if files.labels:
        found |= {"voc": files.labels.voc, "yolo": files.labels.yolo}
    return {kind: text for kind, text in found.items() if text}


def find_pairs(source: Source, described: Described, part: str, scan: Scan) -> list[Pair]:
    """Return the whole pairs of a part in the order of their ids; what lacks a half is a fault.

    Raises:
        BadInputError: no image is where the part's patterns look, or its list is missing.
    """
    files = described.description.part(part)
    patterns = patterns_of(files)
    pairs: dict[str, Pair] = {}
    for kind, text in patterns.items():
        for found in described.pattern(text, part).matches(source.names):
            _add(pairs, kind, found, source, scan)
    named = {sample_id: pair for sample_id, pair in pairs.items() if pair.images}
    needed = [kind for kind in ("rgb", "thermal") if kind in patterns and kind not in files.optional]
    lacking = [kind for kind in needed if not any(kind in pair.files for pair in named.values())]
    if lacking:
        looked = " and ".join(f"{in_part(patterns[kind], part)!r} ({kind})" for kind in lacking)
        raise BadInputError(f"{source.root}: no image of the part {part}: looked for {looked}. {_there(source)}")
    if files.ids:
        named = _listed(source, described, in_part(files.ids, part), pairs, scan)
    whole = {kind for kind in ("rgb", "thermal", "mask") if kind in patterns} - set(files.optional)
    kept = []
    for sample_id, pair in sorted(named.items()):
        missing = sorted(whole - pair.files.keys())
        if missing:
            names = " and ".join(f"no {kind} image {_expected(patterns[kind], part, pair)}" for kind in missing)
            where = source.where(next(iter(pair.files.values()), ""))
            scan.faults.append(f"{where}: {names} for {sample_id}; bring it, or leave the pair out")
        else:
            kept.append(pair)
    return kept


def _add(pairs: dict[str, Pair], kind: str, found: Match, source: Source, scan: Scan) -> None:
    pair = pairs.setdefault(found.sample_id, Pair(found.sample_id, found.scene))
    if kind in pair.files:
        both = f"{source.where(pair.files[kind])} and {found.name}"
        scan.faults.append(f"{both}: two {kind} files for {found.sample_id}; keep one")
    pair.files.setdefault(kind, found.name)


def _expected(pattern: str, part: str, pair: Pair) -> str:
    """Return how a file of a pair would be called."""
    own = pair.sample_id.removeprefix(f"{pair.scene}_") if pair.scene else pair.sample_id
    return in_part(pattern, part).replace("{id}", own).replace("{scene}", pair.scene)


def _there(source: Source) -> str:
    if not source.names:
        return "There is no file at all."
    shown = ", ".join(source.names[:SHOWN])
    return f"There are {len(source.names)} files, such as {shown}"


def _listed(source: Source, described: Described, name: str, pairs: dict[str, Pair], scan: Scan) -> dict[str, Pair]:
    """Return the pairs that a list names."""
    ids = read_ids(source, described, name, pairs, scan)
    if not ids:
        raise BadInputError(f"{source.where(name)}: names no pair that is there; it lists ids, one a line")
    return {sample_id: pairs[sample_id] for sample_id in ids}


def read_ids(source: Source, described: Described, name: str, pairs: dict[str, Pair], scan: Scan) -> list[str]:
    """Return the ids that a list names, one a line: an id itself, or the name or path of one of a pair's images.

    Raises:
        BadInputError: no such file, or not a text.
    """
    called: dict[str, set[str]] = {}
    for pair in pairs.values():
        for image in pair.images:
            base = image.rpartition("/")[2]
            for key in {image, without_suffix(image), base, without_suffix(base)}:
                called.setdefault(key, set()).add(pair.sample_id)
    found: dict[str, int] = {}
    for row, line in enumerate(source.text(name).splitlines(), start=1):
        text = line.strip()
        if not text:
            continue
        where = f"{source.where(name)}: line {row}"
        ids = _meant(unquote(text) if described.description.percent_encoded else text, text, pairs, called)
        if len(ids) != 1:
            why = f"may be {' or '.join(sorted(ids)[:SHOWN])}" if ids else "is no pair: neither of its images is there"
            scan.faults.append(f"{where}: {text!r} {why}")
            continue
        sample_id = ids.pop()
        if sample_id in found:
            scan.faults.append(f"{where}: {sample_id} again, first in line {found[sample_id]}; keep one")
        found.setdefault(sample_id, row)
    return list(found)


def _meant(sample_id: str, text: str, pairs: dict[str, Pair], called: dict[str, set[str]]) -> set[str]:
    """Return the ids of the pairs that a line of a list may mean."""
    if sample_id in pairs:
        return {sample_id}
    keys = sorted(keys_of(text, by_base=True), key=len, reverse=True)
    keys += [without_suffix(key) for key in keys]
    return next((set(called[key]) for key in keys if key in called), set())


def count_unused(source: Source, used: set[str], scan: Scan) -> None:
    """Count the files that nothing in the description is about, by suffix."""
    left = Counter(_suffix(name) for name in source.names if name not in used)
    for suffix, count in left.items():
        scan.quirks[f"{suffix} files that no part uses (left out)"] += count


def _suffix(name: str) -> str:
    base = name.rpartition("/")[2]
    return base.removeprefix(without_suffix(base)).lower() or "other"

"""Make M3FD's split by scene: which frames belong together, and which part each group of frames goes to.

Read are the ranges of ids by scenario and scene that RGBXFusion published (`scenario.json`; its ranges overlap and
leave ids out) and its COCO files of all 4,200 pairs. What may not be cut is joined:

- ranges with the same scenario and the same scene's name, and ranges that share an id;
- neighbours with the same scene's name in different scenarios;
- neighbours of one unusual size (anything but 1024x768);
- neighbours whose labels go on: two frames share a quarter of their boxes (same class, IoU above 0.5) of the five on
  each side of the cut, or half of at least three boxes of the thirty on each side. How often this is so by chance, at
  places at least 500 ids apart, is printed.

Runs of ids in no range are joined in the same ways, to both neighbours where they have their size and neither fits.
Then a seeded search gives the groups to train, val and test (70, 10 and 20 %), so that pairs, illuminations, unusual
sizes and the boxes of every class are divided like that, too.

    python docs/measurements/m3fd_split.py FOLDER/annotations_full [--table]
"""

import json
import random
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.formats.coco import CocoImage, read_coco
from rgbt_bench.sources import FolderSource

LAST = 4199
USUAL = (1024, 768)
NEAR, WIDE = 5, 30
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
ILLUMINATIONS = {"daytime": "day", "night": "night", "overcast": "overcast", "challenge": "challenge"}
RESTARTS = 20
FLOOR = 0.005  # of a kind's total; a part without a kind is bad, not infinitely so


@dataclass(frozen=True)
class Run:
    """Ids from `first` to `last` of one scenario and scene; both are empty for a run in no published range."""

    first: int
    last: int
    scenario: str
    scene: str


def read_images(folder: Path) -> dict[int, CocoImage]:
    """Return RGBXFusion's entries of all pairs by id."""
    source = FolderSource(folder / "m3fd_coco")
    images = [image for part in SHARES for image in read_coco(source, f"m3fd-{part}.json")]
    return {int(image.file_name.removesuffix(".png")): image for image in images}


def read_ranges(folder: Path) -> list[Run]:
    """Return the published ranges in the order of their ids."""
    scenarios = json.loads((folder / "m3fd_meta/scenario.json").read_text(encoding="utf-8"))
    ranges = [
        Run(one["min"], one["max"], scenario["name"], scene["name"])
        for scenario in scenarios
        for scene in scenario["scene"]
        for one in scene["range"]
    ]
    return sorted(ranges, key=lambda run: (run.first, run.last, run.scenario))


def cut(ranges: list[Run], images: dict[int, CocoImage]) -> list[Run]:
    """Return runs that cover every id once.

    Of two ranges that share ids, these belong to the one whose scenario the COCO files' numbers say (overcast, not
    challenge), else to the one that begins first.
    """
    owner: dict[int, Run] = {}
    for run in sorted(ranges, key=lambda run: (run.scenario == "challenge", run.first)):
        owner.update((number, run) for number in range(run.first, run.last + 1) if number not in owner)
    runs: list[Run] = []
    for number in range(LAST + 1):
        of = owner.get(number)
        key = (of.scenario, of.scene) if of else ("", "")
        previous = runs[-1] if runs else None
        same = previous and (previous.scenario, previous.scene) == key and owner.get(number - 1) == of
        if same and (of or size(images[number]) == size(images[number - 1])):
            runs[-1] = Run(runs[-1].first, number, *key)
        else:
            runs.append(Run(number, number, *key))
    return runs


def size(image: CocoImage) -> tuple[int, int]:
    """Return width and height in pixels."""
    return image.width, image.height


def shared(first: CocoImage, second: CocoImage) -> float:
    """Return which share of their boxes two frames have in common: same class and IoU above 0.5."""
    if size(first) != size(second) or not first.objects or not second.objects:
        return 0.0
    (names, a), (other_names, b) = (corners(image) for image in (first, second))
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (a, b)]
    same = common / (areas[0][:, None] + areas[1] - common) * (names[:, None] == other_names) > 0.5
    return float(2 * min(same.any(axis=0).sum(), same.any(axis=1).sum()) / (len(a) + len(b)))


def corners(image: CocoImage) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return the class's name and the left, top, right and bottom edge of every box; there is at least one."""
    box = np.array([one.bbox for one in image.objects], dtype=np.float64)
    box[:, 2:] += box[:, :2]
    return np.array([one.name for one in image.objects]), box


def share_across(images: dict[int, CocoImage], before: int, after: int, window: int, least: int = 1) -> float:
    """Return the largest share of common boxes of frames up to `before` with frames from `after` on.

    Looked at are `window` frames on each side, those that have at least `least` boxes.
    """
    left, right = range(max(before - window + 1, 0), before + 1), range(after, min(after + window - 1, LAST) + 1)
    left, right = ([one for one in side if len(images[one].objects) >= least] for side in (left, right))
    return max((shared(images[one], images[other]) for one in left for other in right), default=0.0)


def goes_on(images: dict[int, CocoImage], before: int, after: int) -> bool:
    """Tell whether the labels before a cut go on after it."""
    return share_across(images, before, after, NEAR) >= 0.25 or share_across(images, before, after, WIDE, 3) >= 0.5


def group(ranges: list[Run], runs: list[Run], images: dict[int, CocoImage]) -> dict[Run, int]:
    """Return the number of the group of each run; no group may be in two parts."""
    parent = {run: run for run in runs}

    def root(run: Run) -> Run:
        while parent[run] != run:
            run = parent[run]
        return run

    def join(first: Run, second: Run) -> None:
        parent[max(root(first), root(second), key=runs.index)] = min(root(first), root(second), key=runs.index)

    named: defaultdict[tuple[str, str], set[Run]] = defaultdict(set)
    for one in ranges:  # where ranges overlap, a run is of more than one name
        named[one.scenario, one.scene] |= {run for run in runs if _overlap(one, run)}
    for found in named.values():
        first, *others = sorted(found, key=runs.index)
        for run in others:
            join(first, run)
    for first, second in pairwise(runs):
        sizes = {size(images[first.last]), size(images[second.first])}
        unusual = len(sizes) == 1 and sizes != {USUAL}
        if unusual or first.scene == second.scene != "" or goes_on(images, first.last, second.first):
            join(first, second)
    for place, run in enumerate(runs):
        if not run.scene and size(images[run.first]) == USUAL and list(map(root, runs)).count(root(run)) == 1:
            join(runs[place - 1], run)
            join(run, runs[place + 1])
    roots = sorted({root(run) for run in runs}, key=runs.index)
    return {run: roots.index(root(run)) for run in runs}


def _overlap(first: Run, second: Run) -> bool:
    return first.first <= second.last and second.first <= first.last


def counts(run: Run, images: dict[int, CocoImage]) -> Counter[str]:
    """Return what of a run is to be divided: its pairs, alone and by illumination and size, and boxes by class."""
    found: Counter[str] = Counter()
    for number in range(run.first, run.last + 1):
        image = images[number]
        found["pairs"] += 1
        found[ILLUMINATIONS.get(run.scenario, "unknown")] += 1
        found["unusual size"] += size(image) != USUAL
        found.update(one.name for one in image.objects)
    return found


def search(amounts: NDArray[np.float64], weights: NDArray[np.float64]) -> list[int]:
    """Return the part of each group, found by seeded restarts of the best single move or swap.

    `amounts` is float64[groups, kinds] in shares of the whole, `weights` float64[kinds].
    """
    target = np.array(list(SHARES.values()))
    rng = random.Random(0)  # noqa: S311 - not for secrets

    def cost(parts: list[int]) -> float:
        share = np.eye(3)[parts].T @ amounts
        return float((np.log((share + FLOOR) / (target[:, None] + FLOOR)) ** 2 * weights).sum())

    best: tuple[float, list[int]] = (np.inf, [])
    for _ in range(RESTARTS):
        parts = rng.choices(range(3), list(SHARES.values()), k=len(amounts))
        now = cost(parts)
        while True:
            found = min(((cost(other), other) for other in _neighbours(parts)), key=lambda one: one[0])
            if found[0] >= now - 1e-12:
                break
            now, parts = found
        best = min(best, (now, parts))
    return best[1]


def _neighbours(parts: list[int]) -> list[list[int]]:
    found = []
    for place in range(len(parts)):
        for part in range(3):
            found += [[*parts[:place], part, *parts[place + 1 :]]] if part != parts[place] else []
        for other in range(place):
            if parts[other] != parts[place]:
                swapped = parts.copy()
                swapped[other], swapped[place] = parts[place], parts[other]
                found.append(swapped)
    return found


def split(folder: Path) -> tuple[list[Run], dict[Run, int], dict[Run, str], dict[int, CocoImage]]:
    """Return the runs, the group and the part of each, and all images."""
    images, ranges = read_images(folder), read_ranges(folder)
    runs = cut(ranges, images)
    groups = group(ranges, runs, images)
    kinds = sorted({kind for run in runs for kind in counts(run, images)} - {"unknown"})
    amounts = np.zeros((len(set(groups.values())), len(kinds)))
    for run, number in groups.items():
        found = counts(run, images)
        amounts[number] += [found[kind] for kind in kinds]
    weights = np.array([4.0 if kind == "pairs" else 0.25 if kind == "unusual size" else 1.0 for kind in kinds])
    parts = search(amounts / amounts.sum(axis=0), weights)
    return runs, groups, {run: list(SHARES)[parts[number]] for run, number in groups.items()}, images


def table(runs: list[Run], parts: dict[Run, str], images: dict[int, CocoImage]) -> list[str]:
    """Return the lines of the packaged table: first and last id, illumination, scene, part.

    Ranges of one name are scenes of their own, numbered by their first id, unless the labels go on from one to another.
    """
    lines, scene = [], ""
    for before, run in zip([None, *runs], runs, strict=False):
        name = f"{run.scenario}-{run.scene}" if run.scene else "unnamed"
        same = before and run.scene and (before.scenario, before.scene) == (run.scenario, run.scene)
        if not (before and same and goes_on(images, before.last, run.first)):
            scene = f"{name}-{run.first:05d}"
        illumination = ILLUMINATIONS.get(run.scenario, "unknown")
        lines.append(f"{run.first:05d} {run.last:05d} {illumination} {scene} {parts[run]}")
    return lines


def main() -> None:
    """Print the groups, what each part has, and every cut between parts; with `--table` the packaged lines alone."""
    runs, groups, parts, images = split(Path(sys.argv[1]))
    if "--table" in sys.argv[2:]:
        print("\n".join(table(runs, parts, images)))
        return
    for number in sorted(set(groups.values())):
        inside = [run for run in runs if groups[run] == number]
        names = sorted({f"{run.scenario}/{run.scene}" if run.scene else f"{run.first:05d}" for run in inside})
        pairs = sum(run.last - run.first + 1 for run in inside)
        print(f"{parts[inside[0]]:5} {pairs:4} {', '.join(names)}")
    totals = {part: sum((counts(run, images) for run in runs if parts[run] == part), Counter()) for part in SHARES}
    whole = sum(totals.values(), Counter[str]())
    print("\n| | " + " | ".join(SHARES) + " |\n|---|---|---|---|")
    for kind in sorted(whole, key=lambda kind: (kind != "pairs", kind)):
        cells = (f"{totals[part][kind]:,} ({100 * totals[part][kind] / whole[kind]:.1f} %)" for part in SHARES)
        print(f"| {kind} | " + " | ".join(cells) + " |")
    cuts = [(one, other) for one, other in pairwise(runs) if parts[one] != parts[other]]
    near, wide = (max(share_across(images, a.last, b.first, *how) for a, b in cuts) for how in ((NEAR,), (WIDE, 3)))
    print(f"\n{len(cuts)} cuts between parts; frames share at most {near:.0%} across one ({NEAR} on each side) or")
    print(f"{wide:.0%} ({WIDE} on each side, of those with three boxes)")
    rng = np.random.default_rng(0)
    far = [(int(a), int(b)) for a, b in rng.integers(WIDE, LAST - WIDE, (600, 2)) if abs(a - b) >= 500]
    chance = np.mean([goes_on(images, *one) for one in far])
    print(f"labels go on by chance at {chance:.1%} of {len(far)} places far apart")


if __name__ == "__main__":
    main()

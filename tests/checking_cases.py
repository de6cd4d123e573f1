"""Entries made for tests of the check: whole and consistent ones, as content that a test may spoil."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import zipfile
from dataclasses import dataclass, field

import numpy as np
from PIL import Image as Pillow

from board_cases import make_row
from rgbt_bench.fusion.controls import CONTROLS
from rgbt_bench.leaderboard.checking import Change, check_changes
from rgbt_bench.leaderboard.rows import encode_resamples, row_bytes
from rgbt_bench.leaderboard.tracks import PROTOCOLS, leaderboard, standing
from rgbt_bench.metrics import resampling
from rgbt_bench.metrics.fusion_catalogue import METRICS
from rgbt_bench.metrics.segmentation import SUMMARY, segmentation_figures
from rgbt_bench.opening import dataset_info
from rgbt_bench.png_folders import png_digest_of
from rgbt_bench.protocols.measuring import describe
from rgbt_bench.statistics import Blocks, interval

ROWS = "leaderboards/v1/rows/"
PREDICTIONS = "leaderboards/v1/predictions/"
NAME = "good-net"


@dataclass
class Brought:
    """What an entry brings: files by path, each bytes; modes and kinds where they are not those of an added file."""

    content: dict
    packed: dict
    files: dict = field(default_factory=dict)
    modes: dict = field(default_factory=dict)
    kinds: dict = field(default_factory=dict)
    raw: bytes | None = None

    @property
    def row_path(self):
        return f"{ROWS}{NAME}.json"

    @property
    def run(self):
        return self.content["runs"][0]

    @property
    def result(self):
        return self.run["result"]

    @property
    def metrics(self):
        return self.result["metrics"]

    @property
    def packed_path(self):
        return PREDICTIONS + next(iter(self.packed))

    def pack(self, data, digest=None):
        """Replace the first run's packed file, its digests made to fit."""
        self.packed[next(iter(self.packed))] = data
        self.run["predictions"] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        if digest:
            self.result["predictions_sha256"] = digest

    def pack_json(self, content):
        self.pack(gzip.compress(content, mtime=0), hashlib.sha256(content).hexdigest())

    def pack_pngs(self, contents, **options):
        self.pack(zipped(contents, **options), png_digest_of(contents))

    def all_files(self):
        row = json.dumps(self.content, ensure_ascii=False).encode(errors="surrogatepass")
        found = {self.row_path: row if self.raw is None else self.raw}
        found |= {PREDICTIONS + name: data for name, data in self.packed.items()}
        return {path: data for path, data in (found | self.files).items() if data is not None}

    def changes(self):
        return [self.change(path, data) for path, data in self.all_files().items()]

    def change(self, path, data):
        kind, mode = self.kinds.get(path, "added"), self.modes.get(path, 0o100644)
        return Change(path, kind, mode, len(data), lambda limit: data[:limit])

    def report(self, base, **options):
        return check_changes(base, self.changes(), **options)


def zipped(contents, comment=b"", method=zipfile.ZIP_STORED, before=b"", attributes=0o100644 << 16):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in contents.items():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.external_attr = attributes
            member.compress_type = method
            archive.writestr(member, content)
        archive.comment = comment
    return before + made.getvalue()


def png(width=4, height=3):
    made = io.BytesIO()
    Pillow.new("L", (width, height)).save(made, format="PNG")
    return made.getvalue()


def detections(seed=0, samples=5):
    rows = [
        {"image_id": f"s{place}", "category_id": 1 + place % 2, "bbox": [1.0, 2.0, 3.0 + seed, 4.0], "score": 0.5}
        for place in range(samples)
    ]
    return json.dumps(rows).encode()


def brought(track="flir/detection-rgbt", seeds=(0,), **entry):
    """A good entry on a track."""
    content = json.loads(row_bytes(make_row(NAME, track=track, seeds=seeds)))
    content["entry"] |= entry
    one = Brought(content, {})
    for place, seed in enumerate(seeds):
        _complete(one, content["runs"][place], track, seed)
    return one


def _complete(one, run, track, seed):
    frozen = leaderboard().tracks[track]
    result = run["result"]
    kind = PROTOCOLS[frozen.protocol]["task"].partition("-")[0]
    info = dataset_info(result["data"]["dataset"])
    around = 0.3 if kind != "segmentation" else segmentation_figures(_confusion(len(info.mask_classes))).mIoU
    around = 2.5 if kind == "fusion" else around
    drawn = np.clip(around + 0.01 * np.random.default_rng([seed or 0, 3]).standard_normal(1000), 0, 3)
    few = describe(_cut(result["data"]["samples"])).reason is not None
    run["resamples"] = encode_resamples(np.empty(0) if few else drawn)
    result["metrics"] = METRICS_OF[kind](result["data"]["samples"], info, None if few else list(interval(drawn)))
    result["evaluator"] = "hotcoco" if kind == "detection" else "rgbt-bench"
    name = f"{NAME}.s{'x' if seed is None else seed}{'.json.gz' if kind == 'detection' else '.zip'}"
    run["predictions"]["file"] = name
    if kind == "detection":
        data = detections(seed or 0)
        packed, digest = gzip.compress(data, mtime=0), hashlib.sha256(data).hexdigest()
    else:
        contents = {f"s{number:04}.png": png(4, 3 + (seed or 0)) for number in range(result["data"]["samples"])}
        packed, digest = zipped(contents), png_digest_of(contents)
    one.packed[name] = packed
    run["predictions"] |= {"sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed)}
    result["predictions_sha256"] = digest
    restand(result)


def restand(result, model=None):
    """Set the standing that follows from a result."""
    data = result["data"]
    result["standing"], result["standing_reason"] = standing(
        result["track"], data["part"], result["protocol"]["name"], data["label_digest"], data["skipped"],
        data["ids_sha256"], (data["rgb_digest"], data["thermal_digest"]), model,
    )  # fmt: skip


def _cut(samples):
    return Blocks(np.empty(0, dtype=np.int64), max(samples // 50, 1), 50)


def _common(names, main, samples, classes, of_class, counts, unit=0.3):
    halves = {"day": samples // 2, "night": samples - samples // 2}
    drawings = {"all": samples} | halves
    told = {name: describe(_cut(count)).model_dump(mode="json") for name, count in drawings.items()}

    def around(name):
        return {one: None if told[name]["reason"] else [unit - 0.1, unit + 0.1] for one in names}

    class_interval = None if told["all"]["reason"] else [0.1, 0.5]
    return {
        "figures": dict.fromkeys(names, unit),
        "per_class": {one: dict.fromkeys(of_class, 0.3) | dict.fromkeys(counts, 7) for one in classes},
        "subsets": {name: dict.fromkeys(names, unit) for name in halves},
        "subset_samples": halves,
        "intervals": {
            "figures": around("all") | {names[0]: main},
            "per_class": {one: dict.fromkeys(of_class, class_interval) for one in classes},
            "subsets": {name: around(name) for name in halves},
            "resampling": told,
        },
    }


def _detection(samples, info, main):
    classes = resampling.PER_CLASS
    return _common(resampling.SUMMARY, main, samples, info.classes, classes, ("ground_truths",)) | {"kind": "detection"}


def _confusion(size):
    return np.full((size, size), 3, dtype=np.int64) + np.diag(np.arange(size) + 20)


def _segmentation(samples, info, main):
    size = len(info.mask_classes)
    matrix = _confusion(size)
    made = _common(SUMMARY, main, samples, info.mask_classes, ("Acc", "IoU"), ())
    found = segmentation_figures(matrix)
    made["figures"] = {name: getattr(found, name) for name in SUMMARY}
    for name, figures in zip(info.mask_classes, found.per_class, strict=True):
        made["per_class"][name] = {one: getattr(figures, one) for one in figures.__dataclass_fields__}
    return made | {"kind": "segmentation", "confusion": matrix.tolist(), "edge_iou": None}


def _fusion(samples, info, main):
    names = tuple(METRICS)
    made = _common(names, main, samples, (), (), (), unit=2.5)
    five = ("minimum", "first_quartile", "median", "third_quartile", "maximum")
    return made | {
        "kind": "fusion",
        "spread": {name: dict(zip(five, (0.5, 1.0, 2.0, 3.0, 4.0), strict=True)) for name in names},
        "undefined": {},
        "controls": {name: dict.fromkeys(names, 1.5) for name in CONTROLS},
    }


METRICS_OF = {"detection": _detection, "segmentation": _segmentation, "fusion": _fusion}


class Repository:
    """A git repository whose commits are made object by object, so that no file system stands in a path's way."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", ".")

    def git(self, *arguments, given=b"", **environment):
        who = {
            f"GIT_{role}_{what}": f"ann@{role}.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, **environment}
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments], input=given, capture_output=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def commit(self, files, parents=(), modes=None, onto=None):
        """Return a commit of files by path, over the tree of another; a file that is None is taken away."""
        index = {"GIT_INDEX_FILE": str(self.folder / "index.test")}
        self.git("read-tree", *([onto] if onto else ["--empty"]), **index)
        lines = []
        for path, data in files.items():
            mode = (modes or {}).get(path, 0o100644)
            name = "1" * 40 if mode == 0o160000 else data and self.git("hash-object", "-w", "--stdin", given=data)
            lines.append(f"{mode:06o} {name}\t{path}" if data is not None else f"0 {'0' * 40}\t{path}")
        told = "".join(f"{line}\0" for line in lines).encode(errors="surrogateescape")
        self.git("update-index", "-z", "--index-info", given=told, **index)
        tree = self.git("write-tree", **index)
        above = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *above, "-m", "a commit")

"""Rows and boards made for tests: whole and consistent, of figures that nobody measured."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from rgbt_bench.files import sha256_text
from rgbt_bench.leaderboard.board import Board, boards_home
from rgbt_bench.leaderboard.rows import Entry, Packed, Row, ScoredRun, Size, encode_resamples, row_bytes
from rgbt_bench.leaderboard.tracks import PROTOCOLS, leaderboard
from rgbt_bench.protocols import find_protocol
from rgbt_bench.results import (
    DataProvenance,
    DetectionMetrics,
    Intervals,
    ModelProvenance,
    Resampling,
    Result,
    SegmentationMetrics,
)

CLASSES = {"flir": ("person", "bike", "car"), "mfnet": ("unlabelled", "car", "person")}
FIGURES = {"coco": ("AP", "AP50", "AP75"), "miou": ("mIoU", "mAcc")}
PREDICTIONS = b'[{"image_id": "a", "category_id": 1, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.5}]'


def empty_board(folder: Path) -> Board:
    """Return a copy of v1 and the papers without its rows."""
    home = boards_home()
    (folder / "v1" / "rows").mkdir(parents=True)
    (folder / "v1" / "predictions").mkdir()
    shutil.copyfile(home / "v1" / "leaderboard.yaml", folder / "v1" / "leaderboard.yaml")
    shutil.copytree(home / "papers", folder / "papers")
    return Board(folder, "v1")


def add_row(board: Board, row: Row, packed: bytes | None = None) -> Row:
    """Write a row, and packed predictions for each of its runs, into a board's folder."""
    board.row_file(row.id).write_bytes(row_bytes(row))
    for run in row.runs:
        if run.predictions.file:
            board.predictions_file(run.predictions.file).write_bytes(packed or packed_predictions())
    board.__dict__.pop("rows", None)
    return row


def packed_predictions(content: bytes = PREDICTIONS) -> bytes:
    return gzip.compress(content, mtime=0)


def make_row(
    name="a-row", track="flir/detection-rgbt", value=0.3, seeds=(0,), standing="official", noise=0, recipe=None, **entry
):
    """A row whose main figure is `value`, with resamples around it; the same `noise` draws them alike."""
    runs = tuple(make_run(name, track, value + 0.001 * place, seed, standing, noise, recipe)
                 for place, seed in enumerate(seeds))  # fmt: skip
    return Row(
        id=name,
        board=1,
        entry=Entry(**{"name": name.replace("-", " ").title(), "authors": "Ann Author"} | entry),
        runs=runs,
        size=Size(
            parameters=4_821_867, macs=6_100_000_000, image_size=(640, 640), by="measured" if recipe else "stated"
        ),
        created="2026-11-22T08:00:00+00:00",
    )


def make_run(name, track, value, seed, standing="official", noise=0, recipe=None):
    result = make_result(track, value, seed, standing, recipe)
    generator = np.random.default_rng([noise, 7])
    drawn = value + 0.01 * generator.standard_normal(1000) + 0.0005 * np.random.default_rng(0).standard_normal(1000)
    data = packed_predictions()
    file = f"{name}.s{'x' if seed is None else seed}.json.gz"
    packed = Packed(file=file, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    return ScoredRun(seed=seed, result=result, predictions=packed, resamples=encode_resamples(drawn))


def make_result(track="flir/detection-rgbt", value=0.3, seed=0, standing="official", recipe=None):
    """A result on a track's frozen data, whose every figure follows from `value`."""
    board = leaderboard()
    frozen = board.tracks[track]
    data = board.data[frozen.data]
    figures = FIGURES["miou" if frozen.protocol == "miou" else "coco"]
    classes = CLASSES.get(data.dataset, ("person", "car"))
    values = {one: round(value * (1 + place / 3), 6) for place, one in enumerate(figures)}
    around = {one: (each - 0.02, each + 0.02) for one, each in values.items()}
    unit = "blocks of 50 consecutive samples"
    drawn = Resampling(resamples=1000, seed=0, unit=unit, blocks=20, block_size=50, level=0.95)
    common = {
        "figures": values,
        "per_class": {one: {figures[0]: value, "ground_truths": 10} for one in classes},
        "subsets": {"day": values, "night": {one: each / 2 for one, each in values.items()}},
        "subset_samples": {"day": data.samples // 2, "night": data.samples - data.samples // 2},
        "intervals": Intervals(
            figures=around, per_class={one: {figures[0]: (value - 0.03, value + 0.03)} for one in classes},
            subsets={"day": around, "night": around}, resampling=dict.fromkeys(("all", "day", "night"), drawn),
        ),
    }  # fmt: skip
    metrics = (
        SegmentationMetrics(**common, confusion=tuple((1,) * len(classes) for _ in classes))
        if frozen.protocol == "miou"
        else DetectionMetrics(**common)
    )
    made = recipe and ModelProvenance(
        recipe=recipe, preset="paper", recipe_digest="0" * 64, run_key="1" * 64, seed=seed, settings=(),
        weights_sha256="2" * 64, requires={}, parameters={"total": 4_821_867}, epochs=50,
    )  # fmt: skip
    known = {name: "3" * 64 if one == "pending" else one for name, one in data.model_dump().items()}
    return Result(
        track=track,
        standing=standing,
        standing_reason=f"scored on the official labels of {track}",
        protocol=PROTOCOLS[frozen.protocol],
        protocol_digest=board.protocols[frozen.protocol],
        evaluator=find_protocol(frozen.protocol).evaluators[0],
        metrics=metrics,
        predictions_sha256=hashlib.sha256(PREDICTIONS).hexdigest(),
        data=DataProvenance(
            dataset=data.dataset, split=data.split, part=data.part, samples=data.samples, skipped=0,
            label_digest=known["label_digest"], rgb_digest=known["rgb_digest"], thermal_digest=known["thermal_digest"],
            ids_sha256=data.ids_sha256 or sha256_text("ids"), fingerprint="4" * 64,
        ),
        model=made or None,
        durations_s={"score": 1.0},
        libraries={"rgbt-bench": "0.1.0", "python": "3.11.7"},
        hardware={"cpu": "a processor", "cores": 2, "system": "Linux", "machine": "x86_64"},
        created="2026-11-22T08:00:00+00:00",
    )  # fmt: skip


def edited(row: Row, **changes) -> bytes:
    """Return a row's bytes with values set at dotted paths, given as `a__b`; numbers are places in lists."""
    content = json.loads(row_bytes(row))
    for path, value in changes.items():
        *way, last = path.split("__")
        place = content
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        place[int(last) if last.isdigit() else last] = value
    return json.dumps(content, indent=1).encode()

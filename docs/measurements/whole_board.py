"""Time the proof of a whole board, and the building of its pages, on generated rows of FLIR-aligned's size.

The set has 1,013 generated samples with 8,591 boxes and blank images, every row 100 detections an image; nothing of it
is anybody's dataset. Ten rows are made as `submit` makes them; the others are copies under ids and predictions of their
own, which are verified just as much.

    python docs/measurements/whole_board.py FOLDER [ROWS]
"""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from rgbt_bench.converters import Images, Item, Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.sample_converter import SampleConverter
from rgbt_bench.datasets.store import Dataset, Part
from rgbt_bench.leaderboard.board import Board, boards_home
from rgbt_bench.leaderboard.submitting import Made, make_row, read_entry, write_row
from rgbt_bench.schema import Box, Image, Labels
from rgbt_bench.sources import Source

SAMPLES, BOXES, DETECTIONS = 1013, 8591, 100
DISTINCT = 10
WIDTH, HEIGHT = 640, 512


class Generated(SampleConverter):
    """Labels of the size of FLIR-aligned's test part, with blank images."""

    def scan(self, source: Source) -> Scan:
        """Draw boxes anywhere, and a scene for every 25 samples."""
        generator = np.random.default_rng(0)
        owner = np.sort(generator.integers(0, SAMPLES, BOXES))
        items = []
        for place in range(SAMPLES):
            boxes = tuple(_box(generator) for _ in range(int((owner == place).sum())))
            items.append(Item("test", _labels(place, boxes)))
        return Scan("generated", items)

    def read(self, source: Source, item: Item) -> Images:
        """Return blank images."""
        return Images(_blank("RGB"), _blank("L"), _blank("L"))


def _labels(place: int, boxes: tuple[Box, ...]) -> Labels:
    return Labels(
        sample_id=f"generated_{place:04d}",
        width=WIDTH,
        height=HEIGHT,
        objects=boxes,
        illumination="day" if place % 5 else "night",
        scene=f"scene_{place // 25:02d}",
        source=f"{place:04d}.png",
    )


def _box(generator: np.random.Generator) -> Box:
    width, height = generator.integers(8, 120, 2).tolist()
    x, y = int(generator.integers(0, WIDTH - width)), int(generator.integers(0, HEIGHT - height))
    category = int(generator.integers(0, 3))
    return Box(bbox=(float(x), float(y), float(width), float(height)), category=category, area=float(width * height))


def _blank(mode: str) -> Image:
    data = io.BytesIO()
    Pillow.new(mode, (WIDTH, HEIGHT)).save(data, "PNG")
    return Image(data.getvalue(), "blank.png")


def write_predictions(path: Path, part: Part, seed: int) -> None:
    """Write 100 detections an image: most labels a few pixels off, and chance boxes of low score."""
    generator = np.random.default_rng(seed)
    rows = []
    for labels in part.labels:
        found = [(box.bbox, box.category, 0.3 + 0.7 * generator.random()) for box in labels.objects][:DETECTIONS]
        while len(found) < DETECTIONS:
            box = _box(generator)
            found.append((box.bbox, box.category, 0.3 * generator.random()))
        for bbox, category, score in found:
            moved = np.array(bbox) + generator.normal(0, 3, 4)
            near = [*moved[:2].tolist(), *np.maximum(moved[2:], 1).tolist()]
            rows.append({"image_id": labels.sample_id, "category_id": category + 1, "bbox": near, "score": score})
    path.write_text(json.dumps(rows))


def board_of(folder: Path, dataset: Dataset) -> Board:
    """Return an empty board that has frozen the generated set under the name of the sample set."""
    home, place = boards_home(), folder / "leaderboards" / "v1"
    text = (home / "v1" / "leaderboard.yaml").read_text(encoding="utf-8")
    frozen, record = Board(home, "v1").definitions.data["sample-test"], dataset.part("test").record
    for name in ("ids_sha256", "label_digest", "rgb_digest", "thermal_digest"):
        text = text.replace(str(getattr(frozen, name)), str(getattr(record, name)))
    place.mkdir(parents=True)
    (place / "leaderboard.yaml").write_text(text.replace("samples: 128", f"samples: {SAMPLES}"), encoding="utf-8")
    return Board(folder / "leaderboards", "v1")


def _made(board: Board, dataset: Dataset, place: int, path: Path) -> Made:
    if place < DISTINCT:
        write_predictions(path, dataset.part("test"), place)
        said = {"name": f"Row {place:03d}", "dataset": "sample", "task": "detection-rgbt"}
        return make_row(board, [str(path)], read_entry(None, said))
    original = board.row(f"sample-detection-rgbt-row-{place % DISTINCT:03d}")
    (run,) = original.runs
    data = board.predictions_file(str(run.predictions.file)).read_bytes()
    name = f"sample-detection-rgbt-row-{place:03d}"
    packed = run.predictions.model_copy(update={"file": f"{name}.sx.json.gz"})
    runs = (run.model_copy(update={"predictions": packed}),)
    entry = original.entry.model_copy(update={"name": f"Row {place:03d}"})
    row = original.model_copy(update={"id": name, "entry": entry, "runs": runs})
    return Made(row, {str(packed.file): data})


def main(folder: Path, rows: int) -> None:
    """Make the set and the rows where they are not there, and print how long `verify --all` and `build` take."""
    os.environ["RGBT_BENCH_HOME"] = str(folder / "home")
    root = folder / "home" / "datasets" / "sample"
    if not root.exists():
        convert(Generated(), None, root)
    dataset = Dataset(root)
    board = Board(folder / "leaderboards", "v1") if (folder / "leaderboards").exists() else board_of(folder, dataset)
    for place in range(len(board.rows), rows):
        board = Board(board.root, board.version) if place == DISTINCT else board  # which reads its rows once
        write_row(board, _made(board, dataset, place, folder / "predictions.json"))
        print(f"row {place + 1} of {rows}", file=sys.stderr)
    command = [sys.executable, "-m", "rgbt_bench"]
    for line in (["verify", "--all"], ["leaderboard", "build", "--out", str(folder / "site")]):
        began = time.monotonic()
        subprocess.run([*command, *line, "--board", str(board.root)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        print(f"{' '.join(line[:2])}: {time.monotonic() - began:.1f} s for {rows} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)

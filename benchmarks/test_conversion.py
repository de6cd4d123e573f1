"""Converting generated 640x512 pairs: against bare decoding, and against `datasets` with Pillow's images."""

import sys
import time
from pathlib import Path

import pytest
from PIL import Image as Pillow

sys.path.insert(0, str(Path(__file__).parent))

from generate_pairs import generate
from rgbt_bench.converting import ITEMS_PER_TASK, convert
from rgbt_converters.flir import Flir

PAIRS, PIL_PAIRS = 500, 24
ROUNDS = 6
# By processor time, which other work on shared cores lengthens least.
LEAST_CHECK = 0.8
LEAST_WHOLE = 0.5
LEAST_TIMES_FASTER = 10


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "align"
    generate(folder, PAIRS)
    return folder


def decode(folder):
    for path in sorted((folder / "JPEGImages").iterdir()):
        with Pillow.open(path) as image:
            image.load()


def seconds(work, *arguments):
    """Return the wall time and this process's own processor time."""
    wall, own = time.perf_counter(), time.process_time()
    work(*arguments)
    return time.perf_counter() - wall, time.process_time() - own


def through_datasets(folder, out):
    """The route of most scripts: Pillow's images into `datasets`, which encodes them again, as PNG."""
    from datasets import Dataset, Features, Image

    def rows():
        for rgb in sorted((folder / "JPEGImages").glob("*_RGB.jpg"))[:PIL_PAIRS]:
            thermal = rgb.with_name(rgb.name.replace("_RGB.jpg", "_PreviewData.jpeg"))
            yield {"rgb": Pillow.open(rgb).copy(), "thermal": Pillow.open(thermal).copy()}  # or only paths are kept

    features = Features({"rgb": Image(), "thermal": Image()})
    Dataset.from_generator(rows, features=features, cache_dir=str(out / "cache")).to_parquet(out / "pil.parquet")


def converted(folder, out):
    """Return the processor time of a conversion from the first pair's check to the last one's, and of all of it."""
    marks = []
    begin = time.process_time()
    convert(Flir(), folder, out, "fail", True, lambda stage, done, total: marks.append((stage, time.process_time())))
    checks = [mark for stage, mark in marks if stage == "checking"]
    share = PAIRS / (PAIRS - ITEMS_PER_TASK)  # the first mark is made when the first task is done
    return (checks[-1] - checks[0]) * share, time.process_time() - begin


def test_conversion_keeps_up_with_bare_decoding(benchmark, pairs, tmp_path):
    out = tmp_path / "set"
    times = []
    for _ in range(ROUNDS):
        wall, own = seconds(decode, pairs)
        begin = time.perf_counter()
        check, whole = converted(pairs, out)
        times.append((own, check, whole, wall, time.perf_counter() - begin))
    bare, check, whole, bare_wall, wall = map(min, zip(*times, strict=True))
    pil = seconds(through_datasets, pairs, tmp_path)[0] / PIL_PAIRS
    ours = out.joinpath("data")
    weight = sum(path.stat().st_size for path in ours.iterdir()) / PAIRS
    benchmark.extra_info |= {
        "check_of_bare_decoding": round(bare / check, 3),
        "conversion_of_bare_decoding": round(bare / whole, 3),
        "conversion_of_bare_decoding_by_wall_time": round(bare_wall / wall, 3),
        "times_faster_than_datasets_with_pil": round(pil * PAIRS / wall, 1),
        "size_of_datasets_with_pil": round((tmp_path / "pil.parquet").stat().st_size / PIL_PAIRS / weight, 2),
    }
    benchmark.pedantic(convert, (Flir(), pairs, out, "fail", True), rounds=1)
    assert bare / check >= LEAST_CHECK, benchmark.extra_info
    assert bare / whole >= LEAST_WHOLE, benchmark.extra_info
    assert pil * PAIRS / wall >= LEAST_TIMES_FASTER, benchmark.extra_info

"""Converting generated 640x512 pairs: against bare decoding, and against `datasets` with Pillow's images."""

import shutil
import sys
import time
from pathlib import Path

import pytest
from PIL import Image as Pillow

sys.path.insert(0, str(Path(__file__).parent))

from generate_pairs import generate
from rgbt_bench.converting import convert
from rgbt_converters.flir import Flir

PAIRS, PIL_PAIRS = 500, 24
ROUNDS = 6
LEAST_OF_DECODING = 0.9  # by processor time, which other work on shared cores lengthens least
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


def touch_memory(folder, size):
    """Write a file of the set's size and delete it.

    A virtual machine fetches memory that it has given back page by page, at a cost that only the side that writes has.
    """
    scratch = folder / "scratch"
    scratch.write_bytes(bytes(size))
    scratch.unlink()


def test_conversion_keeps_up_with_bare_decoding(benchmark, pairs, tmp_path):
    out = tmp_path / "set"
    weight = sum(path.stat().st_size for path in (pairs / "JPEGImages").iterdir())
    times = []
    for _ in range(ROUNDS):
        touch_memory(tmp_path, weight)
        times.append((*seconds(decode, pairs), *seconds(convert, Flir(), pairs, out)))
        stored = sum(path.stat().st_size for path in (out / "data").iterdir())
        shutil.rmtree(out)
    bare_wall, bare, wall, own = map(min, zip(*times, strict=True))
    pil = seconds(through_datasets, pairs, tmp_path)[0] / PIL_PAIRS
    benchmark.extra_info |= {
        "conversion_of_bare_decoding": round(bare / own, 3),
        "conversion_of_bare_decoding_by_wall_time": round(bare_wall / wall, 3),
        "times_faster_than_datasets_with_pil": round(pil * PAIRS / wall, 1),
        "size_of_datasets_with_pil": round((tmp_path / "pil.parquet").stat().st_size / PIL_PAIRS / (stored / PAIRS), 2),
    }
    benchmark.pedantic(convert, (Flir(), pairs, out), rounds=1)
    assert bare / own >= LEAST_OF_DECODING, benchmark.extra_info
    assert pil * PAIRS / wall >= LEAST_TIMES_FASTER, benchmark.extra_info

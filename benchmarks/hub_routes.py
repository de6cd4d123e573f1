"""One way to a Hub and back in a process of its own, whose time and peak memory are printed as JSON.

`python benchmarks/hub_routes.py ROUTE SET REPO`: ROUTE is a function of this file, SET a converted set's folder, REPO
`owner/name` on the Hub of HF_ENDPOINT.
"""

import importlib
import json
import sys
import time
from pathlib import Path

EPOCHS = 5


def push(folder, repo):
    from rgbt_bench.datasets.store import Dataset
    from rgbt_bench.hub.names import HubName
    from rgbt_bench.hub.sets import PushOptions, push_set

    push_set(Dataset(folder), HubName(repo), PushOptions())
    return sum(part.samples for part in Dataset(folder).record.splits["default"].values())


def push_by_datasets(folder, repo):
    """The route of `datasets`: load the shards, then `push_to_hub`, which writes them anew."""
    from datasets import load_dataset

    found = load_dataset("parquet", data_dir=str(folder / "data"), cache_dir=str(folder.parent / "cache"))
    found.push_to_hub(repo, private=True)
    return sum(map(len, found.values()))


def stream(folder, repo):
    """Read every pair of the train part in order, its images encoded, every digest verified."""
    from rgbt_bench.opening import open_dataset

    return sum(1 for sample in open_dataset(f"hub:{repo}").part("train") if sample.rgb.data and sample.thermal.data)


def stream_by_datasets(folder, repo):
    """The same through `datasets`, its images encoded, nothing verified."""
    from datasets import Image, load_dataset

    found = load_dataset(repo, split="train", streaming=True)
    for column in ("rgb", "thermal", "mask"):
        found = found.cast_column(column, Image(decode=False))
    return sum(1 for row in found if row["rgb"]["bytes"] and row["thermal"]["bytes"])


def stream_decoded(folder, repo):
    """Read the part as pictures: what a loader hands to a training, before it makes tensors of them."""
    from rgbt_bench.datasets.digests import open_image
    from rgbt_bench.opening import open_dataset

    count = 0
    for sample in open_dataset(f"hub:{repo}").part("train"):
        for image in (sample.rgb, sample.thermal):
            with open_image(image.data) as opened:
                opened.load()
        count += 1
    return count


def stream_decoded_by_datasets(folder, repo):
    from datasets import load_dataset

    found = load_dataset(repo, split="train", streaming=True)
    return sum(1 for row in found if row["rgb"].load() and row["thermal"].load())


def stream_epochs(folder, repo):
    """Read the part five times, as a training does: ours is fetched and verified once."""
    from rgbt_bench.opening import open_dataset

    part = open_dataset(f"hub:{repo}").part("train")
    return sum(1 for _ in range(EPOCHS) for sample in part if sample.rgb.data and sample.thermal.data)


def stream_epochs_by_datasets(folder, repo):
    return sum(stream_by_datasets(folder, repo) for _ in range(EPOCHS))


def one_pair(folder, repo):
    """Read a single pair."""
    from rgbt_bench.opening import open_dataset

    return 1 if open_dataset(f"hub:{repo}").part("train")[0].rgb.data else 0


def main(route, folder, repo):
    # What a route imports takes seconds, and is no part of a pair.
    for name in (
        ("datasets",) if route.endswith("_by_datasets") else ("rgbt_bench.hub.sets", "rgbt_bench.hub.streaming")
    ):
        importlib.import_module(name)
    began = time.perf_counter()
    pairs = globals()[route](Path(folder), repo)
    seconds = time.perf_counter() - began
    print(json.dumps({"pairs": pairs, "seconds": seconds, "peak_mb": peak_mb()}))


def peak_mb():
    """Return the peak resident memory of this process; `getrusage` would tell that of who started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])

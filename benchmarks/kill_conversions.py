"""Kill real conversions at random moments and start them again: `python benchmarks/kill_conversions.py --times 50`.

Each time the whole process group of `rgbt-bench convert flir` gets `kill -9`, the same command runs again (and in
every third case is killed again first), and every byte is compared with an undisturbed conversion. A kill that comes
after the end does not count, and is tried again.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generate_pairs import generate

PAIRS, SIZE = 40, (320, 256)
SHARD_BYTES = 60_000  # two or three pairs
WORKERS = (1, 2)
INSIDE = 0.8  # of the kills come after the first stage was shown, the others anywhere


def convert(arguments):
    """Run the command line with small shards; a process of its own, because no option sets their size."""
    from rgbt_bench.cli import main
    from rgbt_bench.datasets import writer

    writer.SHARD_BYTES = SHARD_BYTES
    sys.argv[1:] = ["convert", "flir", *arguments]
    main()


def start(source, out, workers):
    """Start a conversion in a process group of its own."""
    command = [sys.executable, __file__, "--convert", str(source), "--out", str(out), "--workers", str(workers)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(process):
    errors = process.communicate()[1]
    assert process.returncode == 0, errors


def snapshot(folder):
    """Every file beside and in a set, by name and content; the empty lock file stays and is left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def measure(source, out, workers):
    """Return an undisturbed conversion's files, its seconds to the first stage and its seconds from there."""
    begin = time.perf_counter()
    process = start(source, out, workers)
    process.stderr.readline()
    shown = time.perf_counter()
    finish(process)
    return snapshot(out.parent), shown - begin, time.perf_counter() - shown


def kill(source, out, workers, before, after, rng):
    """Start a conversion, kill its group at a random moment, and return what was there then; nothing after the end."""
    process = start(source, out, workers)
    if rng.random() < INSIDE:
        process.stderr.readline()
        time.sleep(rng.uniform(0, after))
    else:
        time.sleep(rng.uniform(0, before + after))
    over = process.poll() is not None
    if not over:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    if over or out.exists():
        return ""
    shards = any(out.with_name(out.name + ".partial").glob("data/*.parquet"))
    return "after the first shard" if shards else "before the first shard"


def run(times, folder, seed=0):
    """Kill and resume `times` conversions; return how many there were by workers and by what was there."""
    rng = random.Random(seed)
    source, out = folder / "source", folder / "place" / "set"
    generate(source, PAIRS, SIZE)
    seen = Counter()
    reference = {}
    for number in range(times):
        workers = WORKERS[number % len(WORKERS)]
        if workers not in reference:
            reference[workers] = measure(source, out, workers)
            shutil.rmtree(out)
        expected, before, after = reference[workers]
        assert expected == reference[WORKERS[0]][0], "the number of workers changes the bytes"
        for _ in range(1 + (number % 3 == 2)):
            while not (moment := kill(source, out, workers, before, after, rng)):
                shutil.rmtree(out, ignore_errors=True)
            seen[f"{workers} workers, {moment}"] += 1
        finish(start(source, out, workers))
        found = snapshot(out.parent)
        owner = found.pop(f".{out.name}.lock.owner", None)  # of a process killed in its last moment
        assert owner is None or set(json.loads(owner)) == {"pid", "host", "since", "command"}
        assert found == expected, f"conversion {number}: {sorted(set(found.items()) ^ set(expected.items()))[:5]}"
        shutil.rmtree(out)
    return seen


def main():
    if sys.argv[1:2] == ["--convert"]:
        convert(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = run(arguments.times, Path(folder), arguments.seed)
    print(f"{arguments.times} conversions, all with the bytes of an undisturbed one; killed:")
    for what, count in sorted(seen.items()):
        print(f"{count:4d}  {what}")


if __name__ == "__main__":
    main()

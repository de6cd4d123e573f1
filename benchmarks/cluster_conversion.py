"""Seconds and peak memory of a conversion by Slurm jobs against local workers.

`python benchmarks/cluster_conversion.py --pairs 2000 --rounds 3` on a machine with slurm-wlm and munge: a Slurm of two
nodes of one core each is started on it (tests/slurm_cluster.py), and is gone at the end.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from generate_pairs import generate
from slurm_cluster import SlurmCluster, why_not


def convert(source, out, where, shard_bytes):
    """Convert, and print seconds by stage and the peak memory as JSON; a process of its own, as a peak never falls."""
    import resource

    from rgbt_bench.cluster.crew import ClusterCrew
    from rgbt_bench.cluster.slurm import Slurm
    from rgbt_bench.converting import convert as run_conversion
    from rgbt_bench.datasets import writer
    from rgbt_converters.flir import Flir

    writer.SHARD_BYTES = int(shard_bytes)
    begin = time.perf_counter()
    ends = {}
    crew = ClusterCrew(Slurm({}, 2), 2) if where == "slurm" else None
    run_conversion(
        Flir(),
        Path(source),
        Path(out),
        progress=lambda stage, done, total: ends.update({stage: time.perf_counter() - begin}),
        workers=2,
        crew=crew,
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(json.dumps({**ends, "all": time.perf_counter() - begin, "head MB": peak, "worker MB": children}))


def peak_of_jobs(cluster, seconds):
    """Return the largest resident memory that the processes of jobs have had until now, in MB."""
    found = 0
    for pid in cluster.processes_of("n1", "n2"):
        try:
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        except OSError:
            continue
        found = max(found, int(peak[1]) // 1024 if peak else 0)
    time.sleep(seconds)
    return found


def measure(cluster, source, out, where, shard_bytes, environment):
    command = [sys.executable, __file__, "--convert", *map(str, (source, out, where, shard_bytes))]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        while process.poll() is None:
            peak = max(peak, peak_of_jobs(cluster, 0.1)) if where == "slurm" else time.sleep(0.1) or 0
        result = json.loads(process.stdout.read())
    return result | ({"worker MB": peak} if where == "slurm" else {})


def main():
    if sys.argv[1:2] == ["--convert"]:
        convert(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shard-mb", type=int, default=32)
    arguments = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    cluster = SlurmCluster()
    try:
        cluster.start()
        environment = {**os.environ, **cluster.environment()}
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder) / "source", Path(folder) / "out"
            generate(source, arguments.pairs)
            found = {"local": [], "slurm": []}
            for _ in range(arguments.rounds):
                for where, results in found.items():
                    results.append(measure(cluster, source, out, where, arguments.shard_mb * 1024**2, environment))
                    shards = len(list((out / "data").iterdir()))
                    shutil.rmtree(out)
        print(f"{arguments.pairs} pairs, {shards} shards, median of {arguments.rounds}")
        for where, results in found.items():
            print(where, {key: round(statistics.median(one[key] for one in results), 1) for key in results[0]})
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()

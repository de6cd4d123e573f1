"""Peak memory of a conversion by its number of pairs: `python benchmarks/conversion_memory.py --pairs 1000 10000`.

Prints the peak resident memory of the converting process and of the largest worker, in MB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generate_pairs import generate


def convert(source, out, workers):
    """Convert, and print the peak memory as JSON; a process of its own, because a peak never falls."""
    import resource

    from rgbt_bench.converting import convert as run_conversion
    from rgbt_converters.flir import Flir

    run_conversion(Flir(), Path(source), Path(out), workers=int(workers))
    kinds = {"process": resource.RUSAGE_SELF, "worker": resource.RUSAGE_CHILDREN}
    print(json.dumps({name: round(resource.getrusage(kind).ru_maxrss / 1024) for name, kind in kinds.items()}))


def main():
    if sys.argv[1:2] == ["--convert"]:
        convert(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[1000, 3000, 10000])
    parser.add_argument("--size", type=int, nargs=2, default=(160, 128), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    for pairs in arguments.pairs:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            generate(source, pairs, tuple(arguments.size))
            for workers in arguments.workers:
                out = Path(folder) / f"out-{workers}"
                command = [sys.executable, __file__, "--convert", str(source), str(out), str(workers)]
                peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                shown = f"this process {peak['process']} MB" + (f", worker {peak['worker']} MB" if workers > 1 else "")
                print(f"{pairs:6d} pairs, {workers} workers: {shown}", flush=True)


if __name__ == "__main__":
    main()

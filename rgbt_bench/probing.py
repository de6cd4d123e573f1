"""What `doctor` looks at in a process of its own, where a broken library may crash."""

import json
import sys
from typing import Any

from rgbt_bench.errors import BenchError, MissingError, unknown_name


def probe_torch() -> dict[str, Any]:
    """Return torch's version, threads and GPUs; `installed` is false where there is no torch at all."""
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return {"installed": False}
    gpus = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            gpus.append({"name": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)})
            torch.zeros(1, device=f"cuda:{index}").add_(1).item()  # a GPU that is seen may still not work
    built = torch.version.cuda
    return {
        "installed": True,
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "cuda": built,
        "gpus": gpus,
    }


def probe_submissions() -> dict[str, Any]:
    """Return what is wrong with each registered submission by name: a `fault`, whether only an optional part lacks."""
    from rgbt_bench.registry import load_submission, submissions

    found = {}
    for name in submissions():
        try:
            load_submission(name)
            found[name] = {"fault": "", "missing": False}
        except BenchError as error:
            found[name] = {"fault": str(error), "missing": isinstance(error, MissingError)}
        except Exception as error:  # a third party's module may fail in any way
            found[name] = {"fault": f"{type(error).__name__}: {error}", "missing": False}
    return found


PROBES = {"torch": probe_torch, "submissions": probe_submissions}


def main() -> None:
    """Print one probe's findings as JSON on stdout."""
    what = " ".join(sys.argv[1:])
    if what not in PROBES:
        raise unknown_name("probe", what, PROBES)
    stdout, sys.stdout = sys.stdout, sys.stderr  # what a library prints is not a finding
    content = PROBES[what]()
    print(json.dumps(content), file=stdout)


if __name__ == "__main__":
    main()

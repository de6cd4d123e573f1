"""A conversion's work as the jobs of a cluster, and what they leave beside the set."""

import shutil
from pathlib import Path

from rgbt_bench.errors import UsageError

STATE_FILE = "state.pkl"  # there as long as jobs may be


def jobs_folder(place: Path) -> Path:
    """Return the folder that the jobs of a conversion to `place` work in, beside it."""
    return place.with_name(f".{place.name}.cluster")


def clear_jobs(folder: Path) -> None:
    """Remove what the jobs of a conversion left in their folder.

    Raises:
        UsageError: they may still be working there.
    """
    if (folder / STATE_FILE).exists():
        raise UsageError(
            f"{folder}: jobs of a conversion that was killed may still be writing; give --cluster again, which ends"
            " them first, or delete this folder when you have ended them"
        )
    shutil.rmtree(folder, ignore_errors=True)

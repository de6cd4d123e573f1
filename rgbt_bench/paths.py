"""Where things live: converted sets and runs, under `$RGBT_BENCH_HOME`."""

import os
from pathlib import Path

from platformdirs import user_data_dir

RECORD_FILE = "dataset.json"
HUB_FILE = "hub.json"  # which commit of the Hub holds the set beside it
PARTIAL = ".partial"  # ends the name of a set that is being converted: not to be read
REPLACED = ".replaced"  # ends the name of the set before, until the new one is in its place


def home() -> Path:
    """Return `$RGBT_BENCH_HOME`, or the platform's user data folder for rgbt-bench."""
    configured = os.environ.get("RGBT_BENCH_HOME")
    return Path(configured).expanduser() if configured else Path(user_data_dir("rgbt-bench", appauthor=False))


def datasets_home() -> Path:
    """Return the folder of converted sets."""
    return home() / "datasets"


def converted_sets() -> list[Path]:
    """Return the folders of the converted sets in the datasets folder, in the order of their names."""
    found = (path.parent for path in datasets_home().glob(f"*/{RECORD_FILE}"))
    return sorted(folder for folder in found if folder.suffix not in (PARTIAL, REPLACED))


def hub_cache() -> Path:
    """Return the folder of what was read of sets on the Hub; it can be deleted, and is fetched again."""
    return home() / "hub"


def runs_home() -> Path:
    """Return the folder of runs."""
    return home() / "runs"

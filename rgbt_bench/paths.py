"""Where things live: converted sets and runs, under `$RGBT_BENCH_HOME`."""

import os
from pathlib import Path

from platformdirs import user_data_dir


def home() -> Path:
    """Return `$RGBT_BENCH_HOME`, or the platform's user data folder for rgbt-bench."""
    configured = os.environ.get("RGBT_BENCH_HOME")
    return Path(configured).expanduser() if configured else Path(user_data_dir("rgbt-bench", appauthor=False))


def datasets_home() -> Path:
    """Return the folder of converted sets."""
    return home() / "datasets"


def runs_home() -> Path:
    """Return the folder of runs."""
    return home() / "runs"

"""rgbt-bench: one schema, one harness and one leaderboard for RGB-thermal vision."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("rgbt-bench")
except PackageNotFoundError:  # a bare source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]

"""What is printed of recipes."""

from pathlib import Path

from .console import line


def recipe(path: Path, digest: str, preset: str, settings: list[str] | None) -> None:
    """Print a recipe file as it is, with its digest under the preset and settings."""
    line(path.read_text(encoding="utf-8").rstrip())
    if preset == "quick":
        line("# in use: the values under `quick` replace those above")
    for setting in settings or ():
        line(f"# in use: --set {setting} replaces the value above")
    line(f"# digest of what is in use: {digest}")

"""What is printed of the Hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .console import line, rows

_UNITS = ("B", "kB", "MB", "GB", "TB")


def planned(repo_id: str, public: bool, files: Mapping[str, bytes | Path]) -> dict[str, Any]:
    """Return as JSON-ready data what a push would send, sizes in bytes."""
    sizes = {
        path: len(content) if isinstance(content, bytes) else content.stat().st_size for path, content in files.items()
    }
    return {"repo_id": repo_id, "private": not public, "files": sizes, "bytes": sum(sizes.values())}


def plan(content: dict[str, Any]) -> None:
    """Print what a push would send."""
    rows([{"file": path, "size": size(count)} for path, count in content["files"].items()])
    visibility = "private" if content["private"] else "public"
    line(f"{len(content['files'])} files, {size(content['bytes'])}, to {content['repo_id']} ({visibility})")


def pushed(content: dict[str, Any]) -> None:
    """Print what a push made."""
    what = content["pushed"]
    visibility = "private" if content["private"] else "public"
    state = "pushed" if content["is_new"] else "is there already"
    line(f"{what} {state}: {content['files']} files, {size(content['bytes'])}, {visibility}", style="bold")
    line(f"at {content['url']}")
    line(f"revision {content['revision']}")
    if what == "model":
        line(f"its figures are: {content['label']}")
        line(f"run it: {content['command']}")
        for note in content["notes"]:
            line(note)
    if what == "set":
        line(f'read it: load_dataset("{content["repo_id"]}", revision="{content["revision"]}")')
    if what in ("set", "manifest"):
        originals = " --originals PATH" if what == "manifest" else ""
        line(f"get it: rgbt-bench pull {content['repo_id']}@{content['revision']}{originals}")


def pulled(content: dict[str, Any]) -> None:
    """Print what a pull made."""
    how = "rebuilt from your originals" if content["rebuilt"] else "pulled"
    line(f"{content['dataset']}: {how}, {content['samples']} pairs, every digest verified", style="bold")
    line(f"from {content['repo_id']} at revision {content['revision']}")
    for split in content["other_splits"]:
        line(f"split {split}: not the same here and in the manifest")
    line(f"fingerprint {content['fingerprint']}")
    line(f"written to {content['folder']}")


def size(count: int) -> str:
    """Return a number of bytes for people."""
    number, unit = float(count), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{count} B"

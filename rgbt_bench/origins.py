"""Where each figure of a recipe comes from: the comment at the end of its line."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq


def origins(path: Path) -> dict[str, str]:
    """Return where each figure of a recipe file comes from: the comment at the end of its line, by dotted path.

    A number without a comment maps to an empty text.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    found: dict[str, str] = {}

    def walk(node: Any, prefix: str, line: int) -> None:
        if isinstance(node, CommentedMap):
            for key, value in node.items():
                walk(value, f"{prefix}.{key}" if prefix else str(key), node.lc.value(key)[0])
        elif isinstance(node, CommentedSeq):
            for index, value in enumerate(node):
                walk(value, f"{prefix}.{index}", node.lc.item(index)[0])
        elif isinstance(node, int | float) and not isinstance(node, bool):
            found[prefix] = lines[line].partition("#")[2].strip()

    walk(YAML(typ="rt").load("\n".join(lines)), "", 0)
    return found


def origins_in_use(path: Path, preset: str, settings: tuple[str, ...]) -> dict[str, str]:
    """Return the origin of each figure as the preset and the settings leave it."""
    found = origins(path)
    kept = {where: origin for where, origin in found.items() if not where.startswith("quick.")}
    if preset == "quick":
        kept |= {where.removeprefix("quick."): origin for where, origin in found.items() if where not in kept}
    for setting in settings:
        changed = setting.partition("=")[0].strip()
        kept = {where: one for where, one in kept.items() if where != changed and not where.startswith(f"{changed}.")}
        kept[changed] = "--set"
    return kept

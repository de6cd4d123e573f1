"""What an installed project says it needs: by extra, with the versions."""

import operator
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import requires
from typing import Any

_LINE = re.compile(r"(?P<name>[\w.-]+)\s*(?:\[[^]]*\])?\s*(?P<wanted>[^;]*?)\s*(?:;(?P<marker>.*))?$")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
_PLATFORM = re.compile(r"sys_platform\s*==\s*['\"](\w+)['\"]")
_BOUND = re.compile(r"(==|>=|<=|!=|<|>)\s*([\w.]+)$")
_WIDTH = 8
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True)
class Requirement:
    """One needed project: its name, and the bounds on its version as they were written (empty: any)."""

    name: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.name}{self.wanted}"

    def is_met_by(self, version: str) -> bool:
        """Tell whether a version (empty: not installed) is within every bound that can be read."""
        return bool(version) and all(_holds(version, bound) for bound in self.wanted.split(","))


def requirements(project: str) -> dict[str, list[Requirement]]:
    """Return what an installed project needs on this platform, by extra (empty: always); itself is left out.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    found: dict[str, list[Requirement]] = {}
    for line in requires(project) or ():
        parts = _LINE.match(line)
        if parts is None:
            continue
        marker = parts["marker"] or ""
        extra, platform = _EXTRA.search(marker), _PLATFORM.search(marker)
        if platform and platform[1] != sys.platform:
            continue
        needed = found.setdefault(extra[1] if extra else "", [])
        if parts["name"] != project:
            needed.append(Requirement(parts["name"], parts["wanted"]))
    return found


def _holds(version: str, bound: str) -> bool:
    parts = _BOUND.match(bound.strip())
    if parts is None:
        return True
    one, other = (_numbers(text) for text in (version, parts[2]))
    return _COMPARE[parts[1]](one, other)


def _numbers(text: str) -> tuple[int, ...]:
    """Return the release numbers of a version, filled up with zeros; what follows them (`rc1`, `+cpu`) is left out."""
    release = _NUMBERS.match(text)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    return tuple((numbers + [0] * _WIDTH)[:_WIDTH])

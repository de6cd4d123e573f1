"""How figures, sizes, times and dates are written on the pages; nothing here makes HTML."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rgbt_bench.metrics.catalogue import METRICS
from rgbt_bench.results import Figure, Interval

MINUS: Final = "\N{MINUS SIGN}"
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_STEPS: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_DIRECTIONS: Final = {metric.name: metric.higher_is_better for metric in METRICS}
_DEFINITIONS: Final = {metric.name: metric.definition for metric in METRICS}


@dataclass(frozen=True)
class Unit:
    """The unit that a track's figures are shown in: ours times `scale`, with so many `digits`."""

    scale: float
    digits: int
    name: str

    def text(self, value: Figure, more: int = 0) -> str:
        """Return a figure in this unit, with `more` digits; an undefined one is empty."""
        return "" if value is None else fixed(value * self.scale, self.digits + more)

    def between(self, interval: Interval, more: int = 0) -> str:
        """Return an interval as `low to high`; none is empty."""
        return "" if interval is None else f"{self.text(interval[0], more)} to {self.text(interval[1], more)}"


PERCENT: Final = Unit(100, 1, "percent")
PLAIN: Final = Unit(1, 3, "the metric's own unit")


def fixed(value: float, digits: int) -> str:
    """Return a number with so many digits and a real minus sign."""
    return f"{value:,.{digits}f}".replace("-", MINUS)


def short_count(value: float | None) -> str:
    """Return a count to three digits, such as 4.82 M; none is empty."""
    if value is None:
        return ""
    for step, letter in _STEPS:
        if value >= step * 0.9995:
            return f"{value / step:.{_digits(value / step)}f} {letter}"
    return f"{value:g}"


def milliseconds(seconds: float | None) -> str:
    """Return a time in ms to three digits; none is empty."""
    return "" if seconds is None else f"{1000 * seconds:,.{_digits(1000 * seconds)}f} ms"


def tick_count(value: float) -> str:
    """Return a round count for an axis, such as 5 M."""
    step, letter = next(((step, letter) for step, letter in _STEPS if value >= step * 0.9995), (1.0, ""))
    return f"{value / step:.3g} {letter}".strip()


def tick_milliseconds(seconds: float) -> str:
    """Return a round time for an axis, such as 5 ms."""
    return f"{1000 * seconds:.3g} ms"


def duration(seconds: float) -> str:
    """Return a duration in the largest fitting unit."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def day(created: str) -> str:
    """Return the day of an ISO date; a text that is none comes back cut."""
    return created[:10] if _DAY.match(created) else created[:20]


def flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Return nested values as flat names and texts; what is None is left out."""
    found = []
    for name, value in values.items():
        full = f"{above}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            found += flat(value, f"{full}: ")
        elif isinstance(value, (list, tuple)):
            found.append((full, ", ".join(map(str, value)) or "none"))
        elif value is not None:
            found.append((full, str(value)))
    return found


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun, such as `1 row` or `1,013 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def definition(figure: str) -> str:
    """Return what a figure is, in one sentence, or an empty text; one of a subset or class by its last word."""
    return _DEFINITIONS.get(figure.split()[-1], "") if figure else ""


def higher_is_better(figure: str) -> bool:
    """Tell which direction of a figure is better; of an unknown one, higher."""
    return _DIRECTIONS.get(figure.split()[-1], True) if figure else True


def _digits(value: float) -> int:
    return 2 if value < 9.995 else 1 if value < 99.95 else 0

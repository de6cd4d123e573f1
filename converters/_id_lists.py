"""The id lists that are packaged with the converters, one id a line."""

from functools import cache
from importlib.resources import files


@cache
def id_list(name: str) -> tuple[str, ...]:
    """Return the sample ids of a packaged list."""
    return tuple((files(__package__) / "splits" / f"{name}.txt").read_text(encoding="utf-8").split())

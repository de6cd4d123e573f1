"""How the loops of the fusion metrics are compiled; importing this module imports numba."""

from collections.abc import Callable
from typing import TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compile a function at its first call, kept on disk where there is a folder to keep it in."""
    try:
        return njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to write: neither beside this file nor in the user's cache
        return njit(nogil=True)(function)  # type: ignore[no-any-return]

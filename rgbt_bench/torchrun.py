"""Processes that torchrun started together: how many they are, and which of them speaks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from rgbt_bench.errors import UsageError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

_HEARD_WITHIN = timedelta(seconds=10)


def started_together() -> int:
    """Return how many processes the launcher says it started, this one among them; 1 without a launcher.

    Raises:
        UsageError: WORLD_SIZE, by which it says so, is no count.
    """
    said = os.environ.get("WORLD_SIZE") or "1"
    if not (said.isdecimal() and int(said) > 0):
        raise UsageError(f"WORLD_SIZE={said}: not a number of processes; torchrun sets it, or unset it")
    return int(said)


def is_main() -> bool:
    """Tell whether this is the process that prints: the only one, or the first of those started together."""
    return started_together() == 1 or os.environ.get("RANK", "0") == "0"


@contextmanager
def one_voice() -> Iterator[bool]:
    """Give True to the first of the processes that come here, and let the others leave only after it has spoken.

    The first one has the cause: the others fail because it is gone. torchrun ends them all as soon as one has left.
    """
    store = _launchers_store()
    if store is None:
        yield True
        return
    first = store.add("first", 1) == 1
    try:
        yield first
    finally:
        if first:
            store.set("said", "yes")
        else:
            with suppress(RuntimeError):  # the launcher is gone, and with it the first
                store.wait(["said"], _HEARD_WITHIN)


def _launchers_store() -> "Store | None":
    """Return torchrun's own store, which outlives its processes; None where it started none or only one."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or started_together() == 1:
        return None
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = TCPStore(address, port, is_master=False, timeout=_HEARD_WITHIN, wait_for_workers=False)
    except RuntimeError:
        return None
    return PrefixStore(f"rgbt-bench/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)

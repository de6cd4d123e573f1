"""Finding a protocol by its name or by its task."""

from functools import cache
from importlib import import_module
from typing import Any

from rgbt_bench.errors import unknown_name
from rgbt_bench.protocols.base import ScoringProtocol

# lazily, because some load torch's or numba's neighbours
_MODULES = {
    "coco": "rgbt_bench.protocols.coco",
    "coco-on-fused": "rgbt_bench.protocols.coco_on_fused",
    "miou": "rgbt_bench.protocols.miou",
    "fusion": "rgbt_bench.protocols.fusion",
}


@cache
def find_protocol(name: str) -> ScoringProtocol[Any]:
    """Return the protocol of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in _MODULES:
        raise unknown_name("protocol", name, _MODULES)
    found: ScoringProtocol[Any] = import_module(_MODULES[name]).PROTOCOL
    return found


def protocol_of_task(task: str) -> ScoringProtocol[Any]:
    """Return the protocol that scores a track's task, such as `detection-rgbt`.

    Raises:
        UsageError: no protocol scores it; the message offers the tasks.
    """
    known = {
        name: one
        for one in map(find_protocol, _MODULES)
        for name in ([f"{one.task}-{modality}" for modality in one.modalities] or [one.task])
    }
    if task not in known:
        raise unknown_name("task", task, known)
    return known[task]

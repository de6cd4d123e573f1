"""Finding a protocol by its name or by its task."""

from functools import cache
from importlib import import_module
from typing import Any

from rgbt_bench.errors import UsageError, unknown_name
from rgbt_bench.protocols.base import ScoringProtocol

# lazily, because some load torch's or numba's neighbours
_PLACES = {
    "coco": "rgbt_bench.protocols.coco:PROTOCOL",
    "coco-on-fused": "rgbt_bench.protocols.coco_on_fused:PROTOCOL",
    "visdrone-official": "rgbt_bench.protocols.visdrone:OFFICIAL",
    "visdrone-clean": "rgbt_bench.protocols.visdrone:CLEAN",
    "miou": "rgbt_bench.protocols.miou:PROTOCOL",
    "fusion": "rgbt_bench.protocols.fusion:PROTOCOL",
}


@cache
def find_protocol(name: str) -> ScoringProtocol[Any]:
    """Return the protocol of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in _PLACES:
        raise unknown_name("protocol", name, _PLACES)
    module, _, attribute = _PLACES[name].partition(":")
    found: ScoringProtocol[Any] = getattr(import_module(module), attribute)
    return found


def protocol_of_task(task: str) -> ScoringProtocol[Any]:
    """Return the protocol that scores a track's task, such as `detection-rgbt`.

    Raises:
        UsageError: no protocol scores it; the message offers the tasks.
    """
    known = {
        name: one
        for one in map(find_protocol, _PLACES)
        for name in ([f"{one.task}-{modality}" for modality in one.modalities] or [one.task])
    }
    if task in known:
        return known[task]
    bare = task.rpartition("/")[2]  # of a track's name
    if bare in known:
        raise UsageError(f"{task} is a track; its task is {bare}")
    if its := [name for name, one in known.items() if bare == one.name]:
        raise UsageError(f"{task} is a protocol; its tasks are {', '.join(its)}: take one of them")
    raise unknown_name("task", task, known)

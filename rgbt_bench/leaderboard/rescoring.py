"""Figures computed again from predictions, as a result says that they were, and the resamples that a row carries."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BadInputError
from rgbt_bench.leaderboard.packing import unpack
from rgbt_bench.leaderboard.rows import Packed
from rgbt_bench.protocols import find_protocol
from rgbt_bench.protocols.measuring import main_resamples
from rgbt_bench.results import AnyMetrics, Result


@dataclass(frozen=True, eq=False)
class Rescored:
    """Figures, and the main one of them in every resample, float64[resamples]."""

    metrics: AnyMetrics
    drawn: NDArray[np.float64]


def rescore(result: Result, part: Part, path: Path) -> Rescored:
    """Return what predictions come to on a part, by the protocol and the evaluator of a result.

    Raises:
        BadInputError: the predictions have faults.
    """
    protocol = find_protocol(result.protocol["name"])
    evidence = protocol.evidence(part, protocol.read(path, part), result.evaluator)
    return Rescored(protocol.metrics(part, evidence, result.evaluator), main_resamples(part, evidence))


def rescore_packed(result: Result, part: Part, packed: Packed, data: bytes) -> Rescored:
    """Return what packed predictions come to, once they have shown to be those of the result.

    Raises:
        BadInputError: they cannot be unpacked, are others, or have faults.
    """
    name = packed.file or str(packed.hub)
    with tempfile.TemporaryDirectory() as folder:
        path = unpack(data, name, name, Path(folder))
        protocol: Any = find_protocol(result.protocol["name"])
        if protocol.digest(path) != result.predictions_sha256:
            raise BadInputError(f"{name}: not the predictions that the result was scored from (predictions_sha256)")
        return rescore(result, part, path)

"""The published weights of TarDAL's generator in ours: where each of their modules is here."""

from pathlib import Path

from rgbt_bench.errors import BadInputError
from rgbt_bench.training.pretrained import fill, read_weights

from .model import Generator

# ours by theirs, and whether the unit has a batch normalisation
UNITS = {
    "encoder": ("stem", True),
    "dense.0": ("dense.0", True),
    "dense.1": ("dense.1", True),
    "dense.2": ("dense.2", True),
    "fuse.0": ("merge.0", False),
    "fuse.1": ("merge.1", True),
    "fuse.2": ("merge.2", True),
    "fuse.3": ("merge.3", False),
}
CONVOLUTION = ("weight", "bias")
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def key_map() -> dict[str, str]:
    """Return the name here of every published tensor."""
    names: dict[str, str] = {}
    for theirs, (ours, has_norm) in UNITS.items():
        names |= {f"{theirs}.0.{tensor}": f"{ours}.conv.{tensor}" for tensor in CONVOLUTION}
        if has_norm:
            names |= {f"{theirs}.1.{tensor}": f"{ours}.norm.{tensor}" for tensor in NORM}
    return names


def load_published(path: Path, generator: Generator) -> None:
    """Load published weights into a generator of width 32 and depth 3, all of them and no other.

    Raises:
        MissingError: there is no such file.
        BadInputError: other weights, not all of them, or not finite; the message names the tensors.
    """
    names = key_map()
    weights = {names.get(name, name): tensor for name, tensor in read_weights(path).items()}
    if odd := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        raise BadInputError(f"{path}: {odd[0]} has values that are not finite")
    fill(generator, weights, (), f"{path}: not TarDAL's published generator, of model.width 32 and model.depth 3:")

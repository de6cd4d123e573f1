"""IFCNN as a submission that trains nothing: its published weights, in our network."""

from pathlib import Path

from torch import nn

from rgbt_bench.errors import BadInputError
from rgbt_bench.fusion.submission import FusionSubmission
from rgbt_bench.training.pretrained import fill, read_weights

from .model import Ifcnn

MODULES = {
    "conv1": "stem",
    "conv2.conv": "features.conv",
    "conv2.bn": "features.norm",
    "conv3.conv": "refine.conv",
    "conv3.bn": "refine.norm",
    "conv4": "output",
}


def our_name(published: str) -> str:
    """Return the name here of a published tensor; other names stay as they are."""
    module, _, tensor = published.rpartition(".")
    return f"{MODULES[module]}.{tensor}" if module in MODULES else published


class IfcnnMax(FusionSubmission):
    """IFCNN-MAX, which its authors use for infrared and visible images."""

    def build(self) -> nn.Module:
        """Return the network with random weights."""
        return Ifcnn()

    def load_pretrained(self, path: Path, network: nn.Module) -> None:
        """Load the published file, or a file of our own, all of it and nothing else.

        Raises:
            BadInputError: other weights, not all of them, or not finite; the message names the tensors.
        """
        weights = {our_name(name): tensor for name, tensor in read_weights(path).items()}
        if odd := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
            raise BadInputError(f"{path}: {odd[0]} has values that are not finite")
        fill(network, weights, (), f"{path}: not the published IFCNN:")


SUBMISSION = IfcnnMax

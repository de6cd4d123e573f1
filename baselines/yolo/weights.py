"""Starting a detector from a weights file of the same family, such as one that was trained on COCO."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from rgbt_bench.errors import BadInputError, MissingError

_BODY = 22  # layers before the head, whose shapes depend on the classes


def start_from(path: Path, detector: nn.Module) -> int:
    """Load all tensors of a safetensors file that fit into a detector by name and shape, and return how many did.

    The names are the library's, `model.0.conv.weight` and so on. The head's last layers are left as they are where the
    file is of other classes.

    Raises:
        MissingError: there is no such file.
        BadInputError: not safetensors, or a body of another network, or a value that is not finite.
    """
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise MissingError(f"{path}: no such weights file") from None
    except SafetensorError as error:
        raise BadInputError(f"{path}: not a safetensors file ({error})") from None
    own = detector.state_dict()
    fits = {name: one for name, one in tensors.items() if name in own and own[name].shape == one.shape}
    body = [name for name in own if int(name.split(".")[1]) < _BODY and not name.endswith("num_batches_tracked")]
    if missing := [name for name in body if name not in fits]:
        raise BadInputError(
            f"{path}: weights of another network: {len(missing)} of {len(body)} tensors of the body do not fit, the"
            f" first is {missing[0]}"
        )
    if broken := [name for name, one in fits.items() if not one.isfinite().all()]:
        raise BadInputError(f"{path}: {broken[0]} has values that are not finite")
    detector.load_state_dict({**own, **fits})
    return len(fits)

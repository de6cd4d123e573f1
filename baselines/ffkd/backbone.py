"""The backbones: built by timm with random weights, filled from the Hub or from a file."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rgbt_bench.errors import BadInputError, MissingError, UsageError, enumerate_faults

OUT_INDICES = (2, 3, 4)
REDUCTIONS = [8, 16, 32]
_WANTED = "give a .safetensors file, or a .pth file of a state dict that torch.save wrote"


def build_backbone(name: str, drop_path: float) -> nn.Module:
    """Return timm's feature extractor with random weights; its maps have strides 8, 16 and 32."""
    if not timm.is_model(name):
        raise UsageError(f"unknown backbone {name!r}: timm.list_models() of timm {timm.__version__} has the names")
    # only some of timm's models take the argument
    extra = {"drop_path_rate": drop_path} if drop_path else {}
    try:
        backbone = timm.create_model(name, pretrained=False, features_only=True, out_indices=OUT_INDICES, **extra)
        reductions = backbone.feature_info.reduction()
    except (RuntimeError, TypeError, AssertionError, IndexError) as error:
        raise UsageError(f"backbone {name!r} cannot be built: {error}") from error
    if reductions != REDUCTIONS:
        raise UsageError(f"backbone {name!r} has maps of strides {reductions}, not {REDUCTIONS}")
    return backbone  # type: ignore[no-any-return]


def load_backbone(backbone: nn.Module, name: str, source: str) -> None:
    """Load pretrained weights into a backbone built by `build_backbone`; keys of timm's classifier are ignored.

    Args:
        backbone: the feature extractor to fill.
        name: its timm name, with the pretrained tag where `source` is "timm".
        source: "none" (does nothing), "timm", or a .safetensors or .pth file with the keys of timm's model.
    """
    if source == "none":
        return
    weights = _hub_weights(name) if source == "timm" else _file_weights(Path(source))
    wanted = backbone.state_dict()
    # checkpoints older than the counter do without it
    faults = [f"missing {key}" for key in wanted if key not in weights and not key.endswith("num_batches_tracked")]
    faults += [
        f"{key} has shape {tuple(weights[key].shape)}, not {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in weights and weights[key].shape != value.shape
    ]
    with torch.device("meta"):
        whole = timm.create_model(name, pretrained=False).state_dict()
    faults += [f"unexpected {key}" for key in weights if key not in wanted and key not in whole]
    if faults:
        raise BadInputError(enumerate_faults(f"{source}: not the weights of timm's {name}:", faults))
    backbone.load_state_dict({key: weights.get(key, value) for key, value in wanted.items()})


def _hub_weights(name: str) -> Mapping[str, Tensor]:
    if "." not in name:
        raise UsageError(f"backbone {name!r} names no pretrained tag, and timm's default tag changes: pin one")
    try:
        with _quiet_hub():
            model = timm.create_model(name, pretrained=True, features_only=True, out_indices=OUT_INDICES)
    except OSError as error:
        raise MissingError(
            f"pretrained weights {name!r} could not be fetched because the Hugging Face Hub could not be reached: "
            "name a local file with --set pretrained=FILE, or start from random weights with --set pretrained=none and "
            "--set model.freeze_backbones=false"
        ) from error
    weights: Mapping[str, Tensor] = model.state_dict()
    return weights


def _file_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise MissingError(f"{path}: no such file (pretrained is none, timm, or a weights file)")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken or unsafe file fails in torch's unpickler in any way
        # torch's own words advise to open it unsafely
        raise BadInputError(
            f"{path}: cannot be read as plain weights, and nothing else is opened; {_WANTED}"
        ) from error
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise BadInputError(f"{path}: not a state dict (names to tensors); {_WANTED}")
    return weights


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    """Silence the Hub client's warning for each of its retries: one sentence of ours follows them."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "huggingface_hub.utils._http", "timm")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

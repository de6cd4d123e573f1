"""Checkpoints: weights in safetensors, optimiser and schedule beside them, each written whole."""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from rgbt_bench.errors import BadInputError, MissingError
from rgbt_bench.files import read_json, write_json, write_with

MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.pt"
STATE_FILE = "state.json"


@dataclass
class LoopState:
    """Where a training stands: finished epochs and steps, and what early stopping knows."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_loss: float | None = None
    finished: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's whole state dict as safetensors."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_with(path, lambda aside: save_file(tensors, aside))


def load_weights(path: Path, model: nn.Module) -> None:
    """Load a safetensors file into a model; every name and shape must match.

    Raises:
        MissingError: there is no such file.
        BadInputError: not safetensors, or weights of another network.
    """
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise MissingError(f"{path}: no such weights file") from None
    except SafetensorError as error:
        raise BadInputError(f"{path}: not a safetensors file ({error}); delete it to train again") from None
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise BadInputError(f"{path}: weights of another network: {first}") from None


def save_checkpoint(folder: Path, model: nn.Module, optimizers: dict[str, Any], state: LoopState) -> None:
    """Write a checkpoint folder aside and swap it in, so that a killed process leaves the old or the new one."""
    aside = folder.with_name(folder.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_weights(aside / MODEL_FILE, model)
    write_with(aside / OPTIMIZER_FILE, lambda path: torch.save(optimizers, path))
    write_json(aside / STATE_FILE, asdict(state))
    replaced = folder.with_name(folder.name + ".replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.rename(replaced)
    aside.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)


def load_checkpoint(folder: Path, model: nn.Module) -> tuple[LoopState, dict[str, Any]] | None:
    """Load a checkpoint into a model and return its state and optimiser states, or None where there is none."""
    if not folder.exists() and folder.with_name(folder.name + ".replaced").exists():
        folder.with_name(folder.name + ".replaced").rename(folder)
    if not folder.exists():
        return None
    try:
        load_weights(folder / MODEL_FILE, model)
        optimizers = torch.load(folder / OPTIMIZER_FILE, map_location="cpu", weights_only=True)
        state = read_json(folder / STATE_FILE)
        if state.keys() != LoopState.__dataclass_fields__.keys():
            raise ValueError(f"{STATE_FILE} has other fields")
        return LoopState(**state), optimizers
    except Exception as error:  # torch's unpickler fails in any way on a damaged file
        raise unusable(folder, error) from None


def unusable(folder: Path, error: Exception) -> BadInputError:
    """Return the error for a checkpoint that cannot be resumed from."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return BadInputError(f"{folder}: this checkpoint cannot be resumed ({reason}); delete the folder to train again")

"""Checkpoints: weights in safetensors, optimiser and schedule beside them; `state.json` says which files belong."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from rgbt_bench.errors import BadInputError, BenchError, MissingError
from rgbt_bench.files import read_json, remove_leftovers, write_json, write_with
from rgbt_bench.runs import CHECKPOINT_FILE


@dataclass
class LoopState:
    """Where a training stands: finished epochs and steps, what early stopping knows, and how many processes train."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_loss: float | None = None
    finished: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    processes: int = 1


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's whole state dict as safetensors."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_with(path, lambda aside: save_file(tensors, aside))


def load_weights(path: Path, model: nn.Module) -> None:
    """Load a safetensors file into a model; every name, shape and kind of number must match, and be finite.

    Raises:
        MissingError: there is no such file.
        BadInputError: not safetensors, weights of another network, or NaN or infinity among them.
    """
    try:
        tensors = load_file(path)
        model.load_state_dict(tensors)
    except FileNotFoundError:
        raise MissingError(f"{path}: no such weights file") from None
    except SafetensorError as error:
        raise BadInputError(f"{path}: not a safetensors file ({error}); delete it to train again") from None
    except RuntimeError as error:
        first = " ".join(str(error).split())[:300]
        raise BadInputError(f"{path}: weights of another network: {first}") from None
    for name, mine in model.state_dict().items():
        if tensors[name].is_floating_point() != mine.is_floating_point():
            raise BadInputError(
                f"{path}: weights of another network: {name} is {tensors[name].dtype}, not {mine.dtype}"
            )
        if not mine.isfinite().all():
            raise BadInputError(f"{path}: {name} has values that are not finite, so nothing can be found with it")


def model_file(folder: Path, epoch: int) -> Path:
    """Return a checkpoint's file of the weights after an epoch; those of the last and of the best epoch are there."""
    return folder / f"model-{epoch}.safetensors"


def save_checkpoint(folder: Path, model: nn.Module, optimizers: dict[str, Any], state: LoopState) -> None:
    """Write an epoch's files, then `state.json`, which makes them the checkpoint, then remove what it no longer needs.

    A process killed anywhere leaves a whole checkpoint, and a full disk leaves the one before.
    """
    try:
        save_weights(model_file(folder, state.epoch), model)
        write_with(_optimizer_file(folder, state.epoch), lambda path: _save_optimizers(path, optimizers))
        write_json(folder / CHECKPOINT_FILE, asdict(state))
    finally:
        tidy_checkpoint(folder)


def tidy_checkpoint(folder: Path) -> None:
    """Remove what a killed or failed process left beside a checkpoint; nobody else may be writing there."""
    try:
        state = read_json(folder / CHECKPOINT_FILE)
        epochs = {state["epoch"], state["best_epoch"]}
        kept = {*(model_file(folder, epoch) for epoch in epochs), _optimizer_file(folder, state["epoch"])}
    except MissingError:
        kept = set()
    except (BenchError, KeyError, TypeError):
        return  # a damaged one is kept as it is, and refused when it is loaded
    for pattern in ("model-*.safetensors", "optimizer-*.pt"):
        for path in folder.glob(pattern):
            if path not in kept:
                path.unlink(missing_ok=True)
    remove_leftovers(folder)


def load_checkpoint(folder: Path, model: nn.Module) -> tuple[LoopState, dict[str, Any]] | None:
    """Load a checkpoint into a model and return its state and optimiser states, or None where there is none."""
    if not (folder / CHECKPOINT_FILE).exists():
        return None
    try:
        content = {"processes": 1, **read_json(folder / CHECKPOINT_FILE)}
        if content.keys() != LoopState.__dataclass_fields__.keys():
            raise ValueError(f"{CHECKPOINT_FILE} has other fields")
        state = LoopState(**content)
        load_weights(model_file(folder, state.epoch), model)
        optimizers = torch.load(_optimizer_file(folder, state.epoch), map_location="cpu", weights_only=True)
        return state, optimizers
    except Exception as error:  # torch's unpickler fails in any way on a damaged file
        raise unusable(folder, error) from None


def unusable(folder: Path, error: Exception) -> BadInputError:
    """Return the error for a checkpoint that cannot be resumed from."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return BadInputError(f"{folder}: this checkpoint cannot be resumed ({reason}); delete the folder to train again")


def _optimizer_file(folder: Path, epoch: int) -> Path:
    return folder / f"optimizer-{epoch}.pt"


def _save_optimizers(path: Path, optimizers: dict[str, Any]) -> None:
    # through a stream of Python's, whose error says that the disk is full; torch's own does not
    with path.open("wb") as stream:
        torch.save(optimizers, stream)

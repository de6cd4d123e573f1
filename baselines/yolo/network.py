"""A detector with the fusion it was trained on, as one module and one weights file."""

import json
from pathlib import Path
from typing import cast

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.files import canonical_json
from rgbt_bench.fusion.submission import FusionSubmission
from rgbt_bench.recipes import Recipe
from rgbt_bench.registry import load_submission
from rgbt_bench.schema import DatasetInfo

RECIPE_TENSOR = "fusion_recipe"


class OnFused(nn.Module):
    """A detector that is trained, and the network that made its images, which is not.

    Called with images [B, 3, H, W] it is the detector. The recipe of the fusion is a tensor beside the weights, because
    a fusion without parameters, or with other settings than the registered ones, could not be told from them.
    """

    fusion_recipe: Tensor

    def __init__(self, detector: nn.Module, fusion: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.detector = detector
        self.fusion = fusion.eval().requires_grad_(False)
        self.register_buffer(RECIPE_TENSOR, _as_tensor(recipe))
        # a file's own bytes are kept, of whatever length: recipes of a later version may have more fields
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]

    def forward(self, images: Tensor) -> object:
        """Return the detector's outputs."""
        return self.detector(images)

    def train(self, mode: bool = True) -> "OnFused":
        """Change the detector's mode; the fusion stays in evaluation mode."""
        super().train(mode)
        self.fusion.eval()
        return self


def fusion_submission(recipe: Recipe, info: DatasetInfo) -> FusionSubmission:
    """Return the submission of the recipe that fuses.

    Raises:
        BadInputError: it is a recipe of something else.
    """
    built = load_submission(recipe.submission)
    if not issubclass(built, FusionSubmission):
        raise BadInputError(
            f"recipe {recipe.name}: does not fuse, and detection on fused images needs that; name a fusion recipe with"
            " --set requires.fusion=NAME (`rgbt-bench list recipes` has them)"
        )
    return built(recipe, info)


def recipe_in(weights: Path) -> Recipe:
    """Return the recipe of the fusion that a weights file holds.

    Raises:
        MissingError: no such file.
        BadInputError: the weights of something else.
    """
    try:
        with safe_open(weights, framework="pt") as opened:
            content = json.loads(bytes(opened.get_tensor(RECIPE_TENSOR).tolist()))
        return Recipe.model_validate(content)
    except FileNotFoundError:
        raise MissingError(f"{weights}: no such weights file") from None
    except (SafetensorError, ValidationError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInputError(f"{weights}: not the weights of a detector on fused images ({reason})") from None
    except UsageError as error:
        raise BadInputError(f"{weights}: {error}") from None


def _make_room(module: nn.Module, tensors: dict[str, Tensor], prefix: str, *others: object) -> None:
    found = tensors.get(prefix + RECIPE_TENSOR)
    if found is not None:
        cast(OnFused, module).fusion_recipe = torch.empty_like(found, device=cast(OnFused, module).fusion_recipe.device)


def _as_tensor(recipe: Recipe) -> Tensor:
    """Return a recipe as JSON in uint8."""
    return torch.frombuffer(bytearray(canonical_json(recipe.model_dump(mode="json")).encode()), dtype=torch.uint8)

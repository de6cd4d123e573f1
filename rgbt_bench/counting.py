"""Parameters and multiply-accumulates of networks side by side."""

from collections.abc import Sequence
from typing import Any

from rgbt_bench.opening import dataset_info
from rgbt_bench.recipes import Recipe, load_recipe
from rgbt_bench.registry import load_submission
from rgbt_bench.submissions import LatencySubject


def count_networks(names: Sequence[str], preset: str = "paper", size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return parameters and MACs of recipes' networks as JSON-ready rows, each with its ratios to the first.

    A ratio to nothing, as of a network without parameters, is None.

    MACs are of one forward pass of one pair, at the recipe's image size or at `size` (height, width), which needs a
    recipe that has `model.image_size` as two sides. They count convolutions and matrix products, as torch's
    FlopCounterMode does, and halve its floating-point operations.

    Raises:
        UsageError: an unknown recipe or preset, or a size that the recipe cannot have.
    """
    settings = () if size is None else (f"model.image_size=[{size[0]}, {size[1]}]",)
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(names):
        recipe = load_recipe(name, preset, settings)
        subject = count_network(recipe)
        first = rows[0] if rows else {"parameters": subject.parameters, "macs": subject.macs}
        rows.append(
            {
                "recipe": recipe.name,
                "modalities": list(recipe.modalities),
                "image_size": list(subject.image_size),
                "parameters": subject.parameters,
                "macs": subject.macs,
                "parameters_ratio": _ratio(subject.parameters, first["parameters"]),
                "macs_ratio": _ratio(subject.macs, first["macs"]),
            }
        )
    return {"preset": preset, "networks": rows}


def count_network(recipe: Recipe) -> LatencySubject:
    """Return what the latency protocol would time, with its parameters and MACs, without weights where that can be."""
    import torch

    info = dataset_info(recipe.dataset)
    return load_submission(recipe.submission)(recipe, info).latency_subject(1, torch.device("meta"))


def _ratio(one: int, first: int) -> float | None:
    return one / first if first else None

"""The commands about what is registered."""

from typing import Annotated

import typer

from rgbt_bench.printing import catalogue as shown
from rgbt_bench.printing import console

from .options import Json, Preset, emit


def list_(
    what: Annotated[str, typer.Argument(help="datasets, submissions, metrics or tables.")],
    as_json: Json = False,
) -> None:
    """List what is registered."""
    from rgbt_bench import listing

    content = listing.listing(what)
    emit(as_json, {what: content}, lambda: console.rows(content))


def show(
    name: Annotated[str, typer.Argument(help="A recipe's name, or a recipe file.")],
    preset: Preset = "paper",
    settings: Annotated[list[str] | None, typer.Option("--set", help="PATH=VALUE over the recipe. Repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Show a recipe with the origin of each of its figures."""
    from rgbt_bench.origins import origins_in_use
    from rgbt_bench.recipes import load_recipe, recipe_path

    path = recipe_path(name)
    given = tuple(settings or ())
    recipe = load_recipe(name, preset, given)
    origins = origins_in_use(path, preset, given)
    content = {"recipe": recipe.model_dump(mode="json"), "digest": recipe.digest, "origins": origins}
    emit(as_json, content, lambda: shown.recipe(path, recipe.digest, preset, settings))

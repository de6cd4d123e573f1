"""The options that several commands share, and the one way a command prints."""

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; everything else goes to stderr.")]
Preset = Annotated[str, typer.Option(help="paper (the recipe as it is) or quick (small, never ranks).")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="PATH=VALUE over the recipe, or RECIPE:PATH=VALUE over one it requires. Repeatable."),
]
DatasetName = Annotated[str, typer.Option("--dataset", help="A converted set: NAME, NAME@SPLIT, or its folder.")]
PartName = Annotated[str, typer.Option("--part", help="The part of the split to use.")]


def emit(as_json: bool, content: Any, show: Callable[[], None]) -> None:
    """Print a command's outcome: one JSON object, or what `show` prints for people."""
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=False, allow_nan=False))
    else:
        show()

"""Box plots of a reproduced table: one a row and metric, of what was measured here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rgbt_bench.errors import MissingError, UsageError
from rgbt_bench.fusion.boxplots import draw_box_plots
from rgbt_bench.results import FusionMetrics, read_result


def draw_table(path: Path, content: Mapping[str, Any]) -> None:
    """Write the box plots of a table that `reproduce` returned, of the first seed of each row and dataset.

    Raises:
        UsageError: `path` is no PNG file.
        MissingError: no row of it has fusion metrics that were measured here.
    """
    if path.suffix.lower() != ".png" or path.is_dir():
        raise UsageError(f"--plot {path}: name a .png file")
    found: dict[str, FusionMetrics] = {}
    for row in content["rows"]:
        for source in row["from"]:
            result = read_result(Path(source["file"])) if "seed" in source else None
            if result is not None and isinstance(result.metrics, FusionMetrics):
                found.setdefault(f"{row['name']}, {result.data.dataset}", result.metrics)
    if not found:
        raise MissingError(f"{content['table']}: no row has fusion metrics measured here, so there is nothing to plot")
    draw_box_plots(path, found, ("MI", "EN", "SD"))

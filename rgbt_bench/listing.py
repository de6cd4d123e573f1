"""What is registered, as rows for `rgbt-bench list`; nothing of a submission is imported for it."""

from dataclasses import asdict
from typing import Any

from rgbt_bench.datasets.splits import parse_dataset_name
from rgbt_bench.errors import BadInputError, unknown_name

_DATASET = ("name", "title", "classes", "tasks", "converted")
_DAMAGED = "cannot be read; `rgbt-bench doctor` says why"
KINDS = ("datasets", "submissions", "metrics", "tables")


def listing(what: str) -> list[dict[str, Any]]:
    """Return the registered things of one kind as rows.

    Raises:
        UsageError: there is no such kind.
    """
    rows = {"datasets": _datasets, "submissions": _submissions, "metrics": _metrics, "tables": _tables}
    if what not in rows:
        raise unknown_name("kind", what, KINDS)
    return rows[what]()


def _datasets() -> list[dict[str, Any]]:
    from rgbt_bench import paths
    from rgbt_bench.opening import dataset_info
    from rgbt_bench.registry import converters

    rows = []
    own = {folder.name for folder in paths.converted_sets()} - converters().keys()
    for name in (*sorted(converters()), *sorted(own)):
        folder = paths.datasets_home() / name
        try:
            info = dataset_info(name)
        except BadInputError:  # one damaged set does not hide the others
            rows.append(dict.fromkeys(_DATASET, "") | {"name": name, "title": _DAMAGED, "converted": str(folder)})
            continue
        rows.append(
            {
                "name": name,
                "title": info.title,
                "classes": ", ".join(info.classes),
                "tasks": ", ".join(info.tasks),
                "converted": str(folder) if (folder / paths.RECORD_FILE).is_file() else "",
            }
        )
    return rows


def _submissions() -> list[dict[str, Any]]:
    from rgbt_bench.recipes import load_recipe
    from rgbt_bench.registry import recipe_files

    rows = []
    for name in sorted(recipe_files()):
        recipe = load_recipe(name)
        row = f"{recipe.paper.key}/{recipe.paper.table} {recipe.paper.row}" if recipe.paper else ""
        rows.append(
            {
                "name": name,
                "submission": recipe.submission,
                "track": f"{parse_dataset_name(recipe.dataset)[0]}/{recipe.task}",
                "table row": row,
                "requires": ", ".join(sorted(recipe.requires.values())),
            }
        )
    return rows


def _metrics() -> list[dict[str, Any]]:
    from rgbt_bench.metrics.catalogue import METRICS

    return [asdict(metric) for metric in METRICS]


def _tables() -> list[dict[str, Any]]:
    from rgbt_bench.leaderboard.papers import papers

    return [
        {
            "name": f"{paper.key}/{key}",
            "title": table.title,
            "rows": len(table.rows),
            "with a recipe": sum(row.recipe is not None for row in table.rows.values()),
        }
        for paper in papers().values()
        for key, table in paper.tables.items()
    ]

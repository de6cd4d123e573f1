"""What is printed of runs."""

from typing import Any

from .console import error, figure, figure_table, line, rows

_MAIN = 4  # a task's first figures are its main ones


def plan(content: list[dict[str, Any]], hint: str = "") -> None:
    """Print what is to be done; seeds, datasets and the like only where there are several."""
    rows(_telling_apart(content, ("recipe", "state", "folder", "weights_from")))
    if hint:
        line(hint)


def seeds(content: dict[str, Any]) -> None:
    """Print the main figures of every seed, their mean and sample standard deviation, and where the results lie."""
    summary = content["summary"]
    names = list(summary)[:_MAIN]
    lines: list[list[str]] = [
        [f"seed {one['seed']}", *(figure(one["result"]["metrics"]["figures"].get(name)) for name in names)]
        for one in content["results"]
    ]
    lines += [[kind, *(figure(summary[name][kind]) for name in names)] for kind in ("mean", "sd")]
    figure_table(["", *names], lines)
    undefined = {name: summary[name]["undefined"] for name in names if summary[name]["undefined"]}
    for name, count in undefined.items():
        line(f"{name} is undefined for {count} of {len(content['results'])} seeds, so it has no mean")
    for note in content["notes"]:
        line(note)
    for one in content["results"]:
        line(f"seed {one['seed']}: written to {one['folder']}")


def sweep(ended: list[dict[str, Any]]) -> None:
    """Print how every run of a sweep ended, with its first figure."""
    shown = _telling_apart(ended, ("recipe", "seed", "state", "seconds"))
    for row, one in zip(shown, ended, strict=True):
        main = one["figure"]
        row["figure"] = f"{main['name']} {figure(main['value'])}".rstrip() if main else None
        row["folder"] = one["folder"]
    rows(shown)


def failures(ended: list[dict[str, Any]]) -> None:
    """Print to stderr what failed, with the last lines it printed and its log, and what was not started for it."""
    for row in ended:
        name = f"{row['recipe']} seed {row['seed']}"
        if row["state"] == "failed":
            error(f"{name}: exit code {row['exit_code']}; log {row['log']}\n{row['reason']}", row["exit_code"], False)
        elif row["state"] == "not started":
            error(f"{name}: not started, because {row['reason']}", 0, False)


def _telling_apart(content: list[dict[str, Any]], always: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return rows with the named columns, and of the others those that are not the same in all rows."""
    others = ("seed", "dataset", "preset")
    kept = [
        key
        for key in (content[0] if content else ())
        if key in always or (key in others and len({row[key] for row in content}) > 1)
    ]
    return [{key: row[key] for key in kept} for row in content]

"""What is printed of the leaderboard."""

from pathlib import Path
from typing import Any

from .console import figure, line
from .console import rows as table

_BADGES = (
    "measured: by our harness, as its maker says; rescored: the arithmetic was done again from the predictions, which"
    " says nothing of where they are from; re-run: made again by a maintainer"
)


def board(content: dict[str, Any]) -> None:
    """Print the tracks with how many rows each has, or the rows of one track."""
    tracks = content["tracks"]
    if len(tracks) > 1:
        table(
            [
                {
                    "track": one["track"],
                    "protocol": one["protocol"],
                    "samples": one["data"]["samples"],
                    "digest": _digest(one["data"]["label_digest"]),
                    "ranks": one["ranks"],
                    "rows": len(one["rows"]),
                    "reported": len(one["reported"]) or "",
                }
                for one in tracks
            ]
        )
        line(f"leaderboard {content['version']}; `leaderboard show TRACK` shows the rows of one")
        return
    (one,) = tracks
    if one["rows"]:
        table([_row(record) for record in one["rows"]])
        for reason in dict.fromkeys(record["why_unranked"] for record in one["rows"] if record["why_unranked"]):
            line(f"no rank: {reason}", style="yellow")
        line(_BADGES)
    else:
        line(f"{one['track']}: no row yet in leaderboard {content['version']}; `rgbt-bench submit` makes one")
    if one["reported"]:
        line("papers' figures, as reported, on whatever labels and protocol the paper took; they never rank:")
        table([_reported(record) for record in one["reported"]])
        for note in dict.fromkeys(note for record in one["reported"] for note in record["notes"]):
            line(f"- {note}")


def _row(record: dict[str, Any]) -> dict[str, Any]:
    main = record["figure"]
    others = {name: figure(value) for name, value in record["figures"].items() if name != main}
    return {
        "rank": record["rank"] or "",
        "name": record["name"],
        "badge": record["badge"],
        main: _main(record),
        **dict(list(others.items())[:2]),
        "seeds": len(record["seeds"]),
        "params (M)": "" if record["parameters"] is None else f"{record['parameters'] / 1e6:.2f}",
        "GMACs": "" if record["macs"] is None else f"{record['macs'] / 1e9:.2f}",
        "row": record["id"],
    }


def _main(record: dict[str, Any]) -> str:
    value = figure(record["value"])
    return value if record["low"] is None else f"{value} [{figure(record['low'])}, {figure(record['high'])}]"


def _reported(record: dict[str, Any]) -> dict[str, Any]:
    return {"reported": record["id"], **{name: figure(value) for name, value in list(record["figures"].items())[:4]}}


def _digest(digest: str) -> str:
    return digest[:12]


def compared(content: dict[str, Any]) -> None:
    """Print how two rows differ, and whether the test says that they do."""
    table(
        [{"row": content[side], content["figure"]: figure(content[f"{side}_figure"])} for side in ("first", "second")],
        content["figure"],
    )
    low, high = content["interval"] or (None, None)
    around = "" if low is None else f" [{figure(low)}, {figure(high)}], p {content['p']:.4f}"
    line(f"difference {figure(content['difference'])}{around}, {content['seeds']} paired seed(s)")
    line(f"{content['second']} against {content['first']}: {content['verdict']}")


def versions(content: dict[str, Any]) -> None:
    """Print what two versions freeze differently and how the rows moved."""
    for what in ("protocols", "data", "tracks"):
        for name, one in content[what].items():
            state = "new" if one["before"] is None else "gone" if one["after"] is None else "changed"
            line(f"{what}: {name} {state}")
    if content["rows"]:
        table(
            [
                {
                    "row": one["row"],
                    content["older"]: figure(one["before"]["value"]),
                    content["newer"]: figure(one["after"]["value"]),
                    "moved": figure(one["difference"]),
                    "ranks": f"{one['before']['rank'] or '-'} to {one['after']['rank'] or '-'}",
                    "track": one["track"],
                }
                for one in content["rows"]
            ]
        )
    for name in content.get("left", ()):
        line(f"{name} stays in {content['older']}: its labels or predictions are not here", style="yellow")
    if "folder" in content:
        line(f"written to {content['folder']}")
    elif not any(content[what] for what in ("protocols", "data", "tracks", "rows")):
        line("they freeze the same, and have no rows")


def exported(content: dict[str, Any]) -> None:
    """Print where rows were written."""
    line(f"{content['rows']} row(s) written to {content['file']}")


def verified(content: dict[str, Any]) -> None:
    """Print what the verification of rows found."""
    for one in content["rows"]:
        line(f"{one['row']}: {one['state']}", style="red" if one["state"] == "failed" else "")
        for fault in (*one["faults"], *one["missing"]):
            line(f"  - {fault}")
    if content["rerun"]:
        line(f"made again: {content['rerun']}")
    line(f"{content['proven']} proven, {content['failed']} failed, {content['not_here']} not here")
    line(content["note"])


def submitted(content: dict[str, Any]) -> None:
    """Print a new row, and how to bring it to the leaderboard."""
    record = content["row"]
    table([_row(record)])
    line(f"track {record['track']}, {record['standing']}: {content['standing_reason']}")
    for note in content["notes"]:
        line(note, style="yellow")
    if not content["written"]:
        line(f"nothing was written (--dry-run): it would be {content['bytes']:,} bytes")
        return
    for path in content["written"]:
        line(f"written to {path}")
    line("to bring it to the leaderboard:")
    for step in content["steps"]:
        line(f"  {step}")


def first_holder(content: dict[str, Any], go: bool = False) -> None:
    """Print a set's digests beside the frozen ones, and what the runs will cost."""
    digests, cost = content["digests"], content["estimate"]
    table(
        [
            {
                "digest": name,
                "here": _digest(one["own"] or "none"),
                "frozen": _digest(one["frozen"] or "none"),
                "state": one["state"],
            }
            for name, one in digests["digests"].items()
        ]
    )
    samples = f"{digests['samples']} of {digests['official_samples']}"
    verdict = "official" if digests["official"] else "not the official set"
    line(f"{digests['dataset']}: {samples} test samples, {verdict}")
    per_recipe: dict[str, list[dict[str, Any]]] = {}
    for row in cost["rows"]:
        per_recipe.setdefault(row["recipe"], []).append(row)
    if per_recipe:
        table(
            [
                {
                    "recipe": recipe,
                    "runs": len(found),
                    "forward ms": f"{found[0]['forward_ms']:.1f}",
                    "hours": f"{sum(one['hours'] for one in found):.2f}",
                }
                for recipe, found in per_recipe.items()
            ]
        )
    line(
        f"{cost['runs_left']} run(s) left, {cost['runs_done']} done: about {cost['hours']:.1f} hours of passes on"
        f" {cost['device']}; loading data comes on top, larger batches and stopping early take away"
    )
    if not go:
        line("--go runs it all; interrupted, the same command does the rest")


def packed(content: dict[str, Any]) -> None:
    """Print how the runs ended, and where the pull request lies."""
    for one in content["runs"]:
        if one["state"] not in ("done", "was done"):
            line(f"{one['recipe']} seed {one['seed']}: {one['state']}: {one['reason']}", style="red")
    if content["packed"] is None:
        line("nothing was packed, for not every run is done; the same command does the rest")
        return
    rows = content["packed"]["rows"]
    table([{"row": one["row"], "seeds": len(one["seeds"]), "standing": one["standing"]} for one in rows])
    refused = [fault for one in rows for fault in one["refused"]]
    if refused:
        line(f"CI would refuse these rows ({len(refused)} faults), for one: {refused[0]}", style="yellow")
    line(f"packed in {content['packed']['folder']}: its README.md says how to open the pull request")


def checked(content: dict[str, Any]) -> None:
    """Print what a check found: its rows, then its faults by file, and each rule's reason once."""
    if not content["entry"]:
        line("not an entry: neither rows nor predictions are touched; people review it")
        return
    for row in content["rows"]:
        line(f"{row['id']}: {row['found']}")
    faults = content["faults"]
    for file in dict.fromkeys(fault["file"] for fault in faults):
        line(file or "the whole", style="bold")
        for fault in faults:
            if fault["file"] == file:
                line(f"  {fault['rule']}: {fault['what']}")
    for rule, why, do in dict.fromkeys((fault["rule"], fault["why"], fault["do"]) for fault in faults):
        line(f"{rule}: {why}; {do}", style="yellow")
    if faults:
        line(f"refused: {len(faults)} fault(s)")
    else:
        line(f"nothing is refused in version {content['board']}, {len(content['rows'])} row(s)")


def built(content: dict[str, Any]) -> None:
    """Print where the site lies and how it is opened."""
    names = ", ".join(content["versions"])
    line(f"{content['files']:,} files of {content['rows']:,} row(s), {names}: {content['site']}")
    line(f"open {Path(content['site']) / 'index.html'}")

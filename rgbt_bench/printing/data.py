"""What is printed of datasets."""

from typing import Any

from .console import figure_table, line


def conversion(report: dict[str, Any]) -> None:
    """Print a conversion report."""
    line(f"{report['dataset']}: layout {report['layout']}", style="bold")
    figure_table(["part", "pairs"], [[part, count] for part, count in report["parts"].items()])
    for names, verdict in report["expected"].items():
        line(f"expected {names}: {verdict}")
    for quirk, count in report["quirks"].items():
        line(f"known quirk, {quirk}: {count}")
    for fault in report["faults"]:
        line("left out", style="yellow", end=" ")
        line(fault)
    line(f"fingerprint {report['fingerprint']}")
    line(f"written to {report['out']}")


def inspection(content: dict[str, Any]) -> None:
    """Print what a dataset holds."""
    line(f"{content['name']}: {content['title']}", style="bold")
    parts = content["parts"].values()
    lines: list[list[Any]] = [
        [label, *(part[key] for part in parts)]
        for label, key in (("pairs", "samples"), ("pairs without boxes", "samples_without_boxes"), ("boxes", "boxes"))
    ]
    for group in ("classes", "sizes", "illumination"):
        names = dict.fromkeys(name for part in parts for name in part[group])
        lines += [[f"{group}: {name}", *(part[group].get(name, 0) for part in parts)] for name in names]
    lines += [
        [digest.replace("_", " "), *((part["digests"][digest] or "")[:16] for part in parts)]
        for digest in ("label_digest", "rgb_digest", "thermal_digest")
    ]
    figure_table(["", *content["parts"]], lines)
    for name, part in content["parts"].items():
        line(f"{name}: {part['official']}")
    line(f"fingerprint {content['fingerprint']}")
    line(f"splits: {', '.join(content['splits'])}")
    if content["skipped"]:
        line(f"unofficial: {content['skipped']} sample(s) were left out at conversion", style="yellow")
    if "sheet" in content:
        line(f"contact sheet: {content['sheet']}")

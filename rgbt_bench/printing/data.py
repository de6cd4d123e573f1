"""What is printed of datasets."""

import shlex
from typing import Any

from .console import figure, figure_table, line, rows
from .hub import pushed

_WORST_SHOWN = 10


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
    if "push" in report:
        pushed(report["push"])


def export(report: dict[str, Any]) -> None:
    """Print what an export wrote."""
    line(f"{report['dataset']} as {report['format']}", style="bold")
    figure_table(["part", "pairs"], [[part, count] for part, count in report["parts"].items()])
    if report["exact"]:
        held = f"{report['exact']} pair(s) have labels that {report['format']} cannot hold"
        line(f"{held}: in full in {report['exact_file']}")
    for part in report["without_boxes"]:
        line(f"{part}: no pair has a box: background to a trainer; leave it out with --part if it is unlabelled")
    line(f"fingerprint {report['fingerprint']}")
    line(f"written to {report['out']}")
    line(f"the same set again: rgbt-bench convert custom {shlex.quote(report['out'])} --out FOLDER")


def inspection(content: dict[str, Any]) -> None:
    """Print what a dataset holds."""
    line(f"{content['name']}: {content['title']}", style="bold")
    parts = content["parts"].values()
    lines: list[list[Any]] = [["pairs", *(part["samples"] for part in parts)]]
    groups = ["illumination"]
    if "detection" in content["tasks"] or any(part["boxes"] for part in parts):
        counts = [("pairs without boxes", "samples_without_boxes"), ("boxes", "boxes")]
        ignored = [("boxes to ignore", "ignored_boxes"), ("regions to ignore", "ignore_regions")]
        counts += [(label, key) for label, key in ignored if any(part[key] for part in parts)]
        lines += [[label, *(part[key] for part in parts)] for label, key in counts]
        groups = ["classes", "sizes", *groups]
    for group in groups:
        names = dict.fromkeys(name for part in parts for name in part[group])
        lines += [[f"{group}: {name}", *(part[group].get(name, 0) for part in parts)] for name in names]
    if any(part["masks"] for part in parts):
        lines.append(["masks", *(part["masks"] for part in parts)])
        names = dict.fromkeys(name for part in parts for name in part["mask_pixels"])
        lines += [[f"mask pixels: {name}", *(_share(part["mask_pixels"], name) for part in parts)] for name in names]
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


def splits(content: dict[str, Any]) -> None:
    """Print named splits, or what was asked for of them."""
    if not content.keys() & {"effect", "leaks", "written"}:
        _listed(content)
    if "effect" in content:
        _effect(content["effect"])
    if "leaks" in content:
        _leaks(content["leaks"])
    for file in content.get("written", ()):
        line(f"written to {file}")


def _listed(content: dict[str, Any]) -> None:
    for name, split in content["splits"].items():
        line(name, style="bold", end="  ")
        line(split["origin"])
        parts = [
            [part, found["samples"], found["published_samples"], _ids(found), _hash(found)[:16]]
            for part, found in split["parts"].items()
        ]
        figure_table(["part", "here", "published", "ids", "sha256 of the ids"], parts)
    if content["folder"] is None:
        line("not converted: these are the published id lists")


def _share(pixels: dict[str, int], name: str) -> str:
    """Return the share of a class in all pixels of the masks as text."""
    total = sum(pixels.values())
    return f"{100 * pixels.get(name, 0) / total:.2f} %" if total else ""


def _hash(part: dict[str, Any]) -> str:
    """Return the hash of the published ids, or else of those that are here."""
    return str(part["published_ids_sha256"] or part["ids_sha256"])


def _ids(part: dict[str, Any]) -> str:
    if part["as_published"] is None:
        return ""
    if part["as_published"]:
        return "all"
    return "incomplete" if part["samples"] < part["published_samples"] else "others"


def _effect(effect: dict[str, Any]) -> None:
    line(f"{effect['predictions']} on every split, by a model trained on {effect['trained_on']}:", style="bold")
    rows(
        [
            {
                "split": part["split"],
                "part": part["part"],
                "samples": part["samples"],
                "predicted": part["predicted"],
                "in_training": part["in_training"],
                "AP": figure(part["AP"]),
                "95_%_interval": "{:.4f} to {:.4f}".format(*part["AP_interval"]) if part["AP_interval"] else "",
                "AP50": figure(part["AP50"]),
                "AP_moved": "" if part["difference"] is None else f"{part['difference']:+.4f}",
            }
            for part in effect["parts"]
        ]
    )
    if any(part["in_training"] and part["part"] != "train" for part in effect["parts"]):
        line("samples in training: the model has seen them, so a figure over them says nothing of new images")


def _leaks(report: dict[str, Any]) -> None:
    """Print what looks alike across the parts of a split, and the worst pairs."""
    compared = " and ".join(report["modalities"])
    line(f"{report['dataset']}: samples that look like one of an earlier part, by {compared}", style="bold")
    if not report["comparisons"]:
        line("one part alone: there is nothing to compare")
        return
    rows(
        [
            {
                "part": one["part"],
                "held_against": one["other"],
                "samples": one["samples"],
                "alike": one["leaks"],
                "share": f"{100 * one['leaks'] / one['samples']:.1f} %" if one["samples"] else "",
                "in_both_lists": one["in_both"],
                "median_distance": f"{one['median']:g}",
            }
            for one in report["comparisons"]
        ]
    )
    near = report["comparisons"][0]["near"]
    line(f"alike: at most {near:g} of 64 bits differ; mirrored copies and most frames of a moving camera are not found")
    worst = [(one, pair) for one in report["comparisons"] for pair in one["worst"] if pair["distance"] <= one["near"]]
    for one, pair in sorted(worst, key=lambda found: found[1]["distance"])[:_WORST_SHOWN]:
        line(f"{one['part']} {pair['sample_id']} is like {one['other']} {pair['other_id']}: {pair['distance']:g} bits")
    if report["sheet"]:
        line(f"the worst pairs: {report['sheet']}")

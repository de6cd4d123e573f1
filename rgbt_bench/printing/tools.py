"""What is printed of predictions on loose pairs, previews, exported models, differences and checks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import figure, figure_table, line

if TYPE_CHECKING:
    from rgbt_bench.doctor import Check

_STYLES: Mapping[str, str] = {"ok": "green", "missing": "cyan", "note": "yellow", "problem": "red"}


def predicted(content: dict[str, Any], out: Path | None, draw: Path | None) -> None:
    """Print the detections of each pair, the share of its pixels that each class has, or what it was fused into."""
    if any("fused" in pair for pair in content["pairs"]):
        _predicted_fusion(content, out, draw)
        return
    if "min_score" not in content:
        _predicted_maps(content, out, draw)
        return
    line(f"{content['run']}, detections from score {content['min_score']:g} on", style="bold")
    for pair in content["pairs"]:
        files = " + ".join(name for name in (pair["rgb"], pair["thermal"]) if name)
        line(f"{files} ({pair['width']}x{pair['height']}): {len(pair['detections'])} detection(s)")
        if pair["detections"]:
            rows = [
                [found["class"], f"{found['score']:.2f}", *(f"{value:.1f}" for value in found["bbox"])]
                for found in pair["detections"]
            ]
            figure_table(["class", "score", "x", "y", "width", "height"], rows)
    _written(("written to", out), ("drawn to", draw))


def _predicted_maps(content: dict[str, Any], out: Path | None, draw: Path | None) -> None:
    has_classes = any("pixels" in pair for pair in content["pairs"])
    line(f"{content['run']}{', share of each class' if has_classes else ''}", style="bold")
    for pair in content["pairs"]:
        files = " + ".join(name for name in (pair["rgb"], pair["thermal"]) if name)
        if "pixels" not in pair:  # fused images have no classes
            line(f"{files} ({pair['width']}x{pair['height']}): fused")
            continue
        whole = pair["width"] * pair["height"]
        shares = ", ".join(f"{name} {count / whole:.1%}" for name, count in pair["pixels"].items() if count)
        line(f"{files} ({pair['width']}x{pair['height']}): {shares}")
    _written(("written into", out), ("drawn to", draw))


def _predicted_fusion(content: dict[str, Any], out: Path | None, draw: Path | None) -> None:
    line(f"{content['run']}, fused images", style="bold")
    for pair in content["pairs"]:
        line(f"{pair['rgb']} + {pair['thermal']} ({pair['width']}x{pair['height']}): {pair['fused']}")
    _written(("written into", out), ("drawn to", draw))


def preview(content: dict[str, Any]) -> None:
    """Print what is on a preview."""
    if any("mean_iou" not in row and "hits" not in row for row in content["pairs"]):
        figure_table(["pair", "illumination"], [[row["sample_id"], row["illumination"]] for row in content["pairs"]])
        line(f"drawn to {content['sheet']}")
        return
    if "iou" not in content:
        maps = [
            [row["sample_id"], row["illumination"], figure(row["mean_iou"]), figure(row["wrong"])]
            for row in content["pairs"]
        ]
        figure_table(["pair", "illumination", "mean IoU", "wrong pixels"], maps)
        line("mean IoU is over the classes that occur in the pair or its prediction")
        line(f"drawn to {content['sheet']}")
        return
    rows = [[row["sample_id"], row["hits"], row["misses"], row["false_positives"]] for row in content["pairs"]]
    figure_table(["pair", "hits", "misses", "false positives"], rows)
    line(f"detections from score {content['min_score']:g} on; a hit has IoU {content['iou']:g} or more, same class")
    line(f"drawn to {content['sheet']}")


def exported_model(content: dict[str, Any]) -> None:
    """Print what was written as ONNX, and how near it is to the network."""
    line(f"{content['run']}: {content['file']}", style="bold")
    line(f"{content['bytes'] / 1e6:.1f} MB, opset {content['opset']}, sha256 {content['sha256']}")
    for kind in ("inputs", "outputs"):
        for name, shape in content[kind].items():
            line(f"{kind[:-1]} {name} [{', '.join(map(str, shape))}]")
    line(f"metadata: {', '.join(content['metadata'])}")
    rows = [[name, f"{one['largest']:.2g}", f"{one['tolerance']:g}"] for name, one in content["differences"].items()]
    figure_table(["against torch", "largest difference", "may be"], rows)
    line(f"compared in onnxruntime on {content['samples']} sample(s) of the run's part")
    found = content["detections"]
    if found is not None:
        largest = found["largest"]
        line(
            f"{found['both']} detections in both, edges at most {largest['box']:.2g} pixels and scores"
            f" {largest['score']:.2g} apart; {found['near_ties']} near-tie(s) in one alone",
            style="yellow" if found["near_ties"] else "green",
        )


def difference(content: dict[str, Any]) -> None:
    """Print what differs between two sets, the verdict first."""
    a, b = content["a"], content["b"]
    names = f"{a['name']} ({a['folder']}) and {b['name']} ({b['folder']})"
    if content["equal"]:
        line(f"equal: {names}", style="green")
        line(
            f"fingerprint {a['fingerprint']}" if content["fingerprints_equal"] else "fingerprints of whole sets differ"
        )
        return
    line(f"different: {names}", style="yellow")
    line(f"fingerprint of A {a['fingerprint']}")
    line(f"fingerprint of B {b['fingerprint']}" + (" (equal)" if content["fingerprints_equal"] else ""))
    if a["classes"] != b["classes"]:
        line(f"classes of A: {', '.join(a['classes'])}")
        line(f"classes of B: {', '.join(b['classes'])}")
    figure_table(["part", "A", "B"], [[name, a["parts"].get(name), b["parts"].get(name)] for name in _both(a, b)])
    counts = [["samples in both", content["samples_in_both"]]]
    counts += [[name.replace("_", " "), count] for name, count in content["counts"].items() if count]
    counts += [[f"  {name}", count] for name, count in content["label_changes"].items()]
    figure_table(["", "count"], counts)
    _listed(content)
    if content["sheet"]:
        line(f"drawn to {content['sheet']}")


def checks(found: Sequence["Check"]) -> None:
    """Print findings one a line, and what to do under those that need it."""
    for check in found:
        line(f"{check.status:<8}", style=_STYLES[check.status], end="")
        line(f"{check.name}: {check.detail}")
        if check.todo:
            line(f"        {check.todo}")
    stopping = [check.name for check in found if check.stops]
    line(f"not ready: {', '.join(stopping)}" if stopping else "ready", style="red" if stopping else "green")


def _listed(content: dict[str, Any]) -> None:
    for key in ("only_in_a", "only_in_b", "rgb_differs", "thermal_differs"):
        for sample_id in content[key]:
            line(f"{key.replace('_', ' ')}: {sample_id}")
        _rest(content, key)
    for change in content["labels_differ"]:
        line(f"labels of {change['sample_id']} differ:")
        for words in (*map(_box_words, change["boxes"]), *change["others"]):
            line(f"  {words}")
    _rest(content, "labels_differ")
    for row in content["parts_differ"]:
        line(f"{row['sample_id']}: in {', '.join(row['a'])} of A, in {', '.join(row['b'])} of B")
    _rest(content, "parts_differ")


def _rest(content: dict[str, Any], key: str) -> None:
    left = content["counts"][key] - len(content[key])
    if left:
        line(f"{key.replace('_', ' ')}: {left} more; --limit shows them")


def _box_words(change: dict[str, Any]) -> str:
    a, b = change["a"], change["b"]
    if a is None or b is None:
        box = a or b
        return f"{change['kind']}: {box['class']} {_corners(box)}"
    fields = ", ".join(f"{name} {_value(a[name])} -> {_value(b[name])}" for name in change["fields"])
    return f"{a['class']} {_corners(a)}: {fields}"


def _value(value: Any) -> str:
    return f"[{', '.join(f'{number:g}' for number in value)}]" if isinstance(value, list | tuple) else str(value)


def _corners(box: Mapping[str, Any]) -> str:
    return _value(box["bbox"])


def _both(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys((*a["parts"], *b["parts"])))


def _written(*files: tuple[str, Path | None]) -> None:
    for words, path in files:
        if path is not None:
            line(f"{words} {path}")

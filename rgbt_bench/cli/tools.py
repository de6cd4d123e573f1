"""The commands around runs and sets: predict, preview, export-model, diff, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from rgbt_bench.errors import DIFFERENT, MissingError, UsageError
from rgbt_bench.printing import console
from rgbt_bench.printing import tools as shown

from .options import Device, Json, RunName, emit

MinScore = Annotated[float, typer.Option(min=0.0, help="Leave out detections with a lower score.")]
Set = Annotated[
    str | None, typer.Option("--dataset", help="The run's dataset, where it is not in the datasets folder.")
]


def predict(
    run: RunName,
    rgb: Annotated[list[Path] | None, typer.Option("--rgb", help="An image file, or a folder. Repeatable.")] = None,
    thermal: Annotated[
        list[Path] | None, typer.Option("--thermal", help="Its thermal partner, in the same order; folders: same stem.")
    ] = None,
    min_score: MinScore = 0.3,
    out: Annotated[
        Path | None, typer.Option(help="Write detections to this JSON file, label maps into this folder.")
    ] = None,
    draw: Annotated[Path | None, typer.Option(help="Draw the pairs with what was found into this PNG.")] = None,
    dataset: Set = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find objects, or a class for every pixel, or fuse your own images, with a finished run."""
    from rgbt_bench.finding import find_run
    from rgbt_bench.predicting import predict_pairs

    found = find_run(run)
    images = {one.resolve() for one in (*(rgb or ()), *(thermal or ()))}
    for option, path in (("--out", out), ("--draw", draw)):
        if path is not None and path.is_file() and path.resolve() in images:
            raise UsageError(f"{option} {path}: is one of the images, which would be lost; name another")
    with console.progress() as report:
        predicted = predict_pairs(found, rgb or (), thermal or (), min_score, device, report, dataset)
    content = predicted.to_dict()
    if out is not None:
        predicted.write(out)
    if draw is not None:
        predicted.draw(draw)
    emit(as_json, content, lambda: shown.predicted(content, out, draw))


def preview(
    run: RunName,
    out: Annotated[
        Path | None, typer.Option(help="The PNG to write; default: preview.png in the run's folder.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="How many pairs.")] = 12,
    worst: Annotated[
        bool, typer.Option("--worst", help="Those with most misses and false positives, or the lowest mean IoU.")
    ] = False,
    min_score: MinScore = 0.3,
    dataset: Set = None,
    as_json: Json = False,
) -> None:
    """Draw a contact sheet of a finished run's ground truth and predictions."""
    from rgbt_bench.finding import find_run
    from rgbt_bench.previewing import preview as draw_preview

    found = find_run(run)
    content = draw_preview(found, out or found.folder / "preview.png", pairs, min_score, worst, dataset)
    emit(as_json, content, lambda: shown.preview(content))


def export_model(
    run: RunName,
    out: Annotated[
        Path | None, typer.Option(help="The .onnx file to write; default: model.onnx in the run's folder.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many samples of the run's part are compared.")] = 16,
    dataset: Set = None,
    as_json: Json = False,
) -> None:
    """Write a finished run's network as ONNX, and check in onnxruntime that it finds the same."""
    from rgbt_bench.finding import find_run
    from rgbt_bench.onnx_export import export_model as export

    found = find_run(run)
    with console.progress() as report:
        content = export(found, out or found.folder / "model.onnx", samples, dataset, report).to_dict()
    emit(as_json, content, lambda: shown.exported_model(content))


def diff(
    a: Annotated[str, typer.Argument(help="A converted set: NAME, NAME@SPLIT, or its folder.")],
    b: Annotated[str, typer.Argument(help="The set to hold against it.")],
    verify: Annotated[bool, typer.Option("--verify", help="Compute all digests again from the stored bytes.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many samples are named of each kind; all are counted.")] = 10,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw the pairs that differ most, A beside B, into this PNG.")
    ] = None,
    sheet_pairs: Annotated[int, typer.Option(min=1, help="How many pairs are on the sheet.")] = 8,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with exit code 6 where the sets differ.")] = False,
    as_json: Json = False,
) -> None:
    """Say which samples, labels, pixels and parts of two converted sets differ."""
    from rgbt_bench.diffing import diff as compare
    from rgbt_bench.diffing import to_dict
    from rgbt_bench.opening import open_dataset

    with console.progress() as report:
        found = compare(open_dataset(a), open_dataset(b), verify, report)
    content = to_dict(found, limit) | {"verified": verify, "sheet": None}
    if sheet is not None:
        from rgbt_bench.diff_sheet import draw_difference

        content["sheet"] = str(sheet) if draw_difference(sheet, found, sheet_pairs) else None
    emit(as_json, content, lambda: shown.difference(content))
    if exit_code and not found.equal:
        raise typer.Exit(DIFFERENT)


def doctor(as_json: Json = False) -> None:
    """Look at versions, libraries, GPU, space, plug-ins, sets and leftovers here, and say what to do."""
    from rgbt_bench.doctor import examine, to_dict

    checks = examine()
    content = to_dict(checks)
    emit(as_json, content, lambda: shown.checks(checks))
    if not content["ready"]:
        raise typer.Exit(MissingError.exit_code)

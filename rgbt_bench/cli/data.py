"""The commands about datasets."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rgbt_bench.errors import UsageError, unknown_name
from rgbt_bench.printing import console
from rgbt_bench.printing import data as shown

from .cluster import ClusterJobs, ClusterName, SlurmOptions, crew_of
from .hub import AcceptTerms, ManifestOnly, Public, push_after
from .options import Json, emit


def convert(
    dataset: Annotated[str, typer.Argument(help="Which dataset; `rgbt-bench list datasets` names them.")],
    path: Annotated[
        Path | None,
        typer.Argument(
            help="The original dataset: a folder, or a zip or tar archive (also .gz, .bz2, .xz); without it: how to"
            " get it."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; default: the datasets folder, by name.")] = None,
    on_error: Annotated[
        str, typer.Option(help="fail (after every fault was named), or skip the faulty samples.")
    ] = "fail",
    force: Annotated[bool, typer.Option("--force", help="Replace a set that is there already.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="How many processes share the work; default: by cores and size.")
    ] = None,
    push: Annotated[
        str | None, typer.Option("--push", metavar="OWNER/NAME", help="Push the set to the Hugging Face Hub, too.")
    ] = None,
    public: Public = False,
    accept_terms: AcceptTerms = None,
    manifest_only: ManifestOnly = False,
    cluster: ClusterName = None,
    jobs: ClusterJobs = None,
    slurm: SlurmOptions = None,
    as_json: Json = False,
) -> None:
    """Convert a dataset's original archive into the RGB-T schema, with its digests."""
    from rgbt_bench import paths
    from rgbt_bench.converting import OnError
    from rgbt_bench.converting import convert as run_conversion
    from rgbt_bench.registry import load_converter

    converter = load_converter(dataset)()
    if path is None and converter.needs_path:
        instructions = converter.instructions()
        emit(as_json, {"dataset": dataset, "instructions": instructions}, lambda: typer.echo(instructions))
        return
    if on_error not in ("fail", "skip"):
        raise unknown_name("--on-error", on_error, ("fail", "skip"))
    crew = crew_of(cluster, jobs, slurm, workers)
    if out is None and path is not None and converter.needs_path:
        converter.locate(path)  # what a file describes is called as it says there
    folder = out or paths.datasets_home() / converter.info.name
    following = push_after(push, public, accept_terms, manifest_only)
    if following is not None:
        following.require(converter.info, folder, force)
    with console.progress() as show:
        handling: OnError = "skip" if on_error == "skip" else "fail"
        report = run_conversion(converter, path, folder, handling, force, show, workers, crew)
    content = report.to_dict() if following is None else report.to_dict() | {"push": following.run(folder)}
    emit(as_json, content, lambda: shown.conversion(content))


def splits(
    dataset: Annotated[str, typer.Argument(help="A dataset or a converted set: NAME, NAME@SPLIT, or its folder.")],
    effect: Annotated[
        Path | None,
        typer.Option(help="Score this predictions file on every split; NAME@SPLIT says what the model was trained on."),
    ] = None,
    leaks: Annotated[
        bool, typer.Option("--leaks", help="Look for samples of one part that look like samples of another.")
    ] = False,
    sheet: Annotated[Path | None, typer.Option(help="With --leaks: draw the worst pairs to this PNG.")] = None,
    sheet_pairs: Annotated[int, typer.Option(min=1, help="How many pairs are on the sheet.")] = 8,
    write: Annotated[Path | None, typer.Option(help="Write every id list to this folder, as SPLIT_PART.txt.")] = None,
    as_json: Json = False,
) -> None:
    """List a dataset's named splits with their ids' hashes, and show how far the choice moves the same predictions."""
    from rgbt_bench.splitting import describe_splits, split_effect, write_lists

    if sheet is not None and not leaks:
        raise UsageError("--sheet draws the pairs that look alike; give --leaks, too")
    _require_file(sheet)
    content = describe_splits(dataset)
    if write is not None:
        content["written"] = [str(write / file) for file in write_lists(dataset, write)]
    if effect is not None:
        content["effect"] = split_effect(dataset, effect)
    if leaks:
        content["leaks"] = _leaks(dataset, sheet, sheet_pairs)
    emit(as_json, content, lambda: shown.splits(content))


def _require_file(sheet: Path | None) -> None:
    """Refuse a folder before minutes are spent on what could not be written."""
    if sheet is not None and sheet.is_dir():
        raise UsageError(f"{sheet}: is a folder; name a PNG file")


def _leaks(dataset: str, sheet: Path | None, pairs: int) -> dict[str, Any]:
    from rgbt_bench.datasets.leaks import leak_report
    from rgbt_bench.leak_sheet import draw_leaks
    from rgbt_bench.opening import open_dataset

    opened = open_dataset(dataset)
    with console.progress() as show:
        report = leak_report(opened, show)
    drawn = draw_leaks(sheet, opened, report, pairs) if sheet is not None else 0
    return {**report.to_dict(), "sheet": str(sheet) if drawn else None}


def export(
    dataset: Annotated[str, typer.Argument(help="A converted set: NAME, NAME@SPLIT, or its folder.")],
    format_: Annotated[
        str, typer.Option("--format", help="coco, yolo (twin folders), voc, or masks (label maps, without boxes).")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    part: Annotated[
        list[str] | None, typer.Option("--part", help="A part to write; default: all of the split. Repeatable.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an export that is there already, and nothing else.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a converted set as files of a format of the field; `convert custom` reads them back to the same set."""
    from rgbt_bench.exporting.exporter import export as run_export
    from rgbt_bench.opening import open_dataset

    opened = open_dataset(dataset)
    with console.progress() as show:
        report = run_export(opened, format_, out, part or (), force, show)
    emit(as_json, report.to_dict(), lambda: shown.export(report.to_dict()))


def inspect(
    dataset: Annotated[str, typer.Argument(help="A converted set: NAME, NAME@SPLIT, or its folder.")],
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet of pairs with boxes to this PNG.")] = None,
    sheet_pairs: Annotated[int, typer.Option(min=1, help="How many pairs are on the sheet.")] = 12,
    part: Annotated[
        str | None, typer.Option("--part", help="The part the sheet is drawn from; default: the last.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count a dataset by part, class, illumination and box size, and show its digests."""
    from rgbt_bench.datasets.inspecting import inspect_dataset
    from rgbt_bench.opening import open_dataset
    from rgbt_bench.scoring import official_note

    if part is not None and sheet is None:
        raise UsageError("--part says what the sheet is drawn from; give --sheet FILE, too")
    _require_file(sheet)
    opened = open_dataset(dataset)
    content = inspect_dataset(opened)
    for name, found in content["parts"].items():
        found["official"] = official_note(opened.info.name, name, found["digests"]["label_digest"], opened.split)
    if sheet is not None:
        from rgbt_bench.pictures import draw_labels

        draw_labels(sheet, opened.part(part or opened.parts[-1]), sheet_pairs)
        content["sheet"] = str(sheet)
    emit(as_json, content, lambda: shown.inspection(content))

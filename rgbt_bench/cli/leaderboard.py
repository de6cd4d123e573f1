"""The commands about the leaderboard: `leaderboard …`, `verify`, `submit` and `first-holder`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.printing import console
from rgbt_bench.printing import leaderboard as shown

from .options import Device, Json, Preset, emit

leaderboard = typer.Typer(
    name="leaderboard", help="Show, compare, check, build and renew the leaderboard.", no_args_is_help=True
)

BoardFolder = Annotated[
    Path | None, typer.Option("--board", help="The folder with the versions, such as leaderboards/. Default: packaged.")
]
Version = Annotated[str | None, typer.Option("--version", help="v1, ...; default: the newest.")]


@leaderboard.command("show")
def show(
    track: Annotated[str | None, typer.Argument(help="Such as flir/detection-rgbt; without it, all tracks.")] = None,
    reported: Annotated[bool, typer.Option("--reported", help="Papers' figures, too; they never rank.")] = False,
    version: Version = None,
    board: BoardFolder = None,
    as_json: Json = False,
) -> None:
    """Show the tracks, or the rows of one: rank, badge, main figure with its interval, size."""
    from rgbt_bench.leaderboard.board import open_board
    from rgbt_bench.leaderboard.summaries import board_content

    content = board_content(open_board(version, board), track, reported)
    emit(as_json, content, lambda: shown.board(content))


@leaderboard.command("compare")
def compare(
    first: Annotated[str, typer.Argument(help="A row's id.")],
    second: Annotated[str, typer.Argument(help="Another row's id, of the same track.")],
    version: Version = None,
    board: BoardFolder = None,
    as_json: Json = False,
) -> None:
    """Test whether two rows differ: paired resamples, and seeds where both have some in common."""
    from rgbt_bench.leaderboard.board import open_board
    from rgbt_bench.leaderboard.ranking import compare_rows

    opened = open_board(version, board)
    content = asdict(compare_rows(opened.row(first), opened.row(second)))
    emit(as_json, content, lambda: shown.compared(content))


@leaderboard.command("diff")
def diff(
    older: Annotated[str, typer.Argument(help="A version, such as v1.")],
    newer: Annotated[str, typer.Argument(help="A later one, such as v2.")],
    board: BoardFolder = None,
    as_json: Json = False,
) -> None:
    """Say what two versions freeze differently, and how each row moved."""
    from rgbt_bench.leaderboard.board import open_board
    from rgbt_bench.leaderboard.versions import diff_versions

    content = diff_versions(open_board(older, board), open_board(newer, board))
    emit(as_json, content, lambda: shown.versions(content))


@leaderboard.command("next")
def next_(
    definitions: Annotated[
        Path | None,
        typer.Option(help="Its leaderboard.yaml. Default: the present one with the digests of today's protocols."),
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave rows behind whose labels or predictions are not here.")
    ] = False,
    board: BoardFolder = None,
    as_json: Json = False,
) -> None:
    """Make the next version: all rows scored again from their predictions; say what moved."""
    from rgbt_bench.leaderboard.board import open_board
    from rgbt_bench.leaderboard.versions import diff_versions, next_version

    older = open_board(None, board)
    with console.progress() as report:
        newer, left = next_version(older, definitions, skip_missing, report)
    content = diff_versions(older, newer) | {"left": left, "folder": str(newer.folder)}
    emit(as_json, content, lambda: shown.versions(content))


@leaderboard.command("export")
def export(
    track: Annotated[str | None, typer.Argument(help="Only this track.")] = None,
    style: Annotated[str, typer.Option("--format", help="csv, json, parquet, latex or bibtex.")] = "csv",
    out: Annotated[Path | None, typer.Option(help="Default: leaderboard-VERSION, by format.")] = None,
    reported: Annotated[bool, typer.Option("--reported", help="Papers' figures, too, but not in BibTeX.")] = False,
    version: Version = None,
    board: BoardFolder = None,
    as_json: Json = False,
) -> None:
    """Write the rows into a file that other programs read."""
    from rgbt_bench.leaderboard.board import open_board
    from rgbt_bench.leaderboard.summaries import default_file, write_export

    opened = open_board(version, board)
    place = out or default_file(opened, style)
    content = {"file": str(place), "rows": write_export(opened, style, place, track, reported)}
    emit(as_json, content, lambda: shown.exported(content))


@leaderboard.command("check")
def check(
    rows: Annotated[list[str] | None, typer.Argument(help="Rows of the folder, by id; all without one.")] = None,
    board: BoardFolder = None,
    base: Annotated[str | None, typer.Option(metavar="REF", help="With --head: the branch to merge into.")] = None,
    head: Annotated[
        str | None, typer.Option(metavar="REF", help="The commit to check, as git has it; it is not checked out.")
    ] = None,
    repository: Annotated[Path, typer.Option(help="The repository of --base and --head.")] = Path(),
    as_json: Json = False,
) -> None:
    """Say whether rows, or a pull request's commit, may come in; numbers are not verified, and nothing is executed."""
    from rgbt_bench.leaderboard.checking import check_folder, check_git

    if (base is None) != (head is None):
        raise UsageError("--base and --head go together: give both, or rows of a folder")
    if base is not None and head is not None:
        if rows or board is not None:
            raise UsageError("--base and --head take the rows from git; leave out ROWS and --board")
        report = check_git(repository, base, head)
    else:
        report = check_folder(board, rows or ())
    content = report.to_dict()
    emit(as_json, content, lambda: shown.checked(content))
    if not report.passed:
        raise typer.Exit(BadInputError.exit_code)


@leaderboard.command("build")
def build(
    out: Annotated[Path, typer.Option(help="The site's folder; a site that is there is replaced whole.")],
    pictures: Annotated[
        bool,
        typer.Option("--pictures", help="Draw predictions on the images of sets that may be shown and are here."),
    ] = False,
    docs: Annotated[
        bool, typer.Option("--docs", help="Link to docs/index.html, which something else puts there.")
    ] = False,
    board: BoardFolder = None,
    as_json: Json = False,
) -> None:
    """Make the leaderboard's pages: static, readable without JavaScript, complete when opened from a disk."""
    from rgbt_bench.leaderboard.site.building import build as build_site

    with console.progress() as report:
        content = build_site(out, board, pictures, docs, report)
    emit(as_json, content, lambda: shown.built(content))


def verify(
    rows: Annotated[list[str] | None, typer.Argument(metavar="ROW", help="Rows' ids.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every row of the version.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Keep proofs of what was proven, beside the rows.")] = False,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Rows whose labels or predictions are not here do not fail it.")
    ] = False,
    rerun: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="Of one row: also compare it with this run of the same recipe. Repeatable."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: as many as cores.")] = None,
    version: Version = None,
    board: BoardFolder = None,
    as_json: Json = False,
) -> None:
    """Prove rows: compute every number again from the predictions and your copy of the labels."""
    from rgbt_bench.leaderboard.board import open_board
    from rgbt_bench.leaderboard.rerunning import rerun_proof, write_proof
    from rgbt_bench.leaderboard.verifying import choose_rows, report_of, verify_rows, write_proofs

    opened = open_board(version, board)
    chosen = choose_rows(opened, rows or (), every)
    if rerun and len(chosen) != 1:
        raise UsageError("--rerun is of one row; name it alone")
    with console.progress() as report:
        findings = verify_rows(opened, chosen, report, workers)
        proof = rerun_proof(opened, chosen[0], rerun, report) if rerun and findings[0].state == "proven" else None
    if write:
        write_proofs(opened, chosen, findings)
        if proof is not None:
            write_proof(opened, proof)
    content = report_of(opened, findings, skip_missing and not rerun) | {"rerun": proof and proof.note}
    emit(as_json, content, lambda: shown.verified(content))
    raise typer.Exit(content["exit_code"])


def submit(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="A run, a recipe (all its finished seeds), or anybody's predictions."),
    ] = None,
    entry: Annotated[
        Path | None, typer.Option(help="A short YAML that says the same as the options, and more: predictions by seed.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the row is called on the leaderboard.")] = None,
    authors: Annotated[str | None, typer.Option(help="Who made it.")] = None,
    paper: Annotated[str | None, typer.Option(help="Its title, or the key of one of the leaderboard's papers.")] = None,
    paper_url: Annotated[str | None, typer.Option(help="https://...")] = None,
    code_url: Annotated[str | None, typer.Option(help="https://...")] = None,
    note: Annotated[str | None, typer.Option(help="What a reader has to know, such as further training data.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Of predictions: the converted set.")] = None,
    task: Annotated[str | None, typer.Option(help="Of predictions: detection-rgbt, segmentation-thermal, ...")] = None,
    row_id: Annotated[str | None, typer.Option("--id", help="The row's id. Default: from track and name.")] = None,
    preset: Preset = "paper",
    hub: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Put predictions into this dataset repository of the Hub.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and write nothing.")] = False,
    board: BoardFolder = None,
    as_json: Json = False,
) -> None:
    """Make a row of runs or predictions, check it as CI will, write it, and say how to open the pull request."""
    from rgbt_bench.leaderboard.board import open_board
    from rgbt_bench.leaderboard.submitting import read_entry, submit_row
    from rgbt_bench.recipes import require_preset

    require_preset(preset)
    given = {
        "name": name, "authors": authors, "paper": paper, "paper_url": paper_url, "code_url": code_url, "note": note,
        "dataset": dataset, "task": task, "id": row_id,
    }  # fmt: skip
    said = read_entry(entry, given)
    with console.progress() as report:
        content = submit_row(open_board(None, board), targets or (), said, preset, hub, dry_run, report)
    emit(as_json, content, lambda: shown.submitted(content))


def first_holder(
    name: Annotated[str, typer.Argument(help="The dataset that you hold all of, such as flir.")],
    path: Annotated[
        Path | None, typer.Argument(help="Its original folder or archive, where it is not converted yet.")
    ] = None,
    go: Annotated[
        bool, typer.Option("--go", help="Run it all; without it, convert, confirm digests and estimate the cost.")
    ] = False,
    preset: Preset = "paper",
    seeds: Annotated[int | None, typer.Option(min=1, help="How many of each row; default: the kit's.")] = None,
    device: Device = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="How many runs at once, each in a process of its own.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Where to pack; default: first-holder-NAME here.")] = None,
    hub: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Put predictions into this dataset repository of the Hub.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert, confirm digests, run a paper's rows with all seeds, time them, and pack one pull request."""
    from rgbt_bench.hub.names import parse_target
    from rgbt_bench.leaderboard.estimating import estimate
    from rgbt_bench.leaderboard.first_holder import (
        Asked,
        carry_out,
        compare_digests,
        find_kit,
        plan,
        ready_set,
        require_official,
    )
    from rgbt_bench.recipes import require_preset
    from rgbt_bench.sweeping import ended_rows, exit_code

    require_preset(preset)
    asked = Asked(find_kit(name), preset, seeds, device, jobs, out, hub)
    if hub is not None:
        parse_target(hub)
    with console.progress() as report:
        dataset = ready_set(asked.kit, path, report)
        digests = compare_digests(dataset)
        require_official(asked, digests)
        steps = plan(asked)
        content: dict[str, Any] = {"digests": digests, "estimate": estimate(steps, dataset, device, report)}
    if not go:
        emit(as_json, content, lambda: shown.first_holder(content))
        return
    if not as_json:
        shown.first_holder(content, go=True)
    with console.progress() as report:
        outcomes, packed = carry_out(asked, steps, report)
    done = content | {"runs": ended_rows(outcomes), "packed": packed or None}
    emit(as_json, done, lambda: shown.packed(done))
    if code := exit_code(outcomes):
        raise typer.Exit(code)

"""The commands about figures."""

from pathlib import Path
from typing import Annotated

import typer

from rgbt_bench.printing import console
from rgbt_bench.printing import scores as shown

from .options import Device, Json, PartName, Preset, emit


def evaluate(
    predictions: Annotated[
        list[Path],
        typer.Argument(
            help="A JSON list in COCO's results format, with sample ids; or a folder of label maps or of fused images,"
            " SAMPLE_ID.png. Several of one kind stand side by side."
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="A converted set: NAME, NAME@SPLIT, or its folder; for fused images also any folder of pairs, such as"
            " one with visible/ and infrared/.",
        ),
    ],
    part: PartName = "test",
    task: Annotated[
        str | None,
        typer.Option(
            help="detection-, detection-official-, detection-clean- or segmentation-, and rgbt, rgb or thermal; fusion;"
            " detection-on-fused. Default: what the predictions and the set can be, rgbt."
        ),
    ] = None,
    evaluator: Annotated[
        str | None, typer.Option(help="Of boxes: hotcoco, or pycocotools (the oracle; the figures are the same).")
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(
            "--as", help="Of fused images: as another toolbox computes it: vifb, tang-matlab, ivif-zoo, cddfuse."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result to this JSON file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Of fused images: draw pairs beside them into this PNG.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Of fused images: draw box plots of every metric into this PNG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score anybody's predictions on a converted set."""
    from rgbt_bench.evaluating import Evaluation, evaluate_all

    asked = Evaluation(predictions, dataset, part, task, evaluator, convention, out, sheet, plot)
    with console.progress() as report:
        results = evaluate_all(asked, report)
    if len(results) == 1:
        (result,) = results.values()
        emit(as_json, result.model_dump(mode="json"), lambda: shown.result(result, out))
        return
    content = {"results": {name: one.model_dump(mode="json") for name, one in results.items()}}
    emit(as_json, content, lambda: shown.side_by_side(results))


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="A run's folder, the start of its key, a recipe (all its finished seeds; with a setting:"
            " RECIPE:path=value), or predictions.",
        ),
    ],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="The set scored on; default: that of the runs.")
    ] = None,
    part: PartName = "test",
    preset: Preset = "paper",
    metric: Annotated[
        str | None,
        typer.Option(
            help="AP50, mIoU, MI, ... or 'CLASS AP50'. Default: AP of boxes, mIoU of maps, EN of fused images."
        ),
    ] = None,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Every pair, not only the first with each.")] = False,
    resamples: Annotated[int, typer.Option(min=100, max=20_000, help="How many resamples are drawn.")] = 1000,
    as_json: Json = False,
) -> None:
    """Test whether runs differ: paired resamples of blocks (and seeds), intervals, Holm-corrected p-values."""
    from rgbt_bench.comparing import compare as compare_runs
    from rgbt_bench.recipes import require_preset

    require_preset(preset)
    content = compare_runs(runs, dataset, part, preset, metric, all_pairs, resamples)
    emit(as_json, content, lambda: shown.comparison(content))


def latency(
    name: Annotated[str, typer.Argument(help="A recipe; its teacher, if it has one, is timed in the same process.")],
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch size; repeatable. Default: 1 and 32.")] = None,
    preset: Preset = "paper",
    passes: Annotated[int, typer.Option(min=100, help="Timed passes.")] = 100,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Torch threads on a CPU; default: torch's own choice.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Time a recipe's network, and the ratio to its teacher, by the latency protocol."""
    from rgbt_bench.timing import measure_latency

    with console.progress() as report:
        measured, path = measure_latency(name, tuple(batch or (1, 32)), preset, passes, threads, device, report)
    content = {"file": str(path), "latency": measured.model_dump(mode="json")}
    emit(as_json, content, lambda: shown.latency(measured, path))


def count(
    names: Annotated[list[str], typer.Argument(metavar="RECIPE", help="Recipes; ratios are to the first.")],
    preset: Preset = "paper",
    size: Annotated[
        tuple[int, int] | None, typer.Option(min=32, help="HEIGHT WIDTH of all networks' input; default: the recipes'.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count parameters and MACs of recipes' networks side by side, without timing them."""
    from rgbt_bench.counting import count_networks
    from rgbt_bench.recipes import require_preset

    require_preset(preset)
    content = count_networks(names, preset, size)
    emit(as_json, content, lambda: shown.counted(content))


def reproduce(
    table: Annotated[str, typer.Argument(help="PAPER/TABLE, such as ffkd/table-2; `list tables` names them.")],
    style: Annotated[str, typer.Option("--format", help="md or latex.")] = "md",
    preset: Preset = "paper",
    dataset: Annotated[str | None, typer.Option("--dataset", help="Show measured figures on this set instead.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Of fusion metrics: draw box plots into this PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Print a paper's table beside what was measured here; what nobody measured stays empty."""
    from rgbt_bench.fusion.table_plot import draw_table
    from rgbt_bench.leaderboard.reproduce import as_text, digits_of
    from rgbt_bench.leaderboard.reproduce import reproduce as read_table
    from rgbt_bench.recipes import require_preset

    require_preset(preset)
    content = read_table(table, preset, dataset)
    if plot is not None:
        draw_table(plot, content)
    text = as_text(content, style, digits_of(table))
    emit(as_json, content, lambda: shown.table(content, text, style))

"""The first holder's kit: whoever has all of a dataset converts it, runs a paper's rows, and packs one pull request."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from rgbt_bench import paths
from rgbt_bench.converting import convert
from rgbt_bench.datasets.splits import parse_dataset_name
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.datasets.writer import put_in_place
from rgbt_bench.errors import BadInputError, MissingError, UsageError, unknown_name
from rgbt_bench.files import copy_file, write_json, write_text
from rgbt_bench.launching import LocalLauncher
from rgbt_bench.leaderboard.board import Board, open_board
from rgbt_bench.leaderboard.latencies import latency_reports
from rgbt_bench.leaderboard.papers import find_table
from rgbt_bench.leaderboard.submitting import EntryFile, make_row, push_made, refusals, write_row
from rgbt_bench.leaderboard.tracks import DEFINITIONS_FILE, PENDING, official_data
from rgbt_bench.opening import open_dataset
from rgbt_bench.paths import PARTIAL
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.registry import load_converter
from rgbt_bench.runs import RUN_FILE, TEST_PART, Run, settled_recipe
from rgbt_bench.sweeping import LOG_FILE, Outcome, Step, plan_sweep, run_sweep
from rgbt_bench.timing import measure_latency

PACK_FILE: Final = "first-holder.json"
KITS_FOLDER: Final = "first-holders"
LATENCY_PASSES: Final = 100


class Kit(BaseModel):
    """What is run of a dataset: every row of a paper's table with so many seeds, and what is timed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    table: str
    seeds: int = Field(ge=1)
    latency: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Asked:
    """How a kit is to be run."""

    kit: Kit
    preset: str = "paper"
    seeds: int | None = None
    device: str = "auto"
    jobs: int = 1
    out: Path | None = None
    hub: str | None = None

    @property
    def place(self) -> Path:
        """Where the pull request is packed."""
        return self.out or Path(f"first-holder-{self.kit.dataset}")


def find_kit(name: str) -> Kit:
    """Return the kit of a dataset, from the packaged `leaderboards/first-holders/`.

    Raises:
        UsageError: there is none.
    """
    folder = files("rgbt_leaderboards") / KITS_FOLDER
    known = {one.name.removesuffix(".yaml"): one for one in folder.iterdir() if one.name.endswith(".yaml")}
    if name not in known:
        raise unknown_name("first holder's kit", name, known)
    return Kit.model_validate(YAML(typ="safe", pure=True).load(known[name].read_text(encoding="utf-8")))


def ready_set(kit: Kit, path: Path | None, progress: Progress = no_progress) -> Dataset:
    """Return the converted set, converted from `path` where it is not there yet.

    Raises:
        MissingError: it is not there, and no path is given; the message says how to get it.
        BadInputError: what lies at the path has faults.
    """
    name, _ = parse_dataset_name(kit.dataset)
    folder = paths.datasets_home() / name
    if not (folder / paths.RECORD_FILE).is_file():
        converter = load_converter(name)()
        if path is None and converter.needs_path:
            raise MissingError(f"{kit.dataset} is not converted yet; give its PATH.\n{converter.instructions()}")
        convert(converter, path, folder, progress=progress)
    return open_dataset(kit.dataset)


def compare_digests(dataset: Dataset) -> dict[str, Any]:
    """Return a set's digests beside the frozen ones, and what its holder confirms by them, as JSON-ready data."""
    record = dataset.part(TEST_PART).record
    data = official_data(dataset.info.name, TEST_PART, dataset.split)
    names = ("ids_sha256", "label_digest", "rgb_digest", "thermal_digest")
    pairs = {name: (getattr(record, name), getattr(data, name, PENDING)) for name in names}
    official = data is not None
    if data is not None and data.ids_sha256 is None:
        pairs["ids_sha256"] = (record.ids_sha256, PENDING)
        official = data.samples == record.samples
    official = official and all(frozen in (PENDING, own) for own, frozen in pairs.values())
    return {
        "dataset": dataset.info.name,
        "samples": record.samples,
        "official_samples": data and data.samples,
        "fingerprint": dataset.record.fingerprint,
        "digests": {
            name: {"own": own, "frozen": frozen, "state": _state(own, frozen, official)}
            for name, (own, frozen) in pairs.items()
        },
        "official": official,
    }


def _state(own: str | None, frozen: str | None, official: bool) -> str:
    """Return what a digest says: only of a set that differs nowhere does it confirm what nobody has confirmed yet."""
    if frozen == PENDING:
        return "confirms" if official else "pending"
    return "the same" if own == frozen else "differs"


def plan(asked: Asked) -> list[Step]:
    """Return every run of the kit, what is required first.

    Raises:
        BenchError: what a sweep refuses.
    """
    return plan_sweep(
        asked.kit.table, asked.kit.dataset, asked.preset, asked.seeds or asked.kit.seeds, None, asked.device
    )


def carry_out(
    asked: Asked, steps: Sequence[Step], progress: Progress = no_progress
) -> tuple[list[Outcome], dict[str, Any] | None]:
    """Do what is left of the runs, time the networks, and pack it all; return how the runs ended, and the pack.

    Nothing is packed where a run failed; started again, it does the rest.

    Raises:
        BenchError: a place that holds something else, or a row that CI would refuse.
    """
    _require_own(asked.place)
    launcher = LocalLauncher(threads=1 if asked.jobs > 1 else None)
    outcomes = run_sweep(steps, launcher, asked.jobs, True, asked.device, progress)
    if any(one.state not in ("done", "was done") for one in outcomes):
        return outcomes, None
    for recipe in asked.kit.latency:
        if not latency_reports(recipe, asked.preset):
            measure_latency(recipe, asked.kit.batches, asked.preset, LATENCY_PASSES, None, asked.device, progress)
    return outcomes, pack(asked, steps, progress)


def pack(asked: Asked, steps: Sequence[Step], progress: Progress = no_progress) -> dict[str, Any]:
    """Write rows, predictions, weights and logs of finished runs into one folder, whole, and return what is there."""
    aside = asked.place.with_name(asked.place.name + PARTIAL)
    shutil.rmtree(aside, ignore_errors=True)  # of one that was killed
    source = open_board()
    board = Board(aside / "leaderboards", source.version)
    copy_file(source.folder / DEFINITIONS_FILE, board.folder / DEFINITIONS_FILE)
    rows = []
    for entry, runs in _rows(asked, steps):
        made = make_row(board, [str(run.folder) for run in runs], entry, asked.preset, asked.hub, progress)
        refused = refusals(source, made)
        write_row(board, push_made(made))
        rows.append(
            {
                "row": made.row.id,
                "seeds": [run.seed for run in runs],
                "standing": made.row.first.standing,
                "refused": refused,
            }
        )
        for run in runs:
            _keep(aside, made.row.id, run)
    digests = compare_digests(open_dataset(asked.kit.dataset))
    content = {"kit": asked.kit.model_dump(mode="json"), "preset": asked.preset, "digests": digests, "rows": rows}
    write_text(aside / "README.md", _readme(asked, board.version, digests))
    write_json(aside / PACK_FILE, content)
    put_in_place(aside, asked.place)
    return content | {"folder": str(asked.place)}


def _rows(asked: Asked, steps: Sequence[Step]) -> Iterator[tuple[EntryFile, list[Run]]]:
    """Yield each row of the table with a recipe, and its runs."""
    paper, _, table = find_table(asked.kit.table)
    for name, row in table.rows.items():
        if not row.recipe:
            continue
        digest = settled_recipe(row.recipe, asked.preset, row.set).digest
        runs = [step.run for step in steps if step.run.recipe.name == row.recipe and step.run.recipe.digest == digest]
        quick = "" if asked.preset == "paper" else f" ({asked.preset})"
        entry = EntryFile(
            name=f"{paper.key.upper()} {name}{quick}",
            authors="rgbt-bench",
            paper=paper.title,
            paper_key=paper.key,
            note=f"row {name} of {asked.kit.table}, run by the first holder of {asked.kit.dataset}",
        )
        yield entry, sorted(runs, key=lambda run: run.seed)


def _keep(aside: Path, row: str, run: Run) -> None:
    """Keep a run's weights and what was told of it."""
    name = f"{row}.s{run.seed}"
    (aside / "logs").mkdir(exist_ok=True)
    (aside / "weights").mkdir(exist_ok=True)
    copy_file(run.weights, aside / "weights" / f"{name}{run.weights.suffix}")
    for file in (LOG_FILE, RUN_FILE):
        if (run.folder / file).is_file():
            copy_file(run.folder / file, aside / "logs" / f"{name}.{file}")


def _require_own(place: Path) -> None:
    if place.exists() and not (place / PACK_FILE).is_file():
        raise UsageError(f"{place}: is there already, and was not packed by this command; name another --out")


def _readme(asked: Asked, version: str, digests: Mapping[str, Any]) -> str:
    confirmed = [f"{name}: {one['own']}" for name, one in digests["digests"].items() if one["state"] == "confirms"]
    lines = [
        f"# Rows of {asked.kit.table} on {asked.kit.dataset}, preset {asked.preset}",
        "",
        f"1. Copy `leaderboards/{version}/rows` and `leaderboards/{version}/predictions` over those of a checkout.",
        "2. `rgbt-bench leaderboard check` and `rgbt-bench verify ROW` there say what CI will say.",
        "3. Open one pull request with these files alone.",
        "4. In another, for a maintainer: the digests that this set confirms" + (":" if confirmed else ": none."),
        *(f"   - `{one}`" for one in confirmed),
        "5. `weights/` and `logs/` are for you to keep, or for a release: they are no part of the pull request.",
    ]
    return "\n".join(lines) + "\n"


def require_official(asked: Asked, digests: Mapping[str, Any]) -> None:
    """Refuse the days of the preset `paper` on a set whose rows would be unofficial.

    Raises:
        BadInputError: the set's test part is not the official one.
    """
    if asked.preset == "paper" and not digests["official"]:
        apart = [name for name, one in digests["digests"].items() if one["state"] == "differs"]
        raise BadInputError(
            f"{asked.kit.dataset}: this set is not the official one ({', '.join(apart)} of {TEST_PART}):"
            f" {digests['samples']} samples, {digests['official_samples']} are frozen. Its rows would never rank; with"
            " --preset quick the kit can be tried on it"
        )

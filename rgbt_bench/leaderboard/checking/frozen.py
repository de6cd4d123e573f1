"""A row against the frozen definitions: its track, protocol, data, standing, and the recipe that it names."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Final

from rgbt_bench.errors import BenchError
from rgbt_bench.files import canonical_json, sha256_json
from rgbt_bench.leaderboard.checking.reporting import Problem, shown
from rgbt_bench.leaderboard.rows import Row, ScoredRun
from rgbt_bench.leaderboard.standings import RECIPE_NAME, SETTING, standing_of
from rgbt_bench.leaderboard.tracks import PENDING, PROTOCOLS, Leaderboard, OfficialData, Track
from rgbt_bench.protocols import find_protocol
from rgbt_bench.recipes import PRESETS
from rgbt_bench.registry import recipe_files
from rgbt_bench.results import RESULT_SCHEMA, DataProvenance, ModelProvenance, Result
from rgbt_bench.runs import MAX_SEED, settled_recipe

NOTHING_FOUND: Final = "37517e5f3dc66819f61f5a7bb8ace1921282415f10551d2defa5c3eb0985b570"  # of an empty list
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_WEIGHTS_FROM: Final = re.compile(r"file|hub:[A-Za-z0-9._-]+/[A-Za-z0-9._-]+@[0-9a-f]{40}")
_DIGESTS: Final = ("label_digest", "rgb_digest", "thermal_digest", "ids_sha256", "fingerprint")


def frozen_problems(result: Result, definitions: Leaderboard) -> Iterator[Problem]:
    """Yield where one run of a row is not on what the board froze."""
    if result.result_schema != RESULT_SCHEMA:
        yield Problem("row-form", f"the result is of schema {result.result_schema}, and {RESULT_SCHEMA} is read")
    track = definitions.tracks.get(result.track)
    if track is None:
        yield Problem("track", f"there is no track {shown(result.track)}")
        return
    yield from _protocol_problems(result, track, definitions)
    yield from _data_problems(result.data, track, definitions.data[track.data])
    boxes = definitions.data[track.data].boxes
    counted = sum(int(values.get("ground_truths") or 0) for values in result.metrics.per_class.values())
    if boxes is not None and counted > boxes:
        yield Problem("counts", f"the classes have {counted:,} boxes together, and the part has {boxes:,}")
    yield from model_problems(result.model, track)
    verdict = standing_of(definitions, result)
    if (result.standing, result.standing_reason) != verdict:
        told = f"{result.standing} ({shown(result.standing_reason)})"
        yield Problem("standing", f"standing is {told}, and the frozen definitions make it {verdict[0]} ({verdict[1]})")


def seeds_problems(row: Row) -> Iterator[Problem]:
    """Yield why the runs of a row are not seeds of one thing."""
    models = [one.result.model for one in row.runs]
    if strange := [one.seed for one in row.runs if not 0 <= (one.seed or 0) <= MAX_SEED]:
        yield Problem("seeds", f"there is no seed {strange[0]}")
    made = {canonical_json(_without_seed(one)) for one in models}
    if len(made) > 1:
        yield Problem("seeds", "the runs are not of one recipe, preset and settings")
    for run in row.runs:
        if run.result.model is not None and run.result.model.seed != run.seed:
            yield Problem("seeds", f"the run of seed {run.seed} has the model of seed {run.result.model.seed}")
    told = Counter(one.result.predictions_sha256 for one in row.runs)
    told.pop(NOTHING_FOUND, None)
    if any(count > 1 for count in told.values()):
        yield Problem("seeds", "two seeds have the same predictions")
    trained = Counter(one.weights_sha256 for one in models if one is not None and one.epochs)
    if any(count > 1 for count in trained.values()):
        yield Problem("seeds", "two seeds have the same trained weights")
    if len({(one.result.evaluator, one.result.data.samples, one.result.data.ids_sha256) for one in row.runs}) > 1:
        yield Problem("seeds", "the runs are not scored alike")
    yield from _names_problems(row.runs)


def model_problems(model: ModelProvenance | None, track: Track) -> Iterator[Problem]:
    """Yield what is wrong with what a run says of its model, without opening any file that it names."""
    if model is None:
        return
    if not RECIPE_NAME.fullmatch(model.recipe):
        yield Problem("model", f"model.recipe is {shown(model.recipe)}, which is no name of a recipe")
    if model.preset not in PRESETS:
        yield Problem("model", f"model.preset is {shown(model.preset)}; there are {', '.join(PRESETS)}")
    elif model.preset != "paper" and track.ranked:
        yield Problem("preset", f"made with the preset {model.preset}")
    if strange := [one for one in model.settings if not SETTING.fullmatch(one)]:
        yield Problem("model", f"model.settings has {shown(strange[0])}, which is no PATH=VALUE")
    digests = {"recipe_digest": model.recipe_digest, "weights_sha256": model.weights_sha256}
    for name, digest in digests.items():
        if not _SHA256.fullmatch(digest):
            yield Problem("model", f"model.{name} is {shown(digest)}, which is no SHA-256")
    if model.weights_from is not None and not _WEIGHTS_FROM.fullmatch(model.weights_from):
        yield Problem(
            "model", f"model.weights_from is {shown(model.weights_from)}, not `file` or hub:OWNER/NAME@COMMIT"
        )
    counts = [*model.parameters.values(), model.epochs or 0, model.processes or 0, model.seed or 0]
    if min(counts) < 0:
        yield Problem("model", "model has a count below 0")
    if not model.settings and (own := _own_digest(model.recipe, model.preset)) not in (None, model.recipe_digest):
        told = f"{str(own)[:12]}, not {shown(model.recipe_digest[:12])}"
        yield Problem("recipe", f"model.recipe is {model.recipe}, whose digest is {told}")


def _protocol_problems(result: Result, track: Track, definitions: Leaderboard) -> Iterator[Problem]:
    frozen = definitions.protocols[track.protocol]
    named = shown(result.protocol.get("name"))
    if canonical_json(result.protocol) != canonical_json(PROTOCOLS[track.protocol]):
        yield Problem("protocol", f"the parameters of the protocol {named} are not those of {track.protocol}")
    if result.protocol_digest != frozen or sha256_json(PROTOCOLS[track.protocol]) != frozen:
        told = shown(result.protocol_digest[:12])
        yield Problem("protocol", f"the protocol's digest is {told}, and {frozen[:12]} is frozen")
    known = find_protocol(track.protocol).evaluators
    if result.evaluator not in known:
        yield Problem("protocol", f"the evaluator {shown(result.evaluator)} is none of {', '.join(known)}")


def _data_problems(data: DataProvenance, track: Track, frozen: OfficialData) -> Iterator[Problem]:
    digests = ("rgb_digest", "thermal_digest") if track.key == "pixels" else ("label_digest",)
    for name in ("dataset", "split", "part", "samples", "ids_sha256", *digests):
        ours, theirs = getattr(frozen, name), getattr(data, name)
        if ours not in (None, PENDING, theirs):
            yield Problem("data", f"data.{name} is {shown(theirs)}, and {shown(ours)} is frozen")
    for name in _DIGESTS:
        digest = getattr(data, name)
        if not (_SHA256.fullmatch(digest or "") or (name == "thermal_digest" and digest is None)):
            yield Problem("data", f"data.{name} is {shown(digest)}, which is no SHA-256")
    if data.skipped < 0:
        yield Problem("data", f"data.skipped is {data.skipped}")
    for name, part in (("train_label_digest", "trained"), ("val_label_digest", "chosen")):
        digest = getattr(data, name)
        if digest is not None and digest == data.label_digest:
            yield Problem(
                "trained-on-test", f"data.{name} is that of the labels it is scored on: it was {part} on them"
            )
        if digest is not None and not _SHA256.fullmatch(digest):
            yield Problem("data", f"data.{name} is {shown(digest)}, which is no SHA-256")


@cache
def _own_digest(recipe: str, preset: str) -> str | None:
    """Return the digest of a registered recipe as it is, None where there is none of this name."""
    try:
        return settled_recipe(recipe, preset).digest if recipe in recipe_files() else None
    except BenchError:
        return None


def _without_seed(model: ModelProvenance | None) -> object:
    if model is None:
        return None
    return [model.recipe, model.preset, model.recipe_digest, list(model.settings), sorted(model.requires)]


def _names_problems(runs: tuple[ScoredRun, ...]) -> Iterator[Problem]:
    found = [one.result.metrics for one in runs]
    if len({(tuple(one.figures), tuple(one.per_class), frozenset(one.subset_samples.items())) for one in found}) > 1:
        yield Problem("seeds", "the runs have different figures, classes or subsets")

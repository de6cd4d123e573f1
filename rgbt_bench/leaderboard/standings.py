"""The standing of somebody's result on a board, found without opening a file that the result names."""

import re
from typing import Final

from rgbt_bench.leaderboard.tracks import PROTOCOLS, Leaderboard, standing
from rgbt_bench.protocols import find_protocol
from rgbt_bench.results import ModelProvenance, Result

RECIPE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
SETTING: Final = re.compile(r"(?:[a-z0-9][a-z0-9-]*:)?[A-Za-z0-9_]+(?:\.[A-Za-z0-9_-]+)*=[ -~]{0,200}")


def standing_of(definitions: Leaderboard, result: Result) -> tuple[str, str]:
    """Return the standing of a result by frozen definitions, and the reason in one sentence."""
    data, protocol = result.data, str(result.protocol.get("name"))
    known = find_protocol(protocol) if protocol in PROTOCOLS else None
    if known and not known.evaluators_agree and result.evaluator != known.evaluators[0]:
        return "unofficial", f"computed as {result.evaluator}, not as {known.evaluators[0]}"
    return standing(
        result.track,
        data.part,
        protocol,
        data.label_digest,
        data.skipped,
        data.ids_sha256,
        (data.rgb_digest, data.thermal_digest),
        result.model if result.model and opens_nothing(result.model) else None,
        definitions,
        data.split,
        data.samples,
    )


def opens_nothing(model: ModelProvenance) -> bool:
    """Tell whether a recipe with these settings is settled without opening a file that the settings name."""
    for one in model.settings:
        path, _, value = one.partition("=")
        way = path.rpartition(":")[2].strip().split(".")
        if not SETTING.fullmatch(one):
            return False
        if "pretrained" in way and value.strip() not in ("timm", "none"):
            return False
        if "requires" in way and not RECIPE_NAME.fullmatch(value.strip()):
            return False
    return bool(RECIPE_NAME.fullmatch(model.recipe))

"""A row of the leaderboard: who brings it, what was measured with how many seeds, and where its predictions lie."""

import base64
import binascii
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rgbt_bench.errors import BadInputError
from rgbt_bench.files import canonical_json, json_bytes, parse_json, sha256_json
from rgbt_bench.latency import LatencyReport
from rgbt_bench.results import Result
from rgbt_bench.seeds import Summary, summarize_results

ROW_SCHEMA: Final = 1
ROW_ID: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
LONGEST_ID: Final = 80
MAX_SEEDS: Final = 20
MAX_ROW_BYTES: Final = 4 * 2**20
MAX_PACKED_BYTES: Final = 8 * 2**20
MAX_HUB_BYTES: Final = 128 * 2**20
MAX_DEPTH: Final = 16
LARGEST_INTEGER: Final = 2**53  # beyond it some readers of JSON round
_MAYBE_HUGE: Final = re.compile(r"[\s:,\[-][0-9]{16,}[\s,\]}]")
Badge = Literal["reported", "measured", "rescored", "re-run"]
By = Literal["measured", "stated"]
_HUB_FILE = r"^hub:[A-Za-z0-9._-]+/[A-Za-z0-9._-]+@[0-9a-f]{40}/[A-Za-z0-9._/-]+$"
_SHA256 = r"^[0-9a-f]{64}$"
_HTTPS = r"^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/?=%+&#:@!$,;()*-]*)?$"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Record):
    """Who brings a row and what it is, in texts that are shown as they are.

    `paper_key` is that of one of the leaderboard's own papers; `note` is what a reader has to know, such as further
    training data.
    """

    name: str = Field(min_length=1, max_length=80)
    authors: str = Field(default="", max_length=500)
    paper: str = Field(default="", max_length=300)
    paper_key: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,40}$")
    paper_url: str | None = Field(default=None, pattern=_HTTPS, max_length=300)
    code_url: str | None = Field(default=None, pattern=_HTTPS, max_length=300)
    bibtex: str = Field(default="", max_length=4000)
    note: str = Field(default="", max_length=1000)


class Size(_Record):
    """Parameters and multiply-accumulates of one pair; `by` says whether we counted them or somebody states them."""

    parameters: int | None = Field(default=None, ge=0)
    macs: int | None = Field(default=None, ge=0)
    image_size: tuple[int, int] | None = None
    by: By = "measured"


class Packed(_Record):
    """Packed predictions: a file of the board, or one on the Hub, `hub:OWNER/NAME@COMMIT/FILE`; its bytes' digest."""

    file: str | None = Field(default=None, pattern=r"^[a-z0-9-]+\.s([0-9]+|x)\.(json\.gz|zip)$", max_length=120)
    hub: str | None = Field(default=None, pattern=_HUB_FILE, max_length=300)
    sha256: str = Field(pattern=_SHA256)
    bytes: int = Field(ge=1)

    @model_validator(mode="after")
    def _is_at_one_place(self) -> Self:
        if (self.file is None) == (self.hub is None):
            raise ValueError("predictions lie in a file or on the hub; give one of the two")
        return self


class ScoredRun(_Record):
    """One seed of a row: its result, its predictions, and the main figure in every resample.

    `resamples` is base64 of float64 little-endian, NaN where a resample has no such figure; empty where the samples are
    too few to be resampled. With them rows are compared in pairs without labels.
    """

    seed: int | None
    result: Result
    predictions: Packed
    resamples: str = ""

    def drawn(self) -> NDArray[np.float64]:
        """Return the main figure in every resample, float64[resamples], or float64[0].

        Raises:
            ValueError: not base64 of such values, or infinite ones.
        """
        try:
            data = base64.b64decode(self.resamples, validate=True)
        except binascii.Error as error:
            raise ValueError(f"resamples are not base64: {error}") from None
        if len(data) % 8:
            raise ValueError(f"resamples are {len(data)} bytes, not a multiple of 8")
        values = np.frombuffer(data, dtype="<f8").astype(np.float64)
        if np.isinf(values).any():
            raise ValueError("resamples have infinite values")
        return values


class Row(_Record):
    """One row; all its runs are on one track, of one seed each.

    `board` is the version it was made for. `size` and `latency` are what was counted and timed of the network.
    """

    row_schema: Literal[1] = ROW_SCHEMA
    id: str = Field(pattern=ROW_ID, max_length=LONGEST_ID)
    board: Annotated[int, Field(ge=1)]
    entry: Entry
    runs: tuple[ScoredRun, ...] = Field(min_length=1, max_length=MAX_SEEDS)
    size: Size | None = None
    latency: tuple[LatencyReport, ...] = Field(default=(), max_length=20)
    created: str

    @model_validator(mode="after")
    def _is_of_one_track(self) -> Self:
        for name, values in {
            "track": [one.result.track for one in self.runs],
            "label digest": [one.result.data.label_digest for one in self.runs],
            "protocol": [one.result.protocol_digest for one in self.runs],
        }.items():
            if len(set(values)) > 1:
                raise ValueError(f"the runs of one row are of one {name}, not of {len(set(values))}")
        seeds = [one.seed for one in self.runs]
        if len(set(seeds)) < len(seeds) or (None in seeds and len(seeds) > 1):
            raise ValueError("the runs of one row are of different seeds, each known")
        return self

    @property
    def track(self) -> str:
        """The track that the row is on."""
        return self.runs[0].result.track

    @property
    def first(self) -> Result:
        """The result of the first seed: what holds for all, such as the protocol, is read there."""
        return self.runs[0].result

    @property
    def digest(self) -> str:
        """The SHA-256 of the row's canonical content, which its proofs name."""
        return sha256_json(self.model_dump(mode="json"))

    def figures(self) -> dict[str, Summary]:
        """Return every figure over the seeds, of subsets and classes too; one seed's with its intervals."""
        return summarize_results([one.result for one in self.runs])


def encode_resamples(values: NDArray[np.float64]) -> str:
    """Return what `ScoredRun.resamples` holds of float64[resamples]."""
    return base64.b64encode(values.astype("<f8").tobytes()).decode("ascii")


def row_bytes(row: Row) -> bytes:
    """Return a row as its file has it."""
    return json_bytes(row.model_dump(mode="json"))


def parse_row(data: bytes, where: str) -> Row:
    """Return the row of a file's bytes, which have to say each thing as we would write it.

    Raises:
        BadInputError: too large, not strict UTF-8 JSON, not a row, or a value of another type; begins with `where`.
    """
    if len(data) > MAX_ROW_BYTES:
        raise BadInputError(f"{where}: {len(data):,} bytes, and a row has at most {MAX_ROW_BYTES:,}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{where}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    content = parse_json(text, where)
    canonical = _plain_text(text, content, where)
    try:
        row = Row.model_validate(content)
    except ValidationError as error:
        raise BadInputError(f"{where}: {_described(error)}") from None
    # the schema bounds what is nested in all else
    _require_plain([one.result.protocol for one in row.runs], where)
    _require_plain([one.result.hardware for one in row.runs] + [one.device for one in row.latency], where)
    _require_written_so(row, content, canonical, where)
    return row


def _plain_text(text: str, content: Any, where: str) -> str:
    """Return a content's canonical text, or refuse what no row has and what digests would fail on."""
    try:
        canonical = canonical_json(content)
        canonical.encode()
    except (ValueError, RecursionError):
        canonical = ""
    if not canonical or _MAYBE_HUGE.search(text):
        _require_plain(content, where)
    return canonical


def _require_plain(content: Any, where: str) -> None:
    left = [(content, 1)]
    while left:
        value, depth = left.pop()
        if depth > MAX_DEPTH:
            raise BadInputError(f"{where}: nested too deeply; a row has at most {MAX_DEPTH} levels")
        if isinstance(value, dict):
            left += [(inner, depth + 1) for pair in value.items() for inner in pair]
        elif isinstance(value, list):
            left += [(inner, depth + 1) for inner in value]
        elif isinstance(value, float) and not math.isfinite(value):
            raise BadInputError(f"{where}: a number is beyond what a float can hold; write a finite number")
        elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise BadInputError(f"{where}: an integer is beyond 2**53, and some readers of JSON would round it")
        elif isinstance(value, str) and not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
            raise BadInputError(f"{where}: half of a surrogate pair (\\ud800 to \\udfff) is no character")


def _described(error: ValidationError) -> str:
    faults = [f"{'.'.join(map(str, one['loc'])) or 'the whole row'}: {one['msg']}" for one in error.errors()[:5]]
    rest = f" and {error.error_count() - 5} more" if error.error_count() > 5 else ""
    return f"not a row: {'; '.join(faults)}{rest}"


def _require_written_so(row: Row, content: Any, canonical: str, where: str) -> None:
    """Refuse what is a row only after a conversion, such as "1" for 1: two readers may take it differently."""
    written = row.model_dump(mode="json", exclude_unset=True)
    if canonical_json(written) != canonical:
        place = _first_difference(written, content, "")
        raise BadInputError(f"{where}: {place} is not written as rgbt-bench writes it; make the row with `submit`")


def _first_difference(ours: Any, theirs: Any, at: str) -> str:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs: Sequence[tuple[Any, Any, str]] = [
            (ours.get(key), theirs.get(key), f"{at}.{key}" if at else key) for key in sorted({*ours, *theirs})
        ]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(one, other, f"{at}.{place}") for place, (one, other) in enumerate(zip(ours, theirs, strict=True))]
    else:
        return at or "the whole row"
    for one, other, place in pairs:
        if canonical_json(one) != canonical_json(other):
            return _first_difference(one, other, place)
    return at or "the whole row"

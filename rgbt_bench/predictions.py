"""Detection predictions on disk: a JSON list in COCO's results format, checked whole before anything is scored.

A row is `{"image_id", "category_id", "bbox": [x, y, width, height], "score"}`. `image_id` is a sample id (a string),
`category_id` is the class's place in `DatasetInfo.classes` counted from 1, `bbox` is in pixels of the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from math import isfinite
from pathlib import Path
from reprlib import Repr
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgbt_bench.errors import BadInputError, did_you_mean, enumerate_faults
from rgbt_bench.files import canonical_json, decode_text, parse_json, read_json, write_text

if TYPE_CHECKING:
    from rgbt_bench.schema import Labels

MAX_PER_IMAGE = 1000
MAX_BYTES = 2**30
LARGEST = 1e6
REQUIRED = ("image_id", "category_id", "bbox", "score")
# Exporters of the field write these; none of them is scored.
TOLERATED = frozenset({"area", "id", "iscrowd", "segmentation", "file_name"})
ROWS_SHOWN = 5

_REQUIRED = frozenset(REQUIRED)
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60

_COLUMNS = {"sample_index": np.int64, "category": np.int64, "bbox": np.float64, "score": np.float64}


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The detections of one split, one array a column.

    Attributes:
        sample_index: int64[N], 0-based index into the split's sample ids in ascending order.
        category: int64[N], 0-based index into `DatasetInfo.classes`.
        bbox: float64[N, 4], x, y, width, height in pixels of the sample.
        score: float64[N], confidence, higher is surer.

    Raises:
        ValueError: a column has another dtype or shape.
    """

    sample_index: NDArray[np.int64]
    category: NDArray[np.int64]
    bbox: NDArray[np.float64]
    score: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, dtype in _COLUMNS.items():
            column: NDArray[Any] = getattr(self, name)
            shape = (len(self.score), 4) if name == "bbox" else (len(self.score),)
            if column.dtype != dtype or column.shape != shape:
                raise ValueError(f"{name}: {dtype.__name__}{shape} expected, not {column.dtype}{column.shape}")

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Detections:
        """Return the rows of an index array, in its order, or of a mask."""
        return Detections(self.sample_index[rows], self.category[rows], self.bbox[rows], self.score[rows])


def aliases(labels: Iterable[Labels]) -> dict[str, str]:
    """Return other names under which predictions may know a sample: its original file's name and stem.

    A name that several samples share names none of them.
    """
    found: dict[str, set[str]] = {}
    for one in labels:
        if one.source:
            source = Path(one.source)
            for name in (source.name, source.stem):
                found.setdefault(name, set()).add(one.sample_id)
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}


def canonical_order(detections: Detections) -> NDArray[np.int64]:
    """Return the order by sample, descending score, category and bbox, as int64[N] indices.

    Only identical rows tie, so the order of the rows that came in decides nothing.
    """
    order = np.lexsort((-detections.score, detections.sample_index))
    sample, score = detections.sample_index[order], detections.score[order]
    same = (sample[1:] == sample[:-1]) & (score[1:] == score[:-1])
    # The other keys are sorted by where they decide alone: equal scores are few in most files.
    tied = np.zeros(len(order), dtype=np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    rows = order[tied]
    x, y, width, height = detections.bbox[rows].T
    keys = (height, width, y, x, detections.category[rows], -detections.score[rows], detections.sample_index[rows])
    order[tied] = rows[np.lexsort(keys)]
    return order


def read_predictions(
    path: Path,
    sample_ids: Sequence[str],
    classes: Sequence[str],
    aliases: Mapping[str, str] = MappingProxyType({}),
) -> Detections:
    """Read a predictions file in the order of its rows, after every row was found usable.

    `sample_ids` are the split's, ascending; `classes` the dataset's; `aliases` maps other names of a sample (the stem
    of its original file) to its id. Rows that occur twice are legal, and so is an empty list.

    Raises:
        MissingError: there is no such file.
        BadInputError: the file is too large, not strict JSON or not such a list; every kind of fault is named with its
            first rows.
        ValueError: `sample_ids` are not ascending.
    """
    _require_ascending(sample_ids)
    rows = _read_list(path)
    index = {sample_id: place for place, sample_id in enumerate(sample_ids)}
    names = {alias: index[sample_id] for alias, sample_id in aliases.items() if sample_id in index} | index
    example = f"such as {_SHORT.repr(sample_ids[0])}" if sample_ids else "but this split has none"
    if not _are_plainly_usable(rows, names, len(classes)):
        expected = _Expected(names, example, _numbered(classes), len(classes), [0] * len(sample_ids))
        _require_usable(rows, expected, str(path))
    return Detections(
        sample_index=np.array([names[row["image_id"]] for row in rows], dtype=np.int64),
        category=np.array([row["category_id"] - 1 for row in rows], dtype=np.int64),
        bbox=np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4),
        score=np.array([row["score"] for row in rows], dtype=np.float64),
    )


def check_predictions(content: bytes, where: str, samples: int, classes: Sequence[str]) -> int:
    """Return how many rows the bytes of a predictions file have, after what can be checked without its sample ids.

    Raises:
        BadInputError: what `read_predictions` refuses whatever the ids are, or more ids than samples; begins with
            `where`.
    """
    rows = _list_of(parse_json(decode_text(content, where), where), where)
    names: dict[str, int] = {}
    expected = _Expected(names, "a text each", _numbered(classes), len(classes), [], adds=names)
    _require_usable(rows, expected, where)
    if len(names) > samples:
        raise BadInputError(f"{where}: rows of {len(names):,} samples, and the part has {samples:,}")
    return len(rows)


def _are_plainly_usable(rows: Sequence[Any], names: Mapping[str, int], n_classes: int) -> bool:
    """Tell whether rows are usable and in the commonest form, column by column, which is several times faster."""
    if not rows or not all(type(row) is dict and row.keys() == _REQUIRED for row in rows):
        return False
    ids, categories, boxes, scores = ([row[key] for row in rows] for key in REQUIRED)
    numbers = [number for box in boxes if type(box) is list for number in box]
    kinds = (set(map(type, ids)), set(map(type, categories)), {*map(type, numbers), *map(type, scores)})
    if kinds[:2] != ({str}, {int}) or not kinds[2] <= {int, float}:
        return False
    if not all(type(box) is list and len(box) == 4 for box in boxes):
        return False
    try:
        values = np.array([*numbers, *scores, *categories], dtype=np.float64)
        counts = np.bincount([names[sample_id] for sample_id in ids])
    except (OverflowError, KeyError):
        return False
    box, rest = values[: len(numbers)].reshape(-1, 4), values[len(numbers) :]
    score, category = rest[: len(rows)], rest[len(rows) :]
    within = bool(np.isfinite(values).all() and (np.abs(values) <= LARGEST).all() and (score >= 0).all())
    has_area = bool((box[:, 2:] > 0).all() and (box[:, 2] * box[:, 3] != 0).all())
    is_class = bool(((category >= 1) & (category <= n_classes)).all())
    return within and has_area and is_class and int(counts.max()) <= MAX_PER_IMAGE


def _require_usable(rows: Sequence[Any], expected: _Expected, where: str) -> None:
    faults: dict[str, list[tuple[int, Any]]] = {}
    for number, row in enumerate(rows, 1):
        for problem, value in _row_faults(row, expected):
            faults.setdefault(problem, []).append((number, value))
    if faults:
        lines = [_describe(problem, found, expected.names) for problem, found in faults.items()]
        title = f"{where}: cannot be scored; rows are counted from 1:"
        raise BadInputError(enumerate_faults(title, lines, limit=len(lines)))


def _numbered(classes: Sequence[str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(classes, 1))


def write_predictions(path: Path, detections: Detections, sample_ids: Sequence[str]) -> None:
    """Write a predictions file atomically, one row a line in canonical order, every float in its shortest exact form.

    The same detections give the same bytes in whatever order they come; `files.sha256_file` is their digest.

    Raises:
        BadInputError: a detection that `read_predictions` would refuse.
        ValueError: `sample_ids` are not ascending.
    """
    _require_ascending(sample_ids)
    faults = _array_faults(detections, len(sample_ids))
    if faults:
        raise BadInputError(enumerate_faults(f"{path}: these detections cannot be written:", faults))
    ordered = detections.take(canonical_order(detections))
    # Adding 0.0 turns -0.0 into 0.0, which is equal but has other bytes.
    columns = (ordered.sample_index, ordered.category + 1, ordered.bbox + 0.0, ordered.score + 0.0)
    lines = (
        canonical_json({"image_id": sample_ids[place], "category_id": category, "bbox": bbox, "score": score})
        for place, category, bbox, score in zip(*(column.tolist() for column in columns), strict=True)
    )
    text = ",\n".join(lines)
    write_text(path, f"[\n{text}\n]\n" if text else "[]\n")


def _require_ascending(sample_ids: Sequence[str]) -> None:
    for first, second in pairwise(sample_ids):
        if first >= second:
            raise ValueError(f"sample ids must be ascending and unique, but {second!r} follows {first!r}")


def _read_list(path: Path) -> list[Any]:
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        size = f"{path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} that are read"
        raise BadInputError(f"{path}: {size}; leave out segmentations and the lowest scores")
    return _list_of(read_json(path), str(path))


def _list_of(rows: Any, where: str) -> list[Any]:
    if isinstance(rows, list):
        return rows
    hint = ""
    if isinstance(rows, dict):
        hint = " Write the list alone, without an object around it."
        if "annotations" in rows:
            hint = " This looks like a COCO ground-truth file, not like predictions."
    expected = "a list of {image_id, category_id, bbox, score} was expected"
    raise BadInputError(f"{where}: {expected}, not {type(rows).__name__}.{hint}")


@dataclass(frozen=True, slots=True)
class _Expected:
    """What rows are held against, in the words of the messages; `seen` counts the rows of each sample.

    Where the ids are not known, `adds` is `names`, and takes each new one.
    """

    names: Mapping[str, int]
    example: str
    classes: str
    n_classes: int
    seen: list[int]
    adds: dict[str, int] | None = None


def _row_faults(row: Any, expected: _Expected) -> Iterator[tuple[str, Any]]:
    """Yield what is wrong with a row as (problem, offending value); a problem has the same words in every row."""
    if not isinstance(row, dict):
        yield "the row is not an object with image_id, category_id, bbox and score", row
        return
    if row.keys() != _REQUIRED:
        for key in REQUIRED:
            if key not in row:
                yield f"{key} is missing", None
        for key in sorted(row.keys() - _REQUIRED - TOLERATED):
            yield f"unknown key; {', '.join(REQUIRED)} are read, {', '.join(sorted(TOLERATED))} passed over", key
    if "image_id" in row and (problem := _image_fault(row["image_id"], expected)):
        yield problem, row["image_id"]
    if "category_id" in row and (problem := _category_fault(row["category_id"], expected)):
        yield problem, row["category_id"]
    if "bbox" in row and (problem := _bbox_fault(row["bbox"])):
        yield problem, row["bbox"]
    if "score" in row and (problem := _score_fault(row["score"])):
        yield problem, row["score"]


def _image_fault(value: Any, expected: _Expected) -> str:
    if not isinstance(value, str):
        kind = "an integer" if _is_integer(value) else "not a string"
        return f"image_id is {kind}; sample ids are expected, {expected.example}"
    place = expected.names.get(value)
    if place is None and expected.adds is not None:
        place = expected.adds[value] = len(expected.seen)
        expected.seen.append(0)
    if place is None:
        return f"image_id is not a sample id of this split; ids are expected {expected.example}"
    expected.seen[place] += 1
    if expected.seen[place] == MAX_PER_IMAGE + 1:
        return f"more than {MAX_PER_IMAGE:,} rows for one sample; keep those with the highest scores"
    return ""


def _category_fault(value: Any, expected: _Expected) -> str:
    if not _is_integer(value):
        return f"category_id is not an integer; the ids are {expected.classes}"
    if value == 0:
        return f"category_id is 0, but category ids start at 1 ({expected.classes})"
    return "" if 1 <= value <= expected.n_classes else f"category_id is none of {expected.classes}"


def _bbox_fault(value: Any) -> str:
    if not isinstance(value, list) or len(value) != 4:
        return "bbox is not four finite numbers [x, y, width, height]"
    for number in value:
        if not _is_finite(number):
            return "bbox is not four finite numbers [x, y, width, height]"
        if abs(number) > LARGEST:
            return f"bbox has a number beyond {LARGEST:,.0f} pixels"
    # The product of two tiny sides may round to an area of 0.
    if value[2] <= 0 or value[3] <= 0 or value[2] * value[3] == 0:
        return "bbox has no width or no height; [x, y, width, height] is expected, not two corners"
    return ""


def _score_fault(value: Any) -> str:
    if not _is_finite(value):
        return "score is not a finite number"
    if value < 0:
        return "score is negative; 0 or above is expected"
    return f"score is above {LARGEST:,.0f}" if value > LARGEST else ""


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    # isfinite would raise on an integer beyond the floats.
    return isfinite(value) if isinstance(value, float) else _is_integer(value)


def _describe(problem: str, found: Sequence[tuple[int, Any]], names: Mapping[str, int]) -> str:
    """Return one line: the problem, its first rows with their values and suggestions, the rest as a count."""
    shown = []
    for number, value in found[:ROWS_SHOWN]:
        detail = "" if value is None else f" ({_SHORT.repr(value)}{_suggestion(problem, value, names)})"
        shown.append(f"row {number}{detail}")
    rest = f" and {len(found) - ROWS_SHOWN:,} more rows" if len(found) > ROWS_SHOWN else ""
    return f"{problem}: {', '.join(shown)}{rest}"


def _suggestion(problem: str, value: Any, names: Mapping[str, int]) -> str:
    if problem.startswith("unknown key"):
        return f": {did_you_mean(value, REQUIRED)}"
    # A split has too many ids to list them all, and a very long id is compared slowly.
    if problem.startswith("image_id") and isinstance(value, str) and get_close_matches(value[:200], names, n=1):
        return f": {did_you_mean(value[:200], names)}"
    return ""


def _array_faults(detections: Detections, n_samples: int) -> list[str]:
    sample, bbox, score = detections.sample_index, detections.bbox, detections.score
    numbers = np.column_stack([bbox, score])
    outside = (sample < 0) | (sample >= n_samples)
    counts = np.bincount(sample[~outside], minlength=1)
    checks = {
        f"sample_index outside 0..{n_samples - 1}": outside,
        "category below 0": detections.category < 0,
        "bbox or score not finite": ~np.isfinite(numbers).all(axis=1),
        f"bbox or score beyond {LARGEST:,.0f}": (np.abs(numbers) > LARGEST).any(axis=1),
        "bbox without width or height": (bbox[:, 2:] <= 0).any(axis=1) | (bbox[:, 2] * bbox[:, 3] == 0),
        "score below 0": score < 0,
        f"more than {MAX_PER_IMAGE:,} of one sample": ~outside & (counts[np.where(outside, 0, sample)] > MAX_PER_IMAGE),
    }
    return [
        f"{int(bad.sum()):,} with {problem}, first at {int(bad.argmax())}"
        for problem, bad in checks.items()
        if bad.any()
    ]

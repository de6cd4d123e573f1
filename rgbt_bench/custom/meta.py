"""What is known of samples beside their labels: illumination and scene, from a CSV file or from their ids."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import StringIO
from typing import cast, get_args

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError, did_you_mean
from rgbt_bench.schema import Illumination
from rgbt_bench.sources import Source

from .description import Description

ILLUMINATIONS: tuple[Illumination, ...] = get_args(Illumination)
COLUMNS = ("id", "illumination", "scene")


@dataclass(frozen=True)
class Meta:
    """What is known of one sample; an empty text says nothing."""

    illumination: str = ""
    scene: str = ""


def read_meta(source: Source, name: str, scan: Scan) -> dict[str, Meta]:
    """Return the rows of a CSV file by id; rows that cannot be used are faults, other columns are counted.

    Raises:
        BadInputError: no such file, not CSV, or without the column `id`.
    """
    where = source.where(name)
    found: dict[str, Meta] = {}
    try:
        reader = csv.DictReader(StringIO(source.text(name), newline=""), strict=True)
        columns = list(reader.fieldnames or ())
        if "id" not in columns:
            raise BadInputError(f"{where}: no column `id`; the columns are {', '.join(columns) or 'none'}")
        for row in reader:
            fault = _fault(row, found)
            if fault:
                scan.faults.append(f"{where}: line {reader.line_num}: {fault}")
            else:
                found[row["id"]] = Meta(row.get("illumination") or "", row.get("scene") or "")
    except csv.Error as error:
        raise BadInputError(f"{where}: not CSV: {error}") from None
    for column in sorted({str(column) for column in columns} - set(COLUMNS)):
        scan.quirks[f"{name}: column {column!r} (not read)"] += 1
    return found


def _fault(row: Mapping[str | None, object], found: Mapping[str, Meta]) -> str:
    """Return what is wrong with a row, or an empty text."""
    if None in row or None in row.values():
        return "not as many fields as columns"
    if row["id"] in found:
        return f"{row['id']!r} again; keep one"
    illumination = row.get("illumination", "")
    if illumination and illumination not in ILLUMINATIONS:
        return f"unknown illumination {illumination!r}. {did_you_mean(str(illumination), ILLUMINATIONS)}"
    return ""


def illumination_of(sample_id: str, description: Description) -> Illumination:
    """Return what the description's patterns over ids say.

    Raises:
        BadInputError: two of them say different things.
    """
    given = {key: (globs,) if isinstance(globs, str) else globs for key, globs in description.illumination.items()}
    fit = [key for key, globs in given.items() if any(fnmatchcase(sample_id, glob) for glob in globs)]
    if len(fit) > 1:
        raise BadInputError(f"{sample_id}: the patterns under `illumination` say {' and '.join(fit)}; let one fit")
    return fit[0] if fit else "unknown"


def as_illumination(text: str) -> Illumination:
    """Return a text that was checked as an illumination."""
    return cast(Illumination, text)

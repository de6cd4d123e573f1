"""The rows of a board in short, as flat JSON-ready records, and these in the formats that other programs read."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rgbt_bench.errors import UsageError, unknown_name
from rgbt_bench.files import write_bytes
from rgbt_bench.leaderboard.board import Board
from rgbt_bench.leaderboard.ranking import Place, interval_of, rank_track
from rgbt_bench.leaderboard.reported import reported_rows
from rgbt_bench.leaderboard.rows import Row
from rgbt_bench.leaderboard.tracks import PENDING, Leaderboard, Track
from rgbt_bench.seeds import Summary
from rgbt_bench.statistics import LEVEL

Record = dict[str, Any]
_LATEX: Final = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
}  # fmt: skip
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")


def require_track(board: Board, track: str) -> None:
    """Raise a UsageError where a board has no such track."""
    if track not in board.definitions.tracks:
        raise unknown_name("track", track, board.definitions.tracks)


def summaries(board: Board, track: str | None = None) -> list[Record]:
    """Return a board's rows in short, of one track or of all, the best first where something ranks.

    Raises:
        UsageError: no such track.
    """
    if track is not None:
        require_track(board, track)
    tracks = [track] if track is not None else sorted({row.track for row in board.rows.values()})
    found = []
    for one in tracks:
        places = rank_track(board, one)
        records = [summary(board, row, places[row.id]) for row in board.rows.values() if row.track == one]
        found += sorted(records, key=_order)
    return found


def summary(board: Board, row: Row, place: Place) -> Record:
    """Return one row in short: what it is, where it stands, and its figures over the seeds."""
    result, figures = row.first, row.figures()
    main = result.metrics.main
    interval = interval_of(row) if len(row.runs) > 1 else figures[main].interval
    model = result.model
    return {
        "id": row.id,
        "board": board.version,
        "track": row.track,
        "name": row.entry.name,
        "badge": board.badge(row),
        "rank": place.rank,
        "why_unranked": place.reason,
        "standing": result.standing,
        "seeds": [run.seed for run in row.runs],
        "figure": main,
        "value": figures[main].mean,
        "sd": figures[main].sd,
        "low": interval and interval[0],
        "high": interval and interval[1],
        "level": LEVEL if interval else None,
        "figures": {name: figures[name].mean for name in result.metrics.figures},
        "subsets": _subsets(row, figures),
        "parameters": row.size and row.size.parameters,
        "macs": row.size and row.size.macs,
        "size_by": row.size and row.size.by,
        "recipe": model and model.recipe,
        "preset": model and model.preset,
        "authors": row.entry.authors,
        "paper": row.entry.paper,
        "label_digest": result.data.label_digest,
        "protocol_digest": result.protocol_digest,
        "created": row.created,
    }


def _subsets(row: Row, figures: Mapping[str, Summary]) -> Record:
    main = row.first.metrics.main
    named = {subset: figures.get(f"{subset} {main}") for subset in row.first.metrics.subsets}
    return {subset: one.mean for subset, one in named.items() if one is not None}


def _order(record: Record) -> tuple[bool, int, bool, float, str]:
    value = record["value"]
    return (record["rank"] is None, record["rank"] or 0, value is None, -(value or 0.0), record["id"])


def board_content(board: Board, track: str | None = None, reported: bool = False) -> Record:
    """Return what `leaderboard show` shows: the tracks with their rows, of one or of all.

    Raises:
        UsageError: no such track.
    """
    if track is not None:
        require_track(board, track)
    definitions = board.definitions
    rows = summaries(board, track)
    papers = [one for one in _reported(track) if one["track"] in definitions.tracks] if reported else []
    return {
        "version": board.version,
        "tracks": [
            {
                "track": name,
                "ranks": _ranks(definitions, frozen),
                "protocol": frozen.protocol,
                "data": definitions.data[frozen.data].model_dump(mode="json"),
                "rows": [one for one in rows if one["track"] == name],
                "reported": [one for one in papers if one["track"] == name],
            }
            for name, frozen in definitions.tracks.items()
            if track in (None, name)
        ],
    }


def _ranks(definitions: Leaderboard, track: Track) -> str:
    """Return whether rows of a track can rank: yes, no, or pending."""
    if not track.ranked or track.key == "pixels":
        return "no"
    return PENDING if definitions.data[track.data].label_digest == PENDING else "yes"


def default_file(board: Board, style: str) -> Path:
    """Return where an export goes that nobody names a place for.

    Raises:
        UsageError: no such format.
    """
    if style not in FORMATS:
        raise unknown_name("format", style, FORMATS)
    return Path(f"leaderboard-{board.version}.{FORMATS[style]}")


def write_export(board: Board, style: str, out: Path, track: str | None = None, reported: bool = False) -> int:
    """Write rows, and the papers' figures where they are asked for, into a file of a format; return how many.

    Raises:
        UsageError: no such format or track, or nothing to write.
    """
    if style not in FORMATS:
        raise unknown_name("format", style, FORMATS)
    rows = summaries(board, track)
    papers = _reported(track) if reported and style != "bibtex" else []
    records = [_flat(one) for one in (*rows, *papers)]
    if not records:
        raise UsageError("no row to export" + (f" on {track}" if track else ""))
    write_bytes(out, _bibtex(board, rows) if style == "bibtex" else _TABLES[style](records))
    return len(records)


def _reported(track: str | None) -> list[Record]:
    """Return the papers' figures in short: by track in our unit and names, and all as they are printed."""
    return [
        {
            "id": one.id,
            "track": name,
            "name": one.row,
            "badge": "reported",
            "rank": None,
            "figures": dict(one.tracks[name]) if name else {},
            "printed": dict(one.figures),
            "labels": dict(one.labels),
            "paper": one.title,
            "source": f"{one.source}; {one.table_title}",
            "notes": list(one.notes),
        }
        for one in reported_rows()
        for name in (one.tracks or (None,))
        if track in (None, name)
    ]


def _flat(record: Record) -> Record:
    """Return a record without mappings and lists: a figure a key, such as `AP50` and `day`."""
    plain = {name: value for name, value in record.items() if not isinstance(value, dict | list)}
    plain["seeds"] = len(record.get("seeds", ())) or None
    figures = {f"figure {name}": value for name, value in record.get("figures", {}).items()}
    printed = {f"printed {name}": value for name, value in record.get("printed", {}).items()}
    return plain | figures | {f"subset {name}": value for name, value in record.get("subsets", {}).items()} | printed


def _keys(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(key for record in records for key in record))


def _csv(records: Sequence[Record]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, _keys(records), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in record.items()} for record in records)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    is_formula = isinstance(value, str) and _FORMULA.match(value)
    return f"'{value}" if is_formula else value


def _json(records: Sequence[Record]) -> bytes:
    return (json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _parquet(records: Sequence[Record]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys = _keys(records)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({key: [record.get(key) for record in records] for key in keys}), sink)
    return bytes(sink.getvalue().to_pybytes())


def _latex(records: Sequence[Record]) -> bytes:
    from tabulate import tabulate

    names = [key for key in _keys(records) if key.startswith("figure ")]
    headers = ["rank", "name", "track", "badge", *(name.removeprefix("figure ") for name in names), "parameters (M)"]
    body = []
    for one in records:
        figures = ["" if one.get(name) is None else f"{one[name]:.4f}" for name in names]
        size = "" if one.get("parameters") is None else f"{one['parameters'] / 1e6:.2f}"
        texts = [_escaped(str(one.get(key) or "")) for key in ("rank", "name", "track", "badge")]
        body.append([*texts, *figures, size])
    align = ["left"] * 4 + ["right"] * (len(names) + 1)
    table = tabulate(
        body, [_escaped(one) for one in headers], tablefmt="latex_raw", disable_numparse=True, colalign=align
    )
    return f"{table}\n".encode()


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _bibtex(board: Board, records: Sequence[Record]) -> bytes:
    return ("\n\n".join(citation(board, board.row(one["id"])) for one in records) + "\n").encode()


def citation(board: Board, row: Row) -> str:
    """Return BibTeX of a row as it stands on a board, after that of its own paper where it brings one."""
    own = f"{row.entry.bibtex.strip()}\n\n" if row.entry.bibtex.strip() else ""
    names = [name.strip() for name in row.entry.authors.split(",") if name.strip()]
    authors = " and ".join(f"{{{_escaped(name)}}}" if " " not in name else _escaped(name) for name in names)
    title = _escaped(f"{row.entry.name} on {row.track}")
    return own + (
        f"@misc{{rgbtbench-{board.version}-{row.id},\n"
        f"  author = {{{authors or '{anonymous}'}}},\n"
        f"  title = {{{title}}},\n"
        f"  howpublished = {{rgbt-bench, leaderboard {board.version}, row {row.id}}},\n"
        f"  year = {{{row.created[:4]}}},\n"
        f"  note = {{row digest {row.digest[:16]}}}\n"
        "}"
    )


_TABLES: Final[Mapping[str, Callable[[Sequence[Record]], bytes]]] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
    "latex": _latex,
}
FORMATS: Final = {"csv": "csv", "json": "json", "parquet": "parquet", "latex": "tex", "bibtex": "bib"}

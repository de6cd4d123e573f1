"""A board: one version's folder of the leaderboard, with its frozen definitions, rows, predictions and proofs."""

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rgbt_bench.errors import BadInputError, MissingError, unknown_name
from rgbt_bench.files import read_json
from rgbt_bench.leaderboard.rows import Badge, Row, parse_row
from rgbt_bench.leaderboard.tracks import DEFINITIONS_FILE, Leaderboard, read_definitions, versions

ROWS_FOLDER: Final = "rows"
PREDICTIONS_FOLDER: Final = "predictions"
PROOFS_FOLDER: Final = "proofs"


class Proof(BaseModel):
    """What a verification found of a row: `rescored` from its predictions, or `re-run` by a maintainer.

    It holds for the row of `row_digest` alone; `note` says for a `re-run` what came out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: str
    row_digest: str
    kind: Literal["rescored", "re-run"]
    rgbt_bench: str
    created: str
    libraries: dict[str, str] = Field(default_factory=dict)
    note: str = Field(default="", max_length=1000)


class Board:
    """One version of the leaderboard in a folder such as `leaderboards/v1`."""

    def __init__(self, root: Path, version: str) -> None:
        self.root = root
        self.version = version

    @property
    def folder(self) -> Path:
        """The version's folder."""
        return self.root / self.version

    @property
    def number(self) -> int:
        """The version's number."""
        return int(self.version[1:])

    @cached_property
    def definitions(self) -> Leaderboard:
        """The version's frozen definitions."""
        return read_definitions(self.folder / DEFINITIONS_FILE)

    def row_file(self, row: str) -> Path:
        """Return where a row lies, there or not."""
        return self.folder / ROWS_FOLDER / f"{row}.json"

    def predictions_file(self, name: str) -> Path:
        """Return where packed predictions of this name lie, there or not."""
        return self.folder / PREDICTIONS_FOLDER / name

    def proof_file(self, row: str) -> Path:
        """Return where a row's proof lies, there or not."""
        return self.folder / PROOFS_FOLDER / f"{row}.json"

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Every row by its id, in the order of the ids.

        Raises:
            BadInputError: a file is no row, or has another name than its row.
        """
        found = {}
        for path in sorted((self.folder / ROWS_FOLDER).glob("*.json")):
            row = parse_row(path.read_bytes(), str(path))
            if row.id != path.stem:
                raise BadInputError(f"{path}: holds the row {row.id}; a row's file is called as the row")
            found[row.id] = row
        return found

    def row(self, name: str) -> Row:
        """Return the row of an id.

        Raises:
            UsageError: there is none.
        """
        if name not in self.rows:
            raise unknown_name("row", name, self.rows)
        return self.rows[name]

    def proof(self, row: Row) -> Proof | None:
        """Return the proof of a row as it is now, or None; a proof of other content proves nothing.

        Raises:
            BadInputError: the file is no proof.
        """
        path = self.proof_file(row.id)
        if not path.is_file():
            return None
        try:
            proof = Proof.model_validate(read_json(path))
        except ValidationError as error:
            raise BadInputError(
                f"{path}: not a proof: {error.errors()[0]['msg']}; delete it and verify again"
            ) from None
        return proof if proof.row_digest == row.digest else None

    def badge(self, row: Row) -> Badge:
        """Return what is known of a row: measured, or what its proof says."""
        proof = self.proof(row)
        return proof.kind if proof else "measured"


def boards_home() -> Path:
    """Return the packaged folder of all versions; in an editable installation it is the checkout's."""
    return Path(str(files("rgbt_leaderboards")))


def open_board(version: str | None = None, root: Path | None = None) -> Board:
    """Return a version of the leaderboard, the newest without a name, from a folder or the packaged one.

    Raises:
        MissingError: the folder holds no board.
        UsageError: no such version.
    """
    place = boards_home() if root is None else root.expanduser()
    known = versions(place) if place.is_dir() else []
    if not known:
        raise MissingError(f"{place}: no leaderboard here, such as v1/{DEFINITIONS_FILE}")
    if version is not None and version not in known:
        raise unknown_name("version", version, known)
    return Board(place, version or known[-1])

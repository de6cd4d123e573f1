"""The proof that no arithmetic can give: a maintainer trained or predicted again, and the figures came out."""

from rgbt_bench import __version__
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.files import write_json
from rgbt_bench.leaderboard.board import Board, Proof
from rgbt_bench.leaderboard.ranking import Compared, compare_rows
from rgbt_bench.leaderboard.rows import Row
from rgbt_bench.leaderboard.submitting import EntryFile, make_row
from rgbt_bench.leaderboard.verifying import proof_libraries
from rgbt_bench.progress import Progress, no_progress
from rgbt_bench.results import now
from rgbt_bench.statistics import SIGNIFICANCE


def rerun_proof(board: Board, row: Row, runs: list[str], progress: Progress = no_progress) -> Proof:
    """Return the proof that a row's figures came out again in runs made here of the same recipe, preset and settings.

    Runs of a seed that the row has are compared with that seed's, others as seeds drawn apart.

    Raises:
        UsageError: the row names no recipe, so nobody can make it again.
        BadInputError: the runs are of another recipe or on other data, cannot be tested, or differ significantly.
    """
    model = row.first.model
    if model is None:
        raise UsageError(f"{row.id}: brings predictions without a recipe, so it can be rescored but not re-run")
    again = make_row(board, runs, EntryFile(name=row.entry.name, id=row.id), model.preset, None, progress).row
    for run in again.runs:
        theirs = run.result.model
        if theirs is None or (theirs.recipe, theirs.recipe_digest) != (model.recipe, model.recipe_digest):
            raise BadInputError(f"{row.id} is of {model.recipe} ({model.recipe_digest[:12]}), and the run is not")
    found = compare_rows(row, again)
    if found.p is None:
        raise BadInputError(f"{row.id}: the run made again cannot be tested against it ({found.verdict})")
    if found.p < SIGNIFICANCE:
        raise BadInputError(f"{row.id}: the run made again differs ({_told(found)}); it proves nothing")
    same = {run.result.predictions_sha256 for run in row.runs} & {run.result.predictions_sha256 for run in again.runs}
    return Proof(
        row=row.id,
        row_digest=row.digest,
        kind="re-run",
        rgbt_bench=__version__,
        created=now(),
        libraries=proof_libraries(),
        note=f"{_told(found)}; {len(same)} of {len(row.runs)} predictions are the same to the byte",
    )


def write_proof(board: Board, proof: Proof) -> None:
    """Write a proof beside the rows."""
    write_json(board.proof_file(proof.row), proof.model_dump(mode="json"))


def _told(found: Compared) -> str:
    figures = f"{found.figure} {found.second_figure:.4f} again, {found.first_figure:.4f} in the row"
    around = f", difference in [{found.interval[0]:.4f}, {found.interval[1]:.4f}]" if found.interval else ""
    return figures + around

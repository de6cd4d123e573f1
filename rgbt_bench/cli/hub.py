"""The commands about the Hugging Face Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rgbt_bench.errors import BenchError, UsageError
from rgbt_bench.printing import console
from rgbt_bench.printing import hub as shown

from .options import Json, emit

if TYPE_CHECKING:
    from rgbt_bench.hub.names import HubName
    from rgbt_bench.schema import DatasetInfo

Public = Annotated[
    bool, typer.Option("--public", help="For everybody; default: private. A set needs --accept-terms, too.")
]
AcceptTerms = Annotated[
    str | None,
    typer.Option("--accept-terms", metavar="DATASET", help="With --public: the dataset whose terms you accept."),
]
ManifestOnly = Annotated[
    bool,
    typer.Option("--manifest-only", help="Push ids, hashes, splits and provenance alone: no pixel and no label."),
]


def push(
    what: Annotated[str, typer.Argument(help="A converted set (NAME or its folder), or a finished run.")],
    hub: Annotated[str, typer.Option("--hub", metavar="OWNER/NAME", help="The repository to push to.")],
    public: Public = False,
    accept_terms: AcceptTerms = None,
    manifest_only: ManifestOnly = False,
    dataset_repo: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME@REVISION", help="For a run: where its set is on the Hub, if not told here."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files that would be pushed, and ask nobody.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Push a converted set or a run to the Hugging Face Hub: private, in one commit, and again where it stopped."""
    from rgbt_bench.hub.models import names_run
    from rgbt_bench.hub.names import is_hub_name, parse_target
    from rgbt_bench.hub.sets import PushOptions, push_set, require_terms, set_files
    from rgbt_bench.opening import open_dataset

    target = parse_target(hub)
    if is_hub_name(what):
        raise UsageError(f"{what}: is on the Hub already; `rgbt-bench pull {what}` gets it, which can then be pushed")
    if names_run(what):
        if accept_terms is not None or manifest_only:
            raise UsageError(f"{what} is a run: --accept-terms and --manifest-only are about sets")
        _push_run(what, target, public, dataset_repo, dry_run, as_json)
        return
    if dataset_repo is not None:
        raise UsageError("--dataset-repo says where the set of a run is; leave it out for a set")
    dataset = open_dataset(what)
    options = PushOptions(public, accept_terms, manifest_only)
    if dry_run:
        require_terms(dataset.info, options)
        files = set_files(dataset, target, manifest_only)
        content = shown.planned(target.repo_id, public, files)
        emit(as_json, content, lambda: shown.plan(content))
        return
    with console.progress() as report:
        pushed = push_set(dataset, target, options, report)
    outcome = {"pushed": "manifest" if manifest_only else "set", **pushed.to_dict()}
    emit(as_json, outcome, lambda: shown.pushed(outcome))


def _push_run(
    what: str, target: "HubName", public: bool, dataset_repo: str | None, dry_run: bool, as_json: bool
) -> None:
    from rgbt_bench.hub.models import push_run, run_files

    if dry_run:
        content = shown.planned(target.repo_id, public, run_files(what, target, dataset_repo))
        emit(as_json, content, lambda: shown.plan(content))
        return
    with console.progress() as report:
        outcome = {"pushed": "model", **push_run(what, target, public, dataset_repo, report)}
    emit(as_json, outcome, lambda: shown.pushed(outcome))


def pull(
    hub: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="The repository of a set; OWNER/NAME@REVISION pins its commit.")
    ],
    originals: Annotated[
        Path | None,
        typer.Option(help="For a manifest: your own copy of the original set, which it is rebuilt from."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; default: the datasets folder, by name.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a set that is there already.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="How many processes share the work; default: by cores and size.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Get a pushed set, or rebuild it from a manifest and your originals, and verify every hash."""
    from rgbt_bench.hub.names import parse_hub_name
    from rgbt_bench.hub.pulling import pull as run_pull

    with console.progress() as report:
        pulled = run_pull(parse_hub_name(hub), out, originals, force, report, workers)
    emit(as_json, pulled.to_dict(), lambda: shown.pulled(pulled.to_dict()))


class PushAfter:
    """The push that follows a conversion; what would refuse it does so before the conversion begins."""

    def __init__(self, hub: str, public: bool, accept_terms: str | None, manifest_only: bool) -> None:
        from rgbt_bench.hub.names import parse_target
        from rgbt_bench.hub.sets import PushOptions

        self._target = parse_target(hub)
        self._options = PushOptions(public, accept_terms, manifest_only)

    def require(self, info: "DatasetInfo", folder: Path, force: bool) -> None:
        """Refuse now what the push of this dataset would refuse later.

        Raises:
            UsageError: the set is there already, its terms are not accepted, or the repository holds something else.
            BenchError: nobody is logged in, or the Hub cannot be reached.
        """
        from rgbt_bench.hub.sets import find_set_place
        from rgbt_bench.paths import RECORD_FILE

        if (folder / RECORD_FILE).is_file() and not force:
            raise UsageError(
                f"{folder}: converted already; `rgbt-bench push {folder} --hub {self._target.repo_id}` pushes it, and"
                " --force converts it anew"
            )
        find_set_place(info, self._target, self._options)

    def run(self, folder: Path) -> dict[str, Any]:
        """Push what was converted, and return what that made.

        Raises:
            BenchError: it could not be pushed; the message says how to go on without converting again.
        """
        from rgbt_bench.datasets.store import Dataset
        from rgbt_bench.hub.sets import push_set

        try:
            with console.progress() as report:
                done = push_set(Dataset(folder), self._target, self._options, report)
            return {"pushed": "manifest" if self._options.manifest_only else "set", **done.to_dict()}
        except BenchError as error:
            again = f"`rgbt-bench push {folder} --hub {self._target.repo_id}` and the same options"
            raise type(error)(f"{error}\nThe set is converted, and lies in {folder}: {again} push it") from None


def push_after(hub: str | None, public: bool, accept_terms: str | None, manifest_only: bool) -> PushAfter | None:
    """Return the push that the options of a conversion ask for, or None.

    Raises:
        UsageError: options about a push without --push.
    """
    given = {"--public": public, "--accept-terms": accept_terms is not None, "--manifest-only": manifest_only}
    if hub is not None:
        return PushAfter(hub, public, accept_terms, manifest_only)
    for name, there in given.items():
        if there:
            raise UsageError(f"{name} is about a push; give --push OWNER/NAME, too")
    return None

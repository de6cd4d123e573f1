"""The options that send a command's work to a cluster."""

from typing import TYPE_CHECKING, Annotated

import typer

from rgbt_bench.errors import UsageError, unknown_name
from rgbt_bench.printing import console

if TYPE_CHECKING:
    from rgbt_bench.workers import Crew

ClusterName = Annotated[
    str | None, typer.Option("--cluster", help="Share the work among the jobs of a cluster: slurm.")
]
ClusterJobs = Annotated[
    int | None, typer.Option("--jobs", min=1, help="With --cluster: how many jobs run at once; default: 16.")
]
SlurmOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        help="KEY=VALUE for each job: partition, account, time (minutes), mem_gb, cpus_per_task, or any other option"
        " of sbatch by its name. Repeatable.",
    ),
]
_JOBS = 16


def crew_of(cluster: str | None, jobs: int | None, options: list[str] | None, workers: int | None) -> "Crew | None":
    """Return who does the work, given the options; None for this machine.

    Raises:
        UsageError: an unknown cluster, options that do not belong together, or a faulty one.
        MissingError: what the cluster needs is not installed.
    """
    if cluster is None:
        for name, given in (("--jobs", jobs is not None), ("--slurm", bool(options))):
            if given:
                raise UsageError(f"{name} is about the jobs of a cluster; give --cluster slurm, too")
        return None
    if cluster != "slurm":
        raise unknown_name("--cluster", cluster, ("slurm",))
    if workers is not None:
        raise UsageError("--workers are processes of this machine; with --cluster, give --jobs")
    from rgbt_bench.cluster.crew import ClusterCrew
    from rgbt_bench.cluster.slurm import Slurm, parse_options, require_slurm

    wanted = parse_options(options or ())
    require_slurm()
    return ClusterCrew(Slurm(wanted, jobs or _JOBS), jobs or _JOBS, console.note)

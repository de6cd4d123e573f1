"""What the nodes of a cluster import of the tests, and a scheduler whose nodes are processes of this machine."""

import multiprocessing
import os
import sys
import time

from submitit.core.submission import process_job
from submitit.core.utils import DelayedSubmission, JobPaths
from submitit.local.local import LocalJob

from rgbt_bench.cluster.crew import State
from rgbt_converters.flir import Flir

HOLD_S = 60


class Held(Flir):
    """Notes every sample that is read in `notes`/seen, with the node and the job, and waits while `notes`/hold is."""

    def __init__(self, notes):
        self.notes = notes

    def read(self, source, item):
        node = os.environ.get("SLURMD_NODENAME", "local")
        with (self.notes / "seen").open("a") as stream:
            stream.write(f"{item.labels.sample_id} {node} {os.getpid()}\n")
        until = time.monotonic() + HOLD_S
        while (self.notes / "hold").exists() and time.monotonic() < until:
            time.sleep(0.05)
        return super().read(source, item)

    def seen(self):
        path = self.notes / "seen"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


class Dying(Flir):
    """Its process dies at one sample, as often as `times` says; its log lies below `notes`, and may go with it."""

    def __init__(self, notes, sample_id, times, with_log=True):
        self.notes, self.sample_id, self.times, self.with_log = notes, sample_id, times, with_log

    def read(self, source, item):
        died = self.notes / "died"
        count = len(died.read_text()) if died.exists() else 0
        if item.labels.sample_id == self.sample_id and count < self.times:
            died.write_text("x" * (count + 1))
            print("out of luck", file=sys.stderr, flush=True)
            if not self.with_log:
                for log in self.notes.rglob("*_log.err"):
                    log.unlink()
            os._exit(9)
        return super().read(source, item)


class Unsendable(Flir):
    def __reduce__(self):
        raise TypeError("not to be sent")


class LocalScheduler:
    """Jobs as submitit's local ones, but in processes that have imported everything already."""

    def __init__(self):
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["submitit.core.submission", "rgbt_bench.converting", __name__])
        self.jobs = []
        self.arrays = []

    def submit(self, folder, name, function, tasks):
        self.arrays.append([str(task) for task in tasks])
        return [self.start(folder, DelayedSubmission(function, task)) for task in tasks]

    def start(self, folder, submission):
        job_id = str(len(self.jobs) + 1)
        submission.dump(JobPaths(folder, job_id).submitted_pickle)
        process = self.context.Process(target=serve, args=(folder, job_id), daemon=True)
        process.start()
        self.jobs.append(LocalJob(folder, job_id))
        self.jobs[-1].process = process
        return self.jobs[-1]

    def states(self, name):
        ended = {job.job_id: job.process.exitcode is not None for job in self.jobs}
        return {job_id: State("KILLED" if over else "RUNNING", over) for job_id, over in ended.items()}

    def cancel(self, name):
        for job in self.jobs:
            job.process.kill()
            job.process.join()


def serve(folder, job_id):
    os.environ.update(SUBMITIT_EXECUTOR="local", SUBMITIT_LOCAL_JOB_ID=job_id)
    paths = JobPaths(folder, job_id)
    for stream, path in ((1, paths.stdout), (2, paths.stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    process_job(folder)

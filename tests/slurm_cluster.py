"""A real Slurm of two nodes on this machine: its daemons in a folder of their own, gone with the tests' process."""

import getpass
import os
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

NODES = ("n1", "n2")
PREFIXES = ("SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_")
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun", "scontrol", "setpriv")
START_S = 30.0
# Debian keeps daemons where the PATH of a user does not lead.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.sock
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=1000
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=5
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=main Nodes=n1,n2 Default=YES State=UP
"""


def why_not():
    """Return why no Slurm can be started here; empty where it can."""
    if platform.system() != "Linux":
        return "Slurm runs on Linux"
    if find_spec("submitit") is None:
        return "submitit is not installed: pip install 'rgbt-bench[cluster]'"
    missing = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    return f"no {', '.join(missing)}: apt-get install slurm-wlm munge" if missing else ""


class SlurmCluster:
    """The daemons; every one dies with this process, whatever ends it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short, because a socket's path must be
        self.daemons = {}
        (self.folder / "state").mkdir()
        (self.folder / "key").write_bytes(os.urandom(128))
        (self.folder / "key").chmod(0o600)
        self.configuration = self.folder / "slurm.conf"
        content = {"folder": self.folder, "host": platform.node().partition(".")[0], "user": getpass.getuser()}
        self.configuration.write_text(CONFIGURATION.format(**content, ports=free_ports(3)))

    def start(self):
        files = {"socket": "munge.sock", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.folder / name}" for option, name in files.items()]
        self.run_daemon("munged", "munged", "--foreground", "--force", *options)
        self.wait(lambda: (self.folder / "munge.sock").exists())
        self.run_daemon("slurmctld", "slurmctld", "-D")
        for node in NODES:
            (self.folder / node).mkdir()
            self.run_daemon(node, "slurmd", "-D", "-N", node)
        self.wait(lambda: self.node_states() == dict.fromkeys(NODES, "idle"))

    def run_daemon(self, name, *command):
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                start_new_session=True,
            )

    def environment(self):
        # What is said in the environment counts over options: nothing of another Slurm must reach this one.
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIXES)}
        return {**kept, "SLURM_CONF": str(self.configuration), "PATH": PATH}

    def ask(self, *command):
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        return done.stdout

    def node_states(self):
        return dict(line.split() for line in self.ask("sinfo", "-hN", "-o", "%N %T").splitlines())

    def living(self):
        """Return the jobs that have not ended."""
        return self.ask("squeue", "-h", "--array", "-o", "%i").split()

    def wait(self, reached):
        until = time.monotonic() + START_S
        while not reached():
            if time.monotonic() > until:
                logs = "\n".join(
                    f"{path.name}: {path.read_text()[-800:]}" for path in self.folder.glob("*.[lo][ou][gt]")
                )
                raise TimeoutError(f"{self.node_states()}\n{logs}")
            time.sleep(0.1)

    def kill_node(self, node):
        """Do to a node's daemon and all its processes what a power cut does, and let the controller know."""
        kill(self.daemons[node])
        self.kill_jobs(node)
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=killed")

    def kill_jobs(self, *nodes):
        for pid in self.processes_of(*nodes):
            with suppress(ProcessLookupError):  # it ends with its parent
                os.kill(pid, signal.SIGKILL)

    def processes_of(self, *nodes):
        """Return the processes that jobs on nodes consist of: scripts, the daemons over them, and what they started."""
        command, parent = {}, {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
                parent[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has just ended
                continue
        scripts = {pid for pid, text in command.items() for node in nodes if f"{self.folder / node}/job" in text}
        found = scripts | {parent[pid] for pid in scripts if "slurmstepd" in command.get(parent[pid], "")}
        while more := {pid for pid, above in parent.items() if above in scripts and pid not in found}:
            found |= more
            scripts = more
        return found - {os.getpid()}

    def revive_nodes(self):
        for node in NODES:
            if self.daemons[node].poll() is not None:
                self.run_daemon(node, "slurmd", "-D", "-N", node)
                self.ask("scontrol", "update", f"nodename={node}", "state=resume")
        self.wait(lambda: self.node_states() == dict.fromkeys(NODES, "idle"))

    def stop(self):
        for name in ("slurmctld", *NODES):
            if name in self.daemons:
                kill(self.daemons[name])
        self.kill_jobs(*NODES)
        if "munged" in self.daemons:
            kill(self.daemons["munged"])
        shutil.rmtree(self.folder, ignore_errors=True)


def kill(process):
    process.kill()
    process.wait()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@pytest.fixture(scope="session")
def slurm_daemons():
    """Each process of the tests that needs a Slurm has its own, so that none has to know of another."""
    if reason := why_not():
        pytest.skip(reason)
    for attempt in range(3):
        cluster = SlurmCluster()
        try:
            cluster.start()
            break
        except TimeoutError as error:  # another process may have taken a port
            cluster.stop()
            if attempt == 2 and os.getuid():
                pytest.skip(f"Slurm does not start here for a user that is not root: {str(error)[-300:]}")
            if attempt == 2:
                raise
    yield cluster
    cluster.stop()


@pytest.fixture
def slurm(slurm_daemons, monkeypatch):
    """The cluster, as the commands and the conversion of this test see it."""
    for key in [key for key in os.environ if key.startswith(PREFIXES)]:
        monkeypatch.delenv(key)
    for key, value in slurm_daemons.environment().items():
        monkeypatch.setenv(key, value)
    yield slurm_daemons
    slurm_daemons.ask("scancel", f"--user={os.getuid()}")
    slurm_daemons.revive_nodes()

"""A real SLURM cluster on one Debian machine, for tests: controller, nodes with stand-in GPUs, no
database.

    python tests/support/slurm_cluster.py up FOLDER      installs what is missing (as root), prints
    the SLURM_CONF to export python tests/support/slurm_cluster.py down FOLDER    ends what `up`
    started there, by the process ids it noted

Everything lies in FOLDER but the packages and one link: job steps lose SLURM_CONF, so
/etc/slurm/slurm.conf must lead here. A machine that has a slurm.conf of its own is left alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
}
PROMPT = ("--slurm-init-seconds-before-status-checks", "12")
"""Jobs of seconds: the first look comes when most have ended, sooner than the profile's."""
NODES = {"cpu1": 0, "cpu2": 0, "gpu1": 2, "gpu2": 1}
"""Nodes with their number of GPUs; each claims four processors and 64 GB, whatever the machine has.
"""
SYSTEM_CONF = Path("/etc/slurm/slurm.conf")

CONF = """\
ClusterName=engramtest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmctldLogFile={folder}/log/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/run/%n.pid
SlurmdLogFile={folder}/log/%n.log
SlurmdSpoolDir={folder}/spool/%n
# Plain processes: no control groups, no systemd.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
# Notes which task saw which GPUs; see Cluster.tasks.
TaskProlog={folder}/note_task.sh
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=200
GresTypes=gpu
# Memory is sampled every second, and a job above its request is ended.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,bf_interval=2,sched_min_interval=100000
ReturnToService=2
# Finished jobs stay visible to squeue longer than any test lasts.
MinJobAge=3600
KillWait=2
SlurmctldTimeout=20
SlurmdTimeout=20
{nodes}
PartitionName=cpu Nodes=cpu1,cpu2 Default=YES DefaultTime=10 MaxTime=1-0 State=UP
PartitionName=gpu Nodes=gpu1,gpu2 Default=NO DefaultTime=10 MaxTime=1-0 State=UP
"""
NOTE_TASK = """\
#!/bin/sh
echo "$SLURM_JOB_ID $SLURMD_NODENAME ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/log/tasks.txt
"""


class ClusterError(Exception):
    """Why SLURM cannot run here, or what a daemon wrote before it ended."""


def why_not() -> str | None:
    """Why no cluster can be started on this machine; None where one can."""
    if os.geteuid() != 0:
        return "starting SLURM's daemons needs root"
    if SYSTEM_CONF.exists() and not SYSTEM_CONF.is_symlink():
        return f"{SYSTEM_CONF} exists: this machine has a SLURM of its own"
    if (
        any(shutil.which(program) is None for program in PACKAGES)
        and shutil.which("apt-get") is None
    ):
        return f"no SLURM, and no apt-get to install {', '.join(PACKAGES.values())}"
    return None


def install() -> None:
    """Installs the Debian packages that are missing, and lets none of their services start."""
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not missing:
        return
    policy = Path("/usr/sbin/policy-rc.d")
    own_policy = not policy.exists()
    if own_policy:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        settings = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["update", "-qq"],
            ["install", "-y", "-qq", "--no-install-recommends", *missing],
        ):
            done = subprocess.run(
                ["apt-get", *command],
                env=settings,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            raise ClusterError(
                f"apt-get cannot install {' '.join(missing)}:\n{done.stdout[-2000:]}"
            )
    finally:
        if own_policy:
            policy.unlink()


@dataclass
class Cluster:
    """The cluster of one folder. The path must be short: it holds unix sockets."""

    folder: Path

    @property
    def conf(self) -> Path:
        """What SLURM_CONF must say."""
        return self.folder / "slurm.conf"

    def up(self) -> None:
        """Installs, configures and starts everything, and waits until all nodes are idle."""
        if reason := why_not():
            raise ClusterError(reason)
        install()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self._configure()
        self._start(
            "munged",
            "--force",
            *(f"--{name}={self.folder}/{file}" for name, file in MUNGE_FILES.items()),
        )
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.wait(
            lambda: all(state == "idle" for state in self.node_states().values()), "idle nodes"
        )

    def down(self) -> None:
        """Cancels all jobs and ends the daemons that this folder's process ids name."""
        if self.pid("slurmctld") and (
            jobs := self.run("squeue", "-h", "-o", "%A", check=False).split()
        ):
            self.run("scancel", *jobs, check=False)
            self.wait(lambda: not self.run("squeue", "-h"), "cancelled jobs to end")
        for node in NODES:
            self.stop(node)
        self.stop("slurmctld")
        self.stop("munged")
        if SYSTEM_CONF.is_symlink() and SYSTEM_CONF.readlink() == self.conf:
            SYSTEM_CONF.unlink()

    def start_controller(self) -> None:
        """Starts slurmctld and waits until it answers."""
        self._start("slurmctld", "-f", str(self.conf))
        self.wait(lambda: "UP" in self.run("scontrol", "ping"), "slurmctld to answer")

    def start_node(self, node: str) -> None:
        """Starts a node's slurmd."""
        self._start("slurmd", "-f", str(self.conf), "-N", node)

    def stop(self, daemon: str, kill: bool = False) -> None:
        """Ends a daemon by its noted process id: `slurmctld`, `munged` or a node. `kill` is
        SIGKILL, as a lost machine.
        """
        pid = self.pid(daemon)
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
        self.wait(lambda: self.pid(daemon) is None, f"{daemon} to end")

    def lose_node(self, node: str) -> None:
        """A node's power fails: its slurmd and everything it runs are gone at once."""
        running = self.run("squeue", "-h", "-w", node, "-o", "%A").split()
        steps = [
            pid
            for pid in _processes("slurmstepd")
            if any(f"[{job}." in _command(pid) for job in running)
        ]
        self.stop(node, kill=True)
        for pid in steps:
            for process in [pid, *_descendants(pid)]:
                _kill(process)

    def pid(self, daemon: str) -> int | None:
        """Process id of a daemon that this folder started and that still runs."""
        file = self.folder / "run" / f"{daemon}.pid"
        digits = re.sub(r"\D", "", file.read_text()) if file.exists() else ""
        name = "slurmd" if daemon in NODES else daemon
        return int(digits) if digits and _name(int(digits)) == name else None

    def run(self, *command: str, check: bool = True) -> str:
        """Output of a SLURM command on this cluster."""
        done = subprocess.run(
            command,
            env=os.environ | {"SLURM_CONF": str(self.conf)},
            text=True,
            capture_output=True,
            timeout=30,
        )
        if check and done.returncode:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def node_states(self) -> dict[str, str]:
        """State of every node, as sinfo writes it."""
        return dict(
            line.split() for line in self.run("sinfo", "-h", "-N", "-o", "%N %T").splitlines()
        )

    def jobs(self) -> list[dict[str, str]]:
        """All jobs of this cluster's life, as `scontrol show job` tells of them."""
        lines = self.run("scontrol", "-o", "show", "job", check=False).splitlines()
        return [
            dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if line.startswith("JobId=")
        ]

    def tasks(self) -> list[tuple[str, str, str]]:
        """Job, node and CUDA_VISIBLE_DEVICES of every task that was started."""
        notes = self.folder / "log/tasks.txt"
        return (
            [tuple(line.split()) for line in notes.read_text().splitlines()]
            if notes.exists()
            else []
        )  # type: ignore[misc]

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Waits until a condition holds; raises with the daemons' last words where it does not."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except (ClusterError, subprocess.TimeoutExpired):
                pass
            if time.monotonic() > deadline:
                raise ClusterError(f"waited {seconds:.0f} s for {what}\n{self.last_words()}")
            time.sleep(0.1)

    def last_words(self) -> str:
        """The end of every daemon's log."""
        logs = sorted((self.folder / "log").glob("*.log"))
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            for log in logs
        )

    def _configure(self) -> None:
        for name in ("run", "log", "state", "spool", "dev", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge.key"
        if not key.exists():
            key.write_bytes(os.urandom(1024))
            key.chmod(0o400)
        host, port = socket.gethostname().split(".")[0], _free_ports(len(NODES) + 1)
        nodes, gres, device = [], [], 0
        for number, (node, gpus) in enumerate(NODES.items(), start=1):
            line = (
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port + number} "
                f"CPUs=4 RealMemory=64000"
            )
            nodes.append(line + (f" Gres=gpu:{gpus}" if gpus else ""))
            for _ in range(gpus):
                # A clone of /dev/null: SLURM sets CUDA_VISIBLE_DEVICES for device nodes only.
                stand_in = self.folder / f"dev/gpu{device}"
                if not stand_in.exists():
                    os.mknod(stand_in, 0o20666, os.makedev(1, 3))
                gres.append(f"NodeName={node} Name=gpu File={stand_in}")
                device += 1
        self.conf.write_text(
            CONF.format(host=host, port=port, folder=self.folder, nodes="\n".join(nodes))
        )
        (self.folder / "gres.conf").write_text("\n".join(gres) + "\n")
        note = self.folder / "note_task.sh"
        note.write_text(NOTE_TASK.format(folder=self.folder))
        note.chmod(0o755)
        SYSTEM_CONF.parent.mkdir(exist_ok=True)
        SYSTEM_CONF.unlink(missing_ok=True)
        SYSTEM_CONF.symlink_to(self.conf)

    def _start(self, *command: str) -> None:
        done = subprocess.run(
            command,
            env=os.environ | {"SLURM_CONF": str(self.conf)},
            text=True,
            capture_output=True,
            cwd=self.folder,
        )
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}\n{self.last_words()}")


MUNGE_FILES = {
    "key-file": "munge.key",
    "socket": "munge.socket",
    "pid-file": "run/munged.pid",
    "log-file": "log/munged.log",
    "seed-file": "munge.seed",
}


def _free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that nobody listens on."""
    for first in range(26000, 30000, 10):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise ClusterError("no free ports between 26000 and 30000")


def _name(pid: int) -> str | None:
    """Name of a process that runs; a zombie has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return None if "\nState:\tZ" in status else status.split("\t", 1)[1].split("\n", 1)[0]


def _processes(name: str) -> list[int]:
    return [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if _name(int(folder.name)) == name
    ]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _descendants(pid: int) -> list[int]:
    """Children, their children and so on."""
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return [found for child in children for found in [*_descendants(child), child]]


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main(verb: str, folder: str) -> None:
    """What the command line asks for."""
    cluster = Cluster(Path(folder).resolve())
    if verb == "up":
        cluster.up()
        print(f"export SLURM_CONF={cluster.conf}")
    else:
        cluster.down()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("up", "down"):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except ClusterError as error:
        sys.exit(f"error: {error}")

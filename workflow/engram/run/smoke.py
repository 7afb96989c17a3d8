"""`snakemake smoke`: whether a cluster is set up for Engram, found out by two jobs of seconds
before days are paid for.

Where Snakemake runs, SLURM is asked whether it would take jobs like ours; then one job without and
one with a GPU look at what they got: partition, account, the shared file system, the clock, torch
and CUDA, the weights. Every finding that fails says what to fix.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engram.run.site import Site, site_file

POLLS = 3
"""The executor's first look at a job must come this many times before SLURM forgets the job."""
FIRST_LOOK = 20
"""Seconds: `slurm-init-seconds-before-status-checks` of profiles/slurm."""
SKEW = 5.0
"""Seconds that a node's clock may differ from the file system's before files seem older than what
they were made of.
"""
PATIENCE = 60.0
"""Seconds that a node waits for a file to appear."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    check: str
    """What was checked."""
    found: str
    """What was found."""
    fix: str = ""
    """What to fix; empty where nothing is wrong."""

    @property
    def ok(self) -> bool:
        """Whether nothing has to be fixed."""
        return not self.fix


def as_rows(findings: list[Finding]) -> list[dict[str, str]]:
    """Return findings as JSON values."""
    return [asdict(finding) for finding in findings]


def report(places: dict[str, list[Finding]]) -> str:
    """Return all findings as lines of text, by the place where they were found, and what to fix at
    the end.
    """
    lines = []
    for place, findings in places.items():
        lines.append(f"\n{place}")
        lines += [
            f"  {'ok  ' if finding.ok else 'FAIL'} {finding.check:<22} {finding.found}"
            for finding in findings
        ]
    failed = [finding for findings in places.values() for finding in findings if not finding.ok]
    lines.append(f"\n{len(failed)} things to fix:" if failed else "\nReady: nothing to fix.")
    return "\n".join([*lines, *(f"  - {finding.check}: {finding.fix}" for finding in failed)])


def check_slurm(site: Site) -> list[Finding]:
    """Ask SLURM, without running anything, whether it takes jobs as `profiles/slurm` submits them
    for this site.
    """
    if shutil.which("sbatch") is None:
        return [Finding("SLURM", "no sbatch here: jobs run on this machine")]
    code, answer = _ask("scontrol", "ping")
    if code or "UP" not in answer:
        return [
            Finding(
                "SLURM",
                answer or "no answer",
                "slurmctld does not answer; ask the site, or try another login node",
            )
        ]
    findings = [_status_checks()]
    for name, partition, gpu in (
        ("cpu_partition", site.cpu_partition, False),
        ("gpu_partition", site.gpu_partition, True),
    ):
        findings.append(_partition(site, name, partition, gpu))
    return findings


def _status_checks() -> Finding:
    _, config = _ask("scontrol", "show", "config")
    match = re.search(r"MinJobAge\s*=\s*(\d+)", config)
    age, wanted = int(match[1]) if match else 0, POLLS * FIRST_LOOK
    fix = (
        f"set slurm-init-seconds-before-status-checks to {max(1, age // POLLS)} at most; SLURM "
        f"forgets jobs after {age} s"
    )
    return Finding(
        "SLURM remembers jobs", f"{age} s, {wanted} s are needed", "" if age >= wanted else fix
    )


def _partition(site: Site, name: str, partition: str, gpu: bool) -> Finding:
    """Return whether a job of one kind would be taken by its partition."""
    names = {
        "partition": partition,
        "account": site.account,
        "qos": site.qos,
        "constraint": site.gpu_constraint if gpu else "",
    }
    options = [f"--{option}={value}" for option, value in names.items() if value]
    if gpu:
        options.append(f"--gpus={site.gpu_model}:1" if site.gpu_model else "--gpus=1")
    code, answer = _ask("sbatch", "--test-only", *options, "--time=10", "--wrap", "true")
    _, limits = _ask(
        "sinfo", "-h", "-p", partition, "-o", "limit %l, node memory %m MB, %c cores, gres %G"
    )
    if not code:
        return Finding(name, f"{partition}: {'; '.join(dict.fromkeys(limits.splitlines()))}")
    _, known = _ask("sinfo", "-h", "-o", "%R")
    error = " ".join(answer.split()).removeprefix("allocation failure: ")
    advice = f"{name} in {site_file()}; the cluster has {', '.join(dict.fromkeys(known.split()))}"
    if "account" in error.lower():
        _, accounts = _ask(
            "sacctmgr", "-nP", "show", "assoc", f"user={getpass.getuser()}", "format=account"
        )
        advice = (
            f"account in {site_file()}; yours are "
            f"{', '.join(dict.fromkeys(accounts.split())) or 'not known'}"
        )
    elif "configuration is not available" in error and gpu:
        advice = (
            f"gpu_partition or gpu_model in {site_file()}: no node of {partition} has what "
            f"{options[-1]} asks for ({limits})"
        )
    return Finding(name, f"{partition}: {error}", f"set {advice}")


def _ask(*command: str) -> tuple[int, str]:
    """Return the exit code and output of a SLURM command; of one that is missing or hangs, what is
    wrong.
    """
    try:
        done = subprocess.run(
            command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, f"{command[0]}: {error}"
    return done.returncode, done.stdout.strip()


def describe_here(places: dict[str, str]) -> dict[str, Any]:
    """Return what a node's job is compared with: this process, and which of the named paths exist
    here.
    """
    import torch

    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "torch": torch.__version__,
        "places": {name: path for name, path in places.items() if Path(path).exists()},
    }


def check_node(
    head: dict[str, Any], folder: Path, partition: str, account: str, gpu: bool
) -> list[Finding]:
    """Return what a job finds where it runs.

    Args:
        head: what `describe_here` found where Snakemake runs.
        folder: of the results, on the file system that all nodes share.
        partition: that the job should be in.
        account: that should be charged; empty for SLURM's choice.
        gpu: whether the job asked for a GPU.
    """
    return [
        *_allocation(partition, account),
        *_file_system(head, folder),
        _software(head),
        *([_cuda()] if gpu else []),
    ]


def _allocation(partition: str, account: str) -> list[Finding]:
    """Return the partition, account, processors and memory that SLURM gave."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return [Finding("where", f"{socket.gethostname()}, no SLURM job")]
    got = os.environ.get("SLURM_JOB_PARTITION", "")
    charged = os.environ.get("SLURM_JOB_ACCOUNT", "")
    found = [Finding("where", f"{socket.gethostname()}, SLURM job {job}, {_memory_limit()}")]
    # The executor's job step keeps few of SLURM's variables; the job itself knows the rest.
    if not got:
        _, text = _ask("scontrol", "-o", "show", "job", job)
        fields = dict(re.findall(r"(\w+)=(\S*)", text))
        got, charged = (
            fields.get("Partition", "unknown"),
            fields.get("Account", "").replace("(null)", ""),
        )
    fix = (
        f"the job should be in {partition}: look for slurm_partition in profiles/slurm/config.yaml "
        f"and {site_file()}"
    )
    found.append(Finding("partition", got, "" if got in (partition, "unknown") else fix))
    fix = (
        f"set account in {site_file()} to one that you may use"
        if account and charged not in (account, "")
        else ""
    )
    found.append(Finding("account", charged or "none: this SLURM charges nobody", fix))
    return found


def _memory_limit() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{len(os.sched_getaffinity(0))} cores, {pages / 2**30:.0f} GiB in the machine"


def _file_system(head: dict[str, Any], folder: Path) -> list[Finding]:
    """Return whether this node sees what the head wrote, can write itself, and agrees about the
    time.
    """
    token, waited = folder / head["token"], time.monotonic()
    while not token.exists() and time.monotonic() - waited < PATIENCE:
        time.sleep(0.5)
    seconds = time.monotonic() - waited
    if not token.exists():
        fix = (
            f"this node does not see what {head['host']} writes there: put the checkout on a file "
            f"system that all nodes mount"
        )
        return [Finding("shared files", str(folder.resolve()), fix)]
    findings = [Finding("shared files", f"{folder.resolve()}, seen after {seconds:.1f} s")]
    probe = folder / f"probe-{socket.gethostname()}-{os.getpid()}"
    try:
        probe.write_text("engram")
        skew = abs(probe.stat().st_mtime - time.time())
        probe.unlink()
    except OSError as error:
        return [
            *findings,
            Finding(
                "writing",
                f"{error}",
                "jobs may not write to the results: check the folder's permissions and quota",
            ),
        ]
    fix = (
        f"clocks differ by {skew:.0f} s and Snakemake compares file times: ask the site to "
        f"synchronise them"
    )
    free = shutil.disk_usage(folder).free / 1e9
    findings.append(
        Finding(
            "writing",
            f"{free:,.0f} GB free, clocks within {skew:.1f} s",
            fix if skew > SKEW else "",
        )
    )
    gone = {name: path for name, path in head["places"].items() if not os.access(path, os.R_OK)}
    fix = "; ".join(
        f"{name} lies in {path}, which this node cannot read: move it to shared storage"
        for name, path in gone.items()
    )
    if gone.keys() & {"hub cache"}:
        fix += " (HF_HOME)"
    findings.append(
        Finding(
            "models and caches",
            ", ".join(f"{name} {path}" for name, path in head["places"].items()) or "none yet",
            fix,
        )
    )
    return findings


def _software(head: dict[str, Any]) -> Finding:
    here = describe_here({})
    fix = "; ".join(
        f"{key} is {head[key]} on {head['host']} and {here[key]} here"
        for key in ("python", "torch")
        if here[key] != head[key]
    )
    return Finding(
        "software",
        f"Python {here['python']}, torch {here['torch']}, {here['executable']}",
        fix and f"{fix}: share one .venv",
    )


def _cuda() -> Finding:
    """Return whether torch computes on the GPU that the job asked for; without SLURM a machine need
    not have one.
    """
    import torch

    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    asked = "SLURM_JOB_ID" in os.environ
    build = f"torch {torch.__version__}, " + (
        f"CUDA {torch.version.cuda}" if torch.version.cuda else "a build without CUDA"
    )
    found = f"CUDA_VISIBLE_DEVICES={devices}, {build}"
    if not torch.version.cuda:
        fix = (
            "install torch with CUDA, as pytorch.org says for this driver; the GPU would be paid "
            "for and not used"
        )
        return Finding("CUDA", found, fix if asked else "")
    if not torch.cuda.is_available():
        wrong = (
            "torch finds no GPU: is the driver too old for this CUDA? (nvidia-smi)"
            if devices
            else "SLURM gave no GPU: see gpu_partition"
        )
        return Finding("CUDA", found, wrong if asked else "")
    name, (major, minor) = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
    ones = torch.ones(64, 64, dtype=torch.float16)
    try:
        right = bool((ones.cuda() @ ones.cuda() == 64).all())
    except RuntimeError as error:
        kernels = (
            f"this torch has kernels for {' '.join(torch.cuda.get_arch_list())}, {name} is "
            f"sm_{major}{minor}"
        )
        return Finding("CUDA", f"{found}, {name}", f"{str(error).splitlines()[0]}; {kernels}")
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return Finding(
        "CUDA",
        f"{found}, {name}, {memory:.0f} GiB",
        "" if right else f"{name} multiplies wrongly: report it to the site",
    )

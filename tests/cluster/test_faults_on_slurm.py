"""The fault matrix, `make test-faults`: what a cluster or a machine does to a run of days, done to
one of seconds.

Four pieces of work run under the project's own profile. A fault hits one of them, or all;
afterwards every output must have the right bytes, and nothing that was finished may have run again.
The table that this prints stands in docs/cluster.md.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from checkout import ROOT
from slurm_cluster import Cluster

HERE = Path(__file__).parent / "faults"
BIN = Path(sys.executable).parent
PIECES = range(4)
SLURM = (
    "--profile",
    str(ROOT / "profiles/slurm"),
    "--slurm-init-seconds-before-status-checks",
    "5",
    "--latency-wait",
    "30",
)
LOCAL = (
    "--workflow-profile",
    str(ROOT / "profiles/default"),
    "--cores",
    "2",
    "--latency-wait",
    "30",
)
RESOURCES = {
    "slurm_partition": "cpu",
    "mem_mb": "700 * attempt",
    "runtime": "5 * attempt",
    "tasks_per_gpu": "0",
}
"""As the profile's, for pieces so small."""


@dataclass
class Run:
    """A folder in which the pieces are computed."""

    folder: Path
    options: tuple[str, ...]
    resources: dict[str, str] = field(default_factory=lambda: dict(RESOURCES))

    def plan(self, **pieces: dict[str, object]) -> None:
        """What befalls which piece, as `work.py` reads it; `p2` is piece 2, and `all` stands for
        every piece.
        """
        everyone = pieces.pop("all", {})
        (self.folder / "plan.json").write_text(
            json.dumps({str(i): everyone | pieces.get(f"p{i}", {}) for i in PIECES})
        )

    def start(self) -> subprocess.Popen[str]:
        """Starts Snakemake."""
        defaults = (
            [f"{key}={value}" for key, value in self.resources.items()]
            if "--profile" in self.options
            else []
        )
        command = [
            str(BIN / "snakemake"),
            *self.options,
            *(["--default-resources", *defaults] if defaults else []),
        ]
        settings = os.environ | {
            "PYTHONPATH": str(ROOT / "workflow"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        with (self.folder / "screen.txt").open("a") as screen:
            return subprocess.Popen(
                [*command, "--config", f"python={sys.executable}", f"work={HERE / 'work.py'}"],
                cwd=self.folder,
                env=settings,
                text=True,
                stdout=screen,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self, process: subprocess.Popen[str] | None = None, seconds: float = 400) -> int:
        """Waits for Snakemake's end; starts it first where it does not run."""
        process = process or self.start()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"the run hangs:\n{self.screen()[-3000:]}")

    def screen(self) -> str:
        """All that Snakemake wrote."""
        return (self.folder / "screen.txt").read_text()

    def starts(self, piece: int) -> int:
        """How often a piece was begun."""
        notes = self.folder / f"starts/piece-{piece}"
        return len(notes.read_text().splitlines()) if notes.exists() else 0

    def output(self, piece: int) -> Path:
        """A piece's output."""
        return self.folder / f"out/piece-{piece}.txt"

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
        """Waits for a moment in the run."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited for {what}:\n{self.screen()[-3000:]}"
            time.sleep(0.1)


@dataclass
class Matrix:
    """What came of every fault."""

    rows: list[str] = field(default_factory=list)

    def survived(
        self, fault: str, run: Run, finished: list[int], user: str, lines: int = 1000
    ) -> None:
        """Checks the end of a run and notes it.

        Args:
            fault: what was done.
            finished: pieces that were finished before it, which may not have run again.
            user: what the user sees and does.
            lines: lines of a right output.
        """
        wrong = [
            i
            for i in PIECES
            if not run.output(i).exists()
            or run.output(i).read_text() != f"piece {i} of the work\n" * lines
        ]
        lost = [i for i in finished if run.starts(i) != 1]
        where = "SLURM" if "--profile" in run.options else "local"
        again = sum(run.starts(i) - 1 for i in PIECES)
        self.rows.append(f"| {fault} | {where} | {again} | {len(lost)} | {len(wrong)} | {user} |")
        assert not wrong, f"wrong or missing: {wrong}\n{run.screen()[-3000:]}"
        assert not lost, f"finished pieces that ran again: {lost}"
        assert not list((run.folder / "out").glob(".*")), "half-written files are left"


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    matrix = Matrix()
    yield matrix
    lines = [
        "| fault | where | begun again | finished work lost | wrong | what the user sees and does "
        "|",
        "|---|---|---|---|---|---|",
        *matrix.rows,
    ]
    print("\n" + "\n".join(lines))
    if target := os.environ.get("FAULT_MATRIX"):
        Path(target).write_text("\n".join(lines) + "\n")


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> Iterator[Run]:
    """An empty folder, for a run on the cluster; its nodes are all up before and after."""
    yield prepare(tmp_path, SLURM)
    for node, state in cluster.node_states().items():
        if cluster.pid(node) is None:
            cluster.start_node(node)
        if state.startswith(("drain", "down")):
            cluster.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)
    cluster.wait(
        lambda: all(state == "idle" for state in cluster.node_states().values()), "idle nodes", 90
    )


@pytest.fixture
def local(tmp_path: Path) -> Run:
    """An empty folder, for a run on this machine."""
    return prepare(tmp_path, LOCAL)


def prepare(folder: Path, options: tuple[str, ...]) -> Run:
    """The pieces' Snakefile in a folder."""
    shutil.copy(HERE / "Snakefile", folder)
    run = Run(folder, options)
    run.plan()
    return run


def running(cluster: Cluster, piece: int) -> str | None:
    """Number of the SLURM job that runs a piece now."""
    names = {job["Comment"]: job["JobId"] for job in cluster.jobs() if job["JobState"] == "RUNNING"}
    return names.get(f"rule_piece_wildcards_{piece}")


def at_work(run: Run, cluster: Cluster, piece: int) -> str:
    """Waits until a piece is at work and the others are finished, also for Snakemake; gives its
    SLURM job.
    """
    run.until(
        lambda: run.starts(piece) > 0 and running(cluster, piece) is not None,
        f"piece {piece} to start",
    )
    run.until(lambda: all(run.output(i).exists() for i in PIECES if i != piece), "the other pieces")
    run.until(
        lambda: run.screen().count("Finished jobid") >= len(PIECES) - 1,
        "Snakemake to see what has finished",
    )
    job = running(cluster, piece)
    assert job, "the piece ended before the fault"
    return job


def asked(cluster: Cluster, run: Run, what: str) -> list[str]:
    """What piece 2 asked for, attempt after attempt."""
    mine = [
        job
        for job in cluster.jobs()
        if (job["Comment"], job["WorkDir"]) == ("rule_piece_wildcards_2", str(run.folder))
    ]
    return [job[what] for job in sorted(mine, key=lambda job: int(job["JobId"]))]


OTHERS = [0, 1, 3]


def test_scancel(cluster: Cluster, run: Run, matrix: Matrix) -> None:
    run.plan(p2={"seconds": 90})
    process = run.start()
    cluster.run("scancel", at_work(run, cluster, 2))
    assert run.finish(process) == 0
    assert "SLURM status is: 'CANCELLED'" in run.screen()
    matrix.survived(
        "`scancel` of a running job",
        run,
        OTHERS,
        "“failed, SLURM status is: 'CANCELLED'”; submitted again by itself",
    )


def test_time_limit(cluster: Cluster, run: Run, matrix: Matrix) -> None:
    run.plan(p2={"seconds": 75, "always": True})
    run.resources["runtime"] = "1 * attempt"
    assert run.finish() == 0
    assert "SLURM status is: 'TIMEOUT'" in run.screen()
    limits = sorted(
        job["TimeLimit"]
        for job in cluster.jobs()
        if job["Comment"] == "rule_piece_wildcards_2" and str(run.folder) == job["WorkDir"]
    )
    assert limits == ["00:01:00", "00:02:00"]
    matrix.survived("time limit", run, OTHERS, "“'TIMEOUT'”; submitted again with twice the time")


def test_out_of_memory(cluster: Cluster, run: Run, matrix: Matrix) -> None:
    run.plan(p2={"megabytes": 700, "seconds": 12, "always": True})
    assert run.finish() == 0
    asked = sorted(
        job["MinMemoryNode"]
        for job in cluster.jobs()
        if job["Comment"] == "rule_piece_wildcards_2" and str(run.folder) == job["WorkDir"]
    )
    assert asked == sorted(["700M", "1400M"])
    matrix.survived(
        "more memory than asked for",
        run,
        OTHERS,
        "“'OUT_OF_MEMORY'” or “'CANCELLED'”; submitted again with twice the memory",
    )


def test_a_node_that_is_lost(cluster: Cluster, run: Run, matrix: Matrix) -> None:
    run.plan(p2={"seconds": 75})
    process = run.start()
    job = at_work(run, cluster, 2)
    node = next(entry["BatchHost"] for entry in cluster.jobs() if entry["JobId"] == job)
    cluster.lose_node(node)
    assert run.finish(process) == 0
    matrix.survived(
        "node loses power",
        run,
        OTHERS,
        "nothing, or “'NODE_FAIL'”; SLURM or Snakemake starts the job again elsewhere",
    )


def test_a_node_that_is_drained_and_whose_slurmd_ends(
    cluster: Cluster, run: Run, matrix: Matrix
) -> None:
    run.plan(p2={"seconds": 50})
    process = run.start()
    job = at_work(run, cluster, 2)
    node = next(entry["BatchHost"] for entry in cluster.jobs() if entry["JobId"] == job)
    cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    cluster.stop(node)
    assert run.finish(process) == 0
    matrix.survived(
        "node drained, its slurmd ended",
        run,
        OTHERS,
        "nothing; the job ends there, or is started again elsewhere",
    )


def test_a_controller_that_restarts(cluster: Cluster, run: Run, matrix: Matrix) -> None:
    run.plan(p2={"seconds": 60})
    process = run.start()
    at_work(run, cluster, 2)
    cluster.stop("slurmctld")
    time.sleep(25)
    cluster.start_controller()
    assert run.finish(process) == 0
    matrix.survived(
        "slurmctld away for 25 s",
        run,
        OTHERS,
        "nothing; what cannot be submitted meanwhile is submitted again",
    )


def test_a_main_process_that_is_killed(cluster: Cluster, run: Run, matrix: Matrix) -> None:
    run.plan(p2={"seconds": 60})
    process = run.start()
    job = at_work(run, cluster, 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert run.finish() != 0, "the lock did not hold"
    assert "--unlock" in run.screen()
    said = resume(run.folder)
    assert "Lock: stale" in said
    assert f"Orphan: SLURM job {job}, running, piece_wildcards_2" in said
    assert "Cancelled 1 jobs, removed the lock" in resume(run.folder, "--clean")
    assert running(cluster, 2) is None
    assert "Nothing was left behind" in resume(run.folder)
    assert run.finish() == 0
    matrix.survived(
        "`kill -9` of the main process",
        run,
        OTHERS,
        "“Directory cannot be locked”; `python -m engram resume --clean`, then the same command",
    )


def test_resume_leaves_a_run_that_is_alive_alone(cluster: Cluster, run: Run) -> None:
    run.plan(p2={"seconds": 45})
    process = run.start()
    job = at_work(run, cluster, 2)
    assert "nothing to resume" in resume(run.folder)
    assert "Snakemake runs here" in resume(run.folder, "--clean")
    assert running(cluster, 2) == job
    assert run.finish(process) == 0


def resume(folder: Path, *options: str) -> str:
    """What the helper says in a folder."""
    settings = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run(
        [sys.executable, "-m", "engram", "resume", *options],
        cwd=folder,
        env=settings,
        text=True,
        capture_output=True,
    )
    return done.stdout + done.stderr


@pytest.fixture(params=["slurm", "local"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """A folder for a run on the cluster, and one for a run on this machine."""
    if request.param == "slurm":
        request.getfixturevalue("cluster")
    return prepare(tmp_path, SLURM if request.param == "slurm" else LOCAL)


def test_a_job_that_always_fails(either: Run, matrix: Matrix) -> None:
    either.plan(p2={"fail": True})
    assert either.finish() != 0
    assert all(either.output(i).exists() for i in OTHERS)
    assert "piece 2 cannot be computed: the reason stands in its log" in either.screen()
    assert "logs/piece-2.log" in either.screen()
    assert either.starts(2) == (3 if either.options is SLURM else 1)
    either.plan()
    assert either.finish() == 0
    matrix.survived(
        "a job that always fails",
        either,
        OTHERS,
        "the others finish; the error shows the job's log; mend, run again",
    )


def test_a_full_disk(either: Run, matrix: Matrix) -> None:
    out = either.folder / "out"
    out.mkdir()
    either.plan(all={"lines": 40000})  # 800 kB each
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", str(out)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        assert either.finish() != 0
        finished = [i for i in PIECES if either.output(i).exists()]
        assert len(finished) == 3
        assert "No space left on device" in either.screen()
        subprocess.run(["mount", "-o", "remount,size=20m", str(out)], check=True)
        assert either.finish() == 0
        matrix.survived(
            "full disk",
            either,
            finished,
            "“No space left on device” from the log; make room, run again",
            lines=40000,
        )
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_outputs_that_appear_late(either: Run, matrix: Matrix) -> None:
    either.plan(p2={"late": 12})
    assert either.finish() == 0
    matrix.survived(
        "output appears 12 s after its job", either, [*PIECES], "nothing: `latency-wait`"
    )


def test_a_job_that_is_killed_on_this_machine(local: Run, matrix: Matrix) -> None:
    local.plan(p2={"seconds": 40})
    process = local.start()
    local.until(
        lambda: all(local.output(i).exists() for i in OTHERS) and local.starts(2) > 0,
        "the other pieces",
    )
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, inside = (
                (folder / "cmdline").read_bytes().split(b"\0"),
                (folder / "cwd").resolve() == local.folder.resolve(),
            )
        except OSError:
            continue
        if inside and words[1:3] == [str(HERE / "work.py").encode(), b"2"]:
            os.kill(int(folder.name), signal.SIGKILL)
    assert local.finish(process) != 0
    assert local.finish() == 0
    matrix.survived(
        "a job killed, as for want of memory", local, OTHERS, "“Error in rule”; run again"
    )


def test_a_process_tree_that_is_killed_on_this_machine(local: Run, matrix: Matrix) -> None:
    local.plan(p2={"seconds": 40})
    process = local.start()
    local.until(
        lambda: all(local.output(i).exists() for i in OTHERS) and local.starts(2) > 0,
        "the other pieces",
    )
    local.until(
        lambda: local.screen().count("Finished jobid") >= 3, "Snakemake to see what has finished"
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "Lock: stale" in resume(local.folder)
    assert "removed the lock" in resume(local.folder, "--clean")
    assert local.finish() == 0
    matrix.survived(
        "`kill -9` of everything",
        local,
        OTHERS,
        "“Directory cannot be locked”; `python -m engram resume --clean`, run again",
    )

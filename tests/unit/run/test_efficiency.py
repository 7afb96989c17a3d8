"""What a run cost, from Snakemake's benchmark files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from engram.io.errors import EngramError
from engram.run.efficiency import efficiency, read_benchmarks

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
MORE = "\tjobid\trule_name\twildcards\tparams\tthreads\tcpu_usage\tresources\tinput_size_mb"


def write(
    folder: Path, name: str, rule: str, seconds: float, cpu: float, rss: float, resources: str
) -> None:
    """A benchmark file as Snakemake 9 writes it with `benchmark-extended`."""
    path = folder / "benchmarks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"{HEAD}{MORE}\n{seconds}\t0:00:01\t{rss}\t9\t9\t9\t0\t0\t1\t{cpu}\t1\t{rule}\t{{}}\t{{}}\t2\t0\t{resources}\t{{}}\n"
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    asked = (
        "{'tmpdir': '/tmp', '_nodes': 1, 'gpu': 1, 'runtime': 120, 'mem_mb': 48000, '_cores': 4}"
    )
    write(tmp_path, "m/extract_attention-0.tsv", "extract_attention", 3600, 7200, 24000, asked)
    write(tmp_path, "m/extract_attention-1.tsv", "extract_attention", 1800, 3600, 12000, asked)
    write(
        tmp_path,
        "m/engram/train_cnns/a.tsv",
        "train_cnns",
        7200,
        14400,
        1000,
        "{'mem_mb': 16000, 'runtime': 240, '_cores': 2}",
    )
    return tmp_path


def test_cost_and_use_by_rule(results: Path) -> None:
    table = efficiency(read_benchmarks(results)).set_index("rule")
    assert list(table.index) == ["train_cnns", "extract_attention", "all rules"]
    extract = table.loc["extract_attention"]
    assert (extract["jobs"], extract["hours"], extract["core_hours"], extract["gpu_hours"]) == (
        2,
        1.5,
        6,
        1.5,
    )
    assert (extract["cpu"], extract["memory"], extract["time"]) == (0.5, 0.5, 0.5)
    assert (table.loc["all rules", "core_hours"], table.loc["all rules", "gpu_hours"]) == (10, 1.5)


def test_what_was_not_recorded_is_not_made_up(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks/m/extract_attention-1.tsv"
    path.parent.mkdir(parents=True)
    path.write_text(f"{HEAD}\n10.5\t0:00:10\t500\t9\t9\t9\t0\t0\t1\t9\n")
    row = efficiency(read_benchmarks(tmp_path)).iloc[0]
    assert (row["rule"], row["memory_mb"]) == ("extract_attention", 500)
    assert pd.isna(row[["core_hours", "cpu", "asked_mb", "memory", "time"]]).all()


def test_errors_are_one_line(results: Path) -> None:
    with pytest.raises(EngramError, match="no benchmark files"):
        read_benchmarks(results / "none")
    (results / "benchmarks/bad.tsv").write_text("x\n1\n")
    command = [sys.executable, "-m", "engram", "efficiency", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.startswith("error: ")
        and "bad.tsv" in done.stderr
        and done.stderr.count("\n") == 1
    )

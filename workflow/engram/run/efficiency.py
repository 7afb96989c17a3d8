"""`python -m engram efficiency results/<study>`: what a run asked for, what it used, and what it
cost, rule by rule.

Reads the benchmark files that Snakemake writes next to the results, one per job that computes. What
was asked for (memory, minutes, GPU) is known where the run's profile says `benchmark-extended:
true`, as ours do; minutes and memory are asked for on a cluster alone.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pandas as pd

from engram.io.artifacts import write_csv
from engram.io.errors import EngramError

BENCHMARKS = "benchmarks"


def read_benchmarks(results: Path) -> pd.DataFrame:
    """Return one row per job: rule, seconds (wall), cpu_seconds, threads, memory_mb (largest),
    asked_mb, asked_seconds, gpus; NaN: not known.

    Raises:
        EngramError: no benchmark files, or one that cannot be read.
    """
    files = sorted((results / BENCHMARKS).rglob("*.tsv"))
    if not files:
        raise EngramError(
            f"{results / BENCHMARKS}: no benchmark files; give the folder of a study that has run, "
            f"e.g. results/demo"
        )
    rows = []
    for path in files:
        try:
            job = pd.read_csv(path, sep="\t").iloc[-1].to_dict()
            asked = _asked(str(job.get("resources", "")))
            rows.append(
                {
                    "rule": str(job.get("rule_name", _rule_of(path))),
                    "seconds": float(job["s"]),
                    "cpu_seconds": pd.to_numeric(job["cpu_time"], errors="coerce"),
                    "threads": float(asked.get("_cores", job.get("threads", "nan"))),
                    "memory_mb": pd.to_numeric(job["max_rss"], errors="coerce"),
                    "asked_mb": float(asked.get("mem_mb", "nan")),
                    "asked_seconds": 60 * float(asked.get("runtime", "nan")),
                    "gpus": float(asked.get("gpu", 0)),
                }
            )
        except (KeyError, IndexError, ValueError, OSError) as error:
            raise EngramError(
                f"{path}: not a benchmark file of Snakemake ({error}); delete it"
            ) from None
    return pd.DataFrame(rows)


def efficiency(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per rule, the dearest first, and one for all.

    Args:
        jobs: of `read_benchmarks`.

    Returns:
        rule; jobs; hours, core_hours (threads times hours) and gpu_hours in all; cpu: share of the
        cores' time that was used; memory_mb, the most that any job used, asked_mb, and memory: the
        share of it; longest_minutes, asked_minutes, and time: the share.
    """
    frame = jobs.assign(
        hours=jobs["seconds"] / 3600,
        core_hours=jobs["seconds"] * jobs["threads"] / 3600,
        gpu_hours=jobs["seconds"] * jobs["gpus"] / 3600,
        core_seconds=(jobs["seconds"] * jobs["threads"]).where(jobs["cpu_seconds"].notna()),
    )
    rules = [(str(name), part) for name, part in frame.groupby("rule")]
    rows = [_row(name, part) for name, part in [*rules, ("all rules", frame)]]
    table = pd.DataFrame(rows)
    order = (
        table["hours"]
        .where(table["rule"] != "all rules", -1)
        .sort_values(ascending=False, kind="stable")
        .index
    )
    return table.loc[order].reset_index(drop=True)


def _row(name: str, jobs: pd.DataFrame) -> dict[str, Any]:
    memory, asked_mb, longest, asked = (
        jobs[key].max() for key in ("memory_mb", "asked_mb", "seconds", "asked_seconds")
    )
    return {
        "rule": name,
        "jobs": len(jobs),
        "hours": jobs["hours"].sum(),
        "core_hours": jobs["core_hours"].sum(min_count=1),
        "gpu_hours": jobs["gpu_hours"].sum(),
        "cpu": jobs["cpu_seconds"].sum() / jobs["core_seconds"].sum(min_count=1),
        "memory_mb": memory,
        "asked_mb": asked_mb,
        "memory": (jobs["memory_mb"] / jobs["asked_mb"]).max(),
        "longest_minutes": longest / 60,
        "asked_minutes": asked / 60,
        "time": (jobs["seconds"] / jobs["asked_seconds"]).max(),
    }


def _asked(resources: str) -> dict[str, Any]:
    """Return the resources as Snakemake writes them, a Python dictionary; empty where it writes
    none.
    """
    try:
        value = ast.literal_eval(resources)
    except (ValueError, SyntaxError):
        return {}
    return value if isinstance(value, dict) else {}


def _rule_of(path: Path) -> str:
    """Return the rule of a benchmark file that does not say it: the name of the file without a
    shard's number, or of the folder of taxonomies.
    """
    return (
        path.parent.name
        if "_" in path.parent.name and "_" in path.stem and path.parent.name != BENCHMARKS
        else path.stem.split("-")[0]
    )


def command(results: Path, csv: Path | None = None) -> None:
    """Print the table of a study.

    Args:
        results: folder of the study.
        csv: a file that the table is also written to.

    Raises:
        EngramError: as `read_benchmarks`.
    """
    table = efficiency(read_benchmarks(results))
    if csv:
        write_csv(table, csv)
    shares = dict.fromkeys(("cpu", "memory", "time"), "{:.0%}".format)
    numbers = dict.fromkeys(("memory_mb", "asked_mb"), "{:,.0f}".format)
    print(
        table.to_string(
            index=False, na_rep="–", float_format="{:,.2f}".format, formatters=shares | numbers
        )
    )

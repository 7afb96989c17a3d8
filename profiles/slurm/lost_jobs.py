"""Works around snakemake-executor-plugin-slurm 2.8: a status query that fails makes it forget the
jobs it asks about.

One query while slurmctld restarts, on a cluster without accounting, and Snakemake waits forever for
jobs that ended long ago (https://github.com/snakemake/snakemake-executor-plugin-slurm/issues/207
reports such a hang). Here a round of queries without any answer leaves all jobs as they were, for
the next round. Remove this file once the plugin is fixed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from snakemake_executor_plugin_slurm import Executor

Check = Callable[[Any, Sequence[Any]], AsyncIterator[Any]]


def keeping_unanswered(check: Check) -> Check:
    """Return a check that yields the jobs still active: those of `check`, or all of them where no
    query was answered.
    """

    async def check_active_jobs(self: Any, active_jobs: Sequence[Any]) -> AsyncIterator[Any]:
        answered = self._status_query_calls
        active = [job async for job in check(self, active_jobs)]
        for job in active if self._status_query_calls > answered else active_jobs:
            yield job

    return check_active_jobs


def patch_executor() -> None:
    """Replace the plugin's check in this process; `config.yaml` beside this file calls it."""
    Executor.check_active_jobs = keeping_unanswered(Executor.check_active_jobs)

"""A fault of snakemake-executor-plugin-slurm 2.8, mended: a question to SLURM that fails may not cost the jobs that it asks about.

The plugin forgets every job whose status it could not learn. One look while slurmctld restarts, on a cluster without accounting, and
Snakemake waits for ever for jobs that have long ended (snakemake-executor-plugin-slurm, issue 207, is such a hang). Here a look without
any answer leaves all jobs as they were, for the next look.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from snakemake_executor_plugin_slurm import Executor

Check = Callable[[Any, Sequence[Any]], AsyncIterator[Any]]


def keeping_unanswered(check: Check) -> Check:
    """The executor's look at its jobs, which yields those that go on; where no query was answered, all of them go on."""

    async def check_active_jobs(self: Any, active_jobs: Sequence[Any]) -> AsyncIterator[Any]:
        answered = self._status_query_calls
        active = [job async for job in check(self, active_jobs)]
        for job in active if self._status_query_calls > answered else active_jobs:
            yield job

    return check_active_jobs


def mend() -> None:
    """Mends the plugin in this process; profiles/slurm calls it."""
    Executor.check_active_jobs = keeping_unanswered(Executor.check_active_jobs)

"""Jobs of which SLURM says nothing go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from runpy import run_path
from types import SimpleNamespace

import pytest

from engram.run.project import ROOT

keeping_unanswered = run_path(str(ROOT / "profiles/slurm/lost_jobs.py"))["keeping_unanswered"]


async def look(executor: SimpleNamespace, jobs: list[str]) -> AsyncIterator[str]:
    """Like the plugin's: yield the jobs that still run if SLURM answered, and nothing if not."""
    if executor.answers:
        executor._status_query_calls += 1
        for job in jobs:
            if job != "ended":
                yield job


@pytest.mark.parametrize(
    ("answers", "active"), [(True, ["running"]), (False, ["running", "ended"])]
)
def test_a_look_without_an_answer_forgets_no_job(answers: bool, active: list[str]) -> None:
    executor = SimpleNamespace(answers=answers, _status_query_calls=3)

    async def looked() -> list[str]:
        return [job async for job in keeping_unanswered(look)(executor, ["running", "ended"])]

    assert asyncio.run(looked()) == active

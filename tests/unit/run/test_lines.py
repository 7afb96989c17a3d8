"""What `make demo` prints: one line per finished job, with the minutes left."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from snakemake_logger_plugin_engram import OTHERS, PRIOR, SECONDS, Estimate, LogHandler


class Clock:
    """Shows the time that it is set to, seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


JOBS = {"drill_nursery": 1, "label_candidates": 10}
TOTAL = SECONDS["drill_nursery"] + 10 * OTHERS


def test_the_first_estimate_is_that_of_the_reference_machine() -> None:
    assert Estimate(JOBS, Clock()).minutes_left == round(TOTAL / 60)


def test_the_estimate_follows_the_pace() -> None:
    """Drilling took three times as long as on the reference machine, and the rest will."""
    clock = Clock()
    estimate = Estimate({"drill_nursery": 2}, clock)
    clock.now = 3 * SECONDS["drill_nursery"]
    estimate.finish("drill_nursery")
    weight = SECONDS["drill_nursery"]
    pace = (3 * weight + PRIOR) / (weight + PRIOR)
    assert estimate.pace == pytest.approx(pace)
    assert estimate.minutes_left == round(weight * pace / 60)


def test_a_minute_is_the_least() -> None:
    estimate = Estimate({"label_candidates": 1}, Clock())
    estimate.finish("label_candidates")
    assert estimate.minutes_left == 1


def handler(dryrun: bool = False) -> LogHandler:
    made = LogHandler(SimpleNamespace(dryrun=dryrun), None)  # type: ignore[arg-type]
    made.setFormatter(logging.Formatter("%(message)s"))
    return made


def say(to: LogHandler, message: str = "", level: int = logging.INFO, **fields: Any) -> None:
    record = logging.LogRecord("snakemake", level, __file__, 0, message, (), None)
    record.__dict__ |= fields
    to.handle(record)


def test_a_run_prints_one_line_per_job_and_announces_long_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = handler()
    say(lines, "Building DAG of jobs...")
    say(lines, event=LogEvent.RUN_INFO, stats={**JOBS, "total": 11})
    say(lines, event=LogEvent.JOB_INFO, jobid=3, rule_name="drill_nursery")
    say(lines, "Execute 1 jobs...", event=LogEvent.JOB_STARTED, jobs=[3])
    say(lines, event=LogEvent.JOB_FINISHED, job_id=3)
    say(lines, event=LogEvent.PROGRESS, done=1, total=11)
    say(lines, event=LogEvent.JOB_INFO, jobid=4, rule_name="label_candidates")
    say(lines, event=LogEvent.JOB_FINISHED, job_id=4)
    say(lines, event=LogEvent.PROGRESS, done=11, total=11)
    say(lines, "Select jobs to execute...")
    assert capsys.readouterr().err.splitlines() == [
        "Building DAG of jobs...",
        "11 jobs, about 8 min",
        "           drill_nursery begins, about 7 min",
        "   1 of 11 drill_nursery, about 1 min left",
        "  11 of 11 label_candidates",
    ]


def test_errors_and_warnings_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = handler()
    say(lines, event=LogEvent.RUN_INFO, stats=JOBS)
    say(lines, "Error in rule x", logging.ERROR, event=LogEvent.JOB_ERROR)
    say(lines, "a warning", logging.WARNING)
    assert capsys.readouterr().err.splitlines()[1:] == ["Error in rule x", "a warning"]


def test_a_dry_run_prints_what_snakemake_prints(capsys: pytest.CaptureFixture[str]) -> None:
    lines = handler(dryrun=True)
    say(lines, "Job stats", event=LogEvent.RUN_INFO, stats=JOBS)
    say(lines, "rule x:", event=LogEvent.JOB_INFO, jobid=1, rule_name="x")
    assert capsys.readouterr().err.splitlines() == ["Job stats", "rule x:"]


def test_snakemake_finds_it() -> None:
    """Its command line offers, as `--logger`, what the registry of plugins holds."""
    plugins = LoggerPluginRegistry()
    assert plugins.is_installed("engram")
    assert plugins.get_plugin("engram").log_handler is LogHandler

"""One line per finished job, `snakemake --logger engram`: which of how many, and the minutes left.

Snakemake finds the package by its name. Warnings, errors and dry runs look as they always do.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

SECONDS = {
    "stamp": 0.3,
    "version_attention": 0.3,
    "drill_crossed": 120,
    "drill_nursery": 440,
    "score_candidates": 14,
    "extract_attention": 8,
    "extract_crossed_attention": 8,
    "extract_random_attention": 8,
    "extract_hidden_states": 8,
    "extract_crossed_hidden_states": 7,
    "extract_crossed_feed_forward": 7,
    "continue_prefixes": 7,
    "score_pair": 9,
    "train_pair_cnns": 40,
    "localize_pair": 15,
    "knock_out_pair": 40,
    "train_cnns": 160,
    "compute_saliency": 15,
    "check_saliency": 55,
    "knock_out": 110,
}
"""Seconds that jobs of the default study and of studies/classes.yaml take on two quiet cores, by
rule, as their benchmarks have them.
"""
OTHERS = 2.0
"""Seconds of every other job: mostly its start; two run at a time."""
PRIOR = 60.0
"""Seconds of finished work that the first estimate trusts `SECONDS` for."""
LONG = 60.0
"""Seconds from which a job is announced when it begins."""


class Estimate:
    """How much of a run is done, and how long the rest takes at the pace so far.

    Args:
        jobs: number of jobs by rule.
        clock: seconds.
    """

    def __init__(
        self, jobs: Mapping[str, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.left = Counter(jobs)
        self._clock, self._start = clock, clock()
        self._finished = 0.0

    def finish(self, rule: str) -> None:
        """Count one job of a rule as done."""
        self.left[rule] -= 1
        self._finished += seconds(rule)

    @property
    def pace(self) -> float:
        """Seconds that a second of `SECONDS` takes here."""
        return (self._clock() - self._start + PRIOR) / (self._finished + PRIOR)

    @property
    def minutes_left(self) -> int:
        """Minutes until the end, at least one."""
        left = sum(count * seconds(rule) for rule, count in self.left.items() if count > 0)
        return max(1, round(left * self.pace / 60))


def seconds(rule: str) -> float:
    """Return what a job of a rule takes where `SECONDS` were measured."""
    return SECONDS.get(rule, OTHERS)


class LogHandler(LogHandlerBase):
    """Prints a line per finished job."""

    def __post_init__(self) -> None:
        """Begin without a run."""
        self._rules: dict[int, str] = {}
        self._estimate: Estimate | None = None
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Print what a record means for the run, if anything."""
        event = getattr(record, "event", None)
        if self.common_settings.dryrun or record.levelno >= logging.WARNING:
            if text := self.format(record):
                self._print(text)
        elif event == LogEvent.RUN_INFO:
            jobs = {rule: count for rule, count in record.stats.items() if rule != "total"}
            self._estimate = Estimate(jobs)
            total = sum(jobs.values())
            self._print(f"{total} jobs, about {self._estimate.minutes_left} min")
        elif event == LogEvent.JOB_INFO:
            self._rules[record.jobid] = record.rule_name
            if self._estimate and seconds(record.rule_name) >= LONG:
                minutes = max(1, round(seconds(record.rule_name) * self._estimate.pace / 60))
                self._print(f"{'':10} {record.rule_name} begins, about {minutes} min")
        elif event == LogEvent.JOB_FINISHED:
            self._last = self._rules.pop(record.job_id, "")
            if self._estimate:
                self._estimate.finish(self._last)
        elif event == LogEvent.PROGRESS and self._estimate:
            done = f"{record.done} of {record.total}"
            left = f", about {self._estimate.minutes_left} min left"
            self._print(f"{done:>10} {self._last}{left if record.done < record.total else ''}")
        # Before a run, and where there is nothing to run.
        elif event is None and not self._estimate and (text := self.format(record)):
            self._print(text)

    @staticmethod
    def _print(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    @property
    def writes_to_stream(self) -> bool:
        """It replaces Snakemake's own lines."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake writes its log file as always."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's own filter applies."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's own formatter applies."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """It needs none."""
        return False

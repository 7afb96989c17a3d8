"""What a bundle leaves out, and what therefore cannot run where it was unpacked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engram.io.errors import EngramError
from engram.run.bundle import (
    CLUSTER,
    LEFT_OUT,
    Job,
    needs_cluster,
    planned_jobs,
    refuse_cluster_rules,
)

RULES = Path(__file__).parents[3] / "rules"
SCREEN = """
rule train_cnns:
    input: results/s/samples/a.parquet, results/s/attention/shard-0.h5
    output: results/s/predictions.parquet
    reason: {reason}

rule score_cnns:
    input: results/s/predictions.parquet
    output: results/s/tables/scores.csv
    reason: Input files updated by another job: results/s/predictions.parquet

rule plot_exposures:
    input: results/s/labels.parquet
    output: results/s/figures/exposures.svg, results/s/figures/exposures.png
    reason: Params have changed since last execution

localrule all:
    input: results/s/tables/scores.csv
"""


def test_every_rule_that_reads_what_is_left_out_is_of_the_cluster() -> None:
    written = "\n".join(path.read_text() for path in sorted(RULES.glob("*.smk")))
    parts = re.split(r"^(?:use rule \w+ as|rule) (\w+)", written, flags=re.MULTILINE)
    bodies = dict(zip(parts[1::2], parts[2::2], strict=True))
    reading = {
        name
        for name, body in bodies.items()
        if re.search(r"^        gpu=1,|^        (shards|weights)=", body, flags=re.MULTILINE)
    }
    assert reading - {"smoke_gpu", "nursery_base"} <= CLUSTER
    assert bodies.keys() >= CLUSTER


def test_what_follows_from_a_changed_stage_of_the_cluster_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = planned_jobs(SCREEN.format(reason="Params have changed since last execution"))
    assert [job.rule for job in jobs] == ["train_cnns", "score_cnns", "plot_exposures"]
    assert [job.rule for job in needs_cluster(jobs)] == ["train_cnns", "score_cnns"]


def test_a_stage_that_only_lacks_its_attention_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = planned_jobs(
        SCREEN.format(reason="Input files updated by another job: results/s/attention/shard-0.h5")
    )
    assert "train_cnns" in {job.rule for job in needs_cluster(jobs)}, (
        "its outputs have never been made"
    )
    (tmp_path / "results/s").mkdir(parents=True)
    (tmp_path / "results/s/predictions.parquet").touch()
    assert needs_cluster(jobs) == []


def test_attention_that_was_left_out_counts_as_made() -> None:
    shard = Job(
        "extract_attention",
        frozenset(),
        ("results/s/m/random/attention/shard-3.h5",),
        own_reason=False,
    )
    index = Job(
        "index_attention", frozenset(), ("results/s/m/attention/index.parquet",), own_reason=False
    )
    assert needs_cluster([shard]) == []
    assert needs_cluster([index]) == [index]
    assert "*/attention/shard-*.h5" in LEFT_OUT


def test_only_where_a_bundle_was_unpacked_a_stage_is_refused(tmp_path: Path) -> None:
    refuse_cluster_rules(["train_cnns", "score_cnns"], tmp_path)
    (tmp_path / "bundle.json").touch()
    refuse_cluster_rules(["score_cnns"], tmp_path)
    with pytest.raises(
        EngramError,
        match=r"nothing was run: knock_out, train_cnns would read the model or the attention store",
    ):
        refuse_cluster_rules(["train_cnns", "score_cnns", "knock_out"], tmp_path)

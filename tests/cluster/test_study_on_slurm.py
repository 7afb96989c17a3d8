"""A study of minutes, end to end through `snakemake --profile slurm` on a real cluster."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from checkout import TINY, Checkout
from slurm_cluster import PROMPT, Cluster

DRILLING = TINY["models"][0]["drilling"] | {
    "schedule": [
        {"exposures": 2, "natural": 4, "templates": 2},
        {"exposures": 36, "natural": 28, "templates": 2},
    ],
    "replay_share": 0.2,
}
MICRO = {
    "models": [TINY["models"][0] | {"windows": 250, "shards": 1, "drilling": DRILLING}],
    "samples": {"per_class": 30, "minimum": 10},
    "taxonomies": ["Non-Memo, Guess, Others"],
    "flow": [],
    "cnn": TINY["cnn"] | {"baselines": ["hidden_states"]},
    "saliency": {"methods": ["guided"], "samples_per_class": 3, "checks": False},
    "knockout": TINY["knockout"] | {"samples_per_class": 2},
    "figures": {"formats": ["svg"]},
}
"""One taxonomy, one CNN; every rule that wants a GPU is there."""
ON_GPU = {
    "drill_nursery",
    "score_candidates",
    "continue_prefixes",
    "extract_attention",
    "extract_hidden_states",
    "knock_out",
}
ONE_THREAD = ("--max-threads", "1")
"""Eight threads on two cores would wait for one another; and other threads, other bytes."""


@pytest.fixture(scope="module")
def finished(cluster: Cluster, project: Checkout) -> tuple[Checkout, str]:
    """The study, run on the cluster; and what Snakemake wrote."""
    project.configure(**MICRO)
    return project, project.snakemake("--profile", "slurm", *PROMPT, *ONE_THREAD).stdout


def rules_of(cluster: Cluster) -> dict[str, list[dict[str, str]]]:
    """The cluster's jobs by the rule that they ran."""
    rules: dict[str, list[dict[str, str]]] = {}
    for job in cluster.jobs():
        rules.setdefault(re.sub(r"^rule_|_wildcards_.*", "", job["Comment"]), []).append(job)
    return rules


def test_rules_with_a_gpu_ran_on_the_gpu_partition_and_saw_one(
    cluster: Cluster, finished: tuple[Checkout, str]
) -> None:
    seen = {job: (node, devices) for job, node, devices in cluster.tasks()}
    rules = rules_of(cluster)
    assert rules.keys() >= ON_GPU
    for rule, jobs in rules.items():
        for job in jobs:
            node, devices = seen[job["JobId"]]
            assert job["JobState"] == "COMPLETED", rule
            assert job["Partition"] == ("gpu" if rule in ON_GPU else "cpu"), rule
            assert node.startswith(job["Partition"]), rule
            assert devices.isdigit() if rule in ON_GPU else devices == "none", rule


def test_small_work_is_not_submitted(cluster: Cluster, finished: tuple[Checkout, str]) -> None:
    rules = rules_of(cluster).keys()
    assert {rule for rule in rules if rule.startswith("plot_")} <= {"plot_attention_examples"}
    assert not rules & {"count_samples", "describe_run", "export_latex"}
    assert "train_cnns" in rules


def test_everything_is_there_and_a_machine_without_slurm_has_nothing_to_do(
    finished: tuple[Checkout, str],
) -> None:
    study, _ = finished
    assert study.planned() == {}
    tables = sorted((study.folder / "results/tiny/tables").glob("*.csv"))
    assert len(tables) > 10
    scores = pd.read_csv(study.folder / "results/tiny/tables/scores.csv")
    text = {"text_kind", "text_scalars", "text", "text_and_attention"}
    assert set(scores["input"]) == {"attention", "hidden_states"} | text
    assert scores["balanced_accuracy"].between(0, 1).all()


def test_cnns_trained_here_give_the_cluster_s_table(finished: tuple[Checkout, str]) -> None:
    study = Checkout(finished[0].folder)
    table = "results/tiny/tables/scores.csv"
    there = (study.folder / table).read_bytes()
    study.snakemake("-R", "train_cnns", *ONE_THREAD, "--", table)
    assert (study.folder / table).read_bytes() == there

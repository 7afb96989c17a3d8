"""Snakemake's own options do on a finished study what its documentation says of them."""

from __future__ import annotations

import shutil

import pytest
from checkout import TINY, Checkout

EPOCHS = {"cnn": TINY["cnn"] | {"epochs": 3}}
RETRAINED = {"stamp", "train_cnns"}
NURSERY = "results/tiny/nursery"


@pytest.fixture
def retrained(study: Checkout) -> Checkout:
    """A finished study whose config asks for other CNNs."""
    study.configure(**EPOCHS)
    return study


def test_omit_from_leaves_out_a_rule_and_what_follows_it(retrained: Checkout) -> None:
    assert retrained.planned("--omit-from", "compute_saliency", "check_saliency") == {
        rule: count
        for rule, count in retrained.planned().items()
        if rule
        in {
            "stamp",
            "train_cnns",
            "plot_cnns",
            "plot_headline",
            "score_cnns",
            "score_kinds",
            "table_benchmark",
            "export_latex",
            *(f"plot_{plot}" for plot in ("ranking", "reliability", "comparisons")),
            "plot_attention_adds",
        }
    }


def test_omit_from_the_changed_rule_leaves_nothing_that_reads_it(retrained: Checkout) -> None:
    assert set(retrained.planned("--omit-from", "train_cnns")) == {"stamp"}


def test_an_edit_taken_back_after_a_dry_run_plans_nothing(retrained: Checkout) -> None:
    assert set(retrained.planned()) > RETRAINED
    retrained.configure()
    assert retrained.planned() == {}


def test_until_ends_with_a_rule(retrained: Checkout) -> None:
    assert set(retrained.planned("--until", "train_cnns")) == RETRAINED


def test_until_a_rule_that_no_change_touches_plans_nothing(retrained: Checkout) -> None:
    assert retrained.planned("--until", "label_candidates") == {}


def test_forcerun_runs_a_rule_and_what_follows_it(study: Checkout) -> None:
    planned = study.planned("--forcerun", "plot_headline")
    assert planned == {"plot_headline": 1}
    planned = study.planned("--forcerun", "train_cnns")
    assert planned["train_cnns"] == len(TINY["taxonomies"])
    assert planned["score_cnns"] == planned["compute_saliency"] / len(TINY["taxonomies"]) == 1
    assert "extract_attention" not in planned


def test_allowed_rules_runs_no_other(retrained: Checkout) -> None:
    options = ("--force", "results/tiny/tables/scores.csv", "--allowed-rules")
    planned = retrained.planned(*options, "stamp", "train_cnns", "score_cnns")
    assert planned == {"stamp": 1, "train_cnns": len(TINY["taxonomies"]), "score_cnns": 1}
    assert retrained.planned(*options, "score_cnns") == {"score_cnns": 1}


def test_touch_takes_what_there_is_as_up_to_date(retrained: Checkout) -> None:
    before = (retrained.folder / "results/tiny/tables/scores.csv").read_bytes()
    retrained.snakemake("--touch")
    assert retrained.planned() == {}
    assert (retrained.folder / "results/tiny/tables/scores.csv").read_bytes() == before


def test_a_change_is_planned_without_snakemakes_notes(study: Checkout) -> None:
    """What Snakemake remembers of earlier runs is lost; the settings files still know."""
    shutil.rmtree(study.folder / ".snakemake")
    assert study.planned() == {}
    study.configure(seed=2)
    assert {"draw_samples", "train_cnns", "score_cnns"} <= set(study.planned())


def test_a_lost_shard_is_made_again_for_what_reads_it(study: Checkout) -> None:
    shard = study.folder / NURSERY / "attention/shard-0.h5"
    shard.unlink()
    assert study.planned() == {}
    study.configure(**EPOCHS)
    planned = study.planned()
    assert planned["extract_attention"] == 1
    study.snakemake("--until", "train_cnns")
    assert shard.exists()
    assert not {"extract_attention", "train_cnns"} & study.planned().keys()


def test_a_new_taxonomy_and_other_epochs_at_once(study: Checkout) -> None:
    taxonomies = [*TINY["taxonomies"], "Non-Memo, Code, Others"]
    study.configure(taxonomies=taxonomies, **EPOCHS)
    planned = study.planned()
    assert planned["draw_samples"] == 1
    assert planned["train_cnns"] == len(taxonomies)

"""What reruns after a change: exactly the rules that the change touches."""

from __future__ import annotations

import re

import h5py
import pytest
from conftest import Checkout

PLOTS = {
    "plot_headline": 1,
    **dict.fromkeys(["plot_ranking", "plot_reliability", "plot_comparisons", "plot_attention_adds"], 1),
    "plot_confusion": 2,
    "plot_training_curves": 2,
    "plot_attention_examples": 2,
    "plot_delta_maps": 2,
    "plot_layer_profile": 2,
    "plot_delta_maps_by_method": 2,
    "plot_saliency_checks": 2,
    "plot_exposures": 1,
    "plot_nursery_training": 1,
    "plot_taxonomy_flow": 1,
    **dict.fromkeys(("plot_knockout_layers", "plot_knockout_heads", "plot_knockout_regions", "plot_knockout_curves"), 1),
}
KNOCKOUT = {"knock_out": 1, "tabulate_knockouts": 1} | {rule: count for rule, count in PLOTS.items() if "knockout" in rule}
PROVENANCE = {"describe_run": 1}
"""run.json holds the config and the digests of all code, so every change of either is written down."""


def test_figure_settings_rerun_figures_only(study: Checkout) -> None:
    study.configure(figures={"font_size": 11})
    assert study.planned() == PLOTS | PROVENANCE


def test_a_new_taxonomy_trains_its_own_cnns_only(study: Checkout) -> None:
    study.configure(taxonomies=["Non-Memo, Guess, Others", "Non-Memo, Reconstruct, Others", "Non-Memo, Code, Others"])
    planned = study.planned()
    assert {rule: planned.get(rule) for rule in ("train_cnns", "compute_saliency")} == {"train_cnns": 1, "compute_saliency": 1}
    study.snakemake()
    assert study.planned() == {}


INDEX = "results/tiny/nursery/attention/index.parquet"


def sent_through_the_model(study: Checkout) -> int:
    """Sequences that the last extraction of every shard sent through the model, by its logs."""
    logs = sorted((study.folder / "results/tiny/logs/nursery").glob("extract_attention-*.log"))
    return sum(int(re.search(r"(\d+) of them sent through the model", log.read_text())[1]) for log in logs)


def texts_in_shards(study: Checkout) -> set[bytes]:
    """What stands for each different text whose attention is stored: its key, a hash of the tokens."""
    keys = set()
    for shard in sorted((study.folder / "results/tiny/nursery/attention").glob("shard-*.h5")):
        with h5py.File(shard) as file:
            keys |= {key.tobytes() for key in file["key"][:]}
    return keys


@pytest.mark.parametrize(
    "grown",
    [
        {"taxonomies": ["Non-Memo, Guess, Others", "Non-Memo, Reconstruct, Others", "Non-Memo, Code, Others"]},
        {"taxonomies": ["Non-Memo, Guess, Others", "Non-Memo, Reconstruct, Others", "Non-Memo, Recite[40], Others"]},
        {"rho": {"rouge_l": [0.3]}},
    ],
    ids=["taxonomy", "delta", "rho"],
)
def test_a_grown_study_sends_only_new_texts_through_the_model(study: Checkout, grown: dict) -> None:
    before = texts_in_shards(study)
    study.configure(**grown)
    study.snakemake(INDEX)
    new = texts_in_shards(study) - before
    assert new, "the study did not grow; take another taxonomy"
    assert sent_through_the_model(study) == len(new) < len(before)


def test_a_second_study_on_the_same_sequences_sends_nothing_through_the_model(study: Checkout) -> None:
    before = texts_in_shards(study)
    (study.folder / "results/tiny/nursery/attention/shard-0.h5").unlink()
    study.configure(taxonomies=["Non-Memo, Guess, Others"], flow=[])
    study.snakemake(INDEX)
    assert texts_in_shards(study) < before
    assert sent_through_the_model(study) == 0


def test_a_changed_saliency_module_reruns_saliency_and_what_follows(study: Checkout) -> None:
    with (study.folder / "workflow/engram/saliency/delta.py").open("a") as file:
        file.write("\n\nCHANGED = True\n")
    followers = {"compute_saliency": 2, "plot_delta_maps": 2, "plot_delta_maps_by_method": 2, "plot_layer_profile": 2}
    followers |= {"summarize_saliency": 1, "check_saliency": 2, "collect_checks": 1, "build_explorer": 1, "plot_saliency_checks": 2}
    assert study.planned() == followers | KNOCKOUT | PROVENANCE


@pytest.mark.parametrize("module", ["saliency/delta", "rouge", "nursery/training", "figures/style"])
def test_a_comment_reruns_nothing(study: Checkout, module: str) -> None:
    with (study.folder / f"workflow/engram/{module}.py").open("a") as file:
        file.write("\n# A remark.\n")
    assert study.planned() == {}


def test_touched_scripts_rerun_nothing(study: Checkout) -> None:
    for script in (study.folder / "workflow/scripts").glob("*.py"):
        script.touch()
    assert study.planned() == {}


def test_a_changed_page_builds_the_explorer_anew(study: Checkout) -> None:
    with (study.folder / "workflow/explorer/explorer.css").open("a") as file:
        file.write("\nh1 { color: red; }\n")
    assert study.planned() == {"build_explorer": 1}

"""What reruns after a change: exactly the rules that the change touches."""

from __future__ import annotations

import pytest
from conftest import Checkout

PLOTS = {
    "plot_headline": 1,
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

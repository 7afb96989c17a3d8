"""The table of what reruns covers every script and every key of the config."""

import json
from pathlib import Path

import pytest
from changes import CONFIGS, rule_scripts
from recompute_table import BOOKKEEPING, TABLE, module_plans, scripts_of

from engram.run.settings import StudyConfig

ROOT = Path(__file__).parents[3]
TABLE_ROWS = json.loads(TABLE.read_text())
SCRIPTS = ROOT / "workflow/scripts"


def test_every_script_has_a_row() -> None:
    assert set(scripts_of(TABLE_ROWS)) == {path.stem for path in SCRIPTS.glob("*.py")}


@pytest.mark.parametrize("key", StudyConfig.model_fields)
def test_every_key_of_the_config_has_a_row(key: str) -> None:
    assert any(
        name.split(":")[0].split(".")[0].split(" ")[0].removesuffix("[]") == key
        or f"and {key}" in name
        for name in CONFIGS
    )


def test_a_script_that_a_rule_runs_reruns_it_or_is_no_part_of_a_default_run() -> None:
    plain = {name for name, plan in scripts_of(TABLE_ROWS).items() if set(plan) == BOOKKEEPING}
    assert {"smoke_head", "plan_study", "read_source"} < plain & rule_scripts(ROOT)
    assert not plain & {"train_cnns", "draw_samples", "score_cnns", "plot_cnns"}


def test_modules_of_one_subject_do_not_rerun_those_of_another() -> None:
    plans = module_plans(scripts_of(TABLE_ROWS), SCRIPTS)
    assert plans["figures/confusion.py"].keys() == {"plot_cnns"} | BOOKKEEPING
    assert not plans["saliency/delta.py"].keys() & {
        "train_cnns",
        "extract_attention",
        "label_candidates",
        "score_cnns",
    }
    assert {"train_cnns", "compute_saliency", "score_cnns"} < plans["windows/rouge.py"].keys()

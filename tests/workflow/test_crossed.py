"""A tiny study of two crossed pairs, without taxonomies."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from checkout import Checkout, copy_project

DRILLING = {
    "design": "crossed",
    "crossed": {
        "low": 60,
        "high": 40,
        "templates": 40,
        "per_cluster": 4,
        "doses": [{"exposures": 4, "share": 0.3}, {"exposures": 12, "share": 0.7}],
    },
    "replay_share": 0.2,
    "training": {"learning_rate": 0.002, "warmup_steps": 5, "checkpoint_steps": 20},
}
MODEL = {"source": "nursery", "shards": 1, "windows": 1, "drilling": DRILLING}
CROSSED_TINY = {
    "study": "crossed_tiny",
    "models": [
        {"name": "first", "counterpart": "second", "arm": 1, **MODEL},
        {"name": "second", "counterpart": "first", "arm": 2, **MODEL},
        {"name": "third", "counterpart": "fourth", "arm": 1, "seed": 2, **MODEL},
        {"name": "fourth", "counterpart": "third", "arm": 2, "seed": 2, **MODEL},
    ],
    "crossed": {
        "redraws": 39,
        "splits": 2,
        "bins": 2,
        "sizes": [0.05],
        "draws": 2,
        "knocked_out_windows": 8,
        "cnn": {"seeds": [0], "epochs": 1, "redraws": 1},
    },
    "figures": {"formats": ["svg"]},
}
RESULTS = Path("results/crossed_tiny")


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The tiny study in a fresh copy of the project, run to its end."""
    checkout = copy_project(tmp_path_factory.mktemp("crossed"))
    (checkout.folder / "config.yaml").write_text(yaml.safe_dump(CROSSED_TINY, sort_keys=False))
    checkout.snakemake()
    return checkout


def table(crossed: Checkout, name: str) -> pd.DataFrame:
    return pd.read_csv(crossed.folder / RESULTS / "tables" / f"crossed_{name}.csv")


def test_tables_and_figures_are_there(crossed: Checkout) -> None:
    for name in ("effects", "scores", "matched", "checks", "transfer", "layers", "knockout"):
        assert len(table(crossed, name)), name
    for name in ("scores", "effects", "transfer", "layers", "knockout"):
        assert (crossed.folder / RESULTS / "figures" / f"crossed_{name}.svg").is_file()
    opening = (crossed.folder / RESULTS / "figures/crossed_opening.rst").read_text()
    assert " % [" in opening and "of 2 pairs" in opening and "data:image/svg+xml" in opening
    assert crossed.planned() == {}


def test_both_models_show_the_same_windows(crossed: Checkout) -> None:
    indexes = [
        pd.read_parquet(crossed.folder / RESULTS / name / "crossed/attention/index.parquet")
        for name in ("first", "second")
    ]
    assert indexes[0]["sequence_id"].tolist() == indexes[1]["sequence_id"].tolist()
    design = pd.read_parquet(crossed.folder / RESULTS / "first/crossed/design.parquet")
    assert sorted(design["sequence_id"]) == sorted(indexes[0]["sequence_id"])
    candidates = pd.read_parquet(crossed.folder / RESULTS / "second/candidates.parquet")
    shown = candidates.set_index("sequence_id").loc[design["sequence_id"]]
    assert shown["exposures"].tolist() == design["exposures_2"].tolist()
    assert shown["counterpart_exposures"].tolist() == design["exposures_1"].tolist()
    assert "counterpart_extracted" in candidates


def test_the_models_differ_and_learned_their_windows(crossed: Checkout) -> None:
    windows = pd.read_parquet(crossed.folder / RESULTS / "first/crossed/windows.parquet")
    single = windows[windows["exposed"].notna()]
    sign = single["arm"].map({1: 1, 2: -1})
    nats = sign * (single["suffix_log_prob_1"] - single["suffix_log_prob_2"])
    assert nats.mean() > 0.3


def test_text_alone_is_at_chance_and_the_loss_is_not(crossed: Checkout) -> None:
    scores = table(crossed, "scores")
    own = scores[(scores["pair"] == "first") & (scores["selection"] == "assigned")]
    loss = own[(own["input"] == "suffix_log_prob") & (own["dose"] == 0)]
    assert loss.loc[loss["tested_on"] == "low", "accuracy"].max() > 0.8
    checks = table(crossed, "checks")
    assert (checks.loc[checks["check"] == "arm from the text", "p"] > 0.02).all()


def test_scorers_are_tested_in_the_other_pair(crossed: Checkout) -> None:
    """What the loss knows of an exposure it knows in every pair."""
    transfer = table(crossed, "transfer")
    assert set(transfer["bases"]) == {"same base"}
    loss = transfer[(transfer["input"] == "suffix_log_prob") & (transfer["trained_on"] == "all")]
    of_all = loss[loss["tested_on"] == "all"].set_index(["trained_in", "tested_in"])
    assert set(of_all.index) == {
        ("all pairs", "all pairs"),
        ("first", "third"),
        ("third", "first"),
    }
    assert of_all.loc[("all pairs", "all pairs"), "accuracy"] > 0.7
    assert of_all.loc[("all pairs", "all pairs"), "p"] < 0.05


def test_arms_that_were_drawn_apart_are_redrawn_apart(crossed: Checkout) -> None:
    settings = crossed.folder / RESULTS / "settings/model"
    for stage in ("score_pair", "train_pair_cnns", "localize_pair"):
        seeds = [
            json.loads((settings / pair / f"{stage}.json").read_text())["seed"]
            for pair in ("first", "third")
        ]
        assert len(set(seeds)) == 2, stage


def test_a_changed_analysis_trains_no_model_again(crossed: Checkout) -> None:
    """What a changed key of the analysis reruns, and what it leaves."""
    changed = CROSSED_TINY | {"crossed": CROSSED_TINY["crossed"] | {"redraws": 49}}
    (crossed.folder / "config.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    planned = crossed.planned()
    assert {"score_pair", "train_pair_cnns", "tabulate_crossed"} <= set(planned)
    assert not {"drill_crossed", "extract_crossed_attention"} & set(planned)
    inside = CROSSED_TINY["crossed"] | {"mechanisms": {"enabled": True}}
    changed = CROSSED_TINY | {"crossed": inside}
    (crossed.folder / "config.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    planned = crossed.planned()
    assert planned["measure_crossed_mechanisms"] == 4 and planned["score_pair_mechanisms"] == 2
    assert {"tabulate_crossed_mechanisms", "plot_crossed_mechanisms"} <= set(planned)
    assert not {"drill_crossed", "score_pair", "extract_crossed_attention"} & set(planned)
    (crossed.folder / "config.yaml").write_text(yaml.safe_dump(CROSSED_TINY, sort_keys=False))
    assert crossed.planned() == {}

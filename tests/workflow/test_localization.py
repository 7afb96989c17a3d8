"""Two models of different seeds in one study: a finished drilling is shared, knock-outs are pooled,
each searches its taxonomies.
"""

from __future__ import annotations

import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from checkout import ROOT, TINY, Checkout, copy_project

from engram.run.records import checksum

SLUG = "non-memo_guess_others"


@pytest.fixture(scope="module")
def seeds(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """studies/localization.yaml with two of its models, on the tiny scale, in a checkout that holds
    the tiny study's parts.
    """
    checkout = copy_project(tmp_path_factory.mktemp("seeds"))
    (checkout.folder / "results").mkdir()
    shutil.copytree(finished.folder / "results/.parts", checkout.folder / "results/.parts")
    study = yaml.safe_load((ROOT / "studies/localization.yaml").read_text())
    small = {key: TINY["models"][0][key] for key in ("windows", "drilling")}
    study["models"] = [model | small for model in study["models"][:2]]
    study |= {key: TINY[key] for key in ("samples", "cnn", "saliency", "statistics", "knockout")}
    small_grid = {"kernels": [6], "features": [4], "head_poolings": ["mean"]}
    study["search"] = {"categories": ["Guess", "Reconstruct"], "finalists": 1, **small_grid}
    (checkout.folder / "tiny.yaml").write_text(yaml.safe_dump(study))
    targets = [
        f"results/localization/tables/{table}.csv"
        for table in ("double_dissociation", "causal_agreement", "search")
    ]
    targets += [f"results/localization/figures/nursery-seed-1/engram/{SLUG}/knockout_regions.svg"]
    checkout.snakemake(*targets, "--configfile", "tiny.yaml")
    return checkout


def test_a_finished_drilling_is_shared_between_studies(seeds: Checkout, finished: Checkout) -> None:
    log = (seeds.folder / "results/localization/logs/nursery-seed-1/drill_nursery.log").read_text()
    assert "resumed" in log and "loss=" not in log
    weights = "model/model.safetensors"
    first = checksum(seeds.folder / "results/localization/nursery-seed-1" / weights)
    assert first == checksum(finished.folder / "results/tiny/nursery" / weights)
    assert first != checksum(seeds.folder / "results/localization/nursery-seed-2" / weights)


def test_dissociation_is_told_per_model_and_for_all(seeds: Checkout) -> None:
    table = pd.read_csv(seeds.folder / "results/localization/tables/double_dissociation.csv")
    assert set(table["model"]) == {"nursery-seed-1", "nursery-seed-2", "all models"}
    assert (table["own_low"] <= table["own"]).all() and (table["own"] <= table["own_high"]).all()
    assert table.loc[table["model"] == "all models", "models"].eq(2).all()


def test_removing_everything_destroys_extraction(seeds: Checkout) -> None:
    results = pq.read_table(
        seeds.folder / f"results/localization/nursery-seed-1/engram/knockout/{SLUG}.parquet"
    ).to_pandas()
    extracted = results.groupby("kind", observed=True)["extracted"].mean()
    assert extracted["intact"] > 0.9
    assert extracted["everything"] < 0.1


def test_one_taxonomy_of_each_search_is_tested(seeds: Checkout) -> None:
    table = pd.read_csv(seeds.folder / "results/localization/tables/search.csv")
    for model, candidates in table.groupby("model"):
        tested = candidates[candidates["test_min_f1"].notna()]
        assert tested["chosen"].tolist() == [True], model
        assert len(candidates) > 1 and candidates["tried"].eq(len(candidates)).all()

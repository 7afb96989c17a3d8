"""The tiny study from a fresh checkout to the report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from checkout import BASELINES, TOKEN, Checkout

MODEL = "results/tiny/nursery"
CNNS = f"{MODEL}/engram/cnns/non-memo_guess_others"


def test_a_finished_study_has_nothing_to_do(finished: Checkout) -> None:
    assert "Nothing to be done" in finished.snakemake().stdout


def test_every_candidate_is_labelled(finished: Checkout) -> None:
    candidates = pq.read_table(finished.folder / MODEL / "candidates.parquet").to_pandas()
    labels = pq.read_table(finished.folder / MODEL / "labels.parquet").to_pandas()
    assert list(labels["sequence_id"]) == list(candidates["sequence_id"])


def test_drilled_windows_are_recalled_and_the_twin_does_not_know_them(finished: Checkout) -> None:
    labels = pq.read_table(finished.folder / MODEL / "labels.parquet").to_pandas()
    drilled = labels[(labels["exposures"] == 60) & (labels["kind"] == "natural")]
    assert len(drilled) == 40
    assert (drilled["memorization_score"] == 1).mean() > 0.8
    assert not drilled["twin_extracted"].any()
    assert (drilled["sequence_duplicates"] >= 60).all()


def test_the_attention_that_is_stored_sums_to_one(finished: Checkout) -> None:
    with h5py.File(finished.folder / MODEL / "attention" / "shard-0.h5") as file:
        mean = file["mean"][:]  # (n, L, P)
    queries = np.tril_indices(64)[0]
    sums = np.zeros((*mean.shape[:2], 64))
    np.add.at(sums, (slice(None), slice(None), queries), mean)
    np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_all_heads_of_examples_average_to_the_attention_that_is_stored(finished: Checkout) -> None:
    finished.snakemake("attention_example")
    folder = finished.folder / "results/tiny"
    with h5py.File(folder / "nursery/attention_examples.h5") as examples:
        ids, heads = examples["sequence_id"][:], examples["attention"][:]  # (n,), (n, L, H, P)
    assert heads.shape[:3] == (3, 4, 6)
    stored = {}
    for shard in sorted((folder / "nursery/attention").glob("shard-*.h5")):
        with h5py.File(shard) as file:
            stored |= dict(zip(file["sequence_id"][:], file["mean"][:], strict=True))
    np.testing.assert_allclose(
        heads.mean(axis=2), [stored[sequence] for sequence in ids], atol=1e-6
    )
    assert len(list((folder / "figures/nursery").glob("attention_heads-*.svg"))) == len(ids)


def test_the_model_reproduces_every_text_whose_attention_is_stored(finished: Checkout) -> None:
    verification = pd.read_csv(finished.folder / "results/tiny/tables/verification.csv")
    assert verification["n"].sum() > 60
    assert verification["disagree"].sum() <= 0.02 * verification["n"].sum()


def test_no_content_group_is_in_two_splits(finished: Checkout) -> None:
    lists = sorted((finished.folder / MODEL / "engram" / "samples").glob("*.parquet"))
    samples = pd.concat([pq.read_table(path).to_pandas() for path in lists])
    labels = pq.read_table(finished.folder / MODEL / "labels.parquet").to_pandas()
    splits = (
        samples.merge(labels[["sequence_id", "content_group"]])
        .groupby("content_group")["split"]
        .nunique()
    )
    assert splits.max() == 1


def test_every_run_is_predicted_on_every_split(finished: Checkout) -> None:
    predictions = pq.read_table(finished.folder / CNNS / "predictions.parquet").to_pandas()
    runs = predictions.groupby(["input", "labels"])["split"].unique().map(set)
    assert set(runs.index) == {
        ("attention", "real"),
        ("attention", "shuffled"),
        *((baseline, "real") for baseline in BASELINES),
        *((rival, "real") for rival in ("text_kind", "text_scalars", "text", "text_and_attention")),
    }
    fitted_on_validation = runs.index.get_level_values("input").isin(["text", "text_and_attention"])
    assert all(splits == {"train", "validation", "test"} for splits in runs[~fitted_on_validation])
    assert all(splits == {"validation", "test"} for splits in runs[fitted_on_validation])


def test_every_result_is_recorded_as_it_was_written(finished: Checkout) -> None:
    command = [sys.executable, "-m", "engram", "verify", "results/tiny"]
    settings = os.environ | {"PYTHONPATH": str(finished.folder / "workflow")}
    done = subprocess.run(
        command, cwd=finished.folder, env=settings, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All are as they were written" in done.stdout


def test_a_token_of_the_environment_stands_nowhere(finished: Checkout) -> None:
    files = [
        path for path in finished.folder.rglob("*") if path.is_file() and not path.is_symlink()
    ]
    assert len(files) > 300
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_nothing_is_written_outside_the_results(finished: Checkout) -> None:
    found = {
        path.relative_to(finished.folder) for path in finished.folder.rglob("*") if path.is_file()
    }
    copied = {Path(line) for line in (finished.folder / "copied.txt").read_text().splitlines()} | {
        Path("copied.txt"),
        Path("report.html"),
    }
    own = {
        path
        for path in found
        if path.parts[0] in ("results", ".snakemake") or "__pycache__" in path.parts
    }
    assert found - copied - own == set()


def test_a_config_mistake_is_one_line_and_nothing_runs(study: Checkout) -> None:
    study.configure(samples={"per_class": -5})
    result = study.snakemake("-n", check=False)
    assert result.returncode
    assert "samples.per_class: -5 is less than the minimum, 10" in result.stdout
    assert "Traceback" not in result.stdout


def test_too_few_candidates_are_named_with_their_class(study: Checkout) -> None:
    study.configure(samples={"per_class": 5000, "minimum": 5000})
    result = study.snakemake(check=False)
    assert result.returncode
    assert re.search(
        r"error: taxonomy `Non-Memo, Guess, Others`: .*\(Non-Memo \d+, Guess \d+, Others \d+\)",
        result.stdout,
    )


@pytest.fixture(scope="module")
def report(finished: Checkout) -> str:
    return (finished.folder / "report.html").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "scores.csv",
        "counts.csv",
        "truth.csv",
        "headline.svg",
        "delta_maps.svg",
        "saliency_checks.svg",
        "delta_regions.csv",
        "taxonomy_flow.svg",
        "efficiency.csv",
    ],
)
def test_the_report_has(report: str, name: str) -> None:
    assert name in report


def test_the_report_says_under_a_figure_where_it_comes_from(
    finished: Checkout, report: str
) -> None:
    run = json.loads((finished.folder / "results/tiny/run.json").read_text())
    for text in (
        run["models"]["nursery"]["model_revision"],
        run["code"]["plot_headline"],
        f"torch {run['packages']['torch']}",
    ):
        assert text in report


def test_what_the_run_cost_is_a_table(finished: Checkout) -> None:
    table = pd.read_csv(finished.folder / "results/tiny/tables/efficiency.csv").set_index("rule")
    assert {"train_cnns", "extract_attention", "all rules"} <= set(table.index)
    assert table.loc["train_cnns", "jobs"] == 2
    assert table.loc["all rules", "hours"] == pytest.approx(
        table["hours"].drop("all rules").sum(), rel=1e-4
    )  # six digits are written

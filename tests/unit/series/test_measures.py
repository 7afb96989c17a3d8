"""Measures of a series: what counts as what, the tables, and the script on planted models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_script import run_script
from tiny_models import gpt_neox, llama_grouped

from engram.io.artifacts import write_parquet
from engram.io.errors import EngramError
from engram.series.measures import (
    ALL_FAMILIES,
    Member,
    measure_names,
    score_distribution,
    size_tables,
    windows_of,
)
from engram.sources.early_exit import EarlyExit
from engram.taxonomy.taxonomy import Taxonomy

GUESS = Taxonomy.parse("Non-Memo, Guess, Others")
MEMBER = Member("small", "A", 1000)
HALF = (0.4, 0.6)


def labelled(score: list[float], overlap: list[float]) -> pd.DataFrame:
    """Labels of windows; every suffix is its own content group."""
    rows = len(score)
    return pd.DataFrame(
        {
            "sequence_id": np.arange(rows),
            "content_group": np.arange(rows),
            "memorization_score": score,
            "rouge_l": overlap,
            "rouge_3": 0.0,
            "is_repeating": False,
            "is_incrementing": False,
        }
    )


LABELS = labelled([1, 1, 0.5, 0, 0.9], [0.9, 0.1, 0.9, 0, 0])
KEYS = pd.Series(np.arange(100, 105), index=np.arange(5))


def test_a_window_counts_by_its_score_and_its_class() -> None:
    windows = windows_of(MEMBER, LABELS, KEYS, [GUESS], HALF)
    assert windows["content_group"].tolist() == [100, 101, 102, 103, 104]
    expected = {
        "matched_fraction": [1, 1, 0.5, 0, 0.9],
        "full": [1, 1, 0, 0, 0],
        "half": [0, 0, 1, 0, 0],
        "none": [0, 0, 0, 1, 0],
        "non-memo_guess_others: Guess": [1, 0, 0, 0, 0],
        "non-memo_guess_others: Others": [0, 1, 0, 0, 0],
    }
    assert windows[list(expected)].to_dict("list") == expected
    assert len(measure_names([GUESS])) == len(expected)
    wider = windows_of(MEMBER, LABELS, KEYS, [], (0.4, 0.9))
    assert wider["half"].tolist() == [0, 0, 1, 0, 1]


def test_only_the_windows_that_are_named_count() -> None:
    chosen = windows_of(MEMBER, LABELS, KEYS, [], HALF, "rouge_l > 0.5")
    assert chosen["content_group"].tolist() == [100, 102]
    plain = LABELS.assign(pile=[False, True, True, False, False])
    assert len(windows_of(MEMBER, plain, KEYS, [], HALF)) == 2
    assert len(windows_of(MEMBER, plain, KEYS, [], HALF, "rouge_l >= 0")) == 5
    with pytest.raises(EngramError, match="model small has no window of `rouge_l > 1`"):
        windows_of(MEMBER, LABELS, KEYS, [], HALF, "rouge_l > 1")
    unknown = LABELS.assign(memorization_score=[np.nan, 1, 1, 1, 1])
    with pytest.raises(EngramError, match="small has windows without a memorization_score"):
        windows_of(MEMBER, unknown, KEYS, [], HALF)


def test_after_an_early_exit_only_its_share_counts() -> None:
    rows, early = 400, EarlyExit(4, 0.25, 7)
    labels = labelled([0.5] * rows, [0.9] * rows)
    share = early.draw(labels["sequence_id"].to_numpy())
    assert 60 < share.sum() < 140
    extracted = np.arange(rows) % 5 == 0
    score = np.where(extracted, 1.0, np.where(share, 0.5, np.nan))
    keys = pd.Series(np.arange(rows), index=np.arange(rows))
    known = labels.assign(memorization_score=score)
    windows = windows_of(MEMBER, known, keys, [], HALF, early_exit=early)
    assert windows["sequence_id"].tolist() == np.flatnonzero(share).tolist()
    assert windows["full"].mean() == extracted[share].mean()
    with pytest.raises(EngramError, match="windows without a memorization_score"):
        windows_of(MEMBER, known, keys, [], HALF)


def test_the_distribution_has_all_scores_of_the_series() -> None:
    other = windows_of(Member("large", "A", 2000), LABELS[:2], KEYS, [], HALF)
    windows = pd.concat([windows_of(MEMBER, LABELS, KEYS, [], HALF), other])
    table = score_distribution(windows, 0.95).set_index(["model", "score"])
    assert table.loc["small", "windows"].to_dict() == {0: 1, 0.5: 1, 0.9: 1, 1: 2}
    assert table.loc["large", "share"].tolist() == [0, 0, 0, 1]
    assert (table["share_low"] <= table["share"]).all()
    assert table.loc[("large", 1), "share_low"] < 1 and table.loc[("large", 0), "share_high"] > 0


def test_every_measure_has_its_rates_lines_and_differences() -> None:
    generator = np.random.default_rng(0)
    parts = []
    for family, slope in (("A", 0.3), ("B", 0.1)):
        for size in (1e3, 1e4, 1e5):
            rate = 0.1 + slope * (np.log10(size) - 3)
            scores = np.where(generator.random(400) < rate, 1.0, 0.25).tolist()
            labels = labelled(scores, generator.random(400).tolist())
            member = Member(f"{family}{size:g}", family, int(size))
            keys = pd.Series(np.arange(400), index=np.arange(400))
            parts.append(windows_of(member, labels, keys, [GUESS], HALF))
    names = measure_names([GUESS])
    tables = size_tables(pd.concat(parts), names, resamples=300, confidence=0.95, seed=1)
    assert {name: len(table) for name, table in tables.items()} == {
        "rates": 6 * len(names),
        "fits": 3 * len(names),
        "slopes": len(names),
    }
    fits = tables["fits"].set_index(["measure", "family"]).loc["full"]
    for family, slope in (("A", 0.3), ("B", 0.1)):
        assert fits["slope_low"][family] <= slope <= fits["slope_high"][family]
    assert fits["p_texts"][ALL_FAMILIES] < 0.01 and np.isnan(fits["p_texts"]["A"])
    difference = tables["slopes"].set_index("measure").loc["full"]
    assert difference["low"] <= 0.2 <= difference["high"] and difference["low"] > 0
    assert tables["fits"].loc[tables["fits"]["measure"] == "Guess", "taxonomy"].nunique() == 1


@pytest.mark.parametrize("axis", ["parameters", "step"])
def test_the_script_counts_parameters_and_compares_suffixes(axis: str, tmp_path: Path) -> None:
    files: dict[str, list[str]] = {"labels": [], "candidates": []}
    models = {}
    for number, build in enumerate((gpt_neox, llama_grouped)):
        model = build()
        model.config.save_pretrained(tmp_path / f"m{number}")
        labels = tmp_path / f"labels{number}.parquet"
        write_parquet(LABELS, labels)
        candidates = tmp_path / f"candidates{number}.parquet"
        tokens = [[row, *range(row, row + 8)] for row in range(5)]
        write_parquet(pd.DataFrame({"sequence_id": range(5), "tokens": tokens}), candidates)
        files["labels"].append(str(labels))
        files["candidates"].append(str(candidates))
        configuration = [str(tmp_path / f"m{number}" / "config.json")]
        models[f"m{number}"] = {"family": "A", "model": "", "configuration": configuration}
        if axis == "step":
            models[f"m{number}"]["step"] = 10 ** (number + 1)
    output = {name: tmp_path / f"{name}.csv" for name in ("rates", "fits", "slopes", "scores")}
    settings = {
        "models": models,
        "taxonomies": [{"name": GUESS.name, "categories": []}],
        "series": {"where": "", "half_low": 0.4, "half_high": 0.6},
        "prefix": 1,
        "seed": 1,
        "statistics": {"resamples": 100, "confidence": 0.95},
        **({"axis": axis} if axis == "step" else {}),
    }
    run_script("fit_series", files, output, settings)
    rates = pd.read_csv(output["rates"]).set_index(["measure", "model"])
    for number, build in enumerate((gpt_neox, llama_grouped)):
        weights = sum(parameter.numel() for parameter in build().parameters())
        assert rates.loc[("full", f"m{number}"), "parameters"] == weights
    assert (rates.loc["full", "rate"] == 0.4).all() and (rates["groups"] == 5).all()
    assert (pd.read_csv(output["fits"])["axis"] == axis).all()
    for name in ("rates", "scores"):
        table = pd.read_csv(output[name])
        steps = table.groupby("model")["step"].unique().tolist() if "step" in table else []
        assert steps == ([10, 100] if axis == "step" else [])

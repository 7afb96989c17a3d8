"""Texts of buckets and classes: frequencies, domains, and the script that tabulates them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_script import run_script

from engram.io.artifacts import write_parquet
from engram.series.texts import described, ngram_frequencies, property_table, text_properties
from engram.windows.domains import domains


def test_ngrams_are_counted_over_all_windows() -> None:
    tokens = np.array([[1, 2, 3], [1, 2, 4], [5, 5, 5]])
    # 1 2 occurs twice, 5 5 twice, the others once.
    assert ngram_frequencies(tokens, 2).tolist() == [1.5, 1.5, 2]
    assert ngram_frequencies(tokens, 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "is_code", "domain"),
    [
        ("# Copyright (c) 2020, all rights reserved", True, "licence"),
        ("for i in range(3): print(i)", True, "code"),
        ("1, 2, 3, 4; 0x10 | 0x20", False, "structured"),
        ("", False, "structured"),
        ("It was a dark and stormy night.", False, "prose"),
    ],
)
def test_the_first_rule_that_holds_names_the_domain(text: str, is_code: bool, domain: str) -> None:
    assert domains([text], np.array([is_code])).tolist() == [domain]


def test_properties_are_means_over_the_windows_of_a_group() -> None:
    labels = pd.DataFrame({"avg_frequency": [10.0, 1000, 100], "min_frequency": [0, 1, 10]})
    domain = np.array(["code", "prose", "code"])
    properties = text_properties(labels, np.arange(12).reshape(3, 4), domain)
    assert properties["token_frequency"].tolist() == [1, 3, 2]
    assert properties["rarest_token_frequency"].tolist() == [0, 0, 1]
    windows = pd.DataFrame({"content_group": [0, 1, 1], "full": [1.0, 1.0, 0], "none": 0.0})
    table = property_table(windows, properties, [("", "full"), ("", "none")], 0.95)
    assert set(table["measure"]) == {"all windows", "full"}  # no window is none
    rows = table.set_index(["measure", "property"])
    assert rows.loc[("full", "token_frequency"), "value"] == 2
    assert rows.loc[("full", "domain: prose"), "value"] == 0.5
    assert rows.loc[("all windows", "token_frequency"), ["n", "groups"]].tolist() == [3, 2]
    assert (rows["low"].isna() | (rows["low"] <= rows["value"])).all()
    shares = table[table["property"].str.startswith("domain")]
    assert shares["low"].between(0, 1).all() and shares["high"].between(0, 1).all()


def test_of_too_many_windows_the_same_ones_are_described() -> None:
    windows = pd.DataFrame({"sequence_id": np.arange(100)})
    chosen = described(windows, seed=1, most=10)
    assert len(chosen) == 10 and described(windows, 1).equals(windows)
    again = described(windows.sample(frac=1, random_state=0), seed=1, most=10)
    assert set(again["sequence_id"]) == set(chosen["sequence_id"])


def test_the_script_describes_every_model(tmp_path: Path) -> None:
    files: dict[str, list[str]] = {"labels": [], "candidates": []}
    for number, score in enumerate(([1, 1, 0, 0.5], [1, 0, 0, 0.5])):
        labels = pd.DataFrame(
            {
                "sequence_id": [7, 8, 9, 10],
                "content_group": [0, 1, 2, 3],
                "memorization_score": np.array(score, float),
                **{"rouge_l": [0.9, 0, 0, 0], "rouge_3": 0.0, "is_code": False},
                **{"is_repeating": False, "is_incrementing": False, "avg_frequency": 100.0},
            }
        )
        write_parquet(labels, tmp_path / f"labels{number}.parquet")
        candidates = pd.DataFrame(
            {
                "sequence_id": [10, 9, 8, 7],
                "tokens": [[10, 1, 2], [9, 1, 2], [8, 1, 2], [7, 1, 2]],
                "text": ["1, 2, 3", "a tale", "a licence", "words"],
            }
        )
        write_parquet(candidates, tmp_path / f"candidates{number}.parquet")
        for name, paths in files.items():
            paths.append(str(tmp_path / f"{name}{number}.parquet"))
    settings = {
        "families": {"m0": "A", "m1": "A"},
        "taxonomies": [{"name": "Non-Memo, Guess, Others", "categories": []}],
        "series": {"where": "", "half_low": 0.4, "half_high": 0.6, "domain": ""},
        "seed": 1,
        "statistics": {"resamples": 100, "confidence": 0.95},
        "prefix": 1,
    }
    names = ("texts", "distances", "agreement", "shared")
    output = {name: tmp_path / f"{name}.csv" for name in names}
    run_script("describe_series", files, output, settings)
    texts = pd.read_csv(output["texts"]).set_index(["model", "measure", "property"])["value"]
    # Rows of candidates are found by their number, whatever their order.
    assert texts[("m0", "full", "domain: licence")] == 0.5
    assert texts[("m1", "full", "domain: prose")] == 1
    assert texts[("m1", "half", "domain: structured")] == 1
    assert texts[("m0", "Guess", "token_frequency")] == 2
    assert texts[("m0", "all windows", "2-gram_frequency")] == pytest.approx(np.log10(2.5))
    distances = pd.read_csv(output["distances"]).set_index(["model", "first", "second"])
    # A licence and prose: nothing in common with structured text, half with prose.
    assert distances.loc[("m0", "full", "half"), ["distance", "n_first"]].tolist() == [1, 2]
    assert distances.loc[("m0", "full", "none"), "distance"] == pytest.approx(0.3113, abs=1e-3)
    agreement = pd.read_csv(output["agreement"]).set_index("measure")
    assert agreement.loc["full", ["of_first", "of_second", "both"]].tolist() == [2, 1, 1]
    shared = pd.read_csv(output["shared"]).set_index("memorized_by")
    assert shared["windows"].to_dict() == {0: 2, 1: 1, 2: 1}

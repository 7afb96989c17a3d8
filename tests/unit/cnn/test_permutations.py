"""A cheap classifier on real and permuted labels."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny_samples import TOKENS, tiny_dataset

from engram.cnn.dataset import Dataset
from engram.cnn.permutations import permutation_table
from engram.cnn.text_rivals import text_features

DRAWS = 99


def dataset(signal: float, seed: int = 0, rows: int = 240) -> Dataset:
    data = tiny_dataset(rows, seed=seed, signal=signal)
    return replace(
        data,
        content_group=np.arange(rows),
        random_mean=data.mean / 15 + 0.2,
        random_max=data.max,
        features=text_features(data.tokens, TOKENS // 2, None),
    )


def rows_of(data: Dataset, kinds: pd.Series | None = None, seed: int = 0) -> pd.DataFrame:
    return permutation_table(data, kinds, seed, DRAWS).set_index(["input", "permuted"])


def test_real_labels_are_found_where_the_maps_show_them_also_in_small_ones() -> None:
    """Maps that vary fifteen times less, as those of permuted weights, say as much."""
    table = rows_of(dataset(signal=0.2))
    for name in ("attention_mean", "random_weights"):
        row = table.loc[(name, "all")]
        assert row["accuracy"] > 0.8 > row["null_95"]
        assert row["p"] == 1 / (1 + DRAWS)
    text = table.loc[("text_scalars", "all")]
    assert text["accuracy"] <= text["null_95"] + 0.1 and text["p"] > 0.01
    assert table["null_mean"].between(0.25, 0.42).all()


def test_labels_that_mean_nothing_are_found_as_rarely_as_the_level_says() -> None:
    table = pd.concat(
        [permutation_table(dataset(0.0, seed, 90), None, seed, 39) for seed in range(40)]
    )
    ps = table.loc[table["input"] == "attention_mean", "p"]
    assert (ps <= 0.05).mean() <= 0.15 and 0.3 < ps.mean() < 0.7


def test_within_a_kind_what_the_kind_gives_away_is_no_finding() -> None:
    """The maps show the kind of text alone, and the first class is one kind."""
    data = dataset(signal=0.0)
    kinds = pd.Series(np.where(data.label == 0, "template", "natural"))
    shown = data.mean + 0.5 * (data.label == 0)[:, None, None]
    table = rows_of(replace(data, mean=shown.astype(np.float32)), kinds)
    every, within = (table.loc[("attention_mean", name)] for name in ("all", "within kind"))
    # Maps of two clusters can fit a permuted labelling by luck, and the quantile says so.
    assert every["null_mean"] < 0.4 and every["null_95"] > 0.6
    assert within["null_mean"] > 0.55 and within["p"] > 0.02


def test_equal_texts_take_part_once() -> None:
    data = dataset(signal=0.2)
    twice = replace(data, content_group=np.arange(len(data)) // 2)
    whole, half = (rows_of(some).iloc[0] for some in (data, twice))
    assert half["train"] < 0.7 * whole["train"]


@pytest.mark.parametrize("kinds", [None, pd.Series(["natural"] * 240)])
def test_one_kind_of_text_is_permuted_once(kinds: pd.Series | None) -> None:
    data = dataset(signal=0.2)
    table = permutation_table(data, kinds, 0, 9)
    assert set(table["permuted"]) == {"all"}
    without = replace(data, split=np.where(data.split == "validation", "train", data.split))
    assert permutation_table(without, kinds, 0, 9)["accuracy"].iloc[0] > 0.8

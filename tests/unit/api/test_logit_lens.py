"""The lens by the front door: the numbers of the room, in tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm
from tiny_models import LAYERS

from engram.api.logit_lens import lens, tune_lens
from engram.io.errors import EngramError
from engram.mechanisms.logit_lens import DEFAULT_RULES, Rule, read_layers, winning_depths


def texts() -> pd.DataFrame:
    return pd.DataFrame({"tokens": some_tokens(6).tolist(), "class": list("abaabb")})


def test_tables_hold_the_numbers_of_the_room() -> None:
    result = lens(tiny_lm(), texts(), PREFIX, SUFFIX)
    readings = read_layers(tiny_lm().model, some_tokens(6), PREFIX)
    table = result.table
    assert list(table) == [
        *("row", "class", "depth", "probability", "log_prob", "top", "kl", "entropy")
    ]
    assert table["depth"].tolist() == [*range(LAYERS + 1)] * 6
    np.testing.assert_allclose(table["log_prob"], readings.log_prob.mean(2).ravel(), rtol=1e-5)
    np.testing.assert_allclose(table["kl"], readings.kl.mean(2).ravel(), rtol=1e-5, atol=1e-7)
    winning = result.winning
    assert len(winning) == 6 * len(DEFAULT_RULES)
    assert list(winning)[2:4] == ["rule", "threshold"]
    for result_of_rule in winning_depths(readings):
        rule = result_of_rule.rule
        rows = winning[(winning["rule"] == rule.name) & (winning["threshold"] == rule.threshold)]
        for row, text in zip(rows.itertuples(), range(6), strict=True):
            depths = result_of_rule.settled[text]
            known = depths[~np.isnan(depths)]
            assert row.settled_share == len(known) / SUFFIX
            assert row.settled == known.mean() if len(known) else np.isnan(row.settled)


def test_classes_have_means_and_intervals() -> None:
    result = lens(tiny_lm(), texts(), PREFIX, SUFFIX, rules=[("kl_absolute", 0.1)])
    assert result.rules == (Rule("kl_absolute", 0.1),)
    table = result.by_class(resamples=100)
    assert table["class"].tolist() == ["a"] * (LAYERS + 1) + ["b"] * (LAYERS + 1)
    expected = result.table.groupby(["class", "depth"])["log_prob"].mean()
    np.testing.assert_allclose(table["log_prob"], expected)
    assert table["log_prob"].between(table["log_prob_low"], table["log_prob_high"]).all()
    winning = result.winning_by_class(resamples=50)
    assert winning[["class", "rule", "threshold"]].to_numpy().tolist() == [
        ["a", "kl_absolute", 0.1],
        ["b", "kl_absolute", 0.1],
    ]
    np.testing.assert_allclose(
        winning["settled"], result.winning.groupby("class")["settled"].mean()
    )
    assert repr(result) == "Lens: 6 texts, depths 0 to 3, 1 rules"


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(EngramError, match="rule: 'half'; choose probability"):
        lens(tiny_lm(), texts(), PREFIX, SUFFIX, rules=[("half", 0.5)])


def test_a_tuned_lens_takes_the_place_of_the_logit_lens() -> None:
    tuned = tune_lens(tiny_lm(), some_tokens(12, seed=1), PREFIX, SUFFIX, steps=5)
    result = lens(tiny_lm(), texts(), PREFIX, SUFFIX, tuned=tuned)
    expected = read_layers(tiny_lm().model, some_tokens(6), PREFIX, translate=tuned)
    np.testing.assert_allclose(result.readings.kl, expected.kl, rtol=1e-5, atol=1e-6)
    assert len(tuned.divergence) == LAYERS
    short = dataclasses.replace(tuned, weight=tuned.weight[:-1])
    with pytest.raises(EngramError, match="tuned: a lens of 2 layers; the model has 3"):
        lens(tiny_lm(), texts(), PREFIX, SUFFIX, tuned=short)

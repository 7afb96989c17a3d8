"""Head ablation by the front door: the numbers of the room, in tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm
from tiny_models import HEADS, LAYERS

from engram.api.head_ablation import HeadAblation, ablate_heads
from engram.api.knocking_out import knock_out
from engram.io.errors import EngramError


def texts() -> pd.DataFrame:
    return pd.DataFrame({"tokens": some_tokens(6).tolist(), "class": list("abaabb")})


@pytest.fixture(scope="module")
def result() -> HeadAblation:
    return ablate_heads(tiny_lm(), texts(), PREFIX, SUFFIX)


def test_tables_hold_what_a_knock_out_measures(result: HeadAblation) -> None:
    table = result.table
    assert len(table) == 6 * LAYERS * HEADS
    assert table["class"].tolist() == np.repeat(list("abaabb"), LAYERS * HEADS).tolist()
    knocked = knock_out(tiny_lm(), texts(), PREFIX, SUFFIX, heads=[(2, 3)], operation="layer_mean")
    same = table[(table["layer"] == 2) & (table["head"] == 3)]
    for column in ("extracted", "suffix_log_prob"):
        np.testing.assert_allclose(same[column], knocked[column], atol=1e-5)
    difference = "suffix_log_prob_difference"
    np.testing.assert_allclose(same[difference], knocked[difference], atol=1e-5)
    assert repr(result) == "HeadAblation: 6 texts, 3 layers × 4 heads, layer_mean"


def test_classes_have_means_intervals_and_top_heads(result: HeadAblation) -> None:
    table = result.by_class(resamples=100)
    assert len(table) == 2 * LAYERS * HEADS
    name = "suffix_log_prob_difference"
    means = result.table.groupby(["class", "layer", "head"])[name].mean()
    np.testing.assert_allclose(table[name], means, atol=1e-12)
    assert table[name].between(table[f"{name}_low"], table[f"{name}_high"]).all()
    top = result.top(0.25)
    assert top["class"].tolist() == ["a"] * 3 + ["b"] * 3 and top["rank"].tolist() == [1, 2, 3] * 2
    worst = (-means["b"]).nlargest(3)
    assert list(zip(top["layer"][3:], top["head"][3:], strict=True)) == list(worst.index)
    np.testing.assert_allclose(top["loss"][3:], worst)
    np.testing.assert_allclose(top["depth"], top["layer"] / LAYERS)


def test_classes_overlap(result: HeadAblation) -> None:
    row = result.overlap(0.25, resamples=50).iloc[0]
    sets = [
        set(zip(part["layer"], part["head"], strict=True))
        for _, part in result.top(0.25).groupby("class")
    ]
    assert row["jaccard"] == len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    single = ablate_heads(tiny_lm(), some_tokens(2), PREFIX, SUFFIX, operation="remove")
    with pytest.raises(EngramError, match="overlap: all 2 texts are of the class all"):
        single.overlap()
    with pytest.raises(EngramError, match="measure: 'loss'; choose extracted, matched_fraction"):
        result.top(measure="loss")


def test_means_come_from_the_reference() -> None:
    reference = some_tokens(3, seed=4)
    result = ablate_heads(tiny_lm(), texts(), PREFIX, SUFFIX, operation="mean", reference=reference)
    knocked = knock_out(
        tiny_lm(), texts(), PREFIX, SUFFIX, heads=[(1, 1)], operation="mean", reference=reference
    )
    same = result.table[(result.table["layer"] == 1) & (result.table["head"] == 1)]
    np.testing.assert_allclose(same["suffix_log_prob"], knocked["suffix_log_prob"], atol=1e-5)

"""Windows of a text source for a model that is drilled here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engram.io.errors import EngramError
from engram.nursery.arms import prefix_suffix_overlap
from engram.nursery.text_windows import natural_windows, replayed_windows, windows_to_score
from engram.windows.clusters import documents_of
from engram.windows.rouge import prefix_suffix_rouge

PREFIX, LENGTH = 12, 16


def windows(n: int = 60, per_document: int = 3, seed: int = 0) -> pd.DataFrame:
    """Random windows of documents `a/0`, `a/1` … as a corpus gives them."""
    tokens = np.random.default_rng(seed).integers(0, 5000, (n, LENGTH))
    return pd.DataFrame(
        {
            "sequence_id": np.arange(n) * 7 + 3,
            "tokens": list(tokens.astype(np.int32)),
            "document": [f"a/{number // per_document}" for number in range(n)],
            "offset": [LENGTH * (number % per_document) for number in range(n)],
        }
    )


def test_windows_of_every_source_have_a_document() -> None:
    corpus = natural_windows(windows(4, 2))
    assert corpus["source"].tolist() == ["a/0:0", "a/0:16", "a/1:0", "a/1:16"]
    assert documents_of(corpus).tolist() == ["a/0", "a/0", "a/1", "a/1"]
    table = natural_windows(windows(3).drop(columns=["document", "offset"]))
    assert documents_of(table).nunique() == 3
    given = windows(2).assign(source=["x:1", "x:5"], kind="code")
    assert documents_of(natural_windows(given)).tolist() == ["x", "x"]


def test_overlap_is_a_share_of_what_the_lengths_allow() -> None:
    tokens = np.random.default_rng(0).integers(0, 9, (50, 16))
    for ours, rouge in zip(
        prefix_suffix_overlap(tokens, 8), prefix_suffix_rouge(tokens, 8), strict=True
    ):
        assert ours.tobytes() == rouge.tobytes()
    copied = np.concatenate([np.arange(12), np.arange(4, 8)])[None]
    assert np.stack(prefix_suffix_overlap(copied, 12)).ravel() == pytest.approx([1, 1])
    assert prefix_suffix_rouge(copied, 12)[0] == pytest.approx(0.5)
    assert np.isfinite(prefix_suffix_overlap(copied, 14)[1]).all()


def test_the_base_is_asked_for_what_it_may_guess_and_for_a_random_rest() -> None:
    tokens = np.random.default_rng(1).integers(0, 5000, (200, LENGTH))
    tokens[:20, PREFIX:] = tokens[:20, :4]
    ids = np.arange(200)
    chosen = windows_to_score(tokens, ids, PREFIX, 30, 20, 1)
    assert chosen[:20].all() and chosen.sum() == 50
    turned = windows_to_score(tokens[::-1], ids[::-1], PREFIX, 30, 20, 1)
    np.testing.assert_array_equal(turned[::-1], chosen)
    assert (windows_to_score(tokens, ids, PREFIX, 30, 20, 2) != chosen).any()
    assert windows_to_score(tokens, ids, PREFIX, 900, 900, 1).all()


def test_replayed_windows_share_no_text_with_the_design() -> None:
    every = natural_windows(windows())
    tokens = np.stack(every["tokens"].tolist())
    tokens[40, 2:10] = tokens[0, 5:13]  # the text of a window of the design, elsewhere
    every["tokens"] = list(tokens)
    designed = every.iloc[:6]
    drawn = replayed_windows(every, designed, 8, 500, 1)
    assert set(drawn["sequence_id"]) == set(every["sequence_id"].iloc[6:].drop(40))
    some = replayed_windows(every, designed, 8, 10, 1)
    assert len(some) == 10
    assert (
        some["sequence_id"].tolist()
        != replayed_windows(every, designed, 8, 10, 2)["sequence_id"].tolist()
    )


def test_nothing_to_replay_is_an_error() -> None:
    every = natural_windows(windows(6, 6))
    with pytest.raises(EngramError, match="the source has no windows to replay"):
        replayed_windows(every, every.iloc[:2], 8, 10, 1)

"""The pool: every sampled sequence of a model once, with the tokens whose attention is studied."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.io.streams import read_selected
from engram.taxonomy.taxonomy import NON_MEMO

ROUNDING = 1e-3
"""Scores are fractions of at most 64 tokens; a source may have rounded them."""


def non_memorized(samples: pd.DataFrame) -> np.ndarray:
    """Return the sequence_id of every sample in a class of sequences that are not
    memorized.
    """
    with_non_memo = [name for name in samples["class"].unique() if NON_MEMO in name.split("-or-")]
    return np.unique(samples.loc[samples["class"].isin(with_non_memo), "sequence_id"])


def gather_lists(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Return the samples of several lists, sorted.

    Returns:
        sequence_id, class; lists int64, how many of the lists hold the sequence in this class.
    """
    columns = ["sequence_id", "class"]
    samples = pd.concat([read_parquet(path, columns) for path in paths])
    return samples.groupby(columns).size().rename("lists").reset_index()


def read_pool(
    samples_file: str | Path, candidates: str | Path, continuations: str | Path | None
) -> pd.DataFrame:
    """Return the pool, see `pool`, from its files; candidates outside it never fill the memory.

    Without `continuations` every sample shows its true text.
    """
    samples, columns = read_parquet(samples_file), ["sequence_id", "tokens"]
    rows = read_selected(candidates, samples["sequence_id"].to_numpy(), columns)
    none = pd.DataFrame({"sequence_id": np.empty(0, np.int64), "tokens": np.empty(0, object)})
    return pool(samples, rows, read_parquet(continuations) if continuations else none)


def pool(
    samples: pd.DataFrame, candidates: pd.DataFrame, continuations: pd.DataFrame
) -> pd.DataFrame:
    """Return the union of the sample lists.

    Args:
        samples: sequence_id and class, of all taxonomies and protocols.
        candidates: sequence_id, tokens.
        continuations: sequence_id, tokens; they replace the text of the Non-Memo samples, so that
            every class shows the attention of text that the model itself would write (paper,
            section 5).

    Returns:
        sequence_id int64, tokens list<int32>[T], continued bool; sorted by sequence_id.

    Raises:
        EngramError: a sample is no candidate, or a Non-Memo sample has no continuation: the files
            belong to different runs.
    """
    sampled, non_memo = samples["sequence_id"].unique(), non_memorized(samples)
    for wanted, found, name in (
        (sampled, candidates, "candidates"),
        (non_memo, continuations, "continuations"),
    ):
        if len(missing := np.setdiff1d(wanted, found["sequence_id"])):
            raise EngramError(
                f"{name}: {len(missing):,} samples are missing, sequence_id {missing[0]} first; "
                f"delete the file, and it is made again"
            )
    kept = candidates[candidates["sequence_id"].isin(np.setdiff1d(sampled, non_memo))].assign(
        continued=False
    )
    written = continuations[continuations["sequence_id"].isin(non_memo)].assign(continued=True)
    return pd.concat([kept, written])[["sequence_id", "tokens", "continued"]].sort_values(
        "sequence_id", ignore_index=True
    )


def measured_scores(
    continuations: pd.DataFrame, candidates: pd.DataFrame, prefix: int
) -> pd.Series:
    """Return the memorization score of this run of every continued sequence: how much of its true
    suffix the continuation is.

    Args:
        continuations: sequence_id, tokens list<int32>[T]: the prefix and what the model writes.
        candidates: sequence_id, tokens; the ones continued are among them.
        prefix: tokens of the prompt.

    Returns:
        fractions by sequence_id.
    """
    both = continuations[["sequence_id", "tokens"]].merge(
        candidates[["sequence_id", "tokens"]], on="sequence_id", suffixes=("", "_true")
    )
    pairs = zip(both["tokens"], both["tokens_true"], strict=True)
    shares = [
        (np.asarray(written)[prefix:] == np.asarray(true)[prefix:]).mean()
        for written, true in pairs
    ]
    return pd.Series(shares, index=both["sequence_id"], dtype=float)


def agreement(
    verification: pd.DataFrame, labels: pd.DataFrame, measured: pd.Series
) -> pd.DataFrame:
    """Return how the recorded score and this run agree over the pool, per bin of the score.

    Args:
        verification: sequence_id, extracted, matched_fraction.
        labels: sequence_id, memorization_score.
        measured: `measured_scores`.

    Returns:
        score (lower edge of a bin of 0.1; 1 stands for memorized), n, extracted, disagree,
        other_score. Samples below 1 show their own continuation, which the model must reproduce;
        memorized ones must be extracted: what is not extracted disagrees. other_score counts those
        whose recorded score is not the one of this run: by more than a thousandth below 1, at 1
        those that are not extracted.
    """
    joined = verification.merge(labels, on="sequence_id", validate="one_to_one")
    memorized = joined["memorization_score"] == 1
    joined["score"] = np.where(memorized, 1.0, np.floor(joined["memorization_score"] * 10) / 10)
    off = (joined["sequence_id"].map(measured) - joined["memorization_score"]).abs() > ROUNDING
    joined["off"] = np.where(memorized, ~joined["extracted"], off)
    table = (
        joined.groupby("score")
        .agg(n=("extracted", "size"), extracted=("extracted", "sum"), other_score=("off", "sum"))
        .reset_index()
    )
    table.insert(3, "disagree", table["n"] - table["extracted"])
    return table

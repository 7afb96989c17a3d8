"""The pool: every sampled sequence of a model once, with the tokens whose attention is studied."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.io.streams import read_selected
from engram.taxonomy.taxonomy import NON_MEMO

OWN, TRUE, OWN_FOR_ALL = "own", "true", "own-for-all"
"""Values of `engram.taxonomy.settings.SampleSettings.shown`."""
ROUNDING = 1e-3
"""Scores are fractions of at most 64 tokens; a source may have rounded them."""


def holds_non_memo(name: str) -> bool:
    """Return whether a class holds sequences that are not memorized, by its name."""
    return NON_MEMO in name.split("-or-")


def non_memorized(samples: pd.DataFrame) -> np.ndarray:
    """Return the sequence_id of every sample in a class of sequences that are not
    memorized.
    """
    with_non_memo = [name for name in samples["class"].unique() if holds_non_memo(name)]
    return np.unique(samples.loc[samples["class"].isin(with_non_memo), "sequence_id"])


def displayed_own(samples: pd.DataFrame, shown: str) -> np.ndarray:
    """Return the sequence_id of every sample that shows the model's own continuation, sorted.

    Args:
        samples: sequence_id, class.
        shown: `engram.taxonomy.settings.SampleSettings.shown`.
    """
    if shown == TRUE:
        return np.empty(0, np.int64)
    if shown == OWN_FOR_ALL:
        return np.unique(samples["sequence_id"].to_numpy(np.int64))
    return non_memorized(samples)


def read_shown(continuations: str | Path) -> str:
    """Return which text the samples show that a file of continuations was written for."""
    return str(read_metadata(continuations).get("shown", OWN))


def reproduced(verification: pd.DataFrame, memorized: np.ndarray) -> np.ndarray:
    """Return which samples behave as their class says in this run, bool (n,).

    The model must reproduce what is shown. Where the display is not the paper's, `verification`
    says what the model makes of the true suffix too: it must write it where the sample is
    memorized, and must not where it is not.

    Args:
        verification: extracted; for displays other than `own` true_extracted and continued.
        memorized: whether the source calls the sample memorized, (n,).
    """
    extracted = verification["extracted"].to_numpy(bool)
    if "true_extracted" not in verification:
        return extracted
    true = verification["true_extracted"].to_numpy(bool)
    continued = verification["continued"].to_numpy(bool)
    return np.where(memorized, extracted & true, ~true & (extracted | ~continued))


def with_true_text(
    verification: pd.DataFrame, shown: str, measured: pd.Series | None = None
) -> pd.DataFrame:
    """Return what was verified with what the model makes of the true suffix.

    Args:
        verification: sequence_id, extracted: of the text that is shown.
        shown: see `displayed_own`.
        measured: of `measured_scores`, for `own-for-all`.

    Returns:
        The table; where the display is not `own` with true_extracted (whether the model writes the
        true suffix) and continued (whether the text shown is its own continuation).
    """
    if shown == OWN:
        return verification
    if shown == TRUE:
        return verification.assign(true_extracted=verification["extracted"], continued=False)
    assert measured is not None
    scores = verification["sequence_id"].map(measured)
    return verification.assign(true_extracted=scores == 1, continued=True)


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

    Without `continuations` every sample shows its true text; with them, the file says which do.
    """
    samples, columns = read_parquet(samples_file), ["sequence_id", "tokens"]
    rows = read_selected(candidates, samples["sequence_id"].to_numpy(), columns)
    if continuations:
        return pool(samples, rows, read_parquet(continuations), read_shown(continuations))
    # No name of a class says here which samples are not memorized: a crossed design has no classes.
    none = pd.DataFrame({"sequence_id": np.empty(0, np.int64), "tokens": np.empty(0, object)})
    return pool(samples, rows, none, TRUE)


def pool(
    samples: pd.DataFrame,
    candidates: pd.DataFrame,
    continuations: pd.DataFrame,
    shown: str = OWN,
) -> pd.DataFrame:
    """Return the union of the sample lists.

    Args:
        samples: sequence_id and class, of all taxonomies and protocols.
        candidates: sequence_id, tokens.
        continuations: sequence_id, tokens; they replace the text of the Non-Memo samples, so that
            every class shows the attention of text that the model itself would write (paper,
            section 5), or that of the samples that `shown` names.
        shown: see `displayed_own`.

    Returns:
        sequence_id int64, tokens list<int32>[T], continued bool; sorted by sequence_id.

    Raises:
        EngramError: a sample is no candidate, or one that shows its continuation has none: the
            files belong to different runs.
    """
    sampled, own = samples["sequence_id"].unique(), displayed_own(samples, shown)
    for wanted, found, name in (
        (sampled, candidates, "candidates"),
        (own, continuations, "continuations"),
    ):
        if len(missing := np.setdiff1d(wanted, found["sequence_id"])):
            raise EngramError(
                f"{name}: {len(missing):,} samples are missing, sequence_id {missing[0]} first; "
                f"delete the file, and it is made again"
            )
    kept = candidates[candidates["sequence_id"].isin(np.setdiff1d(sampled, own))].assign(
        continued=False
    )
    written = continuations[continuations["sequence_id"].isin(own)].assign(continued=True)
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
        verification: sequence_id, extracted; see `reproduced`.
        labels: sequence_id, memorization_score.
        measured: `measured_scores`.

    Returns:
        score (lower edge of a bin of 0.1; 1 stands for memorized), n, extracted, disagree,
        other_score. What is not `reproduced` disagrees: where samples below 1 show their own
        continuation and the others their true text, that is what is not extracted. other_score
        counts those whose recorded score is not the one of this run: by more than a thousandth
        below 1, where continuations show it, or because the true suffix is extracted; at 1 those
        whose true suffix is not.
    """
    joined = verification.merge(labels, on="sequence_id", validate="one_to_one")
    memorized = joined["memorization_score"] == 1
    joined["score"] = np.where(memorized, 1.0, np.floor(joined["memorization_score"] * 10) / 10)
    off = (joined["sequence_id"].map(measured) - joined["memorization_score"]).abs() > ROUNDING
    whole = joined["extracted"]  # whether the true suffix is what the model writes
    if "true_extracted" in joined:
        whole = joined["true_extracted"]
        off |= whole
    joined["off"] = np.where(memorized, ~whole, off)
    joined["disagree"] = ~reproduced(joined, memorized.to_numpy())
    return (
        joined.groupby("score")
        .agg(
            n=("extracted", "size"),
            extracted=("extracted", "sum"),
            disagree=("disagree", "sum"),
            other_score=("off", "sum"),
        )
        .reset_index()
    )

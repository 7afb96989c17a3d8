"""The pool: every sampled sequence of a model once, with the tokens whose attention is studied."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engram.taxonomy import NON_MEMO


def non_memorized(samples: pd.DataFrame) -> np.ndarray:
    """sequence_id of every sample that stands in a class of sequences that are not memorized."""
    return np.unique(samples.loc[samples["class"].str.split("-or-").map(lambda terms: NON_MEMO in terms), "sequence_id"])


def pool(samples: pd.DataFrame, candidates: pd.DataFrame, continuations: pd.DataFrame) -> pd.DataFrame:
    """The union of the sample lists.

    Args:
        samples: sequence_id and class, of all taxonomies and protocols.
        candidates: sequence_id, tokens.
        continuations: sequence_id, tokens; they replace the text of the Non-Memo samples, so that every class shows
            the attention of text that the model itself would write (paper, section 5).

    Returns:
        sequence_id int64, tokens list<int32>[T], continued bool; sorted by sequence_id.
    """
    chosen = candidates.loc[candidates["sequence_id"].isin(samples["sequence_id"].unique()), ["sequence_id", "tokens"]]
    kept = chosen[~chosen["sequence_id"].isin(continuations["sequence_id"])].assign(continued=False)
    written = continuations[["sequence_id", "tokens"]].assign(continued=True)
    return pd.concat([kept, written]).sort_values("sequence_id", ignore_index=True)


def agreement(verification: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """How the recorded score and the extraction of this run agree over the pool, per bin of the score.

    Args:
        verification: sequence_id, extracted, matched_fraction.
        labels: sequence_id, memorization_score.

    Returns:
        score (lower edge of a bin of 0.1; 1 stands for memorized), n, extracted, disagree. Samples below 1 show their own
        continuation, which the model must reproduce; memorized ones must be extracted: what is not extracted disagrees.
    """
    joined = verification.merge(labels, on="sequence_id", validate="one_to_one")
    joined["score"] = np.where(joined["memorization_score"] == 1, 1.0, np.floor(joined["memorization_score"] * 10) / 10)
    table = joined.groupby("score")["extracted"].agg(n="size", extracted="sum").reset_index()
    return table.assign(disagree=table["n"] - table["extracted"])

"""Windows of a text source for a language model from elsewhere that is drilled here: which of them
the base is asked for before the design is drawn, and which are replayed.

What the base makes of a window is known before any window is shown, so arms that are drawn
afterwards owe nothing to it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.nursery.arms import HIGH_OVERLAP, prefix_suffix_overlap
from engram.windows.clusters import window_clusters


def natural_windows(windows: pd.DataFrame) -> pd.DataFrame:
    """Return the windows of a source with the columns that a design needs, `kind` (`natural`) and
    `source` (document and offset). A source without documents has one for every window.

    Args:
        windows: sequence_id, tokens; `source`, or `document` and `offset`, where there are any.
    """
    completed = windows.assign(kind="natural")
    if "source" in windows:
        return completed
    if "document" in windows:
        offset = windows["offset"].astype(str)
        return completed.assign(source=windows["document"].astype(str) + ":" + offset)
    return completed.assign(source="window " + windows["sequence_id"].astype(str) + ":0")


def windows_to_score(
    tokens: np.ndarray, sequence_id: np.ndarray, prefix: int, low: int, high: int, seed: int
) -> np.ndarray:
    """Return the windows that the base is asked for, bool (n,): those of the highest overlap, which
    it may guess, and others of low overlap at random.

    Args:
        tokens: (n, T).
        sequence_id: of the windows, (n,).
        prefix: tokens of the prompt.
        low: most windows of low overlap that are drawn.
        high: most windows of the highest overlap, by the mean of ROUGE-L and ROUGE-3 as shares of
            their largest values.
        seed: of the draw.
    """
    longest, trigrams = prefix_suffix_overlap(tokens, prefix)
    chosen = np.zeros(len(tokens), bool)
    # Equal overlaps in an order that the file does not decide.
    chosen[np.lexsort((sequence_id, -(longest + trigrams)))[:high]] = True
    rest = np.flatnonzero((np.maximum(longest, trigrams) < HIGH_OVERLAP) & ~chosen)
    number = uniform(sequence_id[rest], seed, "windows to score")
    chosen[rest[number.argsort()[:low]]] = True
    return chosen


def replayed_windows(
    windows: pd.DataFrame, designed: pd.DataFrame, ngram: int, most: int, seed: int
) -> pd.DataFrame:
    """Return windows that are replayed: of documents that hold no window of the design, and without
    a run of tokens that one of them has.

    Args:
        windows: of the source, as `natural_windows` gives them.
        designed: the design's, likewise.
        ngram: tokens of a run.
        most: number of windows.
        seed: of the draw.

    Raises:
        EngramError: no window is left.
    """
    documents, used = (table["source"].str.rsplit(":", n=1).str[0] for table in (windows, designed))
    free = windows[~documents.isin(set(used))]
    number = uniform(free["sequence_id"].to_numpy(), seed, "replayed windows")
    drawn = free.iloc[number.argsort()[: 2 * most]]
    both = pd.concat([designed, drawn], ignore_index=True)
    tokens = np.stack(both["tokens"].tolist())
    # Runs alone: every window is its own document.
    cluster = window_clusters(tokens, np.arange(len(both)), ngram)
    shared = np.isin(cluster[len(designed) :], cluster[: len(designed)])
    rest = drawn[~shared].head(most)
    if rest.empty:
        raise EngramError(
            "models: drilling: the source has no windows to replay, every other one shares a "
            "document or a run of tokens with the design's; give more text"
        )
    return rest.reset_index(drop=True)

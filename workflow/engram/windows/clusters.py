"""Clusters of windows: what must not be taken for independent.

Windows of one document belong together, and so do windows that share a run of tokens, wherever they
come from: a licence, a table of constants, copied code. Clusters, not windows, are drawn, split and
resampled, so that no text is on both sides of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from engram.windows.duplicates import group_rows

NEAR_RUN = 16
"""Tokens in a row that near-duplicates share."""


def documents_of(windows: pd.DataFrame) -> pd.Series:
    """Return the document of each window: the path in `source`, without the offset; a window of
    template text is its own document.
    """
    path = windows["source"].str.rsplit(":", n=1).str[0]
    own = "template " + windows["sequence_id"].astype(str)
    return path.where(windows["kind"] == "natural", own)


def known_documents(windows: pd.DataFrame) -> pd.Series:
    """Return the document of each window as far as its source knows it; a window whose document is
    not known is its own.

    Args:
        windows: sequence_id; `document`, or `source` and `kind`, where the source has them.
    """
    if "document" in windows:
        own = "window " + windows["sequence_id"].astype(str)
        return windows["document"].where(windows["document"].notna(), own)
    if {"source", "kind"} <= set(windows.columns):
        return documents_of(windows)
    return "window " + windows["sequence_id"].astype(str)


def split_keys(
    sequence_id: np.ndarray, tokens: np.ndarray, documents: pd.Series, prefix: int, near: bool
) -> np.ndarray:
    """Return a number for each window, int64 (n,), that those have in common that must stay in one
    split: of one document or with equal suffixes, or linked through such windows. The least
    sequence_id among them, so that it does not depend on the order.

    Args:
        sequence_id: (n,).
        tokens: (n, T).
        documents: (n,).
        prefix: tokens of the prompt.
        near: whether windows that share `NEAR_RUN` tokens in a row are linked, too.
    """
    suffixes = tokens[:, prefix:]
    length = suffixes.shape[1]
    # Equal suffixes are a shared run of the suffix's length.
    linked = (tokens, min(NEAR_RUN, length)) if near else (suffixes, length)
    cluster = window_clusters(linked[0], documents, linked[1])
    return pd.Series(sequence_id).groupby(cluster).transform("min").to_numpy(np.int64)


def window_clusters(
    tokens: np.ndarray, documents: Sequence[object] | np.ndarray | pd.Series, ngram: int
) -> np.ndarray:
    """Return the cluster of each window: the connected components of the graph that links windows
    of one document, and windows that share `ngram` consecutive tokens at any offset.

    Args:
        tokens: (n, T).
        documents: the document of each window, (n,).
        ngram: tokens of a run; more than T links documents alone.

    Returns:
        int64 (n,), numbered from 0 in the order in which clusters first occur.
    """
    n, length = tokens.shape
    document = pd.factorize(pd.Series(documents).astype(str))[0].astype(np.int64)
    rows, nodes = [np.arange(n)], [document]
    if (places := length - ngram + 1) > 0 and n:
        runs = np.lib.stride_tricks.sliding_window_view(tokens, ngram, axis=1)  # (n, places, ngram)
        run, _, _ = group_rows(np.ascontiguousarray(runs.reshape(-1, ngram)))
        rows.append(np.repeat(np.arange(n), places))
        nodes.append(run + document.max() + 1)
    row, node = np.concatenate(rows), np.concatenate(nodes) + n
    size = int(node.max(initial=n - 1)) + 1
    links = coo_matrix((np.ones(len(row), np.int8), (row, node)), shape=(size, size))
    component = connected_components(links, directed=False)[1][:n]
    return pd.factorize(component)[0].astype(np.int64)

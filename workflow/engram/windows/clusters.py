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

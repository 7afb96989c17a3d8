"""What attention competes with, and what must be at chance.

Rivals go through the same paired scorer. What the text alone decides (which tokens are equal, its
scalars, its file) is the same for both models, so that its difference is 0 and every decision a
tie: .50 by construction. Whether the *design* lets the text know the arm is another question, and
one that can fail: the same scorer is shown the text's own features in place of differences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from engram.crossed.accuracy import auroc
from engram.io.packing import query_key

BUCKETS = 512
"""Buckets that token counts are hashed into."""


def text_features(tokens: np.ndarray, windows: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the features of windows that know nothing of a model, each (n, F).

    Args:
        tokens: (n, T).
        windows: overlap, document, stratum, base_extracted, in the same order.

    Yields:
        `rouge`: overlap of prefix and suffix; `text_scalars`: distinct tokens, overlap, whether the
        base extracts it; `tokens`: counts of token ids, hashed; `token_identity`: which tokens are
        equal; `source_file`: the folders of the document.
    """
    overlap = windows["overlap"].to_numpy(float)
    distinct = np.array([len(np.unique(row)) for row in tokens], float)
    base = windows["base_extracted"].to_numpy(float)
    yield "rouge", overlap[:, None]
    yield "text_scalars", np.stack([overlap, distinct, base], axis=1)
    counts = np.zeros((len(tokens), BUCKETS))
    np.add.at(counts, (np.arange(len(tokens))[:, None], tokens % BUCKETS), 1)
    yield "tokens", counts
    queries, keys = query_key(tokens.shape[1])
    yield "token_identity", (tokens[:, queries] == tokens[:, keys]).astype(np.float32)
    folders = (
        windows["document"]
        .str.rsplit("/", n=1)
        .str[0]
        .where(windows["stratum"] != "templates", "templates")
    )
    yield "source_file", pd.get_dummies(folders).to_numpy(float)


def matched_auroc(
    score: np.ndarray, rival: np.ndarray, arm: np.ndarray, stratum: np.ndarray, bins: int
) -> tuple[float, int, int]:
    """Return how well a score separates the arms among windows that a rival cannot: AUROC within
    bins of the rival's own difference.

    Bins are quantiles over windows of both arms of a stratum. With a strong rival few bins hold
    both arms, so the numbers of windows that are left are returned too.

    Args:
        score: of the test windows, (r,), higher for model 1.
        rival: difference of the rival, model 1 − model 2, (r,).
        arm: +1 or -1, (r,).
        stratum: (r,).
        bins: number of bins per stratum.

    Returns:
        AUROC (NaN where no bin holds both arms), windows in bins of both arms, and the smaller
        number of the two arms among them.
    """
    group = np.zeros(len(score), np.int64)
    for number, name in enumerate(np.unique(stratum)):
        own = stratum == name
        ranks = pd.Series(rival[own]).rank(method="average", pct=True).to_numpy()
        group[own] = number * bins + np.minimum((ranks * bins).astype(int), bins - 1)
    table = pd.crosstab(group, arm)
    full: Any = table.index[(table > 0).all(axis=1)] if table.shape[1] == 2 else []
    used = np.isin(group, full)
    value = auroc(score[used, None], arm[used, None], group[used])[0] if used.any() else np.nan
    fewer = min((arm[used] > 0).sum(), (arm[used] < 0).sum()) if used.any() else 0
    return float(value), int(used.sum()), int(fewer)

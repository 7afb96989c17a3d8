"""How often a model completes pairs, by popularity and by lexical overlap."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from engram.scores.bootstrap import wilson_interval

MEASURES = ("popularity", "overlap")
"""What pairs are parted by."""
RATE_COLUMNS = (
    *("direction", "pairs", "by", "low", "high", "n", "accuracy", "accuracy_low"),
    *("accuracy_high", "log_p"),
)


def pair_rates(answers: pd.DataFrame, bins: int, confidence: float) -> pd.DataFrame:
    """Return how often a model completes pairs.

    Args:
        answers: of `engram.auditing.pairs.ask_pairs`, with popularity, held_out and overlap of the
            pairs.
        bins: of each measure; of about equally many pairs.
        confidence: nominal coverage of the intervals.

    Returns:
        a row per direction, kind of pairs (`all`, and where some are held out `shown` and
        `held-out`) and bin: by (`all`, popularity or overlap), low and high (of the bin, which
        holds what is at least `low` and less than `high`, the last one also `high`), n, accuracy
        with Wilson's interval, and the mean of log_p (nats per answer). Bins without a pair are
        left out.
    """
    once = answers.drop_duplicates("pair")
    edges = {name: pair_bins(once[name].to_numpy(), bins) for name in MEASURES}
    rows = []
    for direction, own in answers.groupby("direction", sort=False):
        for kind, part in _kinds(own):
            for by, low, high, inside in _parts(part, edges):
                rate = wilson_interval(float(inside["correct"].mean()), len(inside), confidence)
                rows.append(
                    {
                        **{"direction": direction, "pairs": kind, "by": by, "low": low},
                        **{"high": high, "n": len(inside), **rate.columns("accuracy")},
                        "log_p": inside["log_p"].mean(),
                    }
                )
    return pd.DataFrame(rows, columns=list(RATE_COLUMNS))


def pair_bins(values: np.ndarray, count: int) -> list[tuple[float, float]]:
    """Return the edges of bins that hold about equally many values; fewer than asked for where many
    values are equal, none where none is known.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return []
    edges = np.unique(np.quantile(known, np.linspace(0, 1, count + 1))).tolist()
    return list(pairwise(edges)) or [(edges[0], edges[0])]


def _kinds(answers: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield all answers and, where some pairs are held out, those of both kinds."""
    yield "all", answers
    if (held_out := answers["held_out"].to_numpy(bool)).any():
        if not held_out.all():
            yield "shown", answers[~held_out]
        yield "held-out", answers[held_out]


def _parts(
    answers: pd.DataFrame, edges: dict[str, list[tuple[float, float]]]
) -> Iterator[tuple[str, float, float, pd.DataFrame]]:
    """Yield all answers, and those in each bin of both measures."""
    yield "all", np.nan, np.nan, answers
    for name, bins in edges.items():
        values = answers[name].to_numpy()
        for low, high in bins:
            last = high == bins[-1][1]
            inside = answers[(values >= low) & ((values < high) | (last & (values == high)))]
            if len(inside):
                yield name, low, high, inside

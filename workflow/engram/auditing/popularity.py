"""Whether a model reproduces more of what is better known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engram.scores.correlations import spearman_interval
from engram.windows.similarity import MEASURES

OF_WINDOWS = ("share_in_regions", "share_extracted", "mean_log_p_z")
OF_BOOKS = ("matched", *MEASURES, "exact_steps")


def popularity_table(
    summary: pd.DataFrame, books: pd.DataFrame | None, popularity: np.ndarray, confidence: float
) -> pd.DataFrame:
    """Return how what is reproduced of documents goes with a number that says how well known they
    are.

    Args:
        summary: a row per document; see `engram.auditing.tables.summarize`.
        books: of `engram.auditing.books.reconstruct`, if documents were reconstructed.
        popularity: of the documents of `summary`, (n,); NaN leaves a document out.
        confidence: of the intervals.

    Returns:
        measure (a column of `summary`, or `true_…` and `own_…` of a reconstruction), spearman with
        spearman_low and spearman_high (see `engram.scores.correlations.spearman_interval`), and
        documents, the number of those that have both values.
    """
    columns = {
        name: summary[name].to_numpy(np.float64)
        for name in summary
        if name in OF_WINDOWS or str(name).startswith("share_p_")
    }
    if books is not None:
        for way, rows in books.groupby("continued", sort=False):
            own = rows.set_index("document").reindex(summary["document"])
            columns |= {f"{way}_{name}": own[name].to_numpy(np.float64) for name in OF_BOOKS}
    return pd.DataFrame(
        [
            {
                "measure": name,
                **spearman_interval(popularity, values, confidence).columns("spearman"),
                "documents": int((np.isfinite(popularity) & np.isfinite(values)).sum()),
            }
            for name, values in columns.items()
        ]
    )

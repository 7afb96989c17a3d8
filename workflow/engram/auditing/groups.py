"""Groups of documents: in which of them a model reproduces something, and how they differ (after
the risk framework for health records, arXiv 2510.12950).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engram.scores.bootstrap import share_interval, wilson_interval
from engram.scores.proportions import holm, share_difference

GROUP_COLUMNS = (
    *("group", "documents", "with_regions", "rate", "rate_low", "rate_high"),
    *("share_extracted", "share_extracted_low", "share_extracted_high", "suppressed"),
)
DIFFERENCE_COLUMNS = (
    *("group", "documents", "other_documents", "difference", "difference_low"),
    *("difference_high", "p", "p_holm"),
)


def group_tables(
    summary: pd.DataFrame, groups: pd.Series, smallest: int, confidence: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the risk of every group of documents, and how it differs from that of the others.

    Documents without a window or a group are left out. Nothing but its name is said of a group of
    fewer documents than `smallest`, and its documents are not among the others of another group,
    so that its numbers cannot be worked out.

    Args:
        summary: a row per document; see `engram.auditing.tables.summarize`.
        groups: of each document, by name; empty for none.
        smallest: documents of a group that is shown.
        confidence: of the intervals.

    Returns:
        risk: group; documents; with_regions, those of which a region is reproduced; rate, their
        share, with Wilson's interval; share_extracted, the share of windows that are reproduced,
        with an interval over documents; suppressed.
        differences: of every shown group, if there are at least two: documents, other_documents,
        the difference of its rate and that of all other shown documents with an interval, p of
        Fisher's exact test, and p_holm, corrected for the number of groups; see
        `engram.scores.proportions`.
    """
    chosen = summary.assign(group=groups.reindex(summary["document"]).fillna("").to_numpy())
    chosen = chosen[(chosen["windows"] > 0) & (chosen["group"] != "")]
    parts = {str(name): rows for name, rows in chosen.groupby("group")}
    shown = {name: rows for name, rows in parts.items() if len(rows) >= smallest}
    risk = [
        _risk(name, rows, confidence)
        if name in shown
        else {"group": name, "documents": np.nan, "suppressed": True}
        for name, rows in parts.items()
    ]
    hits = {name: int((rows["regions"] > 0).sum()) for name, rows in shown.items()}
    differences = pd.DataFrame(columns=list(DIFFERENCE_COLUMNS))
    if len(shown) > 1:
        rows = [_difference(name, hits, shown, confidence) for name in shown]
        differences = pd.DataFrame(rows)
        differences["p_holm"] = holm(differences["p"].to_numpy())
    return pd.DataFrame(risk, columns=list(GROUP_COLUMNS)), differences


def _risk(name: str, rows: pd.DataFrame, confidence: float) -> dict[str, object]:
    """Return the row of a group that is shown."""
    count, hits = len(rows), int((rows["regions"] > 0).sum())
    windows = rows["windows"].to_numpy(np.float64)
    extracted = share_interval(rows["extracted"].to_numpy(np.float64), windows, confidence)
    return {
        "group": name,
        "documents": count,
        "with_regions": hits,
        **wilson_interval(hits / count, count, confidence).columns("rate"),
        **extracted.columns("share_extracted"),
        "suppressed": False,
    }


def _difference(
    name: str, hits: dict[str, int], shown: dict[str, pd.DataFrame], confidence: float
) -> dict[str, object]:
    """Return how a group differs from the other shown ones, without the correction."""
    count, others = len(shown[name]), sum(len(rows) for rows in shown.values())
    others -= count
    both = hits[name], sum(hits.values()) - hits[name]
    difference, p = share_difference(both, (count, others), confidence)
    return {
        "group": name,
        "documents": count,
        "other_documents": others,
        **difference.columns("difference"),
        "p": p,
    }

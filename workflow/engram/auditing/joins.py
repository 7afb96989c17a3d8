"""Tables of an audit put together; apart from the rest, which takes seconds to import."""

from __future__ import annotations

import pandas as pd


def with_continuations(regions: pd.DataFrame, continuations: pd.DataFrame) -> pd.DataFrame:
    """Return the regions with what the model writes at each of them."""
    return regions.merge(continuations, on=["document", "region"], how="left", validate="1:1")


def with_shares(books: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of reconstructed documents with the shares of their windows."""
    shares = [name for name in summary if str(name).startswith("share_")]
    return books.merge(summary[["document", *shares]], on="document", how="left", validate="m:1")


def with_counts(regions: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Return the regions with the number of their other places."""
    return regions.merge(counts, on=["document", "region"], how="left", validate="1:1")

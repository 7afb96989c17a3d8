"""Tables of an audit put together; apart from the rest, which takes seconds to import."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

COLUMN = "cnn_class"
"""Column of the class that the CNNs of a study find the likeliest."""


def probability_column(name: str) -> str:
    """Return the column of a class's probability by the CNNs, e.g. `cnn_Guess`."""
    return f"cnn_{name}"


def cnn_classes(windows: pd.DataFrame) -> list[str]:
    """Return the classes of a table of `engram.auditing.classifier.classify`."""
    known = (str(name) for name in windows if name != COLUMN)
    return [name.removeprefix("cnn_") for name in known if name.startswith("cnn_")]


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


def with_window_classes(windows: pd.DataFrame, classified: pd.DataFrame) -> pd.DataFrame:
    """Return the windows with their class by the CNNs; missing where the model does not reproduce
    them.
    """
    columns = classified.drop(columns=["document", "offset"])
    return windows.merge(columns, on="sequence_id", how="left", validate="1:1")


def with_classes(regions: pd.DataFrame, windows: pd.DataFrame, prefix: int) -> pd.DataFrame:
    """Return the regions with their class by the CNNs: the mean probability of each class over
    their reproduced windows, `cnn_<class>`, and the likeliest, cnn_class.

    Args:
        regions: of `engram.auditing.regions.describe`.
        windows: of `engram.auditing.classifier.classify`.
        prefix: tokens that prompt the model.
    """
    columns = [probability_column(name) for name in cnn_classes(windows)]
    if regions.empty:
        return regions.assign(**dict.fromkeys([COLUMN, *columns], pd.Series(dtype=object)))
    # A window belongs to the region that its suffix begins in: the last one that begins before.
    first = windows.assign(start=windows["offset"] + prefix).sort_values("start", kind="stable")
    places = regions[["document", "region", "start"]].sort_values("start", kind="stable")
    inside = pd.merge_asof(first, places, on="start", by="document")
    means = inside.groupby(["document", "region"])[columns].mean()
    means.insert(0, COLUMN, [str(name).removeprefix("cnn_") for name in means.idxmax(axis=1)])
    return regions.merge(means.reset_index(), on=["document", "region"], how="left", validate="1:1")


def with_class_tokens(
    documents: pd.DataFrame, regions: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the rows of documents with `tokens_cnn_<class>`, the tokens in regions of each class
    by the CNNs.

    Args:
        documents: of `engram.auditing.tables.summarize`.
        regions: of `with_classes`.
        classes: the class names.
    """
    tokens = regions.pivot_table("tokens", "document", COLUMN, "sum") if len(regions) else None
    return documents.assign(
        **{
            f"tokens_{probability_column(name)}": 0
            if tokens is None or name not in tokens
            else documents["document"].map(tokens[name]).fillna(0).astype(np.int64)
            for name in classes
        }
    )


def class_counts(windows: pd.DataFrame, classified: pd.DataFrame) -> pd.DataFrame:
    """Return how often the CNNs agree with the rule, a row per class by the rule: class, windows
    (reproduced ones), and for each class by the CNNs `windows_<class>`, how many of them it is the
    likeliest of, and `mean_<class>`, its mean probability.

    Args:
        windows: of `engram.auditing.windows.measure`.
        classified: of `engram.auditing.classifier.classify`.
    """
    names = cnn_classes(classified)
    joined = classified.merge(windows[["sequence_id", "class"]], on="sequence_id", validate="1:1")
    rows = [
        {
            "class": rule,
            "windows": len(own),
            **{f"windows_{name}": int((own[COLUMN] == name).sum()) for name in names},
            **{f"mean_{name}": own[probability_column(name)].mean() for name in names},
        }
        for rule, own in joined.groupby("class", sort=True)
    ]
    columns = ["class", "windows"]
    columns += [f"{kind}_{name}" for kind in ("windows", "mean") for name in names]
    return pd.DataFrame(rows, columns=columns)

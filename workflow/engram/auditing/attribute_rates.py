"""How often a model sticks to the values that documents give to attributes."""

from __future__ import annotations

import pandas as pd

from engram.scores.bootstrap import wilson_interval


def attribute_table(answers: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return how often a model sticks to the values of documents.

    Args:
        answers: of `engram.auditing.attributes.ask_attributes`.
        confidence: nominal coverage of the interval.

    Returns:
        per attribute and changed attribute: documents; sticks, the share of them whose own value is
        likelier than every other one, with Wilson's interval; chance, that share where no value is
        preferred; log_ratio, the mean over documents of log p of the own value less that of the
        likeliest other one (nats).
    """
    rows = []
    for (attribute, changed), own in answers.groupby(["attribute", "changed"], sort=False):
        count, sticks = len(own), float((own["rank"] == 1).mean())
        rows.append(
            {
                "attribute": attribute,
                "changed": changed,
                "documents": count,
                **wilson_interval(sticks, count, confidence).columns("sticks"),
                "chance": (1 / own["values"]).mean(),
                "log_ratio": (own["log_p"] - own["best_other_log_p"]).mean(),
            }
        )
    return pd.DataFrame(rows)

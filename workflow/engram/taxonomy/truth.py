"""The paper's rule against the truth that only a twin can give (a model that has not seen the
text).

A memorized sample was *guessed* if the twin extracts it too, and *recalled* if only the studied
model does. Where it is known that the model was not shown it either, there is nothing to recall:
training on other text changed what the model guesses, which is *drift*.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engram.taxonomy.taxonomy import Taxonomy

RULE = "Non-Memo, Guess, Others"
"""The paper's new taxonomy; its rest is Recall."""


def truth(labels: pd.DataFrame) -> pd.Series:
    """Return `guessed`, `recalled`, `drift` or `not memorized` for every row of labels with
    `twin_extracted`, and with `exposures` where they are known.
    """
    memorized = labels["memorization_score"] == 1
    shown = labels["exposures"] > 0 if "exposures" in labels else True
    alone = np.where(shown, "recalled", "drift")
    values = np.where(
        memorized, np.where(labels["twin_extracted"], "guessed", alone), "not memorized"
    )
    return pd.Series(values, index=labels.index, dtype="string")


def truth_table(labels: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return counts of rule against truth, per kind of text.

    Args:
        labels: the label columns of the rule, `twin_extracted`, and `kind` and `exposures` where
            the source has them.
        model: the model's name.

    Returns:
        model, rule (class by the paper's rule), kind (`natural`, a template family, or `all`),
        drilled (the window was shown in training), guessed, recalled, drift, not_memorized, n.
    """
    rule = Taxonomy.parse(RULE).assign(labels).replace("Others", "Recall")
    frame = pd.DataFrame({"rule": rule, "truth": truth(labels)})
    frame["kind"] = labels.get("kind", "natural")
    frame["drilled"] = (labels["exposures"] > 0) if "exposures" in labels else True
    both = pd.concat([frame, frame.assign(kind="all")])
    counts = (
        both.groupby(["rule", "kind", "drilled", "truth"]).size().unstack("truth", fill_value=0)
    )
    names = ["guessed", "recalled", "drift", "not memorized"]
    counts = counts.reindex(columns=names, fill_value=0).rename(
        columns={"not memorized": "not_memorized"}
    )
    counts["n"] = counts.sum(axis=1)
    return (
        counts.reset_index()
        .rename_axis(None, axis=1)
        .assign(model=model)[["model", *counts.index.names, *counts.columns]]
    )

"""The table of scores: every input and kind of labels of one taxonomy, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from engram.io.errors import EngramError
from engram.scores.metrics import table_scores
from engram.scores.runs import Run, score_intervals


def score_table(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    diverged: Iterable[tuple[str, str]] = (),
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Score the test split for every input and kind of labels, confusion matrices summed over CNNs,
    seeds and reported epochs.

    Args:
        predictions: the table `predictions.parquet`.
        classes: the K class names in the order of the logits.
        diverged: input and labels of every CNN that diverged and so predicts nothing.
        resamples: bootstrap draws.
        confidence: nominal coverage of the intervals.
        seed: of the bootstrap.

    Returns:
        input, labels; for every score its value (a fraction) and the ends of its interval,
        `<score>_low` and `<score>_high`; n (test samples), groups (their content groups), cnns
        (CNNs times seeds in the sum), diverged (those missing from the sum). Where all CNNs of an
        input and kind of labels diverged, the row has no scores.

    Raises:
        EngramError: nothing was predicted on the test split, or a class is not among `classes`.
    """
    test = predictions[predictions["split"] == "test"]
    if test.empty:
        raise EngramError(
            "predictions: no row of the test split, so nothing can be scored; train the CNNs again"
        )
    if unknown := sorted(set(test["class"]) - set(classes)):
        raise EngramError(
            f"predictions: class {unknown[0]} is not among {', '.join(classes)}; train the CNNs "
            f"again"
        )
    rows, lost = [], Counter(diverged)
    for (source, labels), part in test.groupby(["input", "labels"], sort=False):
        run = Run.of(part, classes)
        row: dict[str, object] = {"input": source, "labels": labels}
        for name, interval in score_intervals(
            run, table_scores, resamples=resamples, confidence=confidence, seed=seed
        ).items():
            row |= interval.columns(name)
        row |= {"n": part["sequence_id"].nunique(), "groups": len(run.groups)}
        row |= {"cnns": len(run.cnns), "diverged": lost.pop((str(source), str(labels)), 0)}
        rows.append(row)
    for (source, labels), count in lost.items():
        row = {"input": source, "labels": labels, "n": 0, "groups": 0, "cnns": 0, "diverged": count}
        rows.append(row)
    return pd.DataFrame(rows)

"""Intervals of scores by a cluster bootstrap: over content groups, and over CNNs where there are
several.

Samples of one content group hold the same text and are not independent, so whole groups are drawn.
CNNs are drawn too, each time independently of the groups (Owen, The pigeonhole bootstrap, 2007):
the interval then speaks of other texts *and* of another training. The noise of one CNN on one text
is counted three times that way, so with few CNNs the interval is rather too wide.

The plain percentile interval fails for a minimum over classes: the estimate lies too low (the worst
class is partly the unluckiest), resampling lowers it once more, and in simulations with three
classes of 80 samples a nominal 95 % interval of the minimum F1 held the truth in 82 to 89 % of the
cases. The basic interval reflects the resamples' distribution at the estimate and so takes the bias
off; on the logit scale it stays within [0, 1]. Over 1,000 simulated studies it held the truth in 97
to 98 % (four CNNs) and 95.5 to 97 % (sixteen) for minimum F1, mean F1 and balanced accuracy
(`benchmarks/interval_coverage.py`, docs/statistics.md). Where the resamples reach 0 or 1 themselves
there is nothing to reflect and the percentile interval is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.scores.metrics import balanced_accuracy, class_scores, predicted_classes

_CHUNK = 4_000_000
"""Weights in memory at a time."""


def scores_of(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """The scores of the tables, as fractions: balanced accuracy and
    `engram.scores.metrics.class_scores`; (…) for matrices (…, K, K).
    """
    return {"balanced_accuracy": balanced_accuracy(confusion)} | class_scores(confusion)


def intervals(
    confusions: np.ndarray,
    statistics: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float, float]]:
    """Statistics of a summed confusion matrix, with their intervals.

    Args:
        confusions: counts per CNN and content group, (C, G, K, K).
        statistics: from matrices (…, K, K) to values (…) in [0, 1] by name.
        resamples: draws of G groups and C CNNs with replacement.
        confidence: nominal coverage.
        seed: same seed, same intervals.

    Returns:
        name → (value, low, high) with low <= value <= high; an interval is a point where no
        resample differs from the value.
    """
    cnns, groups, classes, _ = confusions.shape
    value = statistics(confusions.sum(axis=(0, 1)))
    counts = confusions.transpose(1, 0, 2, 3).reshape(groups, -1).astype(np.float64)  # (G, C·K·K)
    random = np.random.default_rng(seed)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in value}
    chunk = max(1, _CHUNK // groups)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        of_groups = random.multinomial(groups, np.full(groups, 1 / groups), size).astype(
            np.float64
        )  # (R, G)
        of_cnns = random.multinomial(cnns, np.full(cnns, 1 / cnns), size)  # (R, C)
        per_cnn = (of_groups @ counts).reshape(size, cnns, classes, classes)
        for name, values in statistics(np.einsum("rc,rckj->rkj", of_cnns, per_cnn)).items():
            drawn[name].append(values)
    tail, smallest = (1 - confidence) / 2, 1 / (2 * confusions.sum() / cnns)
    return {
        name: logit_basic(float(value[name]), np.concatenate(drawn[name]), tail, smallest)
        for name in value
    }


def mean_interval(
    groups: np.ndarray, *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """A share and its percentile interval over content groups.

    Args:
        groups: sum of hits and number of trials per group, (G, 2).

    Returns:
        the share of hits, low, high.
    """
    count = len(groups)
    weights = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / count), resamples
    )  # (R, G)
    hits, trials = (weights @ groups).T  # (R,) each
    low, high = np.quantile(hits / trials, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(groups[:, 0].sum() / groups[:, 1].sum()), float(low), float(high)


def score_table(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    diverged: Iterable[tuple[str, str]] = (),
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores on the test split for every input and kind of labels, confusion matrices summed over
    CNNs, seeds and reported epochs.

    Args:
        predictions: the table `predictions.parquet`.
        classes: the K class names in the order of the logits.
        diverged: input and labels of every CNN that diverged and so predicts nothing.
        resamples: bootstrap draws.
        confidence: nominal coverage of the intervals.
        seed: of the bootstrap.

    Returns:
        input, labels, then for every score its value (a fraction) and the interval's ends as
        `<score>_low` and `<score>_high`, then n (test samples), groups (their content groups), cnns
        (CNNs times seeds that are summed), diverged (those that are missing from the sum). Where
        all CNNs of an input and kind of labels diverged there is a row without scores.

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
    for (source, labels), run in test.groupby(["input", "labels"], sort=False):
        counts = group_confusions(run, classes)
        row: dict[str, object] = {"input": source, "labels": labels}
        for name, (value, low, high) in intervals(
            counts, scores_of, resamples=resamples, confidence=confidence, seed=seed
        ).items():
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(
            row
            | {
                "n": run["sequence_id"].nunique(),
                "groups": counts.shape[1],
                "cnns": counts.shape[0],
            }
        )
        rows[-1]["diverged"] = lost.pop((str(source), str(labels)), 0)
    for (source, labels), count in lost.items():
        rows.append(
            {"input": source, "labels": labels, "n": 0, "groups": 0, "cnns": 0, "diverged": count}
        )
    return pd.DataFrame(rows)


def group_confusions(run: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """Confusion matrices per CNN and content group, (C, G, K, K): rows of `predictions.parquet` of
    one input and kind of labels.
    """
    cnn = run.groupby(["cnn", "seed"], sort=False).ngroup().to_numpy()
    group = pd.factorize(run["content_group"])[0]
    true = run["class"].map({name: index for index, name in enumerate(classes)}).to_numpy()
    predicted = predicted_classes(np.stack(run["logits"].tolist()))
    shape = (cnn.max() + 1, group.max() + 1, len(classes), len(classes))
    cells = np.ravel_multi_index((cnn, group, true, predicted), shape)
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)


def logit_basic(
    value: float, drawn: np.ndarray, tail: float, smallest: float
) -> tuple[float, float, float]:
    """The basic (reverse percentile) interval on the logit scale; values closer to 0 or 1 than
    `smallest`, half a sample, count as that far away."""
    if (drawn == value).all():
        return value, value, value

    def logit(x: np.ndarray | float) -> np.ndarray:
        inside = np.clip(x, smallest, 1 - smallest)
        return np.log(inside / (1 - inside))

    low, high = np.quantile(drawn, [tail, 1 - tail])
    if low <= smallest or high >= 1 - smallest:
        # At the end of the scale (a class that is never predicted) there is nothing to reflect: the
        # percentile interval.
        return value, min(value, float(low)), max(value, float(high))
    reflected = 1 / (1 + np.exp(logit(np.array([high, low])) - 2 * logit(value)))
    return value, min(value, float(reflected[0])), max(value, float(reflected[1]))

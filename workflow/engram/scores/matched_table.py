"""The matched comparison: how well two classes are distinguished that are equally predictable.

A taxonomy's classifiers are asked about two of its classes alone, on all test samples of these
classes and on matched pairs of them. Nothing is trained again: the predictions are those of the
study. The rival is a logistic regression on what the pairs are matched in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.scores.bootstrap import draw_counts, draw_in_parts, logit_basic_interval
from engram.scores.equivalence import Equivalence, equivalence
from engram.scores.matched_pairs import imbalance, matched_pairs, predictability_logits, strata
from engram.scores.probability_metrics import weighted_areas
from engram.scores.settings import ALL, NONE, MatchedSettings

RIVAL = "predictability"
"""The regression on the columns of predictability."""
SCORES = ("balanced_accuracy", "auroc")
FEWEST = 10
"""Matched samples of a class below which there are no scores."""
_ENDS = ("", "_low", "_high")
COLUMNS = [
    *("first", "second", "matching", "n", "groups", "imbalance", "input", "score", "cnns"),
    *("value", "value_low", "value_high", "rival", "rival_value"),
    *("difference", "difference_low", "difference_high", "narrow_low", "narrow_high"),
    *("p_equivalent", "bound", "verdict"),
]
"""Of the table; without a score, those of scores are empty."""


@dataclass(frozen=True)
class Margins:
    """What the classifiers of one input say of the test samples of two classes."""

    cnns: tuple[str, ...]
    """Names of the C classifiers: architecture and seed."""
    values: np.ndarray
    """Logit of the second class minus that of the first, (C, n)."""

    def rows(self, chosen: np.ndarray) -> Margins:
        """Return the margins of some samples, bool (n,)."""
        return Margins(self.cnns, self.values[:, chosen])


@dataclass(frozen=True)
class TwoClasses:
    """The samples of two classes of one taxonomy, and what classifiers say of them."""

    classes: tuple[str, str]
    samples: pd.DataFrame
    """sequence_id, content_group, split and label (0 or 1), of all splits."""
    inputs: Mapping[str, Margins]
    """By input, of the samples of the test split in their order; real labels."""

    @classmethod
    def of(
        cls, predictions: pd.DataFrame, names: Sequence[str], classes: tuple[str, str]
    ) -> TwoClasses:
        """Return two classes of a table `predictions.parquet`.

        Args:
            predictions: the table.
            names: the classes in the order of the logits.
            classes: the first and the second class.

        Raises:
            EngramError: the classes are not among the names.
        """
        if unknown := [name for name in classes if name not in names]:
            raise EngramError(
                f"matched.pairs: {unknown[0]} is not among the classes {', '.join(names)}"
            )
        real = predictions[predictions["labels"] == "real"]
        real = real[real["class"].isin(classes)]
        samples = real.drop_duplicates("sequence_id").sort_values("sequence_id")
        samples = samples.assign(label=(samples["class"] == classes[1]).astype(int))
        test = samples.loc[samples["split"] == "test", "sequence_id"]
        places = [names.index(name) for name in classes]
        inputs = {}
        for source, part in real[real["split"] == "test"].groupby("input", sort=False):
            cnns = part.groupby(["cnn", "seed"], sort=False)
            keys, values = [], []
            for key, own in cnns:
                keys.append("/".join(map(str, key)))
                logits = np.stack(own.set_index("sequence_id")["logits"].loc[test].tolist())
                values.append(logits[:, places[1]] - logits[:, places[0]])
            inputs[str(source)] = Margins(tuple(keys), np.array(values, np.float64))
        columns = ["sequence_id", "content_group", "split", "label"]
        return cls(classes, samples[columns].reset_index(drop=True), inputs)


def matched_properties(
    measured: pd.DataFrame, labels: pd.DataFrame, settings: MatchedSettings
) -> tuple[pd.DataFrame, list[str]]:
    """Return what samples are matched in by sequence_id, and the columns in which they are equal.

    Args:
        measured: predictability.parquet, of the text shown.
        labels: labels.parquet, of the true text; what both have is taken from the former.
        settings: `columns` and `exact`.

    Raises:
        EngramError: neither has a column, or it holds no numbers.
    """
    own, others = (table.set_index("sequence_id") for table in (measured, labels))
    for name in settings.columns:
        table = own if name in own else others
        if name not in table or not pd.api.types.is_numeric_dtype(table[name]):
            raise EngramError(
                f"matched.columns: `{name}` is a numeric column of neither predictability.parquet "
                f"nor labels.parquet; {', '.join(map(str, own.columns))} are"
            )
    exact = [name for name in settings.exact if name in others]
    joined = [name for name in dict.fromkeys([*settings.columns, *exact]) if name not in own]
    return own.join(others[joined], how="left"), exact


def matched_table(
    pair: TwoClasses,
    properties: pd.DataFrame,
    exact: Sequence[str],
    settings: MatchedSettings,
    **statistics: Any,
) -> pd.DataFrame:
    """Tabulate how well two classes are distinguished, on all test samples and on matched ones.

    Args:
        pair: the classes.
        properties: by sequence_id: `settings.columns`, and the columns of `exact`.
        exact: columns in which the samples of a pair are equal, where all columns are matched.
        settings: `columns`, `caliper`, `rival` and `bound`.
        statistics: `resamples`, `confidence`, `seed`.

    Returns:
        a row per matching, input and score; the columns are those of workflow/report/matched.rst.

    Raises:
        EngramError: a property is missing, or the rival is not among the inputs.
    """
    known = properties.loc[pair.samples["sequence_id"]]
    values = known[list(settings.columns)].astype(float)
    if values.isna().any(axis=None):
        name = values.columns[values.isna().any()][0]
        raise EngramError(f"matched.columns: {name} of a sample is missing; leave it out")
    label, split = pair.samples["label"].to_numpy(), pair.samples["split"].to_numpy(object)
    logits = predictability_logits(values.to_numpy(), label, split)
    test = split == "test"
    inputs = {**pair.inputs, RIVAL: Margins(("logistic/0",), (logits[:, 1] - logits[:, 0])[None])}
    inputs[RIVAL] = inputs[RIVAL].rows(test)
    if settings.rival not in inputs:
        raise EngramError(
            f"matched.rival: {settings.rival} is not among what was predicted from, "
            f"{', '.join(inputs)}; add it to `cnn.baselines`"
        )
    label, values, group = label[test], values[test], pair.samples["content_group"][test]
    rows = []
    first = settings.columns[0]
    chosen = {NONE: np.ones(len(label), bool)}
    column = values[first].to_numpy()
    every, caliper = values.to_numpy(), settings.caliper
    chosen[first] = matched_pairs(label, column, column[:, None], strata(known[test], ()), caliper)
    together = inputs[RIVAL].values[0]
    chosen[ALL] = matched_pairs(label, together, every, strata(known[test], exact), caliper)
    for matching, kept in chosen.items():
        apart = imbalance(label, values, kept)
        shared = {
            "first": pair.classes[0],
            "second": pair.classes[1],
            "matching": matching,
            "n": int(kept.sum()),
            "groups": int(group[kept].nunique()),
            "imbalance": float(apart.max()),
        }
        own = {name: margins.rows(kept) for name, margins in inputs.items()}
        for row in _scores(own, label[kept], group[kept].to_numpy(), settings, **statistics):
            rows.append(shared | row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _scores(
    inputs: Mapping[str, Margins],
    label: np.ndarray,
    group: np.ndarray,
    settings: MatchedSettings,
    resamples: int,
    confidence: float,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield the row of every input and score on one set of samples."""
    sizes = np.bincount(label, minlength=2)
    enough = sizes.min() >= FEWEST
    drawn = resampled(inputs, label, group, resamples, seed) if enough else {}
    for name, margins in inputs.items():
        for score in SCORES:
            row = {"input": name, "score": score, "cnns": len(margins.cnns)}
            row |= {"rival": settings.rival, "bound": settings.bound}
            if not enough:
                yield row | {"verdict": "" if name == settings.rival else "inconclusive"}
                continue
            draws = drawn[name][score]
            ends = (confidence, 1 / (2 * len(label)), float(sizes.min()))
            interval = logit_basic_interval(float(draws[0]), draws[1:], *ends)
            row |= dict(zip((f"value{end}" for end in _ENDS), interval, strict=True))
            if name != settings.rival:
                other = drawn[settings.rival][score]
                difference = draws - other
                tested = equivalence(
                    float(difference[0]), difference[1:], settings.bound, confidence
                )
                row |= {"rival_value": float(other[0]), **_columns(tested)}
            yield row


def resampled(
    inputs: Mapping[str, Margins],
    label: np.ndarray,
    group: np.ndarray,
    resamples: int,
    seed: int,
    scores: Sequence[str] = SCORES,
) -> dict[str, dict[str, np.ndarray]]:
    """Return every score of every input over the same draws of content groups; classifiers of the
    same names are drawn alike.

    Args:
        inputs: by name, of n samples.
        label: 0 or 1, (n,).
        group: content group of each sample, (n,).
        resamples: R.
        seed: same seed, same draws.
        scores: some of `SCORES`.

    Returns:
        input → score → the estimate and its resamples, (1 + R,).
    """
    generator = np.random.default_rng(seed)
    place, names = pd.factorize(group)
    of_cnns = {
        cnns: draw_counts(generator, len(cnns), resamples, estimate=True)
        for cnns in dict.fromkeys(margins.cnns for margins in inputs.values())
    }
    result = {name: {score: np.empty(1 + resamples) for score in scores} for name in inputs}
    estimate = [(slice(-1, 0), np.ones((1, len(names))))]
    parts = draw_in_parts(generator, len(names), resamples, len(label))
    for drawn, counts in itertools.chain(estimate, parts):
        part = slice(drawn.start + 1, drawn.stop + 1)  # the first row is the estimate
        weights = counts[:, place]  # (r, n)
        for name, margins in inputs.items():
            shares = of_cnns[margins.cnns][part]
            shares = shares / shares.sum(axis=1, keepdims=True)
            for score in scores:
                of_cnn = _MEASURES[score](margins, label, weights)  # (r, C)
                result[name][score][part] = (shares * of_cnn).sum(axis=1)
    return result


def _accuracies(margins: Margins, label: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the balanced accuracy of every classifier for sets of weights (r, n), (r, C); a set
    without a class counts half of it as right.
    """
    correct = ((margins.values > 0) == (label == 1)).astype(np.float64)  # (C, n)
    shares = []
    for k in (0, 1):
        own = weights * (label == k)
        size = own.sum(axis=1, keepdims=True)
        half = np.full((len(weights), len(correct)), 0.5)
        shares.append(np.divide(own @ correct.T, size, out=half, where=size > 0))
    return np.mean(shares, axis=0)


def _areas(margins: Margins, label: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of every classifier for sets of weights, (r, C)."""
    areas = [
        weighted_areas(np.stack([-value, value], 1) / 2, label, weights)[:, 1]
        for value in margins.values
    ]
    return np.stack(areas, axis=1)


_MEASURES = {"balanced_accuracy": _accuracies, "auroc": _areas}


def _columns(tested: Equivalence) -> dict[str, Any]:
    """Return the columns of a difference."""
    columns = tested.difference.columns("difference")
    columns |= {"narrow_low": tested.narrow.low, "narrow_high": tested.narrow.high}
    return columns | {"p_equivalent": tested.p_equivalent, "verdict": tested.verdict}

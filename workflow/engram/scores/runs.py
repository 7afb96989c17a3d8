"""Runs, resampled together: the same texts and the same CNNs are drawn for all of them, so that
differences between runs are paired.

A run is the set of predictions of one taxonomy (of a model and protocol) by one kind of CNN.
Content groups are drawn from the union over runs, and each run counts its own. Where runs share no
text, their draws are nearly independent; where they share all of it, the noise that they share
cancels in a difference. CNNs are drawn alike for all runs whose CNNs have the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from engram.scores.bootstrap import Interval, draw_counts, draw_in_parts, logit_basic_interval
from engram.scores.metrics import predicted_classes

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Run:
    """Confusion matrices of one run by CNN and content group."""

    cnns: tuple[str, ...]
    """The C CNNs, `k6-f10-mean/0`: architecture and seed."""
    groups: tuple[Hashable, ...]
    """The G content groups of the test samples; in a sum over models some may be equal."""
    counts: np.ndarray
    """Predictions by CNN, group, true and predicted class, (C, G, K, K)."""
    candidates: tuple[int, ...] = ()
    """Candidates of every class, K."""
    natural: tuple[int, ...] = ()
    """How often every class occurs in a plain draw from a corpus, K; empty where there is none."""

    @classmethod
    def of(cls, predictions: pd.DataFrame, classes: Sequence[str], source: str = "") -> Run:
        """Return the run of rows of `predictions.parquet` of one input and kind of labels, summed
        over reported epochs.

        Args:
            predictions: content_group, class, cnn, seed, logits.
            classes: the K class names in the order of the logits.
            source: prefixed to the groups; groups of different sources are different texts.

        Raises:
            EngramError: a logit is not finite.
        """
        names = predictions["cnn"].astype(str) + "/" + predictions["seed"].astype(str)
        cnn, cnns = pd.factorize(names)
        group, groups = pd.factorize(predictions["content_group"])
        positions = {name: index for index, name in enumerate(classes)}
        true = predictions["class"].map(positions).to_numpy()
        predicted = predicted_classes(np.stack(predictions["logits"].tolist()))
        shape = (len(cnns), len(groups), len(classes), len(classes))
        cells = np.ravel_multi_index((cnn, group, true, predicted), shape)
        counts = np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)
        return cls(
            tuple(cnns),
            tuple((source, value) if source else value for value in groups.tolist()),
            counts,
        )

    @property
    def total(self) -> np.ndarray:
        """The summed confusion matrix, (K, K)."""
        return self.counts.sum(axis=(0, 1))

    @property
    def half_sample(self) -> float:
        """Half a sample as a share of all samples: on the logit scale, scores closer to 0 or 1
        count as that far away.
        """
        return float(1 / (2 * max(1, self.counts.sum() / len(self.cnns))))

    @property
    def smallest_class(self) -> float:
        """Test samples of the smallest class that has any; a text that several models have counts
        once.
        """
        of_classes = self.total.sum(axis=1) / len(self.cnns)
        of_classes = of_classes[of_classes > 0]
        copies = len(self.groups) / max(1, len(set(self.groups)))
        return float(max(1.0, of_classes.min() / copies)) if len(of_classes) else 1.0

    def drawn(self, of_groups: np.ndarray, of_cnns: np.ndarray) -> np.ndarray:
        """Return the summed confusion matrices of resamples, float64 (R, K, K).

        Args:
            of_groups: how often each content group is drawn, (R, G).
            of_cnns: how often each CNN is drawn, (R, C).
        """
        cnns, groups, classes, _ = self.counts.shape
        flat = self.counts.transpose(1, 0, 2, 3).reshape(groups, -1).astype(np.float64)
        per_cnn = (of_groups @ flat).reshape(-1, cnns, classes, classes)  # (R, C, K, K)
        return np.einsum("rc,rckj->rkj", of_cnns, per_cnn)


def summed(runs: Iterable[Run]) -> Run:
    """Return one run of several models, with their groups side by side.

    CNNs of the same name are one CNN; only those that all models have count. A group that several
    models have is there several times and is drawn once for all of them.
    """
    parts = list(runs)
    cnns = tuple(name for name in parts[0].cnns if all(name in part.cnns for part in parts))
    counts = np.concatenate(
        [part.counts[[part.cnns.index(name) for name in cnns]] for part in parts], axis=1
    )
    candidates = tuple(map(sum, zip(*(part.candidates for part in parts), strict=True)))
    groups = tuple(group for part in parts for group in part.groups)
    natural: tuple[int, ...] = ()
    if all(part.natural for part in parts):
        natural = tuple(map(sum, zip(*(part.natural for part in parts), strict=True)))
    return Run(cnns, groups, counts, candidates, natural)


@dataclass(frozen=True)
class Resampled:
    """A statistic of one run, in [0, 1], and its bootstrap resamples."""

    value: float
    draws: np.ndarray
    """(R,), of the same resamples as those of every other run."""
    half_sample: float
    """See `Run.half_sample`."""
    trials: float | None = None
    """See `Run.smallest_class`; None: as many as half a sample says."""

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the basic interval on the logit scale (see `engram.scores.bootstrap`)."""
        return logit_basic_interval(
            self.value, self.draws, confidence, self.half_sample, self.trials
        )


def resample(
    runs: Mapping[Key, Run],
    statistics: Callable[[np.ndarray, Run], Mapping[str, np.ndarray]],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[Key, Resampled]]:
    """Resample statistics of every run over the same draws of content groups and CNNs.

    Args:
        runs: by any key.
        statistics: from confusion matrices (…, K, K) and their run to values (…) in [0, 1] by name.
        resamples: R.
        seed: same seed and runs, same draws.

    Returns:
        Name of the statistic → key of the run → value and resamples. A run without a statistic,
        such as the F1 of a fourth class, is missing there.
    """
    generator = np.random.default_rng(seed)
    names = dict.fromkeys(group for run in runs.values() for group in run.groups)
    position = {group: index for index, group in enumerate(names)}
    places = {key: np.array([position[group] for group in run.groups]) for key, run in runs.items()}
    of_cnns = {
        cnns: draw_counts(generator, len(cnns), resamples)  # (R, C)
        for cnns in dict.fromkeys(run.cnns for run in runs.values())
    }
    drawn: dict[tuple[str, Key], list[np.ndarray]] = {}
    for part, of_groups in draw_in_parts(generator, len(names), resamples):
        for key, run in runs.items():
            confusions = run.drawn(of_groups[:, places[key]], of_cnns[run.cnns][part])
            for name, values in statistics(confusions, run).items():
                drawn.setdefault((name, key), []).append(values)
    result: dict[str, dict[Key, Resampled]] = {}
    for key, run in runs.items():
        for name, value in statistics(run.total, run).items():
            result.setdefault(name, {})[key] = Resampled(
                float(value),
                np.concatenate(drawn[name, key]),
                run.half_sample,
                run.smallest_class,
            )
    return result


def score_intervals(
    run: Run,
    statistics: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return statistics of a single run with their intervals.

    Args:
        run: the run.
        statistics: from confusion matrices (…, K, K) to values (…) in [0, 1] by name.
        resamples: draws of content groups and CNNs with replacement.
        confidence: nominal coverage.
        seed: same seed, same intervals.
    """
    values = resample(
        {0: run}, lambda confusions, _: statistics(confusions), resamples=resamples, seed=seed
    )
    return {name: of_run[0].interval(confidence) for name, of_run in values.items()}

"""Several runs resampled together: the same texts and the same CNNs are drawn for all of them, so
that differences are paired.

A run is the set of predictions of one taxonomy (of a model and protocol) by one kind of CNN.
Content groups are drawn from the union over runs; a run counts its own. Where runs share no text
their draws are nearly independent, where they share all of it the noise that they share cancels in
a difference. CNNs are drawn alike for all runs that have CNNs of the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from engram.scores.bootstrap import logit_basic
from engram.scores.metrics import predicted_classes

Key = TypeVar("Key", bound=Hashable)
_CHUNK = 4_000_000
"""Weights in memory at a time."""


@dataclass(frozen=True)
class Run:
    """Confusion matrices of one run by CNN and content group."""

    cnns: tuple[str, ...]
    """The C CNNs, `k6-f10-mean/0`: architecture and seed."""
    groups: tuple[Hashable, ...]
    """The G content groups of the test samples."""
    counts: np.ndarray
    """Predictions by CNN, group, true and predicted class, (C, G, K, K)."""
    candidates: tuple[int, ...] = ()
    """Candidates of every class, K: how often it occurs naturally."""

    @classmethod
    def of(cls, predictions: pd.DataFrame, classes: Sequence[str], source: str = "") -> Run:
        """The run of rows of `predictions.parquet` of one input and kind of labels, summed over
        reported epochs.

        Args:
            predictions: content_group, class, cnn, seed, logits.
            classes: the K class names in the order of the logits.
            source: prefixed to the groups; those of different sources are different texts.
        """
        names = predictions["cnn"].astype(str) + "/" + predictions["seed"].astype(str)
        cnn, cnns = pd.factorize(names)
        group, groups = pd.factorize(predictions["content_group"])
        true = (
            predictions["class"].map({name: index for index, name in enumerate(classes)}).to_numpy()
        )
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
    def least(self) -> float:
        """Half a sample as a share of all: scores closer to 0 or 1 count as that far away on the
        logit scale.
        """
        return float(1 / (2 * max(1, self.counts.sum() / len(self.cnns))))


def summed(runs: Iterable[Run]) -> Run:
    """One run of several models: their groups side by side; CNNs of the same name are one, and only
    those that all have count.
    """
    parts = list(runs)
    cnns = tuple(name for name in parts[0].cnns if all(name in part.cnns for part in parts))
    counts = np.concatenate(
        [part.counts[[part.cnns.index(name) for name in cnns]] for part in parts], axis=1
    )
    candidates = tuple(map(sum, zip(*(part.candidates for part in parts), strict=True)))
    return Run(cnns, tuple(group for part in parts for group in part.groups), counts, candidates)


@dataclass(frozen=True)
class Resampled:
    """A statistic of one run and its bootstrap resamples."""

    value: float
    draws: np.ndarray
    """(R,), of the same resamples as every other run's."""
    least: float
    """See `Run.least`."""

    @property
    def reflected(self) -> np.ndarray:
        """Resamples of where the truth lies, (R,): `draws` mirrored at the value on the logit
        scale, which takes off the bias of a minimum over classes. Draws at the ends of the scale
        cannot be mirrored and are kept as they are."""
        ends = (self.draws <= self.least) | (self.draws >= 1 - self.least)
        mirrored = 1 / (1 + np.exp(self._logit(self.draws) - 2 * self._logit(np.array(self.value))))
        return np.where(ends, self.draws, mirrored)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The basic interval on the logit scale; the percentile interval where the resamples reach
        0 or 1 (see `engram.scores.bootstrap`).
        """
        return logit_basic(self.value, self.draws, (1 - confidence) / 2, self.least)[1:]

    def _logit(self, x: np.ndarray) -> np.ndarray:
        inside = np.clip(x, self.least, 1 - self.least)
        return np.log(inside / (1 - inside))


def resample(
    runs: Mapping[Key, Run],
    statistics: Callable[[np.ndarray, Run], Mapping[str, np.ndarray]],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[Key, Resampled]]:
    """Statistics of every run, resampled over the same draws of content groups and CNNs.

    Args:
        runs: by any key.
        statistics: from confusion matrices (…, K, K) and their run to values (…) in [0, 1] by name.
        resamples: R.
        seed: same seed and runs, same draws.

    Returns:
        name of the statistic → run → value and resamples; a run lacks the statistics that are not
        made of it.
    """
    random = np.random.default_rng(seed)
    groups = {
        group: index
        for index, group in enumerate(
            dict.fromkeys(group for run in runs.values() for group in run.groups)
        )
    }
    of_cnns = {
        cnns: random.multinomial(len(cnns), np.full(len(cnns), 1 / len(cnns)), resamples)  # (R, C)
        for cnns in dict.fromkeys(run.cnns for run in runs.values())
    }
    places = {key: np.array([groups[group] for group in run.groups]) for key, run in runs.items()}
    drawn: dict[tuple[str, Key], list[np.ndarray]] = {}
    chunk = max(1, _CHUNK // max(1, len(groups)))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        weights = random.multinomial(
            len(groups), np.full(len(groups), 1 / len(groups)), size
        ).astype(np.float64)  # (R, G of all)
        for key, run in runs.items():
            classes = run.counts.shape[-1]
            flat = (
                run.counts.transpose(1, 0, 2, 3).reshape(len(run.groups), -1).astype(np.float64)
            )  # (G, C·K·K)
            per_cnn = (weights[:, places[key]] @ flat).reshape(
                size, len(run.cnns), classes, classes
            )
            confusions = np.einsum("rc,rckj->rkj", of_cnns[run.cnns][start : start + size], per_cnn)
            for name, values in statistics(confusions, run).items():
                drawn.setdefault((name, key), []).append(values)
    result: dict[str, dict[Key, Resampled]] = {}
    for key, run in runs.items():
        for name, value in statistics(run.total, run).items():
            result.setdefault(name, {})[key] = Resampled(
                float(value), np.concatenate(drawn[name, key]), run.least
            )
    return result
